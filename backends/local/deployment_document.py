"""The deployment document that a device takes, and the answer that it gives."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.artifacts import Deployment
from backends.local.files import write_json


def new_document(
    thing: str,
    identifier: str,
    components: Mapping[str, str],
    merge: Mapping[str, Mapping[str, object]],
    reset: Sequence[str] = (),
) -> dict[str, Any]:
    """Each component's configuration is reset at the pointers `reset`, then merged."""
    return {
        "deploymentId": identifier,
        "configurationArn": f"arn:aws:greengrass:local:000000000000:configuration:thing/{thing}:1",
        "creationTimestamp": round(time.time() * 1000),
        "components": {
            name: {
                "version": version,
                "configurationUpdate": {"merge": dict(merge.get(name, {})), "reset": list(reset)},
            }
            for name, version in components.items()
        },
        "failureHandlingPolicy": "ROLLBACK",
        "componentUpdatePolicy": {"timeout": 60, "action": "NOTIFY_COMPONENTS"},
        "configurationValidationPolicy": {"timeout": 30},
        "requiredCapabilities": [],
    }


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


def withdraw(thing: str, path: Path) -> None:
    """Cancels a deployment that the device has not begun; what it has begun, it ends properly."""
    status = path.with_name(f"{path.stem}.status.json")
    if not status.exists():
        answer = {"deploymentId": path.stem, "thing": thing, "status": "CANCELED"}
        write_json(status, {**answer, "detailedStatus": "CANCELED", "reason": "withdrawn"})


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
