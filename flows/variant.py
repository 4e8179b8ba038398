"""Two models on one device: start a challenger, compare it with the champion, stop it."""

from datetime import UTC, datetime, timedelta

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from backends.artifacts import Deployment
from backends.connect import local_components, local_fleet
from backends.settings import load_settings
from tasks.first_results import deploy_components
from tasks.variant_comparison import VariantComparison, VariantLimits, compare
from tasks.variants import (
    Mode,
    check_challenge,
    hear_variants,
    publish_challenger,
    read_deployed,
    with_challenger,
    without_challenger,
)


class VariantPlan(BaseModel):
    """Which model challenges the one that serves, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thing: str = Field("hub-1", description="The device.")
    model: str = Field(description="A published version of the model component.")
    mode: Mode = Field("shadow", description="Who answers: the champion alone, or each a share.")
    share: float = Field(0.1, ge=0, le=1, description="The challenger's, in split mode.")


class ComparisonPlan(BaseModel):
    """Which device's variants to compare, and when a challenger is good enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thing: str = Field("hub-1", description="The device.")
    since: str = Field("", description="ISO 8601; empty: 24 hours ago.")
    limits: VariantLimits = VariantLimits()


@flow(flow_run_name="challenger {plan.model} on {plan.thing}")
def start_variant(plan: VariantPlan) -> Deployment:
    """Publish a model version as the challenger, and deploy it beside what runs."""
    settings = load_settings()
    fleet, store = local_fleet(settings), local_components(settings)

    running = read_deployed(fleet, plan.thing)
    check_challenge(plan.thing, running, plan.model)
    challenger = publish_challenger(store, store, plan.model)
    wanted = with_challenger(running, challenger.version, plan.mode, plan.share)
    return deploy_components(fleet, plan.thing, wanted.components, wanted.merge)


@flow(flow_run_name="compare variants on {plan.thing}")
def compare_variants(plan: ComparisonPlan) -> VariantComparison:
    """Compare what champion and challenger said to live pictures, and recommend one."""
    fleet = local_fleet(load_settings())
    since = plan.since or (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds")

    heard = hear_variants(fleet, plan.thing, since)
    return compare(plan.thing, since, heard, plan.limits)


@flow(flow_run_name="no challenger on {thing}")
def stop_variant(thing: str) -> Deployment:
    """Take the challenger away again; the champion answers alone."""
    fleet = local_fleet(load_settings())

    wanted = without_challenger(thing, read_deployed(fleet, thing))
    return deploy_components(fleet, thing, wanted.components, wanted.merge)
