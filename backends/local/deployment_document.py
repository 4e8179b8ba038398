"""The deployment document that a device takes, and the answer that it gives."""

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.artifacts import Deployment


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
