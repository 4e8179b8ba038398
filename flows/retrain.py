"""Train again what a device runs, from the champion's weights: what drift asks for."""

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from backends.settings import load_settings
from edge.contract import THING_NAME
from flows.cycle import cycle
from flows.plan import CyclePlan
from tasks.handover import take_over
from tasks.retraining.runs import last_deployed


class RetrainPlan(BaseModel):
    """Whose model is trained again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thing: str = Field("hub-1", pattern=f"^{THING_NAME}$", description="The device.")


@flow(name="retrain", flow_run_name="retrain for {plan.thing}")
def retrain(plan: RetrainPlan = RetrainPlan()) -> str:
    """A full cycle like the last that was deployed to the device; gives back its run.

    It reads the same source again, with what was added to it since, starts from the champion's
    weights, and has to pass every gate: nothing that was overridden then is overridden now.
    """
    last = last_deployed(load_settings().root / "runs", plan.thing)
    before = take_over(last, "plan", CyclePlan)
    training = before.training.model_copy(update={"use_pretrained_model": True})
    again = {"training": training, "override": (), "run_id": ""}
    return cycle(before.model_copy(update=again))

