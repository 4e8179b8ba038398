"""What a device comes back with: `config/state.json`, and what becomes of one that is damaged."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backends.local.nucleus.configuration import Configuration
from backends.local.nucleus.kind import Nucleus
from backends.local.nucleus.layout import Layout
from backends.local.nucleus.targets import Target, targets_from

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """`components` are versions by name; `last` is the deployment that was answered last."""

    components: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    configuration: Configuration = field(default_factory=Configuration)
    last: Mapping[str, Any] | None = None


def load_state(layout: Layout, thing: str, nucleus: Nucleus) -> State:
    """An empty one where there is none. One that cannot be read is kept aside, and named."""
    empty = State(configuration=Configuration(exact_keys=nucleus.exact_keys))
    if not layout.state.exists():
        return empty
    try:
        return _read(layout.state, thing, nucleus)
    except (
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        layout.state.replace(layout.damaged_state)
        logger.critical(
            "the state of this device cannot be read (%r): it is kept as %s, and the device begins"
            " with no components; deploy to it again",
            error,
            layout.damaged_state,
        )
        return empty


def _read(path: Path, thing: str, nucleus: Nucleus) -> State:
    stored: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")).items())
    last = stored.get("deployment")
    return State(
        {name: str(version) for name, version in stored.get("components", {}).items()},
        targets_from(stored, thing),
        Configuration.from_json(stored.get("configuration", {}), exact_keys=nucleus.exact_keys),
        dict(last.items()) if last is not None else None,
    )
