"""What people are told of, how severe it is, and what they can do: a table of events.

docs/how-to/quality.md has the same table; a test holds the one to the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backends.artifacts import Severity

LONGEST = 1000
"""Characters of a reason; what is longer is cut."""
Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened. `id` is its event's.

    `scope` is what it is about; `state` what was said of it: the same again is no news.
    """

    id: str
    kind: str
    severity: Severity
    scope: str
    subject: str
    reason: str
    next_step: str
    state: str
    at: str


@dataclass(frozen=True, slots=True)
class Kind:
    """An event of the Prefect server that people are told of.

    `several` is the subject where `n` of them are told at once. `next_step` may name {name}, {run}
    and {batch}; commands stand in backticks. `state` are the keys of the payload that make news;
    `ends` is the event whose news it puts an end to, so that the next one is told again.
    """

    event: str
    automation: str
    severity: Severity
    subject: str
    several: str
    next_step: str
    state: tuple[str, ...] = ("reason",)
    ends: str = ""
    of_prefect: bool = False


KINDS: tuple[Kind, ...] = (
    Kind(
        "edgeward.rolled-back",
        "Edgeward: a model was rolled back",
        "critical",
        "{name} was rolled back to model {to_version}",
        "{n} devices were rolled back",
        "See the figures in the run's report, and `edgeward device status {name}`.",
        ("rollback",),
    ),
    Kind(
        "prefect.flow-run.Failed",
        "Edgeward: a flow failed",
        "warning",
        "{flow} failed",
        "{n} flows failed",
        "See `edgeward doctor`; a run goes on with `edgeward resume RUN`.",
        of_prefect=True,
    ),
    Kind(
        "edgeward.run.refused",
        "Edgeward: a gate refused a run",
        "warning",
        "A gate refused run {name}",
        "Gates refused {n} runs",
        "See {report}. Mend the cause, or go past it: `edgeward resume {name} --override GATE`.",
    ),
    Kind(
        "edgeward.run.waiting",
        "Edgeward: a release waits for approval",
        "warning",
        "Run {name} waits for approval",
        "{n} runs wait for approval",
        "Answer in Prefect's UI, or with `edgeward approve {name} --by NAME --reason TEXT`.",
    ),
    Kind(
        "edgeward.drift",
        "Edgeward: a device drifts",
        "warning",
        "{name} drifts",
        "{n} things drift",
        "See `edgeward results --thing {name}`. If it will look like this from now on, label the "
        "hard examples; if not, mend the camera.",
        ("checks",),
    ),
    Kind(
        "edgeward.drift.ended",
        "Edgeward: a drift ended",
        "info",
        "{name} drifts no more",
        "{n} things drift no more",
        "Nothing.",
        ends="edgeward.drift",
    ),
    Kind(
        "edgeward.trouble",
        "Edgeward: a device needs a look",
        "warning",
        "{name} needs a look",
        "{n} things need a look",
        "See `edgeward device status {name}` and `edgeward monitor --thing {name}`.",
        ("checks",),
    ),
    Kind(
        "edgeward.trouble.ended",
        "Edgeward: a device is well again",
        "info",
        "{name} is well again",
        "{n} things are well again",
        "Nothing.",
        ends="edgeward.trouble",
    ),
    Kind(
        "edgeward.labels-wanted",
        "Edgeward: pictures wait for labels",
        "info",
        "Pictures of {name} wait for labels",
        "Pictures of {n} things wait for labels",
        "Label them: `edgeward label --batch {batch}`.",
        ("batch", "reason"),
    ),
    Kind(
        "edgeward.labelled",
        "Edgeward: pictures were labelled",
        "info",
        "Pictures of {name} were labelled",
        "{n} batches were labelled",
        "Nothing: the retraining decides by itself whether they are enough.",
        ("batch", "reason"),
    ),
    Kind(
        "edgeward.retraining.stopped",
        "Edgeward: retraining stopped",
        "critical",
        "Retraining for {name} does not help and has stopped",
        "Retraining of {n} things does not help and has stopped",
        "A person is needed: see `edgeward retrain --thing {name} --why`.",
        ("runs",),
    ),
)
BY_EVENT: Mapping[str, Kind] = {kind.event: kind for kind in KINDS}
FAILURES = ("prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut")
"""Events of Prefect's that are told as the first of them."""


def notice_of(event: Mapping[str, Any]) -> Notice | None:
    """What people are told of an event, as the server's API gives it; None: nothing."""
    name = str(event["event"])
    kind = BY_EVENT.get(FAILURES[0] if name in FAILURES else name)
    if kind is None or (kind.of_prefect and not _is_ours(event)):
        return None
    payload: Payload = event.get("payload") or {}
    resource: Mapping[str, Any] = event.get("resource") or {}
    scope = str(resource.get("prefect.resource.name") or resource.get("prefect.resource.id") or "")
    facts: dict[str, Any] = {**payload, "name": scope, "flow": _flow(event) or scope}
    reason = str(payload.get("reason") or _message(event)) or "no reason was given"
    return Notice(
        id=str(event["id"]),
        kind=kind.event,
        severity=kind.severity,
        scope=facts["flow"] if kind.of_prefect else scope,
        subject=_filled(kind.subject, facts),
        reason=_cut(reason),
        next_step=_filled(kind.next_step, facts),
        state=repr([payload.get(key) for key in kind.state] if payload else reason),
        at=str(event["occurred"]),
    )


def _is_ours(event: Mapping[str, Any]) -> bool:
    """Flow runs of other projects on the same server are not for our people."""
    return any(
        one.get("prefect.resource.id") == "prefect.tag.edgeward"
        for one in event.get("related") or ()
    )


def _flow(event: Mapping[str, Any]) -> str:
    for one in event.get("related") or ():
        if one.get("prefect.resource.role") == "flow":
            return str(one.get("prefect.resource.name", ""))
    return ""


def _message(event: Mapping[str, Any]) -> str:
    """Why a flow run failed, as Prefect's event has it."""
    payload: Payload = event.get("payload") or {}
    state = payload.get("validated_state") or {}
    return str(state.get("message") or "")


class _Missing(dict[str, Any]):
    """A fact that an event lacks is told as "?"."""

    def __missing__(self, key: str) -> str:
        return "?"


def _filled(words: str, facts: Mapping[str, Any]) -> str:
    fill: Callable[[Mapping[str, Any]], str] = words.format_map
    return _cut(fill(_Missing(facts)))


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST else f"{flat[: LONGEST - 1]}…"
