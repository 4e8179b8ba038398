"""The topic rules of IoT Core, with the SNS topics and the log group that they write to.

Everything is named after the prefix and tagged; what has such a name and not our tag is somebody
else's, and is refused, never changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from botocore.exceptions import ClientError

from backends.artifacts import RulePart
from backends.aws.account import Account
from backends.aws.checking import check
from backends.aws.faults import code_of, missing, told
from backends.aws.rule_texts import PURPOSES, RuleTargets, RuleText, rule_name, rule_texts
from backends.errors import InvalidInputError

KEPT_DAYS = 30
"""How long the errors of rules are kept in CloudWatch Logs."""
_EXISTS = frozenset({"ResourceAlreadyExistsException"})
_RULE, _TOPIC, _LOG_GROUP = "topic rule", "SNS topic", "log group"


class TopicRules:
    """A repeated call changes nothing. Raises InvalidInputError, BackendUnavailableError."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._settings = account.settings

    def create(self, sightings: Mapping[str, float]) -> Sequence[RulePart]:
        """Make the account have our rules, and those only; `sightings`: label to least score."""
        check(self._settings, training=False, rules=True)
        targets = self._targets()
        texts = rule_texts(targets, sightings)
        parts = [
            self._log_group(targets.log_group),
            self._topic(targets.alerts),
            self._topic(targets.sightings),
        ]
        there = self._rules_there()
        parts += [self._rule(text, there) for text in texts]
        wanted = {text.name for text in texts}
        return [*parts, *(self._delete(name) for name in there if name not in wanted)]

    def remove(self) -> Sequence[RulePart]:
        """Take away all that `create` made: the SNS topics go with who subscribed to them."""
        targets = self._targets()
        removed = [self._delete(name) for name in self._rules_there()]
        for arn in (targets.alerts, targets.sightings):
            if self._owns_topic(arn):
                with told("sns", "DeleteTopic", arn):
                    self._account.client("sns").delete_topic(TopicArn=arn)
                removed.append(RulePart(_TOPIC, _name(arn), "", "removed"))
        if self._owns_log_group(targets.log_group):
            with told("logs", "DeleteLogGroup", targets.log_group):
                self._account.client("logs").delete_log_group(logGroupName=targets.log_group)
            removed.append(RulePart(_LOG_GROUP, targets.log_group, "", "removed"))
        return removed

    def present(self) -> Sequence[RulePart]:
        """What there is of ours, and what each rule says."""
        targets = self._targets()
        rules = [RulePart(_RULE, name, self._read(name)["sql"], "") for name in self._rules_there()]
        topics = [
            RulePart(_TOPIC, _name(arn), arn, "")
            for arn in (targets.alerts, targets.sightings)
            if self._owns_topic(arn)
        ]
        return [*rules, *topics]

    def _targets(self) -> RuleTargets:
        prefix = self._settings.prefix
        return RuleTargets(
            prefix,
            self._settings.bucket,
            self._settings.rule_role,
            self._arn("sns", f"{prefix}-alerts"),
            self._arn("sns", f"{prefix}-sightings"),
            f"/edgeward/{prefix}/rule-errors",
        )

    def _arn(self, service: str, name: str) -> str:
        here = self._account
        return f"arn:{here.partition}:{service}:{here.region}:{here.identity['Account']}:{name}"

    def _rules_there(self) -> list[str]:
        """Names of ours. Asking for one rule by name is no way: AWS denies what is not there."""
        ours = {rule_name(self._settings.prefix, purpose) for purpose in PURPOSES}
        with told("iot", "ListTopicRules"):
            pages = self._account.client("iot").get_paginator("list_topic_rules").paginate()
            names = [rule["ruleName"] for page in pages for rule in page["rules"]]
        found = [name for name in names if name in ours]
        for name in found:
            self._refuse_anothers_rule(name)
        return found

    def _rule(self, text: RuleText, there: Sequence[str]) -> RulePart:
        iot = self._account.client("iot")
        payload = text.payload()
        if text.name not in there:
            tags = urlencode(self._account.tags, quote_via=quote)
            with told("iot", "CreateTopicRule", text.name):
                try:
                    iot.create_topic_rule(ruleName=text.name, topicRulePayload=payload, tags=tags)
                    return RulePart(_RULE, text.name, text.sql, "created")
                except ClientError as error:
                    if code_of(error) not in _EXISTS:
                        raise
            self._refuse_anothers_rule(text.name)  # it was made since, or the list was late
        now = self._read(text.name)
        if all(now.get(key) == value for key, value in payload.items()):
            return RulePart(_RULE, text.name, text.sql, "unchanged")
        with told("iot", "ReplaceTopicRule", text.name):
            iot.replace_topic_rule(ruleName=text.name, topicRulePayload=payload)
        return RulePart(_RULE, text.name, text.sql, "updated")

    def _refuse_anothers_rule(self, name: str) -> None:
        arn = self._arn("iot", f"rule/{name}")
        with told("iot", "ListTagsForResource", arn):
            answer = self._account.client("iot").list_tags_for_resource(resourceArn=arn)
        self._refuse_others({tag["Key"]: tag["Value"] for tag in answer["tags"]}, arn)

    def _read(self, name: str) -> dict[str, Any]:
        with told("iot", "GetTopicRule", name):
            rule: dict[str, Any] = self._account.client("iot").get_topic_rule(ruleName=name)["rule"]
        return rule

    def _delete(self, name: str) -> RulePart:
        with told("iot", "DeleteTopicRule", name):
            self._account.client("iot").delete_topic_rule(ruleName=name)
        return RulePart(_RULE, name, "", "removed")

    def _topic(self, arn: str) -> RulePart:
        sns = self._account.client("sns")
        tags = [{"Key": key, "Value": value} for key, value in self._account.tags.items()]
        if self._owns_topic(arn):
            with told("sns", "TagResource", arn):
                sns.tag_resource(ResourceArn=arn, Tags=tags)
            return RulePart(_TOPIC, _name(arn), arn, "unchanged")
        key = {"KmsMasterKeyId": self._settings.kms_key} if self._settings.kms_key else {}
        with told("sns", "CreateTopic", _name(arn)):
            sns.create_topic(Name=_name(arn), Tags=tags, Attributes=key)
        return RulePart(_TOPIC, _name(arn), arn, "created")

    def _owns_topic(self, arn: str) -> bool:
        """Whether it is there, and ours."""
        with told("sns", "ListTagsForResource", arn):
            try:
                answer = self._account.client("sns").list_tags_for_resource(ResourceArn=arn)
            except ClientError as error:
                if missing(error):
                    return False
                raise
        self._refuse_others({tag["Key"]: tag["Value"] for tag in answer["Tags"]}, arn)
        return True

    def _log_group(self, name: str) -> RulePart:
        logs = self._account.client("logs")
        there = self._owns_log_group(name)
        if not there:
            with told("logs", "CreateLogGroup", name):
                try:
                    logs.create_log_group(logGroupName=name, tags=self._account.tags)
                except ClientError as error:
                    if code_of(error) not in _EXISTS:  # another made it meanwhile
                        raise
        with told("logs", "PutRetentionPolicy", name):
            logs.put_retention_policy(logGroupName=name, retentionInDays=KEPT_DAYS)
        return RulePart(_LOG_GROUP, name, "", "unchanged" if there else "created")

    def _owns_log_group(self, name: str) -> bool:
        arn = self._arn("logs", f"log-group:{name}")
        with told("logs", "ListTagsForResource", arn):
            try:
                answer = self._account.client("logs").list_tags_for_resource(resourceArn=arn)
            except ClientError as error:
                if missing(error):
                    return False
                raise
        self._refuse_others(answer["tags"], arn)
        return True

    def _refuse_others(self, tags: Mapping[str, str], what: object) -> None:
        if tags.get("edgeward") != self._settings.prefix:
            reason = f"exists without the tag edgeward={self._settings.prefix}: it is not ours"
            remedy = "Set EDGEWARD_AWS__PREFIX to another one, or remove it yourself."
            raise InvalidInputError(str(what), reason, remedy)


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]
