"""Who a device is and where its cloud side lies: `<root>/config/device.json`."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from backends.errors import InvalidInputError
from backends.local.files import write_json
from backends.local.mqtt import Broker
from backends.local.nucleus.kind import Kind
from backends.local.nucleus.layout import Layout
from edge.contract import THING_NAME


class Identity(BaseModel):
    """Folders are absolute. `endpoint` is the file that says where the broker listens.

    `groups` is the file that says which things belong to which thing groups.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    thing: str = Field(pattern=f"^{THING_NAME}$")
    components: Path
    objects: Path
    deployments: Path
    endpoint: Path
    groups: Path | None = None
    password: str
    nucleus: Kind = "classic"
    settle: float = Field(3.0, ge=0, description="Seconds without an error before RUNNING counts.")

    def broker(self) -> Broker | None:
        """Where the broker is now; None while there is none."""
        try:
            endpoint: dict[str, Any] = json.loads(self.endpoint.read_text(encoding="utf-8"))
            return Broker(
                str(endpoint["host"]),
                int(endpoint["port"]),
                str(endpoint.get("username") or self.thing),
                str(endpoint.get("password") or self.password),
            )
        except (OSError, ValueError, KeyError):
            return None


def save(layout: Layout, identity: Identity) -> None:
    """Readable by us alone: it holds the password."""
    layout.create()
    write_json(layout.device, identity.model_dump(mode="json"), mode=0o600)


def load(layout: Layout) -> Identity:
    """Raises InvalidInputError."""
    try:
        return Identity.model_validate_json(layout.device.read_bytes())
    except (OSError, ValueError) as error:
        remedy = "Start the device with `edgeward device start`."
        raise InvalidInputError(str(layout.device), str(error), remedy) from error
