"""Keys that people write, from the models that check them: settings, targets, keys of a run."""

from collections.abc import Callable, Iterator
from functools import partial
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from backends.settings import PREFIX, Settings
from docs.generate.tables import code, table, value
from flows.plan import TABLES
from tasks.business_understanding import Targets

_HEADS = ("default", "possible", "meaning")


def settings() -> str:
    return _table("variable", Settings, lambda key: PREFIX + "__".join(key).upper())


def targets() -> str:
    return _table("key", Targets, ".".join)


def plan(name: str) -> str:
    prefix = "" if name == "training" else f"{name}."
    return _table("key", TABLES[name], lambda key: prefix + ".".join(key))


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "targets": targets,
    **{name: partial(plan, name) for name in TABLES},
}


def _table(head: str, model: type[BaseModel], spell: Callable[[tuple[str, ...]], str]) -> str:
    rows = [
        (code(spell(key)), _default(field), _possible(field), _meaning(spell(key), field))
        for key, field in _leaves(model)
    ]
    return table((head, *_HEADS), rows)


def _leaves(
    model: type[BaseModel], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every key of a model and of the models in it."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and get_origin(inner) is None and issubclass(inner, BaseModel):
            yield from _leaves(inner, (*above, name))
        else:
            yield (*above, name), field


def _default(field: FieldInfo) -> str:
    return value(field.get_default(call_default_factory=True))


def _meaning(key: str, field: FieldInfo) -> str:
    if not field.description:
        raise ValueError(f"{key} has no description: give its Field one")
    return field.description


def _possible(field: FieldInfo) -> str:
    """What the type alone allows, as far as that says something."""
    kinds = [kind for kind in _kinds(field.annotation) if kind is not NoneType]
    words = [each for kind in kinds if get_origin(kind) is Literal for each in get_args(kind)]
    if words:
        return ", ".join(code(word) for word in words if word != "")
    if bool in kinds:
        return f"{code('true')}, {code('false')}"
    return _bounds([*field.metadata, *_inner_metadata(field.annotation)])


def _kinds(annotation: Any) -> list[Any]:
    """The members of a union; what `Annotated` says is taken off."""
    if hasattr(annotation, "__metadata__"):
        return _kinds(annotation.__origin__)
    if get_origin(annotation) is None or get_origin(annotation) in (Literal, tuple, dict):
        return [annotation]
    return [kind for member in get_args(annotation) for kind in _kinds(member)]


def _inner_metadata(annotation: Any) -> list[Any]:
    """Limits that stand inside a union, as in `Annotated[int, Field(ge=1)] | None`."""
    return [
        limit
        for member in get_args(annotation)
        for held in getattr(member, "__metadata__", ())
        for limit in getattr(held, "metadata", [held])
    ]


def _bounds(limits: list[Any]) -> str:
    found: dict[type, Any] = {
        type(limit): getattr(limit, type(limit).__name__.lower(), None) for limit in limits
    }
    parts = [
        next((f"{word} {_figure(found[kind])}" for kind, word in ends if kind in found), "")
        for ends in (_LOW, _HIGH)
    ]
    return ", ".join(part for part in parts if part)


def _figure(bound: float) -> str:
    return f"{bound:,.0f}" if bound == int(bound) else f"{bound:.3g}"


_LOW = ((Ge, "from"), (Gt, "above"))
_HIGH = ((Le, "to"), (Lt, "below"))
