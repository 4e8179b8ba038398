"""Routes and checks requests by botocore's own model of a rest-json service, and shapes answers.

What a client may send is what AWS's model says: method and path, required members, types, enums,
patterns, lengths and ranges; what it gets back must be what the model says, or the fake is wrong.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import botocore.session


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """What the service answers instead: one of the error shapes of its model."""

    def __init__(self, code: str, message: str, **members: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.members = members


@dataclass(frozen=True, slots=True)
class Request:
    operation: str
    parameters: Mapping[str, Any]


class ServiceModel:
    """Of one service, as botocore knows it."""

    def __init__(self, service: str) -> None:
        self._model = botocore.session.get_session().get_service_model(service)
        self.signing_name = str(self._model.signing_name)
        self._routes = [
            (model.http["method"], _path_pattern(model.http["requestUri"]), model)
            for name in self._model.operation_names
            for model in [self._model.operation_model(name)]
        ]

    def parse(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
        """The operation and its parameters. Raises Refused."""
        url = urlsplit(target)
        model, match = self._route(method, url.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        found = {name: unquote(value) for name, value in match.groupdict().items()}
        parameters: dict[str, Any] = _body(body) if method in ("POST", "PUT", "PATCH") else {}
        members = model.input_shape.members if model.input_shape else {}
        for name, shape in members.items():
            where = shape.serialization
            key = where.get("name", name)
            source = {"uri": found, "querystring": query, "header": headers}.get(
                where.get("location", ""), {}
            )
            if key in source:
                text = source[key]
                parameters[name] = int(text) if shape.type_name == "integer" else text
        for fault in _faults("", parameters, model.input_shape):
            raise Refused("ValidationException", fault)
        return Request(model.name, parameters)

    def _route(self, method: str, path: str) -> tuple[Any, re.Match[str]]:
        for wanted, pattern, model in self._routes:
            if wanted == method and (match := pattern.fullmatch(path)):
                return model, match
        raise Refused("UnknownOperationException", f"{method} {path}")

    def answer(self, operation: str, value: Mapping[str, Any]) -> tuple[int, bytes]:
        """Status and body. Raises AssertionError where the fake answers what AWS would not."""
        model = self._model.operation_model(operation)
        status = int(model.http.get("responseCode", 200))
        if model.output_shape is None:
            return status, b""
        plain = _plain(value)
        for fault in _faults("", plain, model.output_shape):
            raise AssertionError(f"{operation} answers what is not in the model: {fault}")
        return status, json.dumps(plain).encode()

    def refusal(self, refused: Refused) -> tuple[int, bytes]:
        try:
            shape = self._model.shape_for(refused.code)
            status = int(shape.metadata["error"]["httpStatusCode"])
        except Exception:  # noqa: BLE001 - not a shape of this service: those that all have
            status = 404 if refused.code == "UnknownOperationException" else 403
        return status, json.dumps({"message": refused.message, **refused.members}).encode()


def _path_pattern(uri: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(\+?)\}", uri)
    text = ""
    for number in range(0, len(parts), 3):
        text += re.escape(parts[number])
        if number + 1 < len(parts):
            text += f"(?P<{parts[number + 1]}>{'.+' if parts[number + 2] else '[^/]+'})"
    return re.compile(text)


def _body(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise Refused("ValidationException", f"the body is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refused("ValidationException", "the body is no object")
    return value


def _faults(where: str, value: Any, shape: Any) -> Iterator[str]:
    """What `value` has that the model does not allow; the first is enough."""
    kinds: dict[str, Any] = {
        "structure": dict, "map": dict, "list": list, "string": str, "blob": str,
        "integer": int, "long": int, "double": (int, float), "float": (int, float),
        "boolean": bool, "timestamp": (int, float),
    }  # fmt: skip
    if not isinstance(value, kinds[shape.type_name]) or (
        isinstance(value, bool) and shape.type_name != "boolean"
    ):
        yield f"{where.rstrip('.') or 'request'}: must be a {shape.type_name}"
        return
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                yield f"{where}{name}: is required"
        for name, member in value.items():
            if name not in shape.members:
                yield f"{where}{name}: is no member"
            else:
                yield from _faults(f"{where}{name}.", member, shape.members[name])
        return
    if shape.type_name == "map":
        for key, member in value.items():
            yield from _faults(f"{where}{key}.", key, shape.key)
            yield from _faults(f"{where}{key}.", member, shape.value)
    if shape.type_name == "list":
        for member in value:
            yield from _faults(f"{where}[].", member, shape.member)
    yield from _limits(where.rstrip("."), value, shape)


def _limits(where: str, value: Any, shape: Any) -> Iterator[str]:
    allowed = shape.metadata
    if allowed.get("enum") and value not in allowed["enum"]:
        yield f"{where}: {value!r} is none of {', '.join(allowed['enum'])}"
    if "pattern" in allowed and not re.search(_anchored(allowed["pattern"]), value):
        yield f"{where}: {value!r} does not match {allowed['pattern']}"
    size = value if isinstance(value, int | float) else len(value)
    if size < allowed.get("min", size) or size > allowed.get("max", size):
        yield f"{where}: {size} is not in {allowed.get('min')} to {allowed.get('max')}"


def _anchored(pattern: str) -> str:
    return pattern if pattern.startswith("^") else f"^(?:{pattern})$"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.timestamp()
    return value
