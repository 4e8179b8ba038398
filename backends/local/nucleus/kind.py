"""The two kinds of Greengrass nucleus, and what a component meets differently on each.

`classic` is the Java nucleus, `lite` the C nucleus for small devices (as 2.6 behaves). A device is
one of them; every part that differs asks the description here, and nothing asks for the name.
"""

from dataclasses import dataclass
from typing import Literal

from backends.local.nucleus.eventstream import MAX_FRAME

Kind = Literal["classic", "lite"]


@dataclass(frozen=True, slots=True)
class Nucleus:
    """What one kind does."""

    kind: Kind
    runtime: str
    """The platform attribute `runtime`, which manifests must then name; empty: there is none."""
    frame_limit: int
    """Bytes of an IPC frame; a larger one ends the connection."""
    spools: bool
    """Messages wait on disk while the broker is away; else publishing fails at once."""
    explains_errors: bool
    """An IPC error has a message; else it has its class only."""
    exact_keys: bool
    """Keys of recipes and configurations are found in the documented spelling only."""
    text_scalars: bool
    """Every scalar of a YAML recipe arrives as text."""
    patterns: bool
    """Platforms may be regular expressions."""
    cuts_scripts: bool
    """A brace that is no known variable cuts the text off there; else it stays as it is."""
    watches_missing_keys: bool
    """A component may subscribe to a key that is not there yet."""
    reads_dependencies: bool
    """`{component:namespace:key}` is a variable."""
    npm_requirements: bool
    """Version requirements may be `^`, `~`, `1.x`, `||`; else comparators only."""
    implicit_all: bool
    """A global lifecycle needs no selector; else it lies under one, by default `all`."""
    unzips_local: bool
    """`Unarchive: ZIP` is carried out for local deployments too."""
    skips: bool
    """`Skipif` is looked at."""
    ignored_steps: frozenset[str]
    """By lower-case name."""
    missing_operations: frozenset[str]
    """IPC operations that answer ServiceError."""


CLASSIC = Nucleus(
    kind="classic",
    runtime="",
    frame_limit=MAX_FRAME,
    spools=True,
    explains_errors=True,
    exact_keys=False,
    text_scalars=False,
    patterns=True,
    cuts_scripts=False,
    watches_missing_keys=False,
    reads_dependencies=True,
    npm_requirements=True,
    implicit_all=True,
    unzips_local=True,
    skips=True,
    ignored_steps=frozenset(),
    missing_operations=frozenset(),
)

LITE = Nucleus(
    kind="lite",
    runtime="aws_nucleus_lite",
    frame_limit=10_000,
    spools=False,
    explains_errors=False,
    exact_keys=True,
    text_scalars=True,
    patterns=False,
    cuts_scripts=True,
    watches_missing_keys=True,
    reads_dependencies=False,
    npm_requirements=False,
    implicit_all=False,
    unzips_local=False,
    skips=False,
    ignored_steps=frozenset(("shutdown", "recover")),
    missing_operations=frozenset(
        (
            "PutComponentMetric",
            "SubscribeToComponentUpdates",
            "DeferComponentUpdate",
            "SubscribeToValidateConfigurationUpdates",
            "SendConfigurationValidityReport",
            "UpdateState",
        )
    ),
)

NUCLEI: dict[Kind, Nucleus] = {"classic": CLASSIC, "lite": LITE}
