"""What a training job says, while it says it: CloudWatch Logs, as SageMaker writes them.

A job has a stream per instance, `<job>/algo-<n>-<time>`, and another after a spot interruption.
"""

from typing import Any

from botocore.exceptions import ClientError

from backends.aws.account import Account
from backends.aws.faults import missing, told
from backends.ports import OnLine

GROUP = "/aws/sagemaker/TrainingJobs"
TAB = "#011"  # how syslog writes a tab


class TrainingLog:
    """Reads on where it stopped. Until SageMaker has made the streams, there is nothing to read."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._read_to: dict[str, str] = {}

    def read(self, job: str, on_line: OnLine) -> int:
        """Give the lines that came since the last call; how many that were."""
        return sum(self._read_stream(stream, on_line) for stream in self._streams(job))

    def _streams(self, job: str) -> list[str]:
        with told("logs", "DescribeLogStreams", f"{GROUP}/{job}"):
            try:
                answer = self._logs.describe_log_streams(
                    logGroupName=GROUP, logStreamNamePrefix=f"{job}/"
                )
            except ClientError as error:
                if missing(error):
                    return []
                raise
        return sorted(str(stream["logStreamName"]) for stream in answer["logStreams"])

    def _read_stream(self, stream: str, on_line: OnLine) -> int:
        lines = 0
        while True:
            known = {"nextToken": self._read_to[stream]} if stream in self._read_to else {}
            with told("logs", "GetLogEvents", f"{GROUP}/{stream}"):
                answer = self._logs.get_log_events(
                    logGroupName=GROUP, logStreamName=stream, startFromHead=True, **known
                )
            for event in answer["events"]:
                on_line(str(event["message"]).replace(TAB, "\t"))
            lines += len(answer["events"])
            token = str(answer["nextForwardToken"])
            if token == self._read_to.get(stream):  # the same token again: that is the end
                return lines
            self._read_to[stream] = token

    @property
    def _logs(self) -> Any:
        return self._account.client("logs")
