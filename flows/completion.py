"""What the shell offers when a person presses Tab: names that are on this machine.

It reads file names only, and is silent about everything that goes wrong: a person in the midst of
a word can do nothing with an error. What is offered next to each name is what shells that can show
it show (zsh, fish).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import get_args

from flows.gate_names import GATES

Offers = list[tuple[str, str]]
MOST_RUNS = 50

SOURCES = (
    ("driveway", "pictures that are drawn here"),
    ("folder:", "a folder of yours, with a folder per class"),
    ("caltech256", "256 kinds of things, downloaded once"),
    ("recordio:", "MXNet's packed pictures"),
)


def _offered(
    found: Callable[[Path], Iterable[tuple[str, str]]],
) -> Callable[[str], Offers]:
    """Those of what is `found` in EDGEWARD_HOME that begin with what is typed already."""

    @wraps(found)
    def offer(incomplete: str) -> Offers:
        try:
            from backends.settings import load_settings

            return [one for one in found(load_settings().root) if one[0].startswith(incomplete)]
        except Exception:  # noqa: BLE001  whatever it is: the person is typing, and asked for none
            return []

    # Typer chooses arguments by annotation: those of `offer`, and not of what it wraps.
    del offer.__wrapped__
    offer.__annotations__ = {"incomplete": str}
    return offer


@_offered
def things(home: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((home / "things").glob("*/config/device.json")):
        yield path.parents[1].name, "device"


@_offered
def groups(home: Path) -> Iterator[tuple[str, str]]:
    for name, members in sorted(_groups(home).items()):
        yield name, f"{len(members)} things"


@_offered
def targets(home: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((home / "things").glob("*/config/device.json")):
        yield f"thing/{path.parents[1].name}", "device"
    for name, members in sorted(_groups(home).items()):
        yield f"group/{name}", f"{len(members)} things"


@_offered
def runs(home: Path) -> Iterator[tuple[str, str]]:
    """The newest first; what came of each."""
    yield from _runs(home)


@_offered
def runs_or_latest(home: Path) -> Iterator[tuple[str, str]]:
    yield "latest", "the newest"
    yield from _runs(home)


@_offered
def waiting_runs(home: Path) -> Iterator[tuple[str, str]]:
    return ((run, status) for run, status in _runs(home) if status == "waiting")


@_offered
def deployments(home: Path) -> Iterator[tuple[str, str]]:
    from backends.local.files import read_json

    targets = (read_json(home / "cloud/fleet/targets.json") or {}).get("targets", {})
    for target, identifiers in targets.items():
        for identifier in reversed(identifiers):
            yield identifier, target


@_offered
def components(home: Path) -> Iterator[tuple[str, str]]:
    """As `NAME=`, and with each version that is published."""
    for folder in sorted((home / "components").glob("[!.]*/")):
        yield f"{folder.name}=", "a version, or a requirement as in ^1.0.0"
        for path in sorted(folder.glob("[!.]*.yaml")):
            yield f"{folder.name}={path.stem}", "published"


@_offered
def models(home: Path) -> Iterator[tuple[str, str]]:
    from edge.contract import MODEL_COMPONENT

    for path in sorted((home / "components" / MODEL_COMPONENT).glob("[!.]*.yaml")):
        yield path.stem, "published"


@_offered
def gates(_home: Path) -> Iterator[tuple[str, str]]:
    return ((gate, "gate") for gate in GATES)


@_offered
def sources(_home: Path) -> Iterable[tuple[str, str]]:
    return SOURCES


@_offered
def platforms(_home: Path) -> Iterator[tuple[str, str]]:
    from backends.artifacts import Platform

    return ((platform, "") for platform in get_args(Platform))


@_offered
def modes(_home: Path) -> Iterable[tuple[str, str]]:
    return (("shadow", "the champion answers"), ("split", "each answers its share"))


def _groups(home: Path) -> dict[str, list[str]]:
    from backends.local.groups import Groups

    return Groups(home / "cloud" / "groups.json").all()


def _runs(home: Path) -> Iterator[tuple[str, str]]:
    from backends.local.files import read_json

    newest = sorted((home / "runs").glob("*/run.json"), reverse=True)[:MOST_RUNS]
    for path in newest:
        yield path.parent.name, str((read_json(path) or {}).get("status", ""))
