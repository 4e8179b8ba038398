"""Recipe variables: `{artifacts:path}`, `{configuration:/key}`, `{other.component:work:path}`, …"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backends.local.nucleus.configuration import Configuration, parse_pointer
from backends.local.nucleus.layout import Layout
from backends.local.nucleus.recipe import Recipe

logger = logging.getLogger(__name__)
_OWN = re.compile(r"\{([.\w-]+):([^:}]*)\}")
_OTHERS = re.compile(r"\{([.\w-]+):([.\w-]+):([^:}]*)\}")


@dataclass(frozen=True, slots=True)
class Variables:
    """Replaces the variables of one component. A variable that has no value stays as it is."""

    recipe: Recipe
    others: Mapping[str, Recipe]
    """Every component of the device; only direct dependencies can be referred to."""
    configuration: Configuration
    layout: Layout
    thing: str

    def replace(self, text: str) -> str:
        text = _OTHERS.sub(self._of_other, text)
        return _OWN.sub(lambda m: self._value(self.recipe, m[1], m[2], m[0]), text)

    def _of_other(self, match: re.Match[str]) -> str:
        other = self.others.get(match[1])
        if other is None or match[1] not in self.recipe.dependencies:
            logger.error("%s: %s is no direct dependency: %s", self.recipe.name, match[1], match[0])
            return match[0]
        return self._value(other, match[2], match[3], match[0])

    def _value(self, recipe: Recipe, namespace: str, key: str, whole: str) -> str:
        if namespace == "configuration":
            return self._configured(recipe.name, key, whole)
        version = str(recipe.version)
        match namespace, key:
            case "artifacts", "path":
                found = str(self.layout.artifacts(recipe.name, version))
            case "artifacts", "decompressedPath":
                found = str(self.layout.unarchived(recipe.name, version))
            case "work", "path":
                found = str(self.layout.work(recipe.name))
            case "kernel", "rootPath":
                found = str(self.layout.root)
            case "iot", "thingName":
                found = self.thing
            case _:
                found = whole
        return found

    def _configured(self, component: str, pointer: str, whole: str) -> str:
        try:
            value = self.configuration.value(component, parse_pointer(pointer))
        except (KeyError, ValueError):
            logger.warning("%s: %s has no value", self.recipe.name, whole)
            return whole
        return as_text(value)


def as_text(value: Any) -> str:
    """A configuration value as a script sees it: text as it is, null as "null", else JSON."""
    return value if isinstance(value, str) else json.dumps(value)
