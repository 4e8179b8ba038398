"""Figures and gates in words that a person who never saw the project understands.

Plain ASCII in everything made here, so that the same words serve the report and any terminal.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

Unit = Literal["share", "points", "ms", "MB", "USD", ""]
Bound = Literal["at least", "at most"]

MISSING = "n/a"
SHOWN_ITEMS = 6
"""Longer lists are cut here, and say so."""


@dataclass(frozen=True, slots=True)
class GateWords:
    """What a gate asks, in which unit, and what to do when it refuses.

    `measures` and `limit` say in Markdown what is held against what; the reference shows them.
    """

    asks: str
    unit: Unit
    bound: Bound
    remedy: str
    measures: str
    limit: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured value against its limit; `of` names what was measured, or is empty."""

    of: str
    measured: str
    limit: str


GATES: dict[str, GateWords] = {
    "cost.estimate": GateWords(
        "The run costs no more than it may",
        "USD",
        "at most",
        "Lower EDGEWARD_AWS__MAX_RUN_SECONDS, take a cheaper EDGEWARD_AWS__INSTANCE_TYPE or spot "
        "instances, or raise cost.max_usd in the targets file.",
        "What a run in an AWS account can cost at most, in dollars, before it begins.",
        "`cost.max_usd`",
    ),
    "data.schema": GateWords(
        "The data has the form of the last accepted data",
        "",
        "at most",
        "Look at the findings and the Data Docs: a column, a class, a colour mode or a size "
        "changed. Mend the data, or accept the change by overriding this gate.",
        "What changed in columns, classes, colour modes and sizes since the last accepted data of"
        " this source.",
        "No change that `classes` does not announce; at most 20 % of the pictures with colour "
        "modes or sizes not seen before.",
    ),
    "data.integrity": GateWords(
        "Every picture can be read and used",
        "",
        "at most",
        "Mend, convert or remove the pictures that the reason names, then run again.",
        "Files that are no usable picture.",
        "None.",
    ),
    "data.labels": GateWords(
        "No picture has two labels, no class is starved",
        "",
        "at most",
        "Keep each picture in the folder of one class only, and fill classes that are too small.",
        "Classes, the fewest pictures of a class, pictures under two labels, missing classes.",
        "At least 2 classes, 3 pictures each, 10 % of an equal share each; none under two labels;"
        " none of `classes` missing.",
    ),
    "data.drift": GateWords(
        "The data looks like the last accepted data",
        "",
        "at most",
        "Find out what changed: camera, light, season, mix of classes. If the new data is what "
        "the device will see, accept it by overriding this gate.",
        "How far each image statistic and the label mix moved since the last accepted data.",
        "`drift.max_psi`",
    ),
    "split.leakage": GateWords(
        "No picture, and no near copy, is in two parts",
        "",
        "at most",
        "Copies in two parts flatter the accuracy. Remove the copies that the reason names, then "
        "run again.",
        "Pictures, and pairs of near-duplicates, in two parts.",
        "None.",
    ),
    "model.accuracy": GateWords(
        "The model is right often enough",
        "share",
        "at least",
        "Train longer (--set epochs=N), add pictures of the weakest classes, or lower "
        "accuracy.min_top1 in the targets file if the business can live with it.",
        "Top-1 on the held-out part.",
        "`accuracy.min_top1`",
    ),
    "model.recall": GateWords(
        "The classes that matter are not missed",
        "share",
        "at least",
        "Add pictures of the classes that are missed (the confusion matrix shows for what they "
        "are taken), train longer, or change accuracy.min_recall in the targets file.",
        "Recall of the classes that the targets name.",
        "`accuracy.min_recall`",
    ),
    "model.champion": GateWords(
        "It is no worse than the model in use",
        "points",
        "at least",
        "The model in use stays. Train longer or add pictures; how much loss is allowed stands "
        "at accuracy.min_champion_gain in the targets file.",
        "Gain in top-1 over the model in use, on the same pictures.",
        "`accuracy.min_champion_gain`",
    ),
    "model.champion-new": GateWords(
        "It is better than the model in use on new pictures",
        "points",
        "at least",
        "The model in use stays. Look whether the labels of the new pictures are right, and label "
        "more: a gain on few pictures may be luck. How much is asked stands at "
        "retraining.min_gain in the targets file.",
        "Gain in top-1 over it on held-out pictures of batches that it does not know; and the "
        "probability that this is chance.",
        "`retraining.min_gain`, 0.1",
    ),
    "compiled.parity": GateWords(
        "The compiled model answers as the trained one does",
        "",
        "at most",
        "The compiler changed the answers: this package must not ship. Compare compiler and "
        "runtime versions under Lineage, and compile again.",
        "How far the compiled model's answers differ from the trained one's: the largest "
        "difference, and the share of equal best labels.",
        "`parity.max_abs_diff`, `parity.min_top1_agreement`",
    ),
    "compiled.latency": GateWords(
        "It answers fast enough (95th percentile)",
        "ms",
        "at most",
        "Take a smaller network (--set num_layers=N) or smaller pictures (--set "
        "image_shape=3,H,W), or raise device.max_latency_p95_ms in the targets file. On a busy "
        "machine, run again.",
        "95th percentile of one inference in the real runtime, on this machine, in ms.",
        "`device.max_latency_p95_ms`",
    ),
    "compiled.memory": GateWords(
        "It needs little enough memory",
        "MB",
        "at most",
        "Take a smaller network (--set num_layers=N) or smaller pictures (--set "
        "image_shape=3,H,W), or raise device.max_peak_rss_mb in the targets file.",
        "Peak memory of the inference process, in MB.",
        "`device.max_peak_rss_mb`",
    ),
    "compiled.size": GateWords(
        "The package is small enough",
        "MB",
        "at most",
        "Take a smaller network (--set num_layers=N), or raise device.max_package_mb in the "
        "targets file.",
        "Size of the zip that ships, in MB.",
        "`device.max_package_mb`",
    ),
    "release.approval": GateWords(
        "A person approves the deployment",
        "",
        "at least",
        "A person refused it: read the reason, mend its cause, then run again.",
        "Who answered, where the targets ask for a person.",
        "A yes. It cannot be overridden: it is a person's decision already.",
    ),
    "device.first-result": GateWords(
        "The device answers as this machine does",
        "share",
        "at least",
        "Compare the pictures that disagree, and read the device's log with the command below.",
        "Share of known pictures that the device calls as the trained model does.",
        "`parity.min_top1_agreement`",
    ),
    "device.rolled-back": GateWords(
        "The device did not have to give this version back",
        "",
        "at most",
        "Train a better one: with other pictures, or other hyperparameters.",
        "Whether this very version was rolled back on this device; recorded only where it refuses.",
        "none",
    ),
}
UNKNOWN_GATE = GateWords(
    "A check of this run",
    "",
    "at most",
    "Read the reason, mend its cause, then run again.",
    "What the reason says.",
    "As the reason says.",
)
_PARTS: dict[str, tuple[str, Unit, Bound]] = {  # of gates that measure several things at once
    "max_abs_diff": ("largest difference", "", "at most"),
    "top1_agreement": ("same label", "share", "at least"),
    "classes": ("classes", "", "at least"),
    "fewest_images": ("pictures in the smallest class", "", "at least"),
    "conflicts": ("pictures under two labels", "", "at most"),
    "missing": ("classes without pictures", "", "at most"),
    "gain": ("gain", "points", "at least"),
    "chance": ("probability that it is luck", "share", "at most"),
}


def gate_words(name: str) -> GateWords:
    return GATES.get(name, UNKNOWN_GATE)


def readings(name: str, measured: Any, limit: Any) -> list[Reading]:
    """A gate's measured values beside their limits; tables are taken key by key."""
    words = gate_words(name)
    if not isinstance(measured, dict) and not isinstance(limit, dict):
        return [_reading("", measured, limit, words.unit, words.bound)]
    found = measured if isinstance(measured, dict) else {"": measured}
    asked = limit if isinstance(limit, dict) else dict.fromkeys(found, limit)
    if found and "psi" in asked:  # of drift: one limit for the statistics, one for the label mix
        asked = {key: asked.get("js" if key == "label mix" else "psi") for key in found}
    rows = []
    for key in [*asked, *(key for key in found if key not in asked)]:
        of, unit, bound = _PARTS.get(key, (str(key), words.unit, words.bound))
        rows.append(_reading(of, found.get(key), asked.get(key), unit, bound))
    return rows


def figure(value: Any, unit: Unit = "") -> str:
    """A value as people read it: 0.9123 of a share is "91.2 %", None is "n/a"."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(float(value), unit) if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return _cut([f"{key}: {figure(item, unit)}" for key, item in value.items()])
    if isinstance(value, list | tuple):
        return _cut([figure(item, unit) for item in value])
    return str(value)


def duration(seconds: Any) -> str:
    """Seconds as "0.4 s", "12 s", "3 min 20 s" or "1 h 5 min"."""
    if not is_number(seconds):
        return MISSING
    if seconds < 10:  # noqa: PLR2004 - below, tenths tell something
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004
        return f"{whole} s"
    if whole < 3600:  # noqa: PLR2004
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def comparison(ours: Any, theirs: Any, better: str, worse: str) -> str:
    """How two costs relate: "2.5 times as fast" with better="as fast"; empty if one is missing."""
    if not (is_number(ours) and is_number(theirs) and ours > 0 and theirs > 0):
        return ""
    ratio, word = (theirs / ours, better) if theirs >= ours else (ours / theirs, worse)
    return "about the same" if f"{ratio:.1f}" == "1.0" else f"{ratio:.1f} times {word}"


def count(number: int, noun: str) -> str:
    """ "1 picture", "2 pictures", "3 classes"."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _reading(of: str, measured: Any, limit: Any, unit: Unit, bound: Bound) -> Reading:
    asked = f"{bound} {figure(limit, unit)}" if is_number(limit) else figure(limit, unit)
    return Reading(of, figure(measured, unit), MISSING if limit in ({}, []) else asked)


def _number(value: float, unit: Unit) -> str:
    if unit == "share":
        return f"{value:.1%}".replace("%", " %")
    if unit == "points":
        return f"{value * 100:+.1f} points"
    if value == int(value) and abs(value) < 1e15:  # noqa: PLR2004 - beyond, floats are not whole
        text = f"{int(value):,}"
    elif abs(value) < 0.01:  # noqa: PLR2004
        text = f"{value:.2g}"
    else:
        text = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004
    return f"{text} {unit}".rstrip()


def _cut(items: list[str]) -> str:
    rest = len(items) - SHOWN_ITEMS
    return ", ".join(items[:SHOWN_ITEMS]) + (f" and {rest} more" if rest > 0 else "") or "none"
