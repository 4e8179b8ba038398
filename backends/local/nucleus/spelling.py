"""The keys of recipes: which there are, how they are spelt, how each kind of nucleus finds them."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

TOP = (
    "RecipeFormatVersion",
    "ComponentName",
    "ComponentVersion",
    "ComponentDescription",
    "ComponentPublisher",
    "ComponentType",
    "ComponentSource",
    "ComponentConfiguration",
    "ComponentDependencies",
    "Manifests",
    "Lifecycle",
)
CONFIGURATION = ("DefaultConfiguration",)
DEPENDENCY = ("VersionRequirement", "DependencyType")
MANIFEST = ("Name", "Platform", "Lifecycle", "Selections", "Artifacts")
ARTIFACT = ("Uri", "Unarchive", "Permission", "Digest", "Algorithm")
PERMISSION = ("Read", "Execute")
STEPS = ("Bootstrap", "Install", "Startup", "Run", "Shutdown", "Recover", "Uninstall")
LIFECYCLE = (*STEPS, "Setenv", "errorResetTime")
STEP = ("Script", "Timeout", "RequiresPrivilege", "Skipif", "Setenv")
PLATFORM = ("os", "architecture", "architecture.detail", "runtime")
_ALSO = {"URI": "Uri"}  # both are documented


class SpellingError(ValueError):
    """A key that there is not; `key` is which, the message says why."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


def by_lower_name(given: Mapping[str, Any], known: Iterable[str], *, exact: bool) -> dict[str, Any]:
    """The values by lower-case key. With `exact`, only the documented spelling is a key.

    Raises SpellingError for the first key that is not `known`, or comes in two spellings.
    """
    spelling = {name.lower(): name for name in known}
    found: dict[str, Any] = {}
    for key, value in given.items():
        name = key.lower()
        right = spelling.get(name)
        if right is None:
            raise SpellingError(key, f"there is no such key{_hint(key, spelling.values())}")
        if exact and _ALSO.get(key, key) != right:
            raise SpellingError(key, f"nucleus lite wants it spelt {right!r}")
        if name in found:
            raise SpellingError(key, "comes in two spellings")
        found[name] = value
    return found


def misspelt(key: str, known: Iterable[str]) -> str | None:
    """The known key that `key` was probably meant to be; None when it is far from all."""
    close = difflib.get_close_matches(key.lower(), [name.lower() for name in known], 1, 0.8)
    return close[0] if close else None


def _hint(key: str, known: Iterable[str]) -> str:
    names = {name.lower(): name for name in known}
    meant = misspelt(key, names)
    return f"; is {names[meant]!r} meant?" if meant else ""
