"""What must be true of a deployment before it reaches any device: it names what there is."""

import difflib
from pathlib import Path

from backends.errors import InvalidInputError
from backends.local.deployment_request import DeploymentRequest
from backends.local.nucleus.resolution import BUILT_IN
from backends.local.nucleus.versions import (
    Version,
    VersionError,
    newest,
    parse_requirement,
    parse_version,
)


def check_components(request: DeploymentRequest, store: Path) -> None:
    """Raises InvalidInputError for a component, or a version, that no device could find."""
    for name, component in request.components.items():
        wanted = component.componentVersion
        versions = [BUILT_IN[name]] if name in BUILT_IN else _versions(store / name)
        if not versions:
            raise _unknown(name, store)
        try:
            requirement = parse_requirement(wanted)
        except VersionError as error:
            remedy = "Write a version, or a requirement such as >=1.0.0 <2.0.0."
            raise InvalidInputError(f"component {name}", str(error), remedy) from error
        if newest(versions, [requirement]) is None:
            there = f"There is {', '.join(map(str, versions))}."
            raise InvalidInputError(f"component {name}", f"no version is {wanted}", there)


def _versions(folder: Path) -> list[Version]:
    found = set()
    for path in folder.glob("[!.]*"):
        try:
            found.add(parse_version(path.name.removesuffix(path.suffix)))
        except VersionError:
            continue
    return sorted(found)


def _unknown(name: str, store: Path) -> InvalidInputError:
    known = sorted(path.name for path in store.glob("[!.]*") if path.is_dir())
    near = difflib.get_close_matches(name, known, n=1)
    remedy = "`edgeward run` publishes some."
    if known:
        remedy = f"Did you mean {near[0]}?" if near else f"There is {', '.join(known)}."
    return InvalidInputError(f"component {name}", "it was never published", remedy)
