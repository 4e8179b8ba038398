"""The answer that a device gives to a deployment document, or that is given in its place."""

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.artifacts import Deployment


def withdraw(thing: str, document: Path, reason: str) -> bool:
    """Answers CANCELED in the device's place; False: the device has answered already."""
    answer = {
        "deploymentId": document.stem,
        "thing": thing,
        "status": "CANCELED",
        "detailedStatus": "CANCELED",
        "reason": reason,
    }
    path = document.with_name(f"{document.stem}.status.json")
    whole = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    whole.parent.mkdir(parents=True, exist_ok=True)
    whole.write_text(json.dumps(answer), encoding="utf-8")
    try:
        os.link(whole, path)  # unlike a rename, it never replaces
    except FileExistsError:
        return False
    finally:
        whole.unlink()
    return True


def new_local_document(
    identifier: str,
    components: Mapping[str, str],
    remove: Sequence[str],
    merge: Mapping[str, Mapping[str, object]],
) -> dict[str, Any]:
    """What a device is asked on itself, without the cloud."""
    return {
        "deploymentId": identifier,
        "creationTimestamp": round(time.time() * 1000),
        "componentsToMerge": dict(components),
        "componentsToRemove": list(remove),
        "configurationUpdate": {name: {"MERGE": dict(value)} for name, value in merge.items()},
    }


def outcome(thing: str, identifier: str, answer: Mapping[str, Any]) -> Deployment:
    """What the device answered, in the words of the port."""
    components = answer.get("components", {})
    return Deployment(
        id=identifier,
        thing=thing,
        status=str(answer.get("status", "")),
        detailed_status=str(answer.get("detailedStatus", "")),
        reason=str(answer.get("reason", "")),
        components={name: str(entry["version"]) for name, entry in components.items()},
    )
