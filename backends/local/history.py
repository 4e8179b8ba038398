"""What was deployed to a thing itself before, read from the documents that were sent to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backends.artifacts import PastDeployment
from backends.local.files import read_json


@dataclass(frozen=True, slots=True)
class FormerDeployment:
    """What to deploy to have again what ran before; empty: nothing ran."""

    components: Mapping[str, str] = field(default_factory=dict)
    merge: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def former_deployment(documents: Path, before: datetime) -> FormerDeployment:
    """The last deployment from before a moment that succeeded, of those in a thing's folder."""
    former = [d for d in _newest_first(documents) if _created(d) < before.timestamp() * 1000]
    return FormerDeployment(*_wanted(former[0])) if former else FormerDeployment()


def past_deployments(documents: Path) -> Sequence[PastDeployment]:
    """Those that succeeded, newest first."""
    return [PastDeployment(_moment(d), *_wanted(d)) for d in _newest_first(documents)]


def _newest_first(documents: Path) -> list[Mapping[str, Any]]:
    succeeded = (document for path in documents.glob("*.json") if (document := _succeeded(path)))
    return sorted(succeeded, key=_created, reverse=True)


def _created(document: Mapping[str, Any]) -> int:
    return int(document["creationTimestamp"])


def _moment(document: Mapping[str, Any]) -> str:
    return datetime.fromtimestamp(_created(document) / 1000, UTC).isoformat()


def _wanted(
    document: Mapping[str, Any],
) -> tuple[Mapping[str, str], Mapping[str, Mapping[str, object]]]:
    """Versions and merges by component."""
    wanted: Mapping[str, Any] = document["components"]
    return (
        {name: entry["version"] for name, entry in wanted.items()},
        {name: entry["configurationUpdate"]["merge"] for name, entry in wanted.items()},
    )


def _succeeded(path: Path) -> Mapping[str, Any] | None:
    if path.name.endswith(".status.json"):
        return None
    answer = read_json(path.with_name(f"{path.stem}.status.json")) or {}
    document = read_json(path) if answer.get("status") == "SUCCEEDED" else None
    if document is None or ":thinggroup/" in str(document.get("configurationArn")):
        return None  # a group's components are its own deployment's to bring back
    return document
