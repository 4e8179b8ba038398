"""The part of AWS IoT's SQL (2016-03-23) that the developer guide documents and our rules use.

What is not documented is refused, as a wrong operand gives Undefined: a rule that works here by
luck would not work there. Undefined is a value of its own, which no condition takes for true.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\""
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign><>|<=|>=|[-+*/%=<>().,]))"
)
_STATEMENT = re.compile(r"SELECT (?P<select>.+?) FROM '(?P<topic>[^']*)'(?: WHERE (?P<where>.+))?")
_DECIMAL = re.compile(r"-?\d+(\.\d+)?((?i:E)-?\d+)?")
_TEMPLATE = re.compile(r"\$\{([^}]*)\}")
_JODA = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


class SqlError(ValueError):
    """CreateTopicRule would answer SqlParseException."""


class _Undefined:
    def __repr__(self) -> str:
        return "Undefined"

    __hash__ = None  # type: ignore[assignment]


UNDEFINED = _Undefined()


@dataclass(frozen=True, slots=True)
class Message:
    """What was published: `payload` is the parsed JSON."""

    topic: str
    payload: Any
    client_id: str
    received_ms: int


@dataclass(frozen=True, slots=True)
class Statement:
    select: tuple[tuple[str, str], ...]
    """(expression, alias); the expression `*` stands for the whole payload."""
    topic_filter: str
    where: str


def parse(sql: str) -> Statement:
    """Raises SqlError, also for what only evaluation would meet."""
    found = _STATEMENT.fullmatch(sql)
    if not found:
        raise SqlError(f"is no SELECT … FROM '…' [WHERE …]: {sql}")
    select = tuple(_selected(part) for part in _split(found["select"]))
    statement = Statement(select, found["topic"], found["where"] or "")
    probe = Message("a/b", {}, "c", 0)
    for expression, _ in select:
        if expression != "*":
            evaluate(expression, probe)
    if statement.where:
        evaluate(statement.where, probe)
    return statement


def matches(topic_filter: str, topic: str) -> bool:
    pattern = "/".join(
        {"+": "[^/]*", "#": ".*"}.get(level, re.escape(level)) for level in topic_filter.split("/")
    )
    return re.fullmatch(pattern, topic) is not None


def run(statement: Statement, message: Message) -> Any:
    """The outgoing payload; Undefined where the rule does not act."""
    if not matches(statement.topic_filter, message.topic):
        return UNDEFINED
    if statement.where and evaluate(statement.where, message) is not True:
        return UNDEFINED
    answer: dict[str, Any] = {}
    for expression, alias in statement.select:
        if expression == "*":
            answer |= message.payload
        elif (value := evaluate(expression, message)) is not UNDEFINED:
            answer[alias] = value
    return answer


def fill_in(template: str, message: Message) -> str:
    """A substitution template, which sees the payload as it came and no alias."""
    return _TEMPLATE.sub(lambda found: _text(evaluate(found[1], message)), template)


def evaluate(expression: str, message: Message) -> Any:
    """Raises SqlError for what is not documented."""
    parser = _Parser(_tokens(expression), message)
    value = parser.disjunction()
    if parser.rest():
        raise SqlError(f"{expression}: {parser.rest()} is left over")
    return value


def _text(value: Any) -> str:
    if value is UNDEFINED:
        return ""  # "converted to an empty string when serialized by itself"
    return str(value)


def _split(select: str) -> list[str]:
    """At the commas that stand in no parentheses."""
    parts, depth = [""], 0
    for sign in select:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def _selected(part: str) -> tuple[str, str]:
    expression, has_alias, alias = part.partition(" AS ") if "(" not in part else _alias(part)
    if has_alias:
        return expression, alias
    return expression, expression.rpartition(".")[2]


def _alias(part: str) -> tuple[str, str, str]:
    """`cast(x AS Decimal)` has an AS of its own."""
    found = re.fullmatch(r"(.*\)(?:\.\w+)*) AS (\w+)", part)
    return (found[1], " AS ", found[2]) if found else (part, "", "")


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while at < len(expression.rstrip()):
        found = _TOKEN.match(expression, at)
        if not found or found.lastgroup is None:
            raise SqlError(f"{expression}: {expression[at:]!r} is not understood")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    return tokens


@dataclass
class _Parser:
    """Evaluates as it reads; both sides of AND and OR are always read."""

    tokens: list[tuple[str, str]]
    message: Message
    at: int = field(default=0)

    def rest(self) -> list[tuple[str, str]]:
        return self.tokens[self.at :]

    def disjunction(self) -> Any:
        value = self.conjunction()
        while self._takes("name", "OR"):
            value = _logic(value, self.conjunction(), any)
        return value

    def conjunction(self) -> Any:
        value = self.negation()
        while self._takes("name", "AND"):
            value = _logic(value, self.negation(), all)
        return value

    def negation(self) -> Any:
        if self._takes("name", "NOT"):
            value = _boolean(self.negation())
            return UNDEFINED if value is UNDEFINED else not value
        return self.comparison()

    def comparison(self) -> Any:
        value = self.sum()
        for sign, compare in _COMPARISONS.items():
            if self._takes("sign", sign):
                return compare(value, self.sum())
        return value

    def sum(self) -> Any:
        value = self.primary()
        while self._takes("sign", "-"):  # so `inference-results` is what it is there: no field
            one, other = _decimal(value), _decimal(self.primary())
            value = UNDEFINED if one is UNDEFINED or other is UNDEFINED else one - other
        return value

    def primary(self) -> Any:
        kind, text = self._next()
        if kind == "number":
            value: Any = Decimal(text)
        elif kind in ("single", "double"):
            value = text
        elif (kind, text) == ("sign", "("):
            value = self.disjunction()
            self._expect(")")
        elif kind == "name" and self._takes("sign", "("):
            value = self._call(text)
        elif kind == "name":
            value = _member(self.message.payload, text)
        else:
            raise SqlError(f"{text!r} is not expected")
        while self._takes("sign", "."):
            value = _member(value, self._next()[1])
        return value

    def _call(self, name: str) -> Any:
        if name == "cast":
            value = self.disjunction()
            if not (self._takes("name", "AS") or self._takes("name", "as")):
                raise SqlError("cast wants AS")
            kind = self._next()[1]
            self._expect(")")
            return _cast(value, kind)
        arguments: list[Any] = []
        while not self._takes("sign", ")"):
            if arguments:
                self._expect(",")
            arguments.append(self._argument(name, first=not arguments))
        if name not in _FUNCTIONS:
            raise SqlError(f"no function {name} is known")
        return _FUNCTIONS[name](self.message, *arguments)

    def _argument(self, name: str, *, first: bool) -> Any:
        """`*` is the whole payload, as the first argument of get() and encode() only."""
        if first and name == "get" and self._takes("sign", "*"):
            return self.message.payload
        return self.disjunction()

    def _next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise SqlError("something is missing at the end")
        self.at += 1
        return self.tokens[self.at - 1]

    def _takes(self, kind: str, text: str) -> bool:
        if self.tokens[self.at : self.at + 1] != [(kind, text)]:
            return False
        self.at += 1
        return True

    def _expect(self, sign: str) -> None:
        if not self._takes("sign", sign):
            raise SqlError(f"{sign!r} is missing before {self.rest()}")


def _logic(one: Any, other: Any, decide: Callable[[tuple[bool, bool]], bool]) -> Any:
    left, right = _boolean(one), _boolean(other)
    return UNDEFINED if UNDEFINED in (left, right) else decide((left, right))


def _boolean(value: Any) -> Any:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), UNDEFINED)
    return value if isinstance(value, bool) else UNDEFINED


def _decimal(value: Any) -> Any:
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        return UNDEFINED
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return UNDEFINED
    return Decimal(str(value))


def _ordered(compare: Callable[[Decimal, Decimal], bool]) -> Callable[[Any, Any], Any]:
    def judge(one: Any, other: Any) -> Any:
        left, right = _decimal(one), _decimal(other)
        return UNDEFINED if UNDEFINED in (left, right) else compare(left, right)

    return judge


def _equal(one: Any, other: Any) -> Any:
    if one is UNDEFINED or other is UNDEFINED:
        return UNDEFINED
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    left, right = _decimal(one), _decimal(other)
    if left is not UNDEFINED and right is not UNDEFINED:
        return left == right
    return one == other if type(one) is type(other) else UNDEFINED


def _unequal(one: Any, other: Any) -> Any:
    equal = _equal(one, other)
    return UNDEFINED if equal is UNDEFINED else not equal


_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": _equal,
    "<>": _unequal,
    "<=": _ordered(lambda one, other: one <= other),
    ">=": _ordered(lambda one, other: one >= other),
    "<": _ordered(lambda one, other: one < other),
    ">": _ordered(lambda one, other: one > other),
}


def _member(value: Any, name: str) -> Any:
    return value.get(name, UNDEFINED) if isinstance(value, dict) else UNDEFINED


def _get(_: Message, value: Any, key: Any) -> Any:
    if isinstance(value, dict) and isinstance(key, str):
        return value.get(key, UNDEFINED)
    if isinstance(value, (list, str)) and isinstance(key, Decimal) and 0 <= key < len(value):
        return value[int(key)]
    return UNDEFINED


def _topic(message: Message, number: Any = None) -> Any:
    levels = message.topic.split("/")
    if number is None:
        return message.topic
    return levels[int(number) - 1] if 1 <= number <= len(levels) else UNDEFINED


def _parse_time(_: Message, pattern: str, moment: Any, zone: str = "UTC") -> Any:
    """Joda's letters become strftime's."""
    for letters, sign in _JODA.items():
        pattern = pattern.replace(letters, sign)
    return datetime.fromtimestamp(float(moment) / 1000, ZoneInfo(zone)).strftime(pattern)


def _regexp_matches(_: Message, text: Any, pattern: Any) -> Any:
    if not isinstance(text, str) or not isinstance(pattern, str):
        return UNDEFINED
    return re.search(pattern, text) is not None


def _cast(value: Any, kind: str) -> Any:
    if kind != "Decimal":
        raise SqlError(f"cast to {kind} is not carried out here")
    try:
        return _decimal(value)
    except InvalidOperation:
        return UNDEFINED


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "get": _get,
    "topic": _topic,
    "timestamp": lambda message: message.received_ms,
    "clientid": lambda message: message.client_id,
    "newuuid": lambda _message: str(uuid.uuid4()),
    "isUndefined": lambda _message, value: value is UNDEFINED,
    "parse_time": _parse_time,
    "regexp_matches": _regexp_matches,
}
