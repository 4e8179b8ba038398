"""Train again what a device runs, where that is called for: decide first, and say why.

Drift and new labels ask for it by events, people by `edgeward retrain`. A retraining that was
killed goes on when it is asked for again; it trains and deploys once, and counts once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from prefect import flow, get_run_logger
from prefect.events import emit_event
from pydantic import BaseModel, ConfigDict, Field

from backends.artifacts import Dataset
from backends.connect import connect
from backends.cost import SECONDS_AN_HOUR, estimate, price_of
from backends.errors import GateRefusedError
from backends.settings import Settings, load_settings
from backends.sources.collected import survey
from edge.contract import THING_NAME
from flows.cycle import cycle, outcome
from flows.outcome_state import ends_saying
from flows.phases import PhasePlan, resume
from flows.plan import CyclePlan
from tasks.accepted_data import source_name
from tasks.data_validation import new_classes
from tasks.handover import take_over
from tasks.labelling.finishing import collected_folder
from tasks.recording import Run, new_run_id, read_record
from tasks.registry import batches_of
from tasks.retraining.artifacts import show_decision
from tasks.retraining.deciding import FAILED_TRIES, Cause, Guard, Situation, due, judge, words
from tasks.retraining.decisions import (
    CUT_OFF,
    UNDER_WAY,
    Decision,
    deciding,
    keep_decision,
    read_decisions,
    tries,
)
from tasks.retraining.runs import last_deployed


class RetrainPlan(BaseModel):
    """Whose model may be trained again, who asks for it, and how it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thing: str = Field("hub-1", pattern=f"^{THING_NAME}$", description="The device.")
    cause: Cause = Field("person", description="Who asks: drift, labelled, schedule or person.")
    episode: str = Field(
        "", max_length=200, description="The drift alarm's episode, if there was one."
    )
    force: str = Field(
        "", max_length=2000, description="Train in spite of the guards: why; it is recorded."
    )
    epochs: int = Field(10, ge=1, le=1000, description="Passes over the training pictures.")
    learning_rate: float = Field(0.02, gt=0, le=1, description="At the start.")


def _came_to(run_id: str) -> str:
    return outcome(run_id) if run_id else "no retraining: `edgeward retrain --why` has the reason"


@flow(name="retrain", flow_run_name="retrain for {plan.thing}")
@ends_saying(_came_to)
def retrain(plan: RetrainPlan = RetrainPlan()) -> str:
    """A cycle like the last that was deployed to the device, from the champion's weights.

    It learns from the same source and from what devices collected and people labelled, and has to
    pass every gate: nothing that was overridden then is overridden now. Gives back its run; empty,
    where the decision is not to train, which is recorded with its reason and is no failure.
    """
    settings = load_settings()
    decision = decide(settings, plan)
    show_decision(decision)
    get_run_logger().info("%s: %s", "retrain" if decision.retrain else "no", decision.reason)
    if not decision.retrain:
        tell_if_stopped(settings, plan)
        return ""
    with _tells_if_it_was_the_last(settings, plan):
        return carry_out(settings, plan, decision)


def decide(settings: Settings, plan: RetrainPlan) -> Decision:
    """Decide, and keep the decision before anything is begun.

    A try that was cut off is decided for already: it goes on.
    """
    home = settings.root
    with deciding(home):
        for one in reversed(read_decisions(home, plan.thing)):
            if one.retrain and _status(home, one) == CUT_OFF:
                return one
            if one.retrain:
                break
        decision = _weigh(settings, plan)
        keep_decision(home, decision)
        return decision


def carry_out(settings: Settings, plan: RetrainPlan, decision: Decision) -> str:
    """The run that was decided for: begun, or gone on with where it was cut off."""
    run = Run(decision.run_id, settings.root / "runs" / decision.run_id)
    if run.record.is_file() and (run.folder / "handover" / "plan.json").is_file():
        return resume(PhasePlan(run=run.id))
    last = last_deployed(settings.root / "runs", plan.thing)
    before = take_over(last, "plan", CyclePlan)
    change = {
        "use_pretrained_model": True,
        "epochs": plan.epochs,
        "learning_rate": plan.learning_rate,
        "lr_scheduler_step": None,
    }
    training = before.training.model_copy(update=change)
    again = {"training": training, "collected": True, "override": (), "run_id": run.id}
    return cycle(before.model_copy(update=again))


def situation(settings: Settings, thing: str, episode: str) -> tuple[Situation, CyclePlan, str]:
    """What a decision about a thing rests on, the plan of what it runs, and its source's name."""
    home = settings.root
    last = last_deployed(home / "runs", thing)
    plan = take_over(last, "plan", CyclePlan)
    dataset = take_over(last, "dataset", Dataset)
    source = source_name(dataset.source)
    champion = connect(settings, plan.targets.cost.max_usd).tracker.champion(source)
    known = batches_of(champion) if champion else frozenset[str]()
    folder = collected_folder(home, source)
    found = survey(folder, set(dataset.classes), dataset.images, new_classes(plan.targets))
    made = tries(home, thing)
    costs = {one.run_id: _usd(settings, home / "runs" / one.run_id) for one in made}
    return (
        Situation(
            now=datetime.now(UTC),
            episode=episode,
            champion=champion.version if champion else "",
            known=known,
            collected=found,
            tries=tries(home, thing, costs),
            usd=_expected_usd(settings, last),
        ),
        plan,
        source,
    )


def tell_if_stopped(settings: Settings, plan: RetrainPlan) -> None:
    """Once the tries of an episode have failed too often, the loop stops, and a person is told."""
    now, known, _ = situation(settings, plan.thing, plan.episode)
    (guard,) = (one for one in judge(now, known.targets.retraining) if one.name == FAILED_TRIES)
    if guard.passed:
        return
    runs = [one.run_id for one in now.failed]
    emit_event(
        "edgeward.retraining.stopped",
        resource={
            "prefect.resource.id": f"edgeward.thing.{plan.thing}",
            "prefect.resource.name": plan.thing,
            "edgeward.thing": plan.thing,
        },
        payload={
            "reason": guard.reason,
            "episode": plan.episode,
            "runs": runs,
            "next": f"edgeward retrain --thing {plan.thing} --why",
        },
        id=uuid5(NAMESPACE_URL, f"edgeward.retraining.stopped/{plan.thing}/{'/'.join(runs)}"),
    )


def _weigh(settings: Settings, plan: RetrainPlan) -> Decision:
    now, known, source = situation(settings, plan.thing, plan.episode)
    alone = _alone(now)
    guards = (alone, *judge(now, known.targets.retraining))
    yes = alone.passed and (bool(plan.force) or all(guard.passed for guard in guards))
    reason = words(guards)
    return Decision(
        at=now.now.isoformat(timespec="seconds"),
        thing=plan.thing,
        source=source,
        cause=plan.cause,
        episode=plan.episode,
        retrain=yes,
        reason=f"a person would have it: {plan.force}" if yes and plan.force else reason,
        guards=guards,
        champion=now.champion,
        batches=now.batches,
        new_labels=now.new_labels,
        run_id=new_run_id() if yes else "",
        forced=plan.force,
        not_before="" if yes else due(guards),
    )


def _alone(now: Situation) -> Guard:
    """Not even a person's word starts a second one beside one that is not through."""
    busy = [one for one in now.tries if one.status in (UNDER_WAY, "waiting")]
    reason = ", ".join(f"run {one.run_id} is {one.status}" for one in busy)
    return Guard("alone", not busy, reason or "no retraining is under way")


@contextmanager
def _tells_if_it_was_the_last(settings: Settings, plan: RetrainPlan) -> Iterator[None]:
    try:
        yield
    except GateRefusedError:
        tell_if_stopped(settings, plan)
        raise


def _status(home: Path, decision: Decision) -> str:
    (one,) = (each for each in tries(home, decision.thing) if each.run_id == decision.run_id)
    return one.status


def _usd(settings: Settings, folder: Path) -> float:
    """What a run has cost, as far as anybody asks for money."""
    run = Run(folder.name, folder)
    if not run.record.is_file():
        return 0.0
    record = read_record(run)
    if settings.backend.kind == "aws":
        seconds = (record["training"] or {}).get("billable_seconds") or 0.0
        return float(seconds) / SECONDS_AN_HOUR * price_of(settings.aws)
    seconds = float(sum(record["stages"].values()))
    return seconds / SECONDS_AN_HOUR * settings.backend.usd_per_hour


def _expected_usd(settings: Settings, last: Run) -> float:
    """What another run like the last may cost: at most, in an account."""
    if settings.backend.kind == "aws":
        return estimate(settings.aws).usd
    return _usd(settings, last.folder)
