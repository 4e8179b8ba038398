"""The four data gates: their limits, and their words for what Great Expectations decided."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from backends.artifacts import Gate
from tasks.accepted_data import AcceptedData
from tasks.effect_sizes import as_jensen_shannon
from tasks.near_duplicates import NEAR_DISTANCE

if TYPE_CHECKING:
    import pandas as pd

    from expectations.check import Check
    from expectations.checks import Table

SCHEMA, INTEGRITY, LABELS, DRIFT = "data.schema", "data.integrity", "data.labels", "data.drift"
NAMED = 10
"""Pictures, classes or statistics that a gate's reason names."""


class DataLimits(BaseModel):
    """How much may be wrong with data. The first three come from targets.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...] = Field((), description="Classes that must be in the data.")
    max_psi: float = Field(0.25, gt=0, description="Largest population stability index.")
    min_samples: int = Field(100, ge=1, description="Fewer pictures than this prove no drift.")
    min_images: int = Field(3, ge=1, description="Fewest pictures of a class: one per part.")
    min_class_share: float = Field(
        0.1, ge=0, le=1, description="Smallest class, as a share of an equal share."
    )
    max_strange_share: float = Field(
        0.2, ge=0, le=1, description="Most pictures with colour modes or sizes not seen before."
    )
    near_distance: int = Field(
        NEAR_DISTANCE, ge=0, le=16, description="Bits apart that two hashes look alike."
    )


def describe_findings(rows: "pd.DataFrame", tables: "Sequence[Table]") -> dict[str, Any]:
    named = {table.name: table.rows for table in tables}
    usable, pictures = rows[rows["problem"].isna()], named["pictures"]
    kinds = usable["handled"].dropna().str.split(",").explode().value_counts()
    elsewhere = pictures[pictures["alike_elsewhere"].notna()]["path"]
    found: dict[str, Any] = {
        "files": len(rows),
        "images": len(usable),
        "problems": _counts(rows["problem"].value_counts()),
        "converted": _counts(kinds),
        "classes": _counts(usable["label"].value_counts().sort_index()),
        "exact_duplicates": int(usable["image_id"].duplicated().sum()),
        "near_duplicates": int(pictures["alike"].notna().sum()),
        "alike_under_two_labels": elsewhere.head(NAMED).tolist(),
        "drift": {},
    }
    if "drift" in named:
        moved = named["drift"]
        size = moved["psi"].fillna(moved["js"])
        found["drift"] = dict(zip(moved["statistic"], size.astype(float).tolist(), strict=True))
    return found


def _counts(counted: "pd.Series[Any]") -> dict[str, int]:
    return {str(name): int(held) for name, held in counted.items()}


def schema_gate(checks: "Sequence[Check]", accepted: AcceptedData | None) -> Gate:
    judged = _judged(checks, SCHEMA)
    changes = [
        f"{key}: {_short(value)}"
        for check in judged
        if not check.passed
        for key, value in check.unexpected
    ]
    since = (
        f"as accepted on {accepted.accepted_at[:10]}"
        if accepted
        else "change: no baseline, for no data set of this source was accepted before"
    )
    reason = _why(judged) or f"columns, types and values are a manifest's; {since}"
    return Gate(SCHEMA, _passed(judged), changes[:NAMED], [], reason)


def integrity_gate(checks: "Sequence[Check]", files: int, converted: Mapping[str, int]) -> Gate:
    judged = _judged(checks, INTEGRITY)
    refused = len({key for check in judged for key, _ in check.unexpected})
    kinds = ", ".join(f"{held} {kind}" for kind, held in converted.items())
    good = f"all {files} files are whole pictures" + (f"; converted: {kinds}" if kinds else "")
    reason = _why(judged)
    return Gate(
        INTEGRITY, _passed(judged), refused, 0, f"{reason}. Mend or remove them" if reason else good
    )


def labels_gate(checks: "Sequence[Check]", found: Mapping[str, Any], limits: DataLimits) -> Gate:
    judged = _judged(checks, LABELS)
    counts = found["classes"]
    conflicts = sum(len(check.unexpected) for check in judged if check.name == "conflicts")
    measured = {
        "classes": len(counts),
        "fewest_images": min(counts.values(), default=0),
        "conflicts": conflicts,
        "missing": sorted(set(limits.classes) - set(counts)),
    }
    limit = {"classes": 2, "fewest_images": limits.min_images, "conflicts": 0, "missing": []}
    shown = f"{found['exact_duplicates']} copies and {found['near_duplicates']} near-duplicates"
    if found["alike_under_two_labels"]:
        shown += f"; alike under two labels: {', '.join(found['alike_under_two_labels'])}"
    reason = _why(judged) or f"{len(counts)} classes, no picture under two labels; {shown}"
    return Gate(LABELS, _passed(judged), measured, limit, reason)


def drift_gate(checks: "Sequence[Check]", found: Mapping[str, Any], limits: DataLimits) -> Gate:
    judged = _judged(checks, DRIFT)
    measured = {name: round(size, 4) for name, size in found["drift"].items()}
    limit = {"psi": limits.max_psi, "js": round(as_jensen_shannon(limits.max_psi), 4)}
    reason = _why(judged) or "no statistic and no label share moved by more than the limit"
    return Gate(DRIFT, _passed(judged), measured, limit, reason)


def _judged(checks: "Sequence[Check]", gate: str) -> "list[Check]":
    return [check for check in checks if check.gate == gate and not check.informative]


def _passed(judged: "Sequence[Check]") -> bool:
    return bool(judged) and all(check.passed for check in judged)


def _why(judged: "Sequence[Check]") -> str:
    return ". ".join(_sentence(check) for check in judged if not check.passed)


def _sentence(check: "Check") -> str:
    named = [
        key if str(value) == key else f"{key} ({_short(value)})"
        for key, value in check.unexpected[:NAMED]
    ]
    if len(check.unexpected) > NAMED:
        named.append(f"and {len(check.unexpected) - NAMED} more")
    return f"{check.description}. Not so: {', '.join(named) or _short(check.observed)}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
