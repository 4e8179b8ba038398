"""Have the cloud store what devices publish and tell people of it; or have it stop."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field, field_validator

from backends.artifacts import RulePart
from backends.connect import cloud_rules
from backends.settings import load_settings
from edge.alert_rules import parse_alert_rules
from flows.plan import DRIVEWAY_ALERTS
from tasks.cloud_rules import create_rules, remove_rules, sightings_of


class RulesPlan(BaseModel):
    """What people are told of when a device sees it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alerts: str = Field(
        "example",
        description="A device's alert rules as a JSON list, `none`, or `example`: the driveway's.",
    )

    @field_validator("alerts")
    @classmethod
    def _rules_are_possible(cls, alerts: str) -> str:
        if alerts not in ("example", "none"):
            parse_alert_rules(json.loads(alerts))
        return alerts

    @property
    def rules(self) -> Sequence[Mapping[str, Any]]:
        if self.alerts == "example":
            return DRIVEWAY_ALERTS
        rules: list[dict[str, Any]] = [] if self.alerts == "none" else json.loads(self.alerts)
        return rules


@flow
def create_cloud_rules(plan: RulesPlan = RulesPlan()) -> Sequence[RulePart]:
    """Have the rules in the account; a repeated run changes nothing."""
    return create_rules(cloud_rules(load_settings()), sightings_of(plan.rules))


@flow
def remove_cloud_rules() -> Sequence[RulePart]:
    """Take them away again; what they stored stays."""
    return remove_rules(cloud_rules(load_settings()))
