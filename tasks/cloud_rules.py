"""The cloud's rules for what devices publish: which labels people are told of, and the steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from backends.artifacts import RulePart
from backends.ports import CloudRules
from edge.alert_rules import parse_alert_rules


def sightings_of(alerts: Sequence[Mapping[str, Any]]) -> Mapping[str, float]:
    """What a device's alert rules look for: each label with the least score of any rule for it.

    A rule in the cloud sees one message at a time: sightings, times and `WhileLabels` are the
    device's own to judge. Raises ValueError as the rules' reader does.
    """
    least: dict[str, float] = {}
    for rule in parse_alert_rules(list(alerts)):
        for label in rule.labels:
            least[label] = min(rule.min_score, least.get(label, 1.0))
    return least


@task(cache_policy=NO_CACHE)
def create_rules(rules: CloudRules, sightings: Mapping[str, float]) -> Sequence[RulePart]:
    """Have the rules, and those only."""
    return _told(rules.create(sightings))


@task(cache_policy=NO_CACHE)
def remove_rules(rules: CloudRules) -> Sequence[RulePart]:
    """Take the rules away, with what they write to but for what is stored."""
    return _told(rules.remove())


def _told(parts: Sequence[RulePart]) -> Sequence[RulePart]:
    for part in parts:
        get_run_logger().info("%s %s: %s", part.kind, part.name, part.state)
    return parts
