"""Thing groups: which things belong together. Static groups, in one file that devices read too."""

import fcntl
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from backends.errors import InvalidInputError
from backends.local.files import read_json, write_json

GROUP_NAME = r"[a-zA-Z0-9:_-]{1,128}"


class Groups:
    """`{"groups": {"GROUP": ["thing", …]}}`, always written whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[str, list[str]]:
        """Empty where there is no file. Raises InvalidInputError when it cannot be read."""
        if not self._path.exists():
            return {}
        groups = (read_json(self._path) or {}).get("groups")
        if not isinstance(groups, dict) or not all(map(_are_names, groups.values())):
            reason = 'it is not {"groups": {"GROUP": ["thing", …]}}'
            raise InvalidInputError(str(self._path), reason, "Mend it, or delete it.")
        return groups

    def members(self, group: str) -> list[str]:
        """Raises InvalidInputError when there is no such group."""
        groups = self.all()
        if group not in groups:
            raise _unknown(group, groups)
        return groups[group]

    def add(self, group: str, things: Sequence[str]) -> list[str]:
        """Makes the group if need be; all its members then. Adding a member again is no error."""
        check_group(group)
        with self._changing() as groups:
            groups[group] = sorted({*groups.get(group, []), *things})
            return groups[group]

    def remove(self, group: str, things: Sequence[str]) -> list[str]:
        """The members that are left; an empty group stays. Raises InvalidInputError."""
        with self._changing() as groups:
            if group not in groups:
                raise _unknown(group, groups)
            strangers = sorted(set(things) - set(groups[group]))
            if strangers:
                reason = f"{strangers[0]} is not in it"
                raise InvalidInputError(f"group {group}", reason, "See `edgeward group list`.")
            groups[group] = [thing for thing in groups[group] if thing not in things]
            return groups[group]

    @contextmanager
    def _changing(self) -> Iterator[dict[str, list[str]]]:
        """What is made of the groups inside is written, unless an error ends it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            groups = self.all()
            yield groups
            write_json(self._path, {"groups": groups})


def check_group(group: str) -> str:
    """Raises InvalidInputError unless `group` is a name that AWS IoT would take."""
    if not re.fullmatch(GROUP_NAME, group):
        remedy = "Use 1 to 128 letters, digits, ':', '_' or '-'."
        raise InvalidInputError("group", f"{group!r} is no thing group's name", remedy)
    return group


def _are_names(things: object) -> bool:
    return isinstance(things, list) and all(isinstance(thing, str) for thing in things)


def _unknown(group: str, groups: Mapping[str, object]) -> InvalidInputError:
    known = f"There are {', '.join(sorted(groups))}." if groups else "There is none yet."
    return InvalidInputError(f"group {group}", "there is no such thing group", known)
