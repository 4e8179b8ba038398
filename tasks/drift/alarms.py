"""An alarm begins once, lasts while something is beyond its limit, and ends once.

All that is remembered about a scope is in one file, `<home>/monitor/<scope>/state.json`, which is
written whole, after the events it follows from were delivered and before the cursor moves on. So a
monitor that is killed anywhere tells again what may not have been heard, under the same event id,
and judges nothing twice: the file names the windows that it has counted (docs/adr/0043).
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from backends.errors import InvalidInputError
from backends.files import replace_file
from tasks.drift.scopes import Scope, monitor_folder

Kind = Literal["drift", "trouble"]
"""drift: the world or the answers moved, a new model may help. trouble: the device needs a look."""
What = Literal["began", "grew", "ended"]

DRIFT: Kind = "drift"
TROUBLE: Kind = "trouble"
KINDS = (DRIFT, TROUBLE)
OF_THE_MESSAGES = ("messages.", "device.", "things.")
"""How checks begin that judge what arrived, not the pictures: a look at pictures has none."""
HISTORY = 96
"""Looks that are remembered for the time line: a day of quarter-hours."""

_FORMAT_VERSION = 1
_VERSIONS = 8
_EVENTS = uuid.UUID("5d1f4a52-5f3e-4c0c-9d3c-2a0f7e4b6a11")  # ours; any would do, but always one


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one chunk. `raw` is the change before chance was taken out of it."""

    check: str
    kind: Kind
    measured: float
    limit: float
    raw: float
    says: str

    @property
    def broken(self) -> bool:
        return self.measured > self.limit


@dataclass(frozen=True, slots=True)
class Look:
    """What one chunk of windows came to, or, without pictures, the messages of one run."""

    start: str
    end: str
    model_version: str
    pictures: int
    things: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """A check in alarm: since when it was beyond its limit, and how far it last was.

    `quiet` counts the looks in a row that found it within its limit since.
    """

    since: str
    measured: float
    limit: float
    says: str
    quiet: int = 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """An episode. `since` is when the first of its checks began to move.

    `model_versions` are those that it was told of, the newest last.
    """

    kind: Kind
    episode: int
    since: str
    began_at: str
    model_versions: tuple[str, ...]
    checks: Mapping[str, Moved]
    things: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """Something to tell: `news` are the checks that it is about."""

    what: What
    alarm: Alarm
    news: tuple[str, ...]
    at: str

    def event_id(self, scope: Scope) -> uuid.UUID:
        """The same for the same change, however often it is told."""
        alarm = self.alarm
        words = (str(scope), alarm.kind, alarm.episode, self.what, *self.news)
        return uuid.uuid5(_EVENTS, "/".join(map(str, (*words, *alarm.model_versions))))


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered about a scope.

    `episodes` counts the alarms of each kind so far. `judged` are the keys of the windows that the
    last look counted. `first_seen` says when each model version first answered. `latency` holds the
    latencies that each version had at first. `heard` is the end of the newest window, `interval`
    how many seconds it covered. `recent` holds the last chunks of each version, as documents, and
    `shapes` the histograms of the newest look, for the report.
    """

    episodes: Mapping[str, int] = field(default_factory=dict)
    alarms: Mapping[str, Alarm] = field(default_factory=dict)
    history: tuple[Look, ...] = ()
    judged: tuple[str, ...] = ()
    first_seen: Mapping[str, str] = field(default_factory=dict)
    latency: Mapping[str, Sequence[int]] = field(default_factory=dict)
    heard: str = ""
    interval: float = 0.0
    recent: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    shapes: Mapping[str, Any] = field(default_factory=dict)


def advance(state: State, look: Look, quiet_looks: int) -> tuple[State, tuple[Change, ...]]:
    """The state after one more look, and what there is to tell.

    An alarm ends once each of its checks was within its limit `quiet_looks` times in a row. Where
    another model version takes an alarm over, it is the same episode, and told anew. Windows of a
    version that another has replaced since say nothing about what serves now.
    """
    changes: list[Change] = []
    alarms = dict(state.alarms)
    episodes = dict(state.episodes)
    for kind in () if _is_replaced(state, look) else KINDS:
        moved = _moved(state, look, kind)
        if (alarm := alarms.get(kind)) is None:
            if moved:
                episodes[kind] = episodes.get(kind, 0) + 1
                alarms[kind] = _begun(kind, episodes[kind], moved, look)
                changes.append(Change("began", alarms[kind], tuple(sorted(moved)), look.end))
            continue
        alarms[kind], news = _lasting(alarm, moved, look)
        if news:
            changes.append(Change("grew", alarms[kind], news, look.end))
        if all(one.quiet >= quiet_looks for one in alarms[kind].checks.values()):
            ended = alarms.pop(kind)
            changes.append(Change("ended", ended, tuple(sorted(ended.checks)), look.end))
    after = replace(state, alarms=alarms, episodes=episodes)
    return (_remembering(after, look) if look.pictures else after), tuple(changes)


def read_state(home: Path, scope: Scope) -> State:
    """What is remembered; nothing at first. Raises InvalidInputError for a damaged file."""
    path = _file(home, scope)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return _state(document)
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            str(path),
            f"what is known about alarms is damaged: {error}",
            "Delete it: an alarm that still lasts then begins anew.",
        ) from error


def write_state(home: Path, scope: Scope, state: State) -> None:
    """Remember it, on the disk."""
    document = {"version": _FORMAT_VERSION, "scope": str(scope), **asdict(state)}
    replace_file(_file(home, scope), json.dumps(document), durable=True)


def _begun(kind: Kind, episode: int, moved: Mapping[str, Moved], look: Look) -> Alarm:
    since = min(one.since for one in moved.values())
    versions = (look.model_version,) if look.model_version else ()
    return Alarm(kind, episode, since, look.end, versions, moved, look.things)


def _lasting(alarm: Alarm, moved: Mapping[str, Moved], look: Look) -> tuple[Alarm, tuple[str, ...]]:
    """An alarm after a look, and the checks that are new in it, or new under this version."""
    found = {finding.check for finding in look.findings}
    checks = dict(moved)
    for name, one in alarm.checks.items():
        if name in moved:
            checks[name] = replace(moved[name], since=one.since)
        elif name in found or (look.pictures and not name.startswith(OF_THE_MESSAGES)):
            checks[name] = replace(one, quiet=one.quiet + 1)
        else:
            checks[name] = one
    version = look.model_version
    anew = bool(moved and version and version not in alarm.model_versions)
    news = tuple(sorted(moved if anew else set(moved) - set(alarm.checks)))
    after = replace(
        alarm,
        model_versions=(*alarm.model_versions, version)[-_VERSIONS:]
        if anew
        else alarm.model_versions,
        checks=dict(sorted(checks.items())),
        things=tuple(sorted({*alarm.things, *look.things})) if moved else alarm.things,
    )
    return after, news


def _remembering(state: State, look: Look) -> State:
    """With the look in the history, and its version among those that have answered."""
    seen = dict(state.first_seen)
    seen[look.model_version] = min(seen.get(look.model_version, look.start), look.start)
    newest = sorted(seen.items(), key=lambda item: item[1])[-_VERSIONS:]
    history = (*state.history, look)[-HISTORY:]
    return replace(state, history=history, first_seen=dict(newest))


def _moved(state: State, look: Look, kind: Kind) -> dict[str, Moved]:
    """The checks of a kind that are beyond their limits."""
    return {
        one.check: Moved(_since(state, look, one.check), one.measured, one.limit, one.says)
        for one in look.findings
        if one.kind == kind and one.broken
    }


def _since(state: State, look: Look, check: str) -> str:
    """The start of the first of the looks in a row that were beyond the limit, chance or not."""
    since = look.start
    for before in reversed(state.history):
        if before.model_version != look.model_version:
            continue
        if not any(one.check == check and one.raw > one.limit for one in before.findings):
            break
        since = before.start
    return since


def _is_replaced(state: State, look: Look) -> bool:
    """Whether all of it happened before another version answered for the first time."""
    others = (first for one, first in state.first_seen.items() if one != look.model_version)
    return bool(look.model_version) and any(look.end <= first for first in others)


def _state(document: Mapping[str, Any]) -> State:
    if document["version"] != _FORMAT_VERSION:
        raise ValueError(f"version: must be {_FORMAT_VERSION}, not {document['version']!r}")
    known = {name: value for name, value in document.items() if name not in ("version", "scope")}
    known["alarms"] = {kind: _alarm(one) for kind, one in known["alarms"].items()}
    known["history"] = tuple(_look(one) for one in known["history"])
    known["judged"] = tuple(known["judged"])
    return State(**known)


def _alarm(document: Mapping[str, Any]) -> Alarm:
    checks = {name: Moved(**one) for name, one in document["checks"].items()}
    lists = {name: tuple(document[name]) for name in ("model_versions", "things")}
    return Alarm(**{**document, **lists, "checks": checks})


def _look(document: Mapping[str, Any]) -> Look:
    findings = tuple(Finding(**one) for one in document["findings"])
    return Look(**{**document, "findings": findings, "things": tuple(document["things"])})


def _file(home: Path, scope: Scope) -> Path:
    return monitor_folder(home, scope) / "state.json"
