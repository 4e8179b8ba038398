"""Which deployment of a thing is being watched, and what the device ran before it."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from backends.artifacts import PastDeployment
from backends.errors import InvalidInputError
from backends.moments import parse_moment
from edge.contract import MODEL_COMPONENT
from tasks.business_understanding import Targets, parse_targets


@dataclass(frozen=True, slots=True)
class Watched:
    """A run's deployment to a thing, and the model that it took the place of."""

    thing: str
    run: str
    model_version: str
    former_version: str
    began: datetime
    ended: datetime
    targets: Targets

    @property
    def until(self) -> datetime:
        return self.ended + timedelta(hours=self.targets.quality.watch_hours)

    @property
    def shadow_until(self) -> datetime:
        hours = self.targets.quality.shadow_hours
        return min(self.until, self.ended + timedelta(hours=hours))


@dataclass(frozen=True, slots=True)
class Unwatched:
    """Why there is nothing to compare on a thing."""

    thing: str
    reason: str


def watched_deployment(
    runs: Path, thing: str, history: Sequence[PastDeployment]
) -> Watched | Unwatched:
    """The newest deployment of a run to `thing`, or why there is nothing to compare.

    `history` is the fleet's, newest first.
    """
    record = next(_deployed(runs, thing), None)
    if record is None:
        return Unwatched(thing, "no run was deployed to it")
    version = str(record["model_version"])
    now_runs = model_of(history[0]) if history else ""
    if now_runs != version:
        other = f"it runs model {now_runs or 'none'}, which run {record['run_id']} did not ship"
        return Unwatched(thing, other)
    began = parse_moment(record["deployment"]["began_at"])
    before = next((one for one in history if parse_moment(one.at) < began), None)
    former = model_of(before) if before else ""
    if not former:
        return Unwatched(thing, f"nothing ran before model {version}")
    if former == version:
        return Unwatched(thing, f"model {version} ran before as well")
    return Watched(
        thing=thing,
        run=str(record["run_id"]),
        model_version=version,
        former_version=former,
        began=began,
        ended=parse_moment(record["ended_at"]),
        targets=parse_targets(record["targets"], str(record["run_id"])),
    )


def model_of(deployment: PastDeployment) -> str:
    """The model's version; empty where there was none."""
    return deployment.components.get(MODEL_COMPONENT, "")


def _deployed(runs: Path, thing: str) -> Iterator[dict[str, Any]]:
    """Records of runs that were deployed to a thing, newest first."""
    for path in sorted(runs.glob("*/run.json"), reverse=True):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("thing") == thing and record["status"] == "deployed":
            yield record


@dataclass(frozen=True, slots=True)
class WayBack:
    """What a thing runs, what it would run, and since when the deployments are undone."""

    from_version: str
    to_version: str
    before: str
    run: str
    changes: tuple[str, ...]


def way_back(
    runs: Path,
    thing: str,
    history: Sequence[PastDeployment],
    to: str,
    avoided: Collection[str],
) -> WayBack:
    """From what a thing runs to model `to`; empty: to the one before, but none of `avoided`.

    Raises InvalidInputError where there is nothing to go back to.
    """
    now_runs = model_of(history[0]) if history else ""
    if not now_runs:
        remedy = f"Deploy one: `edgeward run --thing {thing}`."
        raise InvalidInputError(thing, "nothing to go back from: it runs no model", remedy)
    if to == now_runs:
        remedy = f"See `edgeward device status {thing}`."
        raise InvalidInputError(f"--to {to}", f"{thing} runs that version", remedy)
    for newer, older in pairwise(history):
        version = model_of(older)
        if version == to if to else version not in {"", now_runs, *avoided}:
            return WayBack(
                now_runs,
                version,
                newer.at,
                _run_of(runs, thing, now_runs),
                _changes(history[0], older),
            )
    known = sorted({model_of(one) for one in history} - {"", now_runs})
    also = f"it ran {', '.join(known)} before" if known else "it ran no other model before"
    missing = f"{to} never ran on it" if to else "nothing to go back to"
    remedy = "Name one with --to VERSION." if known else f"See `edgeward device status {thing}`."
    raise InvalidInputError(thing, f"{missing}: {also}", remedy)


def _run_of(runs: Path, thing: str, version: str) -> str:
    """The run that shipped a version to a thing; empty: none did."""
    shipped = (one for one in _deployed(runs, thing) if one["model_version"] == version)
    return str(next(shipped, {}).get("run_id", ""))


def _changes(now: PastDeployment, then: PastDeployment) -> tuple[str, ...]:
    """What a rollback changes, component by component, in words."""
    told = []
    for name in sorted({*now.components, *then.components}):
        was, becomes = now.components.get(name, ""), then.components.get(name, "")
        if was != becomes:
            told.append(f"{name}: {was or 'not there'} -> {becomes or 'taken away'}")
        elif now.merge.get(name, {}) != then.merge.get(name, {}):
            told.append(f"{name}: {was}, configured as it was then")
    return tuple(told)
