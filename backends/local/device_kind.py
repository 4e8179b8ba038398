"""Which kind of nucleus a thing's device is: kept with the device, given or changed at a start."""

from pathlib import Path
from typing import cast

from backends.errors import InvalidInputError
from backends.local.files import read_json
from backends.local.nucleus.kind import NUCLEI, Kind


def known_kind(root: Path) -> Kind:
    """The kind that the device under `root` is, or was when it last ran."""
    kind = (read_json(root / "config/device.json") or {}).get("nucleus", "classic")
    return cast("Kind", kind) if kind in NUCLEI else "classic"


def choose(root: Path, wanted: Kind | None, *, running: bool) -> Kind:
    """The kind to start as. Raises InvalidInputError: an unknown one, or a device that runs."""
    known = known_kind(root)
    if wanted is None:
        return known
    if wanted not in NUCLEI:
        reason = f"{wanted!r} is no kind of nucleus"
        raise InvalidInputError("--nucleus", reason, f"Use one of {', '.join(NUCLEI)}.")
    if running and wanted != known:
        reason = f"{root.name} runs as {known}, and cannot become {wanted} meanwhile"
        remedy = f"Stop it first: `edgeward device stop {root.name}`."
        raise InvalidInputError("--nucleus", reason, remedy)
    return wanted
