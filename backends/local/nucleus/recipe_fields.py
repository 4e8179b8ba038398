"""Reads single fields of a recipe; what is wrong raises RecipeError with the field's path."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backends.local.nucleus.recipe import RecipeError
from backends.local.nucleus.spelling import SpellingError, by_lower_name


@dataclass(frozen=True, slots=True)
class Fields:
    """Of one recipe. `exact`: keys count in the documented spelling only."""

    recipe: str
    exact: bool

    def error(self, where: str, reason: str) -> RecipeError:
        return RecipeError(self.recipe, where, reason)

    def object(self, where: str, value: Any) -> Mapping[str, Any]:
        """A map; nothing is an empty one."""
        if value is None or value == "":  # an empty value of YAML, by either kind of nucleus
            return {}
        if not isinstance(value, Mapping):
            raise self.error(where, "must be a map")
        return value

    def keys(self, where: str, value: Any, known: Iterable[str]) -> dict[str, Any]:
        """A map's values by lower-case key, none of which is unknown."""
        given = self.object(where, value)
        try:
            return by_lower_name(given, known, exact=self.exact)
        except SpellingError as error:
            raise self.error(f"{where}.{error.key}".lstrip("."), str(error)) from error

    def list(self, where: str, value: Any) -> list[Any]:
        if value is None or value == "":
            return []
        if not isinstance(value, list):
            raise self.error(where, "must be a list")
        return value

    def text(self, where: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self.error(where, f"must be text, not {value!r}")
        return value

    def choice(self, where: str, value: Any, choices: Iterable[str]) -> str:
        names = list(choices)
        if value not in names:
            raise self.error(where, f"{value!r} is none of {', '.join(names)}")
        return str(value)

    def flag(self, where: str, value: Any) -> bool:
        """True or false, also as text."""
        word = str(value).lower() if isinstance(value, bool | str) else ""
        return self.choice(where, word or value, ("true", "false")) == "true"

    def whole_seconds(self, where: str, value: Any) -> float:
        """A whole number from 1, also as text, as the cloud asks for."""
        text = str(value)
        if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or len(text) > 9:  # noqa: PLR2004 - 30 years
            raise self.error(where, f"{value!r} is no whole number of seconds")
        if int(text) == 0:
            raise self.error(where, "must be 1 second or more")
        return float(text)

    def seconds(self, where: str, value: Any) -> float:
        try:
            seconds = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise self.error(where, f"{value!r} is no number of seconds")
        return seconds

    def environment(self, where: str, value: Any) -> dict[str, str]:
        """Names and texts; numbers and booleans are written as JSON does."""
        return {
            self._variable(where, name): self._value(f"{where}.{name}", held)
            for name, held in self.object(where, value).items()
        }

    def _variable(self, where: str, name: str) -> str:
        if not name or "=" in name:
            raise self.error(where, f"{name!r} is no name of a variable")
        return name

    def _value(self, where: str, value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int | float):
            return str(value)
        return self.text(where, value)
