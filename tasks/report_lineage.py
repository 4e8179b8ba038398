"""The report's last section: what led from the data to the device, and how long it took."""

from dataclasses import dataclass

from markupsafe import Markup

from tasks.charts import bar
from tasks.outcome import Record
from tasks.wording import duration, figure, is_number


@dataclass(frozen=True, slots=True)
class Link:
    """A step from data to device, with what identifies it; `facts` is empty if not reached."""

    name: str
    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    took: str
    chart: Markup


@dataclass(frozen=True, slots=True)
class Lineage:
    links: list[Link]
    stages: list[Stage]
    hyperparameters: dict[str, str]
    versions: dict[str, str]


def lineage_of(record: Record) -> Lineage:
    training = record.get("training") or {}
    return Lineage(
        links=[
            _data(record),
            _model(record),
            _compiled(record),
            _verified(record),
            _deployed(record),
        ],
        stages=_stages(record),
        hyperparameters=_texts(training.get("hyperparameters")),
        versions=_texts(record.get("versions")),
    )


def _data(record: Record) -> Link:
    data = record.get("data") or {}
    return Link(
        "Data",
        _known({"Source": data.get("source"), "Fingerprint": data.get("fingerprint")}),
    )


def _model(record: Record) -> Link:
    evaluation, training = record.get("evaluation") or {}, record.get("training") or {}
    top1 = evaluation.get("top1")
    billed = training.get("billable_seconds")
    facts = {
        "Version": record.get("model_version"),
        "Paid for": duration(billed) if is_number(billed) else None,
        "Epochs": training.get("epochs"),
        "Right answers": figure(top1, "share") if is_number(top1) else None,
    }
    return Link("Trained model", _known(facts))


def _compiled(record: Record) -> Link:
    compiled = record.get("compilation") or {}
    size = compiled.get("bytes")
    facts = {
        "Compiler": _joined(compiled.get("compiler"), compiled.get("compiler_version")),
        "Platform": compiled.get("platform"),
        "Target": compiled.get("target"),
        "Flags": " ".join(f"{k}={v}" for k, v in (compiled.get("flags") or {}).items()),
        "SHA-256": compiled.get("sha256"),
        "Size": figure(size / 1e6, "MB") if is_number(size) else None,
    }
    return Link("Compiled package", _known(facts))


def _verified(record: Record) -> Link:
    verified = record.get("verification") or {}
    facts = {
        "Runtime": _joined(verified.get("runtime"), verified.get("runtime_version")),
        "Executed": figure(verified.get("executed")) if verified else None,
        "Because": verified.get("reason"),
    }
    return Link("Verified in", _known(facts))


def _deployed(record: Record) -> Link:
    deployment = record.get("deployment") or {}
    facts = {
        "Thing": deployment.get("thing"),
        "Deployment": deployment.get("id"),
        "Status": _joined(deployment.get("status"), deployment.get("detailed_status")),
    }
    return Link("Deployed to", _known(facts | (deployment.get("components") or {})))


def _stages(record: Record) -> list[Stage]:
    seconds = {k: v for k, v in (record.get("stages") or {}).items() if is_number(v)}
    longest = max(seconds.values(), default=1) or 1
    return [Stage(str(k), duration(v), bar(v / longest)) for k, v in seconds.items()]


def _known(facts: dict[str, object]) -> dict[str, str]:
    return {str(name): str(value) for name, value in facts.items() if value not in (None, "")}


def _joined(*parts: object) -> str:
    return " ".join(str(part) for part in parts if part not in (None, ""))


def _texts(table: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in table.items()} if isinstance(table, dict) else {}
