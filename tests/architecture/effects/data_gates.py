"""The data gates over manifests that need no pictures."""

import tempfile
from functools import cache
from pathlib import Path

from backends.artifacts import Gate
from tasks.accepted_data import accept_data
from tasks.business_understanding import Targets
from tasks.data_gates import DataLimits
from tasks.data_validation import data_limits, validate_data
from tests.architecture.effects.effect import Effect
from tests.tasks.manifests import Row, dataset_of, rows_of

USUAL = rows_of(seed=1, cat=60, dog=60)
ALIKE = rows_of(seed=2, cat=60, dog=60)
DARKER = rows_of(seed=2, brightness=0.4, cat=60, dog=60)


def judge(
    name: str, rows: list[Row], limits: DataLimits, accepted: list[Row] | None = None
) -> Gate:
    """One gate's decision on these rows; `accepted` is the data set that came before."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        before = accept_data(dataset_of(accepted, root / "before"), root) if accepted else None
        dataset = dataset_of(rows, root / "now")
        verdict = validate_data(dataset, before, limits, root / "docs")
    return next(gate for gate in verdict.gates if gate.name == name)


@cache
def drift(max_psi: float, min_samples: int) -> bool | None:
    """Whether pictures that became a little darker pass the gate data.drift."""
    targets = Targets.model_validate({"drift": {"max_psi": max_psi, "min_samples": min_samples}})
    return judge("data.drift", DARKER, data_limits(targets), USUAL).passed


def labels(*classes: str) -> Gate:
    """The gate data.labels on cats and dogs, when the targets name these classes."""
    return judge("data.labels", USUAL, data_limits(Targets(classes=classes)))


def few_cats(cats: int, **limits: float) -> bool | None:
    """Whether data with few cats passes the gate data.labels."""
    rows = rows_of(seed=1, cat=cats, dog=60)
    return judge("data.labels", rows, DataLimits.model_validate(limits)).passed


def some_grey(max_strange_share: float) -> bool | None:
    """Whether data of which a third is grey, after colours, passes the gate data.schema."""
    rows = [row | {"mode": "L"} for row in ALIKE[::3]] + ALIKE[1::3] + ALIKE[2::3]
    limits = DataLimits(max_strange_share=max_strange_share)
    return judge("data.schema", rows, limits, USUAL).passed


def nearly_alike(near_distance: int) -> str:
    """What the gate data.labels shows of two pictures whose hashes differ in two bits."""
    rows = [dict(row) for row in USUAL]
    rows[1]["phash"] = f"{int(rows[0]['phash'], 16) ^ 0b11:016x}"
    return judge("data.labels", rows, DataLimits(near_distance=near_distance)).reason


EFFECTS: dict[str, Effect] = {
    "limits.classes": lambda _: (
        labels("cat", "dog").passed,
        labels("cat", "dog", "child").passed,
    ),
    "limits.max_psi": lambda _: (drift(5.0, 100), drift(0.1, 100)),
    "limits.min_samples": lambda _: (drift(0.1, 100), drift(0.1, 500)),
    "limits.min_images": lambda _: (
        few_cats(5, min_images=5, min_class_share=0),
        few_cats(5, min_images=6, min_class_share=0),
    ),
    "limits.min_class_share": lambda _: (
        few_cats(5, min_class_share=0.1),
        few_cats(5, min_class_share=0.5),
    ),
    "limits.max_strange_share": lambda _: (some_grey(0.5), some_grey(0.2)),
    "limits.near_distance": lambda _: (nearly_alike(1), nearly_alike(2)),
}
