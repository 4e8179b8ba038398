"""What a run came to, why, and what a person does next: read from the run record alone."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tasks.quality.rollbacks import BY_ITSELF
from tasks.recording import INTERRUPTED, VANISHED
from tasks.wording import Reading, count, figure, gate_words, is_number, readings

Record = dict[str, Any]
Progress = Literal["done", "stopped here", "not executed", "not reached"]
Verdict = Literal["passed", "refused", "not judged", "overridden"]


@dataclass(frozen=True, slots=True)
class NextStep:
    """Something to do; `command` may be empty."""

    text: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class JudgedGate:
    """A gate as people read it. `remedy` is empty unless it refuses."""

    name: str
    asks: str
    verdict: Verdict
    readings: tuple[Reading, ...]
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Phase:
    name: str
    progress: Progress


NOT_STOPPED = ("deployed", "packaged", "open", "waiting", "rolled back")
"""The outcomes that say of no phase that it failed."""

PHASES: tuple[tuple[str, str, str], ...] = (  # name, section of the record, prefix of its gates
    ("Data", "data", "data."),
    ("Split", "split", "split."),
    ("Train", "training", ""),
    ("Evaluate", "evaluation", "model."),
    ("Compile", "compilation", ""),
    ("Verify", "verification", "compiled."),
    ("Deploy", "deployment", ""),
    ("First results", "first_results", "device."),
)


def judged_gates(record: Record) -> list[JudgedGate]:
    return [_judged(gate) for gate in record.get("gates") or []]


def refused_first(gates: Sequence[JudgedGate]) -> list[JudgedGate]:
    """In the order in which a reader wants them; else as they were judged."""
    return sorted(gates, key=lambda gate: gate.verdict != "refused")


def headline(record: Record) -> str:
    """The outcome in one sentence."""
    thing = thing_name(record)
    if record["status"] == "rolled back":
        return f"Rolled back: {thing} runs model version {record['rollback']['to_version']} again."
    if record["status"] == "deployed":
        version = record.get("model_version")
        model = f"model version {version}" if version else "the new model"
        return f"Deployed: {thing} now runs {model}."
    if record["status"] in ("packaged", "open", "waiting"):
        return _not_yet(record)
    if record["status"] == "refused":
        names = [gate.name for gate in judged_gates(record) if gate.verdict == "refused"]
        which = " and ".join(names) or "a gate"
        who = f"{which} did not pass"
        return f"Refused: {who}; {_left_alone(record)}."
    return f"Failed: the run ended with an error; {_left_alone(record)}."


def _not_yet(record: Record) -> str:
    """The outcome of a run that has deployed nothing, and has not failed."""
    if record["status"] == "open":
        return f"Open: {record.get('reason')}."
    version = record.get("model_version")
    if record["status"] == "packaged":
        return f"Packaged: model version {version} waits for a device that runs it."
    thing = thing_name(record)
    return f"Waiting: model version {version} may go to {thing} once a person approves it."


def why(record: Record) -> str:
    """What led to the outcome, in a sentence or two."""
    if record["status"] not in NOT_STOPPED:
        return _sentence(str(record.get("reason") or "no reason was recorded."))
    if record["status"] == "rolled back":
        return _why_back(record["rollback"])
    gates = judged_gates(record)
    said = [
        f"{sum(gate.verdict == 'passed' for gate in gates)} of {count(len(gates), 'gate')} passed"
    ]
    for verdict, words in (("overridden", "overridden by hand"), ("not judged", "not judged")):
        names = [gate.name for gate in gates if gate.verdict == verdict]
        said += [f"{words}: {', '.join(names)}"] if names else []
    told = record.get("reason") and record["status"] not in ("open", "waiting")
    why_not = f"{_sentence(str(record.get('reason')))}. " if told else ""
    return f"{why_not}{_how_good(record)}{'; '.join(said)}."


def next_steps(record: Record) -> list[NextStep]:
    """What to do now, most useful first."""
    name = shlex.quote(thing_name(record))
    status = NextStep("See what the device runs", f"edgeward device status {name}")
    if record["status"] == "deployed":
        return [
            NextStep("Watch what the device sees", "edgeward results --follow"),
            status,
            NextStep("Check later whether its pictures drift", f"edgeward monitor --thing {name}"),
            NextStep("Stop everything on this machine", "edgeward down"),
        ]
    if record["status"] == "packaged":
        platform = record.get("platform") or "that platform"
        text = f"Deploy it with --thing NAME to a device of {platform}; these are here"
        return [NextStep(text, "edgeward device list"), status]
    if record["status"] in ("open", "waiting", "rolled back"):
        return [*_ways_on(record), status]
    if record["status"] == "refused":
        refusing = [gate for gate in judged_gates(record) if gate.verdict == "refused"]
        steps = [NextStep(f"{gate.name}: {gate.remedy}") for gate in refusing]
        if any(gate.name.startswith("device.") for gate in refusing):
            steps.append(NextStep("Read the device's log", f"edgeward device logs {name}"))
        past = " ".join(f"--override {shlex.quote(gate.name)}" for gate in refusing)
        decide = NextStep("If you decide to go on all the same (it is recorded)", past)
        return [*steps, *([decide] if past else []), status]
    if record.get("reason") in (INTERRUPTED, VANISHED):
        return [
            NextStep("Run the same command again: a training goes on from its checkpoint"),
            status,
        ]
    run = shlex.quote(str(record.get("run_id")))
    return [
        NextStep("Let the doctor look for the usual troubles", "edgeward doctor"),
        NextStep("Mend what the reason names, then go on with this run", f"edgeward resume {run}"),
        status,
    ]


def _why_back(told: Record) -> str:
    """Who took the model back, when and why."""
    who = "Edgeward by itself" if told["by"] == BY_ITSELF else told["by"]
    at = str(told["decided_at"])[:16].replace("T", " ")
    return f"Model {told['from_version']} was taken back by {who} on {at} UTC: {told['reason']}."


def _ways_on(record: Record) -> list[NextStep]:
    run = shlex.quote(str(record.get("run_id")))
    if record["status"] == "open":
        return [NextStep("Go on to the end", f"edgeward resume {run}")]
    if record["status"] == "rolled back":
        look = f"edgeward monitor --thing {shlex.quote(thing_name(record))}"
        text = "That version is not deployed there again, unless a run says"
        again = NextStep(text, "--override device.rolled-back")
        return [NextStep("See how the device does now", look), again]
    words = "--by NAME --reason TEXT"
    return [
        NextStep("Let it go on, in your name", f"edgeward approve {run} {words}"),
        NextStep("Or end it", f"edgeward approve {run} {words} --refuse"),
    ]


def phases(record: Record) -> list[Phase]:
    """How far the run came."""
    stop = _stopping_phase(record)
    found: list[Phase] = []
    for name, section, _ in PHASES:
        if name == stop:
            found.append(Phase(name, "stopped here"))
        elif section == "verification" and (record.get(section) or {}).get("executed") is False:
            found.append(Phase(name, "not executed"))
        else:
            found.append(Phase(name, "done" if _has(record, section) else "not reached"))
    return found


def thing_name(record: Record) -> str:
    deployment = record.get("deployment") or {}
    return str(deployment.get("thing") or record.get("thing") or "the device")


def _judged(gate: Record) -> JudgedGate:
    name = str(gate["name"])
    verdict: Verdict = "passed"
    if gate.get("overridden"):
        verdict = "overridden"
    elif gate.get("passed") is None:
        verdict = "not judged"
    elif not gate["passed"]:
        verdict = "refused"
    words = gate_words(name)
    return JudgedGate(
        name=name,
        asks=words.asks,
        verdict=verdict,
        readings=tuple(readings(name, gate.get("measured"), gate.get("limit"))),
        reason=str(gate.get("reason") or ""),
        remedy=words.remedy if verdict == "refused" else "",
    )


def _sentence(reason: str) -> str:
    """With a capital, unless it begins with a name such as model.recall."""
    first = reason.split(" ", 1)[0]
    return reason[:1].upper() + reason[1:] if first.isalpha() else reason


def _left_alone(record: Record) -> str:
    if not record.get("deployment"):
        return "nothing was deployed"
    refused = [gate.name for gate in judged_gates(record) if gate.verdict == "refused"]
    if any(name.startswith("device.") for name in refused):
        return f"{thing_name(record)} was given back what it ran before"
    status = record["deployment"].get("status") or "unknown"
    return f"the deployment to {thing_name(record)} stands at {status}"


def _how_good(record: Record) -> str:
    evaluation = record.get("evaluation") or {}
    if not is_number(evaluation.get("top1")):
        return ""
    images = count(int(evaluation.get("images") or 0), "held-out picture")
    return f"It is right on {figure(evaluation['top1'], 'share')} of {images}; "


def _stopping_phase(record: Record) -> str:
    if record["status"] in NOT_STOPPED:
        return ""
    for gate in judged_gates(record) if record["status"] == "refused" else []:
        for name, _, prefix in PHASES:
            if gate.verdict == "refused" and prefix and gate.name.startswith(prefix):
                return name
    return next((name for name, section, _ in PHASES if not _has(record, section)), PHASES[-1][0])


def _has(record: Record, section: str) -> bool:
    if section == "data":
        return bool((record.get("data") or {}).get("images"))
    return bool(record.get(section))
