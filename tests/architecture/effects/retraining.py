"""What each key of the plans of retraining and of labelling changes."""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backends.errors import InvalidInputError
from backends.local.example_requests import Examples, StoredExample
from flows.cycle import about
from flows.labelling import CollectPlan, ask_device, collect, queue_examples
from flows.plan import CyclePlan
from flows.reconsider import ReconsiderPlan, reconsider
from flows.retrain import RetrainPlan, retrain
from tasks.handover import hand_over, take_over
from tasks.labelling.batches import Why
from tasks.recording import Run, recorded
from tasks.retraining.decisions import Decision, keep_decision, read_decisions
from tests.architecture.effects.effect import Effect
from tests.tasks.manifests import dataset_of, rows_of


def deployed(folder: Path) -> None:
    """Let hub-1 run a model of pictures that are gone since."""
    run = Run("20260101-000000-0000", folder / "home/runs/20260101-000000-0000")
    plan = CyclePlan(data="folder:/nowhere")
    with recorded(run, about(plan)):
        hand_over(run, plan=plan, dataset=dataset_of(rows_of(cat=4, dog=4), folder))


def decided(folder: Path, **plan: Any) -> Decision:
    """The decision about a retraining that nobody has labelled anything for."""
    deployed(folder)
    with suppress(InvalidInputError):  # one that is carried out finds no pictures
        retrain(RetrainPlan.model_validate(plan))
    return read_decisions(folder / "home", "hub-1")[-1]


def trained(folder: Path, key: str, **plan: Any) -> object:
    """A hyperparameter of the run that a forced retraining makes."""
    decision = decided(folder, force="so that it is made", **plan)
    run = Run(decision.run_id, folder / "home/runs" / decision.run_id)
    return getattr(take_over(run, "plan", CyclePlan).training, key)


def why(folder: Path, **plan: Any) -> Why:
    """What a batch says of why it waits."""
    deployed(folder)
    picture = folder / "a.png"
    picture.write_bytes(b"a picture")
    count = len(list((folder / "home").glob("labelling/2*")))
    stored = [StoredExample("hub-1", f"{count:064x}", picture, {})]
    batch = queue_examples(folder / "home", CollectPlan.model_validate(plan), stored)
    assert batch
    return batch.why


def asked(folder: Path, **plan: Any) -> tuple[int, bool]:
    """How many pictures a device is asked for, and whether it is waited for two seconds."""
    began = time.monotonic()
    ask_device(Examples(folder), CollectPlan.model_validate({"wait_seconds": 1, **plan}))
    waited = time.monotonic() - began
    (command,) = folder.glob("commands/*.json")
    return json.loads(command.read_text())["payload"]["count"], waited >= 2


def collected(thing: str) -> str:
    """Why pictures of a device that nobody has are not collected."""
    try:
        return collect(CollectPlan(thing=thing))
    except InvalidInputError as error:
        return str(error)


def reconsidered(folder: Path, *things: str) -> str:
    """Why looking again at the retraining of hub-2, which is due, comes to nothing."""
    now = datetime.now(UTC).isoformat()
    due = Decision(
        now, "hub-2", "", "drift", "", False, "", (), "", (), 0, not_before="2026-01-01T00:00:00Z"
    )
    keep_decision(folder / "home", due)
    try:
        return str(reconsider(ReconsiderPlan(things=things)))
    except InvalidInputError as error:
        return str(error)


def reason_for(thing: str) -> str:
    try:
        return retrain(RetrainPlan(thing=thing))
    except InvalidInputError as error:
        return str(error)


EFFECTS: dict[str, Effect] = {
    "retrain.thing": lambda _: (reason_for("hub-1"), reason_for("hub-2")),
    "retrain.cause": lambda folder: (
        decided(folder).cause,
        decided(folder, cause="drift").cause,
    ),
    "retrain.episode": lambda folder: (
        decided(folder).episode,
        decided(folder, episode="hub-1/2026-11-25").episode,
    ),
    "retrain.force": lambda folder: (
        decided(folder).retrain,
        decided(folder, force="I would have it").retrain,
    ),
    "retrain.epochs": lambda folder: (
        trained(folder, "epochs"),
        trained(folder, "epochs", epochs=3),
    ),
    "retrain.learning_rate": lambda folder: (
        trained(folder, "learning_rate"),
        trained(folder, "learning_rate", learning_rate=0.5),
    ),
    "collect.thing": lambda _: (collected("nobody-1"), collected("nobody-2")),
    "collect.count": lambda folder: (asked(folder / "a"), asked(folder / "b", count=3)),
    "collect.reason": lambda folder: (why(folder).reason, why(folder, reason="fog").reason),
    "collect.episode": lambda folder: (why(folder).episode, why(folder, episode="e").episode),
    "collect.wait_seconds": lambda folder: (
        asked(folder / "a"),
        asked(folder / "b", wait_seconds=2),
    ),
    "reconsider.things": lambda folder: (
        reconsidered(folder, "hub-1"),
        reconsidered(folder, "hub-2"),
    ),
}
