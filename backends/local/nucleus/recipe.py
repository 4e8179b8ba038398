"""A component's recipe as the device works with it, for one platform."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from backends.local.nucleus.versions import Requirement, Version

ERROR_RESET_SECONDS = 3600.0

Access = Literal["NONE", "OWNER", "ALL"]


class RecipeError(Exception):
    """A recipe that the device cannot take; says which field."""

    def __init__(self, recipe: str, where: str, reason: str) -> None:
        super().__init__(recipe, where, reason)
        self.where = where

    def __str__(self) -> str:
        return f"recipe {self.args[0]}: {self.args[1]}: {self.args[2]}"


@dataclass(frozen=True, slots=True)
class Dependency:
    requirement: Requirement
    hard: bool


@dataclass(frozen=True, slots=True)
class Artifact:
    uri: str
    unzip: bool
    read: Access
    execute: Access
    digest: str
    """Base64 SHA-256; empty: none was given."""

    @property
    def file(self) -> str:
        return self.uri.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """What its content is unpacked into."""
        return self.file.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Step:
    script: str
    timeout: float | None
    """Seconds; None: no limit."""
    privileged: bool = False
    skip_if: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    version: Version
    defaults: Mapping[str, Any]
    dependencies: Mapping[str, Dependency]
    artifacts: tuple[Artifact, ...]
    steps: Mapping[str, Step]
    """By lower-case name: install, run, …"""
    environment: Mapping[str, str]
    error_reset_seconds: float = ERROR_RESET_SECONDS
