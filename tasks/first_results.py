"""Is the device right about pictures whose answers are known? (gate device.first-result)"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from prefect import get_run_logger, task

from backends.artifacts import Deployment, DeviceResult, Gate, Predictions, Split
from backends.ports import Fleet
from tasks.progress import log_progress
from tasks.retrying import CALLS_BACKEND

POLL_SECONDS = 1.0
MANY = 10_000  # the device may go round its pictures many times


@dataclass(frozen=True, slots=True)
class FirstResult:
    """What the device said of one known picture, and what the trained model says of it."""

    image_id: str
    label: str
    expected: str
    score: float
    latency_ms: float
    taken_at: str
    agrees: bool


def expected_labels(predictions: Predictions, images: int) -> dict[str, str]:
    """The labels that the trained model gives `images` held-out pictures, spread over the classes.

    Takes the surest picture of each class in turn: a picture on the fence may fall on either side
    within the parity limit, and would prove nothing.
    """
    table = pd.read_parquet(predictions.table)
    columns = [f"p{index}" for index in range(len(predictions.classes))]
    table["guess"] = table[columns].to_numpy().argmax(axis=1)
    table["confidence"] = table[columns].max(axis=1)
    table = table.drop_duplicates("image_id").sort_values(
        ["confidence", "image_id"], ascending=[False, True]
    )
    table["turn"] = table.groupby("guess").cumcount()
    chosen = table.sort_values(["turn", "guess"], kind="stable").head(images)
    return {
        str(image_id): predictions.classes[int(guess)]
        for image_id, guess in zip(chosen["image_id"], chosen["guess"], strict=True)
    }


def choose_scene(split: Split, known: Mapping[str, str], pictures: int) -> list[str]:
    """Paths, relative to the data set's root, of what the camera shall see.

    The known pictures, filled up to `pictures` with others of the test part in their shuffled
    order, so that what the device reports looks like what its model was judged on.
    """
    table = pd.read_parquet(split.table, columns=["image_id", "path", "part"])
    table = table[table["part"] == "test"].drop_duplicates("image_id")
    is_known = table["image_id"].isin(list(known))
    others = table[~is_known].head(max(pictures - len(known), 0))
    return [str(path) for path in pd.concat([table[is_known], others])["path"]]


def now() -> str:
    return datetime.now(UTC).isoformat()


@task(**CALLS_BACKEND, task_run_name="place pictures on {thing}")
def place_pictures(fleet: Fleet, thing: str, pictures: Sequence[Path]) -> Path:
    """Put pictures where the device's camera looks; gives back that folder on the device."""
    return fleet.place_pictures(thing, pictures)


@task(**CALLS_BACKEND, task_run_name="deploy to {thing}")
def deploy_components(
    fleet: Fleet,
    thing: str,
    components: Mapping[str, str],
    merge: Mapping[str, Mapping[str, object]],
) -> Deployment:
    """Deploy, and wait for the device's answer."""
    deployment = fleet.deploy(thing, components, merge)
    get_run_logger().info("%s: deployment %s %s", thing, deployment.id, deployment.status)
    return deployment


@task(**CALLS_BACKEND, task_run_name="await first results of {thing}")
def await_first_results(
    fleet: Fleet, thing: str, since: str, version: str, expected: Mapping[str, str], seconds: float
) -> tuple[FirstResult, ...]:
    """Wait until the device spoke of each expected picture with this model, or time is up."""
    deadline = time.monotonic() + seconds
    first: dict[str, FirstResult] = {}
    progress = log_progress("first-results")
    while len(first) < len(expected) and (left := deadline - time.monotonic()) > 0:
        heard = fleet.results(thing, since, MANY, min(left, POLL_SECONDS))
        first |= _of_known_pictures(heard, version, expected, first)
        progress(len(first), len(expected))
    get_run_logger().info("%s: answered for %d of %d pictures", thing, len(first), len(expected))
    return tuple(first.values())


@task(**CALLS_BACKEND, task_run_name="see to {thing}")
def restore_device(fleet: Fleet, thing: str, before: str, gate: Gate) -> None:
    """Give the device back what it ran before, if its first results were refused."""
    if gate.refuses:
        get_run_logger().warning("%s: rolling back: %s", thing, gate.reason)
        fleet.roll_back(thing, before)


@task(**CALLS_BACKEND, task_run_name="give {thing} its camera back")
def give_camera_back(fleet: Fleet, thing: str) -> None:
    """Let a device that has shown that it is right see again what it is there to see."""
    fleet.give_camera_back(thing)


def judge_first_results(
    results: Sequence[FirstResult], expected: Mapping[str, str], min_agreement: float
) -> Gate:
    """The gate device.first-result: share of the known pictures that the device calls alike."""
    name = "device.first-result"
    agreeing = sum(result.agrees for result in results)
    share = agreeing / len(expected) if expected else 0.0
    silent = len(expected) - len(results)
    if share >= min_agreement and expected:
        reason = f"the device calls {agreeing} of {len(expected)} known pictures as the host does"
        return Gate(name, True, round(share, 4), min_agreement, reason)
    differing = [f"{r.expected} called {r.label}" for r in results if not r.agrees]
    told = [f"{silent} of {len(expected)} pictures without an answer"] if silent else []
    reason = "; ".join([*told, *differing]) or "there was no picture to ask about"
    return Gate(name, False, round(share, 4), min_agreement, reason)


def _of_known_pictures(
    heard: Sequence[DeviceResult],
    version: str,
    expected: Mapping[str, str],
    known: Mapping[str, FirstResult],
) -> dict[str, FirstResult]:
    return {
        result.image_id: FirstResult(
            image_id=result.image_id,
            label=result.label,
            expected=expected[result.image_id],
            score=result.score,
            latency_ms=result.latency_ms,
            taken_at=result.taken_at,
            agrees=result.label == expected[result.image_id],
        )
        for result in reversed(heard)  # the first answer stands
        if result.model_version == version
        and result.image_id in expected
        and result.image_id not in known
    }
