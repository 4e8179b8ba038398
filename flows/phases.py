"""One phase of CRISP-DM at a time: each goes on from what a run has already done."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from backends.artifacts import Dataset, PackedData, Predictions, Split, TrainedModel
from backends.errors import InvalidInputError
from backends.settings import load_settings
from flows import cycle as parts
from flows.approval import GATE
from flows.cycle import Cycle, about, begin, open_run, outcome
from flows.outcome_state import ends_saying
from flows.plan import CyclePlan
from tasks.deployment import Package
from tasks.handover import hand_over, has_handed_over, take_over, withdraw
from tasks.recording import EMPTY, Run, new_run_id, note, read_record, recorded
from tasks.registry import follow_run

Phase = Literal["understand", "prepare", "train", "evaluate", "package", "release"]
PHASES: tuple[Phase, ...] = ("understand", "prepare", "train", "evaluate", "package", "release")
HANDS_OVER: dict[Phase, tuple[str, ...]] = {
    "understand": ("dataset",),
    "prepare": ("split", "packed"),
    "train": ("trained", "version"),
    "evaluate": ("predictions",),
    "package": ("package",),
    "release": (),
}
_NOTES: dict[Phase, tuple[str, ...]] = {
    "understand": (),  # what it notes it notes anew
    "prepare": ("split",),
    "train": ("training", "learning_curve", "tracked"),
    "evaluate": ("evaluation",),
    "package": ("compilation", "verification"),
    "release": ("model_version", "approval", "deployment", "first_results"),
}
_GATES: dict[Phase, tuple[str, ...]] = {
    "understand": ("data.",),
    "prepare": ("split.",),
    "train": (),
    "evaluate": ("model.",),
    "package": ("compiled.",),
    "release": (GATE, "device."),
}


class PhasePlan(BaseModel):
    """Which run goes on, and past which gates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Id of a run that has come so far."
    )
    override: tuple[str, ...] = Field((), description="Gates that may not stop it, by name.")


@flow(name="understand", flow_run_name="understand {plan.source_name}")
@ends_saying(outcome)
def understand(plan: CyclePlan) -> str:
    """CRISP-DM 2, alone: ingest and validate; gives back a run that `prepare` can go on with.

    Run again on the same data it validates them anew against what was last accepted.
    """
    settings = load_settings()
    run = open_run(settings, plan.run_id or new_run_id())
    with recorded(run, about(plan)):
        _understand(begin(plan, settings, run))
        _leave_open(run, "understand")
    return run.id


@flow(name="prepare", flow_run_name="prepare {plan.run}")
@ends_saying(outcome)
def prepare(plan: PhasePlan) -> str:
    """CRISP-DM 3, alone: split and pack the data of a run that `understand` made."""
    return _go_on(plan, ("prepare",))


@flow(name="train", flow_run_name="train {plan.run}")
@ends_saying(outcome)
def train(plan: PhasePlan) -> str:
    """CRISP-DM 4, alone: train a candidate on what `prepare` packed."""
    return _go_on(plan, ("train",))


@flow(name="evaluate", flow_run_name="evaluate {plan.run}")
@ends_saying(outcome)
def evaluate(plan: PhasePlan) -> str:
    """CRISP-DM 5, alone: judge what `train` trained, also against the champion."""
    return _go_on(plan, ("evaluate",))


@flow(name="package", flow_run_name="package {plan.run}")
@ends_saying(outcome)
def package(plan: PhasePlan) -> str:
    """CRISP-DM 6, first half, alone: compile what `evaluate` let pass, and verify the package."""
    return _go_on(plan, ("package",))


@flow(name="release", flow_run_name="release {plan.run}")
@ends_saying(outcome)
def release(plan: PhasePlan) -> str:
    """CRISP-DM 6, second half, alone: deploy what `package` verified, and ask the device."""
    return _go_on(plan, ("release",))


@flow(name="resume", flow_run_name="resume {plan.run}")
@ends_saying(outcome)
def resume(plan: PhasePlan) -> str:
    """Go on with a run from where it failed, was refused, waited or was left open, to its end."""
    run = open_run(load_settings(), plan.run)
    _check_there(run)
    return _go_on(plan, PHASES[PHASES.index(_next(run)) :])


def _go_on(plan: PhasePlan, phases: Sequence[Phase]) -> str:
    """Do `phases` of a run, anew if need be. What followed from their former results is dropped."""
    settings = load_settings()
    run = open_run(settings, plan.run)
    _check_there(run)
    known = take_over(run, "plan", CyclePlan).model_copy(update={"override": plan.override})
    _check_far_enough(run, phases[0])
    with recorded(run, _so_far(read_record(run), phases[0])):
        for phase in PHASES[PHASES.index(phases[0]) :]:
            withdraw(run, HANDS_OVER[phase])
        this = begin(known, settings, run)
        if tracked := read_record(run).get("tracked"):
            follow_run(this.backend.tracker, tracked, run)
        for phase in phases:
            DO[phase](this)
        _leave_open(run, phases[-1])
    return run.id


def _check_there(run: Run) -> None:
    if not run.record.is_file():
        remedy = "Its id is the name of a folder in runs/ of EDGEWARD_HOME."
        raise InvalidInputError(f"run {run.id}", "there is no such run", remedy)


def _check_far_enough(run: Run, first: Phase) -> None:
    needed = [name for phase in PHASES[: PHASES.index(first)] for name in HANDS_OVER[phase]]
    missing = [name for name in needed if not has_handed_over(run, name)]
    if missing:
        reason = f"{first} needs what {_next(run)} gives, and that has not passed yet"
        remedy = f"Go on with {_next(run)}, or with `edgeward resume {run.id}`."
        raise InvalidInputError(f"run {run.id}", reason, remedy)


def _next(run: Run) -> Phase:
    """The first phase that has not handed over all that it gives."""
    return next(
        phase
        for phase in PHASES
        if phase == "release" or not all(has_handed_over(run, name) for name in HANDS_OVER[phase])
    )


def _so_far(record: dict[str, Any], first: Phase) -> dict[str, Any]:
    """The record without what `first` and later phases wrote into it."""
    again = PHASES[PHASES.index(first) :]
    dropped = ["ended_at", *(name for phase in again for name in _NOTES[phase])]
    gates = tuple(prefix for phase in again for prefix in _GATES[phase])
    kept = {name: value for name, value in record.items() if name not in dropped}
    outcome = {name: EMPTY[name] for name in ("status", "reason")}
    left = [gate for gate in record["gates"] if not gate["name"].startswith(gates)]
    return kept | outcome | {"gates": left}


def _leave_open(run: Run, done: Phase) -> None:
    """A run that ended before its release says what goes on from here."""
    if done != PHASES[-1]:
        following = PHASES[PHASES.index(done) + 1]
        note(run, status="open", reason=f"{done} is done; {following} goes on from here")


def _understand(this: Cycle) -> None:
    hand_over(this.run, dataset=parts.understand_data(this))


def _prepare(this: Cycle) -> None:
    split, packed = parts.prepare(this, take_over(this.run, "dataset", Dataset))
    hand_over(this.run, split=split, packed=packed)


def _train(this: Cycle) -> None:
    split, packed = take_over(this.run, "split", Split), take_over(this.run, "packed", PackedData)
    trained, version = parts.train(this, _model(this), packed, split)
    hand_over(this.run, trained=trained, version=version)


def _evaluate(this: Cycle) -> None:
    trained = take_over(this.run, "trained", TrainedModel)
    split, packed = take_over(this.run, "split", Split), take_over(this.run, "packed", PackedData)
    hand_over(this.run, predictions=parts.judge(this, _model(this), trained, packed, split))


def _package(this: Cycle) -> None:
    run = this.run
    trained, dataset = take_over(run, "trained", TrainedModel), take_over(run, "dataset", Dataset)
    split, predictions = take_over(run, "split", Split), take_over(run, "predictions", Predictions)
    hand_over(run, package=parts.make_package(this, trained, dataset, split, predictions))


def _release(this: Cycle) -> None:
    run = this.run
    made, dataset = take_over(run, "package", Package), take_over(run, "dataset", Dataset)
    split, predictions = take_over(run, "split", Split), take_over(run, "predictions", Predictions)
    if components := parts.release(this, made, dataset, split, predictions):
        version = take_over(run, "version", str)
        parts.conclude(this, _model(this), version, components, dataset, predictions)


def _model(this: Cycle) -> str:
    return this.accepted(take_over(this.run, "dataset", Dataset)).name


DO: dict[Phase, Callable[[Cycle], None]] = {
    "understand": _understand,
    "prepare": _prepare,
    "train": _train,
    "evaluate": _evaluate,
    "package": _package,
    "release": _release,
}
