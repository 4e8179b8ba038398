"""Semantic versions and npm-style requirements, as Greengrass reads them (semver4j, buildNPM)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import total_ordering

_NUMBER = r"(0|[1-9]\d*)"
_LABEL = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"  # a number without a leading zero, or a word
_TAIL = rf"(?:-({_LABEL}(?:\.{_LABEL})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}{_TAIL}", re.ASCII)
_COMPARATOR = re.compile(
    rf"(>=|<=|>|<|=|\^|~>?)?\s*v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?{_TAIL}", re.ASCII
)
_PLAIN = re.compile(rf"(?:>=|<=|>|<|=)?{_VERSION.pattern}", re.ASCII)
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")
_BETWEEN = " \t\r\n\f\v,"
_MAX_TEXT = 256  # characters; a version has 64 at most
_PARTS = 3


class VersionError(ValueError):
    """Text that is no version, or no requirement."""


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """`build` says which file it is, and nothing about the order."""

    numbers: tuple[int, int, int]
    prerelease: tuple[str, ...] = ()
    build: str = field(default="", compare=False)

    def __str__(self) -> str:
        text = ".".join(map(str, self.numbers))
        labels = f"-{'.'.join(self.prerelease)}" if self.prerelease else ""
        return f"{text}{labels}+{self.build}" if self.build else text + labels

    def __lt__(self, other: "Version") -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[object, ...]:
        labels = tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in self.prerelease)
        return self.numbers, not self.prerelease, labels


_LEAST = Version((0, 0, 0), ("0",))


def parse_version(text: str) -> Version:
    """Raises VersionError."""
    _check_length(text)
    match = _VERSION.fullmatch(text)
    if match is None:
        raise VersionError(f"{text!r} is not a semantic version")
    major, minor, patch, labels, build = match.groups()
    numbers = int(major), int(minor), int(patch)
    return Version(numbers, tuple(labels.split(".")) if labels else (), build or "")


@dataclass(frozen=True, slots=True)
class _Bound:
    operator: str  # one of >= > < <=
    version: Version

    def admits(self, version: Version) -> bool:
        if self.operator == ">=":
            return version >= self.version
        if self.operator == ">":
            return version > self.version
        return version < self.version if self.operator == "<" else version <= self.version


@dataclass(frozen=True, slots=True)
class Requirement:
    """Alternatives (`||`), each a set of bounds that must all hold."""

    text: str
    alternatives: tuple[tuple[_Bound, ...], ...]

    def admits(self, version: Version) -> bool:
        return any(_admits(bounds, version) for bounds in self.alternatives)

    def __str__(self) -> str:
        return self.text or "any"


def parse_requirement(text: str) -> Requirement:
    """Reads `>=1.0.0 <2.0.0`, `^1.1.0`, `~1.6.0`, `1.x`, `*`, `1.0.0 - 2.0.0`, `||`.

    Raises VersionError.
    """
    _check_length(text)
    return Requirement(text, tuple(tuple(_bounds(part.strip())) for part in text.split("||")))


def parse_comparators(text: str) -> Requirement:
    """Reads what nucleus lite reads: `>=1.0.0 <2.0.0`, bare versions, nothing (any version).

    Raises VersionError.
    """
    wrong = next((part for part in text.split() if not _PLAIN.fullmatch(part)), None)
    if wrong is not None:
        raise VersionError(
            f"{wrong!r} is nothing that nucleus lite reads; use >, >=, <, <= and whole versions"
        )
    return parse_requirement(text)


def newest(versions: Iterable[Version], requirements: Iterable[Requirement]) -> Version | None:
    """The newest version that meets every requirement."""
    wanted = list(requirements)
    return max((v for v in versions if all(r.admits(v) for r in wanted)), default=None)


def _check_length(text: str) -> None:
    if len(text) > _MAX_TEXT:
        raise VersionError(f"it has {len(text)} characters, and {_MAX_TEXT} are allowed")


def _admits(bounds: tuple[_Bound, ...], version: Version) -> bool:
    """As npm does: a pre-release only where a bound names one of the same release."""
    if version.prerelease and not any(
        b.version.prerelease and b.version.numbers == version.numbers for b in bounds
    ):
        return False
    return all(bound.admits(version) for bound in bounds)


def _bounds(text: str) -> list[_Bound]:
    hyphen = _HYPHEN.fullmatch(text)
    if hyphen:
        text = f">={hyphen[1]} <={hyphen[2]}"
    bounds: list[_Bound] = []
    at = 0
    while at < len(text):
        match = _COMPARATOR.match(text, at)
        ended = match is not None and (match.end() == len(text) or text[match.end()] in _BETWEEN)
        if match is None or not ended:
            raise VersionError(f"{text!r} is not a version requirement")
        bounds += _comparator(match)
        at = match.end()
        while at < len(text) and text[at] in _BETWEEN:
            at += 1
    return bounds


def _comparator(match: re.Match[str]) -> list[_Bound]:
    operator = match[1] or "="
    given = _given(match)
    low = Version(_fill(given), tuple(match[5].split(".")) if match[5] else ())
    partial = len(given) < _PARTS
    if not given:  # any version; and none is newer or older than any
        return [_Bound("<", _LEAST)] if operator in (">", "<") else []
    if operator == "^":
        return [_Bound(">=", low), _Bound("<", Version(_caret(given)))]
    if operator.startswith("~"):
        return [_Bound(">=", low), _Bound("<", Version(_next(given[:2])))]
    if operator == "=":
        high = Version(_next(given)) if partial else low
        return [_Bound(">=", low), _Bound("<" if partial else "<=", high)]
    if partial and operator in (">", "<="):
        return [_Bound(">=" if operator == ">" else "<", Version(_next(given)))]
    return [_Bound(operator, low)]


def _given(match: re.Match[str]) -> tuple[int, ...]:
    """The numbers up to the first wildcard."""
    numbers: list[int] = []
    for part in match.group(2, 3, 4):
        if part is None or part in "xX*":
            break
        numbers.append(int(part))
    return tuple(numbers)


def _fill(given: tuple[int, ...]) -> tuple[int, int, int]:
    major, minor, patch = (*given, 0, 0, 0)[:_PARTS]
    return major, minor, patch


def _next(given: tuple[int, ...]) -> tuple[int, int, int]:
    return _fill((*given[:-1], given[-1] + 1))


def _caret(given: tuple[int, ...]) -> tuple[int, int, int]:
    """Up to the next change of the left-most number that is not zero."""
    for at, number in enumerate(given):
        if number:
            return _next(given[: at + 1])
    return _next(given)
