"""Recipe variables: `{artifacts:path}`, `{configuration:/key}`, `{other.component:work:path}`, …

Nucleus lite ends a text at the first brace that is no variable it knows, and goes on with what is
left of it: `echo ${HOME}; exec work` becomes `echo $`.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backends.local.nucleus.configuration import Configuration, parse_pointer
from backends.local.nucleus.kind import CLASSIC, Nucleus
from backends.local.nucleus.layout import Layout
from backends.local.nucleus.recipe import Recipe

logger = logging.getLogger(__name__)
_SHOWN = 80  # characters
_OWN = re.compile(r"\{([.\w-]+):([^:}]*)\}")
_OTHERS = re.compile(r"\{([.\w-]+):([.\w-]+):([^:}]*)\}")


@dataclass(frozen=True, slots=True)
class Variables:
    """Replaces the variables of one component. What has no value stays, or ends the text (lite)."""

    recipe: Recipe
    others: Mapping[str, Recipe]
    """Every component of the device; only direct dependencies can be referred to."""
    configuration: Configuration
    layout: Layout
    thing: str
    nucleus: Nucleus = CLASSIC

    def replace(self, text: str) -> str:
        if self.nucleus.cuts_scripts:
            return self._up_to_the_first_stray_brace(text)
        if self.nucleus.reads_dependencies:
            text = _OTHERS.sub(self._of_other, text)
        return _OWN.sub(lambda m: _or(self._value(self.recipe, m[1], m[2]), m[0]), text)

    def _up_to_the_first_stray_brace(self, text: str) -> str:
        parts: list[str] = []
        at = 0
        while (brace := text.find("{", at)) >= 0:
            parts.append(text[at:brace])
            match = _OWN.match(text, brace)
            value = match and self._value(self.recipe, match[1], match[2])
            if match is None or value is None:
                rest = text[brace:].partition("\n")[0][:_SHOWN]
                logger.error(
                    "%s: nucleus lite cuts this text off at a brace that is no variable with a "
                    "value, and goes on with what is before it: %s",
                    self.recipe.name,
                    rest,
                )
                return "".join(parts)
            parts.append(value)
            at = match.end()
        return "".join(parts) + text[at:]

    def _of_other(self, match: re.Match[str]) -> str:
        other = self.others.get(match[1])
        if other is None or match[1] not in self.recipe.dependencies:
            logger.error("%s: %s is no direct dependency: %s", self.recipe.name, match[1], match[0])
            return match[0]
        return _or(self._value(other, match[2], match[3]), match[0])

    def _value(self, recipe: Recipe, namespace: str, key: str) -> str | None:
        if namespace == "configuration":
            return self._configured(recipe.name, key)
        version = str(recipe.version)
        found: object
        match namespace, key:
            case "artifacts", "path":
                found = self.layout.artifacts(recipe.name, version)
            case "artifacts", "decompressedPath":
                found = self.layout.unarchived(recipe.name, version)
            case "work", "path":
                found = self.layout.work(recipe.name)
            case "kernel", "rootPath":
                found = self.layout.root
            case "iot", "thingName":
                found = self.thing
            case _:
                return None
        return str(found)

    def _configured(self, component: str, pointer: str) -> str | None:
        try:
            value = self.configuration.value(component, parse_pointer(pointer))
        except (KeyError, ValueError):
            logger.warning("%s: %s of %s has no value", self.recipe.name, pointer, component)
            return None
        return as_text(value)


def _or(found: str | None, whole: str) -> str:
    return whole if found is None else found


def as_text(value: Any) -> str:
    """A configuration value as a script sees it: text as it is, null as "null", else JSON."""
    return value if isinstance(value, str) else json.dumps(value)
