"""Tells people through a topic of SNS, to which they subscribe as they like."""

from dataclasses import dataclass

from backends.artifacts import Message, Severity
from backends.aws.account import Account
from backends.aws.faults import told

MAX_SUBJECT = 100
MAX_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class SnsChannel:
    """The Channel port. Without a `topic` (ARN): that of the devices' alerts in the account."""

    account: Account
    topic: str
    least: Severity
    name: str = "sns"

    def send(self, message: Message) -> None:
        arn = self.topic or self._own_topic()
        subject = message.subject.encode("ascii", "replace").decode()[:MAX_SUBJECT]
        body = message.body.encode()[:MAX_BYTES].decode(errors="ignore")
        with told("sns", "Publish", arn):
            self.account.client("sns").publish(
                TopicArn=arn,
                Subject=" ".join(subject.split()),
                Message=body,
                MessageAttributes={
                    "severity": {"DataType": "String", "StringValue": message.severity},
                    "id": {"DataType": "String", "StringValue": message.id},
                },
            )

    def _own_topic(self) -> str:
        here = self.account
        owner = here.identity["Account"]
        return f"arn:{here.partition}:sns:{here.region}:{owner}:{here.settings.prefix}-alerts"
