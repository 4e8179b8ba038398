"""What people say of a device's alerts: there was something, or there was not.

One file an alert, `<home>/quality/verdicts/<thing>/<digest>.json`: saying the same again changes
nothing, saying the contrary replaces it, and what was said before stays readable in it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from backends.errors import InvalidInputError
from backends.files import replace_file

Verdict = Literal["confirmed", "denied"]
KEPT = 20
"""Earlier verdicts on one alert that are kept."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How many alerts of one model people have judged."""

    confirmed: int
    denied: int

    @property
    def count(self) -> int:
        return self.confirmed + self.denied


def alert_id(alert: Mapping[str, Any]) -> str:
    """The name by which people speak of an alert: its message's, or a digest of it."""
    own = alert.get("message_id")
    if isinstance(own, str) and own:
        return own
    return hashlib.sha256(json.dumps(alert, sort_keys=True).encode()).hexdigest()[:32]


def find_alert(alerts: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
    """The one whose id begins with `wanted`. Raises InvalidInputError: none, or several."""
    found = {alert_id(one): one for one in alerts if alert_id(one).startswith(wanted)}
    if wanted in found:
        return found[wanted]
    if len(found) != 1 or not wanted:
        reason = "several alerts begin with it" if found else "there is no such alert"
        remedy = "Take an id of `edgeward alerts`."
        raise InvalidInputError(f"alert {wanted!r}", reason, remedy)
    return next(iter(found.values()))


def give_verdict(home: Path, alert: Mapping[str, Any], verdict: Verdict, by: str) -> bool:
    """Keep what a person says of an alert; whether that is news."""
    path = _file(home, str(alert["thing"]), alert_id(alert))
    known = _read(path)
    if known and known["verdict"] == verdict:
        return False
    given = {"verdict": verdict, "by": by, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    former = [{name: known[name] for name in given}] if known else []
    about = {
        "id": alert_id(alert),
        "thing": alert["thing"],
        "model_version": str(alert.get("model_version", "")),
        "alert": str(alert.get("alert", "")),
        "taken_at": str(alert.get("taken_at", "")),
    }
    earlier = [*(known or {}).get("earlier", ()), *former][-KEPT:]
    replace_file(path, json.dumps({**about, **given, "earlier": earlier}, indent=1), durable=True)
    return True


def verdict_on(home: Path, alert: Mapping[str, Any]) -> str:
    """What was said of an alert; empty: nothing yet."""
    return str((_read(_file(home, str(alert["thing"]), alert_id(alert))) or {}).get("verdict", ""))


def count_verdicts(home: Path, thing: str, model_version: str) -> Judged:
    """What people said of the alerts that one model raised on a thing."""
    said = [
        known["verdict"]
        for known in _all(home, thing)
        if known.get("model_version") == model_version
    ]
    return Judged(said.count("confirmed"), said.count("denied"))


def _all(home: Path, thing: str) -> Iterator[dict[str, Any]]:
    for path in sorted(_folder(home, thing).glob("[!.]*.json")):
        if known := _read(path):
            yield known


def _read(path: Path) -> dict[str, Any] | None:
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            str(path), f"the verdict is damaged: {error}", "Delete it, and give it again."
        ) from error
    return known


def _folder(home: Path, thing: str) -> Path:
    return home / "quality" / "verdicts" / thing


def _file(home: Path, thing: str, identifier: str) -> Path:
    """Ids come from devices, and become paths."""
    digest = hashlib.sha256(identifier.encode()).hexdigest()[:32]
    return _folder(home, thing) / f"{digest}.json"
