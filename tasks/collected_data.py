"""What devices collected, as the data gates tell of it: measured like the rest, and new on purpose.

A retraining is asked for because pictures are not as they were. Judged with the source, they would
be refused for exactly that.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backends.artifacts import Gate
from tasks.accepted_data import AcceptedData, summarize
from tasks.data_gates import DRIFT, NAMED, SCHEMA
from tasks.origins import SOURCE, origin_of

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 3


def describe_collected(rows: "pd.DataFrame", accepted: AcceptedData | None) -> dict[str, Any]:
    """Pictures by batch and by label, and how far all of them are from what was accepted.

    Empty, where nothing was collected. `drift` has a population stability index by statistic.
    """
    from tasks.validation_tables import drift_table

    usable = rows[rows["problem"].isna()]
    origins = usable["path"].map(origin_of)
    collected = usable[origins != SOURCE]
    if collected.empty:
        return {}
    found: dict[str, Any] = {
        "images": len(collected),
        "batches": _counts(origins[origins != SOURCE]),
        "classes": _counts(collected["label"]),
        "new_classes": sorted(set(collected["label"]) - set(usable[origins == SOURCE]["label"])),
        "drift": {},
    }
    if accepted:
        now = summarize(collected, "data", accepted.accepted_at)
        moved = drift_table(accepted.summary, now)
        size = moved["psi"].fillna(moved["js"])
        found["drift"] = {
            str(name): round(float(value), 4)
            for name, value in zip(moved["statistic"], size, strict=True)
        }
    return found


def explained(found: dict[str, Any], *gates: Gate) -> tuple[Gate, ...]:
    """The gates, with what was collected told by those that did not judge it."""
    return tuple(_explained(found, gate) for gate in gates)


def _explained(found: dict[str, Any], gate: Gate) -> Gate:
    if not found or gate.name not in (SCHEMA, DRIFT):
        return gate
    count, batches = found["images"], len(found["batches"])
    said = f"{gate.reason}. Apart from it, {count} pictures of {batches} collected batches are new"
    if gate.name == SCHEMA:
        classes = ", ".join(found["new_classes"][:NAMED])
        return replace(gate, reason=f"{said} by intention" + (f": {classes}" if classes else ""))
    largest = sorted(found["drift"].items(), key=lambda item: -item[1])[:_SHOWN]
    moved = ", ".join(f"{name} {size:.2f}" for name, size in largest)
    return replace(gate, reason=f"{said} by intention" + (f" (moved most: {moved})" * bool(moved)))


def _counts(values: "pd.Series[Any]") -> dict[str, int]:
    return {str(name): int(held) for name, held in values.value_counts().sort_index().items()}
