"""Pictures of devices on their way to people, and what people said of them on its way to training.

Two events tell of it: `edgeward.labels-wanted` and `edgeward.labelled`. The same news again is the
same event.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from prefect import flow, get_run_logger
from prefect.events import emit_event
from pydantic import BaseModel, ConfigDict, Field

from backends.artifacts import Dataset
from backends.connect import local_fleet
from backends.errors import InvalidInputError
from backends.local.example_requests import MAX_COUNT, Examples, Progress, StoredExample
from backends.settings import Settings, load_settings
from edge.contract import THING_NAME
from tasks.accepted_data import source_name
from tasks.handover import take_over
from tasks.labelling.batches import Batch, Example, Why, batches, make_batch
from tasks.labelling.finishing import Labelled
from tasks.recording import read_record
from tasks.retraining.runs import last_deployed

_POLL_SECONDS = 0.5


class CollectPlan(BaseModel):
    """Whose hard examples are wanted, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thing: str = Field("hub-1", pattern=f"^{THING_NAME}$", description="The device.")
    count: int = Field(MAX_COUNT, ge=1, le=MAX_COUNT, description="At most so many pictures.")
    reason: str = Field(
        "a person asked for it", max_length=2000, description="Shown to those who label."
    )
    episode: str = Field(
        "", max_length=200, description="The drift alarm's episode, if there was one."
    )
    wait_seconds: float = Field(
        300, ge=1, le=3600, description="How long the device may say nothing."
    )


@flow(name="collect", flow_run_name="collect pictures of {plan.thing}")
def collect(plan: CollectPlan = CollectPlan()) -> str:
    """Fetch hard examples that may leave the device, and queue them; gives back the batch's id.

    What was fetched before and is in no batch yet is queued as well. The id is empty where nothing
    came that does not wait already.
    """
    settings = load_settings()
    fetched = fetch_examples(settings, plan)
    batch = queue_examples(settings.root, plan, fetched)
    if batch is None:
        get_run_logger().info("%s: no picture that does not wait already", plan.thing)
    for waiting in batches(settings.root):
        if waiting.why.thing == plan.thing and not waiting.finished:
            ask_for_labels(waiting)
    return batch.id if batch else ""


def fetch_examples(settings: Settings, plan: CollectPlan) -> list[StoredExample]:
    """All that was fetched from the thing, after asking it for more."""
    if settings.backend.kind != "local":
        reason = "hard examples are fetched from devices of this machine only"
        remedy = "Label pictures of an account with `edgeward label import`."
        raise InvalidInputError("EDGEWARD_BACKEND__KIND", reason, remedy)
    devices = local_fleet(settings)
    devices.device(plan.thing)
    devices.ensure_cloud()
    examples = devices.examples
    end = ask_device(examples, plan)
    if end is None:
        get_run_logger().warning("%s said nothing; is it running and online?", plan.thing)
    elif end.status == "refused":
        get_run_logger().warning("%s gives no pictures: %s", plan.thing, end.reason)
    return list(examples.stored(plan.thing))


def ask_device(examples: Examples, plan: CollectPlan) -> Progress | None:
    """Ask for pictures; the device's last word, or None when it said nothing for so long."""
    request = examples.ask(plan.thing, plan.count)
    seen, heard_at = None, time.monotonic()
    while time.monotonic() - heard_at < plan.wait_seconds:
        progress = examples.progress(request)
        if progress and progress.status in ("done", "refused"):
            return progress
        if progress != seen:
            seen, heard_at = progress, time.monotonic()
        time.sleep(_POLL_SECONDS)
    return None


def queue_examples(home: Path, plan: CollectPlan, stored: list[StoredExample]) -> Batch | None:
    """Make a batch of those that no batch holds; the classes are those of the thing's model."""
    run = last_deployed(home / "runs", plan.thing)
    source = source_name(take_over(run, "dataset", Dataset).source)
    why = Why(plan.thing, source, plan.reason, plan.episode)
    classes = read_record(run)["data"]["classes"]
    return make_batch(home, why, classes, [_example(one) for one in stored], datetime.now(UTC))


def ask_for_labels(batch: Batch) -> None:
    """Tell that pictures wait for a person."""
    count = len(batch.examples)
    emit_event(
        "edgeward.labels-wanted",
        resource=_resource(batch.why.thing),
        payload={
            "reason": f"{count} pictures of {batch.why.thing} wait for labels",
            "why": batch.why.reason,
            "pictures": count,
            "batch": batch.id,
            "episode": batch.why.episode,
            "next": f"edgeward label --batch {batch.id}",
        },
        id=uuid5(NAMESPACE_URL, f"edgeward.labels-wanted/{batch.id}"),
    )


def tell_labelled(labelled: Labelled) -> None:
    """Tell that a batch was labelled: it starts a retraining, where that is called for."""
    emit_event(
        "edgeward.labelled",
        resource=_resource(labelled.thing),
        payload={
            "reason": f"{labelled.pictures} pictures of {labelled.thing} were labelled",
            "batch": labelled.batch,
            "pictures": labelled.pictures,
            "labels": labelled.labels,
            "episode": labelled.episode,
        },
        id=uuid5(NAMESPACE_URL, f"edgeward.labelled/{labelled.batch}"),
    )


def _resource(thing: str) -> dict[str, str]:
    return {
        "prefect.resource.id": f"edgeward.thing.{thing}",
        "prefect.resource.name": thing,
        "edgeward.thing": thing,
    }


def _example(stored: StoredExample) -> Example:
    said = stored.result
    score = said.get("score")
    return Example(
        image_id=stored.image_id,
        file=stored.path,
        thing=stored.thing,
        guess=str(said.get("label", "")),
        score=float(score) if isinstance(score, int | float) else -1.0,
        model_version=str(said.get("model_version", "")),
        taken_at=str(said.get("taken_at", "")),
    )
