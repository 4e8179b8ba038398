"""What the topic rules say, in AWS IoT's SQL (version 2016-03-23): pure text, nothing is called.

Only documented operators and functions are used. A WHERE that meets Undefined, as a missing field
is, does not act. The keys of stored messages are
`<prefix>/<table>/date=YYYY-MM-DD/thing=NAME/<milliseconds>-<uuid>.json`, by arrival, in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backends.errors import InvalidInputError
from edge.contract import RESULTS_TOPIC, THING_NAME, alerts_topic, statistics_topic

SQL_VERSION = "2016-03-23"
UNKNOWN_THING = "unknown"
PURPOSES = ("results", "public_results", "statistics", "alerts", "sightings", "public_sightings")

_MESSAGE = (
    'date=${parse_time("yyyy-MM-dd", timestamp(), "UTC")}/thing=%s/${timestamp()}-${newuuid()}.json'
)
_BEST = "get(get(*, 'inference-results'), 0)"
_MAX_LABELS = 200
_MAX_LABEL = 200


@dataclass(frozen=True, slots=True)
class RuleText:
    """One rule: `actions` and `error_action` as CreateTopicRule takes them."""

    name: str
    sql: str
    description: str
    actions: tuple[Mapping[str, Any], ...]
    error_action: Mapping[str, Any]

    def payload(self) -> dict[str, Any]:
        return {
            "sql": self.sql,
            "description": self.description,
            "actions": [dict(action) for action in self.actions],
            "ruleDisabled": False,
            "awsIotSqlVersion": SQL_VERSION,
            "errorAction": dict(self.error_action),
        }


@dataclass(frozen=True, slots=True)
class RuleTargets:
    """Where the messages go, and the role that brings them there."""

    prefix: str
    bucket: str
    role: str
    alerts: str
    """ARN of the SNS topic of the devices' own alerts."""
    sightings: str
    """ARN of the SNS topic of every picture that shows what is looked for."""
    log_group: str


def rule_name(prefix: str, purpose: str) -> str:
    """A rule's name takes no hyphen."""
    return f"{prefix.replace('-', '_')}_{purpose}"


def rule_texts(to: RuleTargets, sightings: Mapping[str, float]) -> tuple[RuleText, ...]:
    """All rules; those of sightings only where there are any: label to least score.

    Raises InvalidInputError for a label that the SQL cannot hold.
    """
    results, alerts, statistics = RESULTS_TOPIC, alerts_topic("+"), statistics_topic("+")
    rules = [
        _rule(
            to,
            "results",
            f"SELECT * FROM '{results}' WHERE regexp_matches(thing, '^{THING_NAME}$')",
            "Edgeward: every result to S3, one object each",
            _to_s3(to, "results", "${thing}"),
        ),
        _rule(
            to,
            "public_results",
            f"SELECT * FROM '{results}' WHERE isUndefined(thing)",
            "Edgeward: results of AWS's own inference component, which name no thing, to S3",
            _to_s3(to, "results", UNKNOWN_THING),
        ),
        _rule(
            to,
            "statistics",
            f"SELECT * FROM '{statistics}'",
            "Edgeward: the summary of each window to S3, for monitoring",
            _to_s3(to, "statistics", "${topic(2)}"),
        ),
        _rule(
            to,
            "alerts",
            f"SELECT *, topic(2) AS thing FROM '{alerts}'",
            "Edgeward: alerts that a device raised by its own rules, to SNS",
            _to_sns(to, to.alerts),
        ),
    ]
    if sightings:
        _check_labels(sightings)
        rules += [_sightings(to, sightings), _public_sightings(to, sightings)]
    return tuple(rules)


def _sightings(to: RuleTargets, sightings: Mapping[str, float]) -> RuleText:
    return _rule(
        to,
        "sightings",
        "SELECT thing, label, score, image_id, model_version, taken_at AS seen_at,"
        " topic() AS source_topic, timestamp() AS received_ms"
        f" FROM '{RESULTS_TOPIC}' WHERE {_seen('label', 'score', sightings)}",
        "Edgeward: every picture that shows what is looked for, to SNS",
        _to_sns(to, to.sightings),
    )


def _public_sightings(to: RuleTargets, sightings: Mapping[str, float]) -> RuleText:
    """AWS's own component: the label is behind a hyphen, the score a text, the thing not named."""
    seen = _seen(f"{_BEST}.Label", f"cast({_BEST}.Score AS Decimal)", sightings)
    return _rule(
        to,
        "public_sightings",
        f"SELECT {_BEST}.Label AS label, {_BEST}.Score AS score, clientid() AS publisher,"
        " get(*, 'timestamp') AS seen_at, topic() AS source_topic, timestamp() AS received_ms"
        f" FROM '{RESULTS_TOPIC}' WHERE isUndefined(thing) AND ({seen})",
        "Edgeward: likewise of AWS's own inference component",
        _to_sns(to, to.sightings),
    )


def _seen(label: str, score: str, sightings: Mapping[str, float]) -> str:
    """`sightings` as a condition: labels of one score stand together."""
    by_score: dict[float, list[str]] = {}
    for name, least in sorted(sightings.items()):
        by_score.setdefault(least, []).append(name)
    return " OR ".join(
        f"(({' OR '.join(f"{label} = '{name}'" for name in names)}) AND {score} >= {least:.6f})"
        for least, names in sorted(by_score.items())
    )


def _check_labels(sightings: Mapping[str, float]) -> None:
    if len(sightings) > _MAX_LABELS:
        reason = f"{len(sightings)} labels are looked for, and a rule takes {_MAX_LABELS}"
        raise InvalidInputError("alerts", reason, "Name fewer.")
    for label in sightings:
        possible = label.isprintable() and not set("'\"\\$") & set(label)
        if not possible or not 1 <= len(label) <= _MAX_LABEL:
            remedy = "Rename the class: no quotes, backslash or dollar sign."
            raise InvalidInputError(
                f"alerts, label {label!r}", "a topic rule cannot name it", remedy
            )


def _rule(
    to: RuleTargets, purpose: str, sql: str, description: str, action: Mapping[str, Any]
) -> RuleText:
    logs = {"roleArn": to.role, "logGroupName": to.log_group}
    name = rule_name(to.prefix, purpose)
    return RuleText(name, sql, description, (action,), {"cloudwatchLogs": logs})


def _to_s3(to: RuleTargets, table: str, thing: str) -> dict[str, Any]:
    key = f"{to.prefix}/{table}/{_MESSAGE % thing}"
    return {"s3": {"roleArn": to.role, "bucketName": to.bucket, "key": key}}


def _to_sns(to: RuleTargets, topic: str) -> dict[str, Any]:
    return {"sns": {"targetArn": topic, "roleArn": to.role, "messageFormat": "RAW"}}
