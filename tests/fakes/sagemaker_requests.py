"""Checks requests to SageMaker as the service does: by its own model, which botocore ships."""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

_JAVA = {r"\p{L}": r"\w", r"\p{Z}": r"\s", r"\p{N}": r"\d"}  # the model's patterns are Java's


class RefusedError(Exception):
    """What the service answers instead: a code and a message."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message, status)
        self.code, self.message, self.status = code, message, status


@functools.cache
def _model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("sagemaker")


def check(operation: str, request: Mapping[str, Any]) -> None:
    """Raise RefusedError unless `request` is a possible one of `operation`."""
    if operation not in _model().operation_names:
        raise RefusedError("UnknownOperationException", operation)
    shape = _model().operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    wrong = [report.generate_report()] if report.has_errors() else list(_wrong(shape, request, ""))
    if wrong:
        count = f"{len(wrong)} validation error{'s' if len(wrong) > 1 else ''} detected"
        raise RefusedError("ValidationException", f"{count}: {'; '.join(wrong)}")


def check_answer(operation: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the fake answers must be a possible answer as well."""
    shape = _model().operation_model(operation).output_shape
    if shape is not None:
        report = ParamValidator().validate(answer, shape)
        assert not report.has_errors(), report.generate_report()
    return answer


def _wrong(shape: Shape, value: Any, where: str) -> Iterator[str]:
    """What botocore leaves to the service: patterns, lengths, and the values of enumerations."""
    if shape.type_name == "structure":
        for name, inner in value.items():
            yield from _wrong(shape.members[name], inner, f"{where}.{name}")
    elif shape.type_name == "list":
        for inner in value:
            yield from _wrong(shape.member, inner, where)
    elif shape.type_name == "map":
        for name, inner in value.items():
            yield from _wrong(shape.key, name, where)
            yield from _wrong(shape.value, inner, f"{where}.{name}")
    elif shape.type_name == "string":
        yield from _wrong_text(shape, value, where.lstrip("."))


def _wrong_text(shape: Shape, value: str, where: str) -> Iterator[str]:
    pattern, allowed = shape.metadata.get("pattern", ""), shape.metadata.get("enum")
    for theirs, ours in _JAVA.items():
        pattern = pattern.replace(theirs, ours)
    failed = f"Value '{value}' at '{where}' failed to satisfy constraint: Member must "
    if pattern and not re.fullmatch(pattern, value):
        yield f"{failed}satisfy regular expression pattern: {pattern}"
    if allowed and value not in allowed:
        yield f"{failed}satisfy enum value set: {allowed}"
    if len(value) > shape.metadata.get("max", len(value)):
        yield f"{failed}have length less than or equal to {shape.metadata['max']}"
