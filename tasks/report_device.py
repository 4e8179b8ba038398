"""The report's device sections: what it saw, and what the compiled model costs there."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tasks.charts import bar
from tasks.outcome import Record, thing_name
from tasks.run_tables import RunTables, Thumbnails
from tasks.wording import comparison, figure, is_number

MOST_SEEN = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """A first result. `really` is the label people gave the picture, where that is news."""

    picture: str
    label: str
    score: str
    expected: str
    agrees: bool
    really: str
    latency: str
    taken_at: str


@dataclass(frozen=True, slots=True)
class Device:
    thing: str
    seen: list[Seen]
    hidden: int
    agreeing: int
    total: int


@dataclass(frozen=True, slots=True)
class Cost:
    """A cost of the compiled model beside the trained one's in MXNet; less is better."""

    name: str
    ours: str
    our_bar: Markup
    theirs: str
    their_bar: Markup
    verdict: str


@dataclass(frozen=True, slots=True)
class Costs:
    executed: bool
    reason: str
    runtime: str
    images: int
    max_abs_diff: str
    top1_agreement: str
    rows: list[Cost]


def device_of(record: Record, tables: RunTables, thumbs: Thumbnails) -> Device | None:
    once = results_once(record)
    if not once:
        return None
    return Device(
        thing=thing_name(record),
        seen=[_seen(result, tables, thumbs) for result in once[:MOST_SEEN]],
        hidden=max(0, len(once) - MOST_SEEN),
        agreeing=sum(bool(result.get("agrees")) for result in once),
        total=len(once),
    )


def results_once(record: Record) -> list[Record]:
    """The device's first results, the first of each picture."""
    results = record.get("first_results") or []
    return list({result.get("image_id"): result for result in reversed(results)}.values())[::-1]


def costs_of(record: Record) -> Costs | None:
    verified = record.get("verification")
    if not verified:
        return None
    trained = verified.get("trained") or {}
    ours, theirs = verified.get("latency_ms") or {}, trained.get("latency_ms") or {}
    rows = [
        _cost("Time a picture, median", ours.get("p50"), theirs.get("p50"), "ms"),
        _cost("Time a picture, p95", ours.get("p95"), theirs.get("p95"), "ms"),
        _cost("Peak memory", verified.get("peak_rss_mb"), trained.get("peak_rss_mb"), "MB"),
        _cost("Size of what ships", verified.get("package_mb"), trained.get("archive_mb"), "MB"),
    ]
    runtime = f"{verified.get('runtime') or 'runtime'} {verified.get('runtime_version') or ''}"
    return Costs(
        executed=bool(verified.get("executed", True)),
        reason=str(verified.get("reason") or ""),
        runtime=runtime.strip(),
        images=int(verified.get("images") or 0),
        max_abs_diff=figure(verified.get("max_abs_diff")),
        top1_agreement=figure(verified.get("top1_agreement"), "share"),
        rows=[row for row in rows if row is not None],
    )


def _seen(result: Record, tables: RunTables, thumbs: Thumbnails) -> Seen:
    image_id, label = str(result.get("image_id") or ""), str(result.get("label") or "")
    expected, really = str(result.get("expected") or ""), tables.label_of(image_id)
    return Seen(
        picture=thumbs.of(image_id),
        label=label,
        score=figure(result.get("score"), "share"),
        expected=expected,
        agrees=bool(result.get("agrees")),
        really="" if really in (label, expected) else really,
        latency=figure(result.get("latency_ms"), "ms"),
        taken_at=str(result.get("taken_at") or ""),
    )


def _cost(name: str, ours: Any, theirs: Any, unit: Any) -> Cost | None:
    if not is_number(ours):
        return None
    longest = max(ours, theirs if is_number(theirs) else 0) or 1
    words = ("as fast", "as slow") if unit == "ms" else ("less", "as much")
    return Cost(
        name=name,
        ours=figure(ours, unit),
        our_bar=bar(ours / longest, "ours"),
        theirs=figure(theirs, unit),
        their_bar=bar(theirs / longest if is_number(theirs) else 0, "theirs"),
        verdict=comparison(ours, theirs, *words),
    )
