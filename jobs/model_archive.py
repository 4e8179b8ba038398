"""Takes a training job's model.tar.gz apart, trusting nothing in it.

The intake rules are Neo's: one symbol, the parameters of the highest epoch.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path

from container import RefusedError

MAX_BYTES = 2 * 1024**3
_PARAMS = re.compile(r"-(\d{4})\.params$")
_NOT_SYMBOLS = {"model-shapes.json", "hyperparams.json", "model-metadata.json"}


def unpack(archive: Path, into: Path) -> tuple[Path, Path]:
    """Copy the symbol and the newest parameters out of `archive`: (symbol file, params file).

    Only plain files at the root are read, under names of our own choosing. Raises RefusedError with
    the name of what is wrong.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = _plain_files(tar)
            symbol, params = _symbol(members), _newest_params(members)
            return (
                _copy(tar, members[symbol], into / "model-symbol.json"),
                _copy(tar, members[params], into / "model.params"),
            )
    except (tarfile.TarError, EOFError, OSError) as error:
        raise RefusedError(f"{archive.name} is not a readable .tar.gz: {error}") from error


def _plain_files(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    members: dict[str, tarfile.TarInfo] = {}
    size = 0
    for member in tar:
        name = member.name[2:] if member.name.startswith("./") else member.name
        if member.isdir():
            continue
        if not member.isfile():
            raise RefusedError(f"{member.name!r} is a link or a device, which no model needs")
        if name.startswith("/") or ".." in Path(name).parts:
            raise RefusedError(f"{member.name!r} lies outside of the archive")
        size += member.size
        if size > MAX_BYTES:
            raise RefusedError(f"it unpacks to more than {MAX_BYTES // 1024**2} MiB")
        if "/" not in name:
            members[name] = member
    return members


def _symbol(members: dict[str, tarfile.TarInfo]) -> str:
    found = [name for name in members if name.endswith(".json") and name not in _NOT_SYMBOLS]
    if len(found) != 1:
        raise RefusedError(f"it holds {len(found)} symbol files (*.json) where one is expected")
    return found[0]


def _newest_params(members: dict[str, tarfile.TarInfo]) -> str:
    found = [name for name in members if _PARAMS.search(name)]
    if not found:
        raise RefusedError("it holds no parameters (*-NNNN.params)")
    return max(found, key=lambda name: name[-len("0000.params") :])


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, to: Path) -> Path:
    source = tar.extractfile(member)
    if source is None:
        raise RefusedError(f"{member.name!r} cannot be read")
    with source, to.open("wb") as target:
        shutil.copyfileobj(source, target)
    return to
