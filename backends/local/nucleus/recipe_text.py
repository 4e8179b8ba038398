"""A recipe's text, YAML or JSON, as plain values: nothing in it can surprise who reads on.

YAML is read with the types of JSON: dates and `yes` stay text, keys are text. A key that comes
twice, values that JSON does not have, and what expands without measure are refused.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from backends.json_text import MAX_DEPTH
from backends.local.nucleus.recipe import RecipeError

MAX_BYTES = 16_000
MAX_VALUES = 20_000
"""More than 16,000 bytes hold, unless aliases multiply them."""

_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?", "-+.0123456789"),
}


def parse(text: str, *, text_scalars: bool = False) -> Mapping[str, Any]:
    """The recipe's object; with `text_scalars`, every scalar of YAML is text.

    JSON keeps its types in any case. Raises RecipeError.
    """
    size = len(text.encode(errors="replace"))
    if size > MAX_BYTES:
        raise RecipeError("?", "file", f"has {size} bytes, and {MAX_BYTES} are allowed")
    try:
        raw = _load(text, _TextLoader if text_scalars else _Loader)
        plain = _Copy().of(raw)
    except RecursionError as error:
        raise RecipeError("?", "file", "is nested too deeply") from error
    except (ValueError, IndexError, KeyError, yaml.YAMLError) as error:
        raise RecipeError("?", "file", f"neither JSON nor YAML: {error}") from error
    if not isinstance(plain, Mapping):
        raise RecipeError("?", "file", "not an object")
    return plain


class _Loader(yaml.SafeLoader):
    """YAML with the types of JSON."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        pairs = [(key.value, self.construct_object(value, deep=deep)) for key, value in node.value]
        if not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
            raise ValueError("a key is no text")
        return _object(pairs)


class _TextLoader(_Loader):
    """Every scalar is text, whatever it looks like."""


_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(_TAG) in {*_SCALARS, "str", "seq", "map"}
}
_TextLoader.yaml_implicit_resolvers = {}
_TextLoader.yaml_constructors = {
    tag: _Loader.construct_yaml_str if str(tag).removeprefix(_TAG) in _SCALARS else make
    for tag, make in _Loader.yaml_constructors.items()
}
for _kind, (_pattern, _first) in _SCALARS.items():
    _first_letters = [letter.strip("\0") for letter in _first]
    _Loader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(f"(?:{_pattern})$"), _first_letters)


def _load(text: str, loader: type[_Loader]) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
        except json.JSONDecodeError:
            pass  # YAML's own braces
    return yaml.load(text, loader)  # noqa: S506 - a safe loader


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} comes twice")
        found[key] = value
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


class _Copy:
    """Copies a value, with a measure: aliases of YAML can make a few bytes endless."""

    def __init__(self) -> None:
        self._values = 0

    def of(self, value: Any, depth: int = 0) -> Any:
        self._values += 1
        if self._values > MAX_VALUES or depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply, or its aliases expand too far")
        if isinstance(value, dict):
            return {_text(key): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self.of(item, depth + 1) for item in value]
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            raise ValueError("a number is too large")
        return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    """What can be written to files and environments. Raises ValueError."""
    text.encode()
    if "\0" in text:
        raise ValueError("a text holds a NUL")
    return text
