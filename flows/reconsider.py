"""Look again at retrainings that were put off until later, or that were cut off."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from backends.settings import load_settings
from flows.retrain import RetrainPlan, retrain
from tasks.retraining.decisions import CUT_OFF, Decision, read_decisions, tries


class ReconsiderPlan(BaseModel):
    """Whose retrainings to look at again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    things: tuple[str, ...] = Field((), description="Thing names; empty: all that there are.")


@flow(name="reconsider", flow_run_name="reconsider retrainings")
def reconsider(plan: ReconsiderPlan = ReconsiderPlan()) -> tuple[str, ...]:
    """Decide anew where only time was missing; gives back the runs that came of it."""
    home = load_settings().root
    again = [each for each in waiting(home) if not plan.things or each.thing in plan.things]
    runs = [
        retrain(RetrainPlan(thing=each.thing, cause="schedule", episode=each.episode))
        for each in again
    ]
    return tuple(run for run in runs if run)


def waiting(home: Path) -> Iterator[Decision]:
    """The last decision about each thing, where there is something to do by now."""
    last = {decision.thing: decision for decision in read_decisions(home)}
    now = datetime.now(UTC)
    for decision in last.values():
        due = decision.not_before and datetime.fromisoformat(decision.not_before) <= now
        cut_off = any(one.status == CUT_OFF for one in tries(home, decision.thing)[-1:])
        if due or cut_off:
            yield decision
