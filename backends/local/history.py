"""What was deployed to a thing itself before, read from the documents that were sent to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from backends.local.files import read_json


@dataclass(frozen=True, slots=True)
class FormerDeployment:
    """What to deploy to have again what ran before; empty: nothing ran."""

    components: Mapping[str, str] = field(default_factory=dict)
    merge: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def former_deployment(documents: Path, before: datetime) -> FormerDeployment:
    """The last deployment from before a moment that succeeded, of those in a thing's folder."""
    succeeded = sorted(
        (document for path in documents.glob("*.json") if (document := _succeeded(path))),
        key=lambda document: int(document["creationTimestamp"]),
    )
    former = [d for d in succeeded if int(d["creationTimestamp"]) < before.timestamp() * 1000]
    if not former:
        return FormerDeployment()
    wanted: Mapping[str, Any] = former[-1]["components"]
    return FormerDeployment(
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
