"""Turns a manifest, and what is remembered of the last one, into the tables that suites judge."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from edge.statistics import PICTURE_FEATURES
from tasks.accepted_data import AcceptedData
from tasks.effect_sizes import jensen_shannon, population_stability, surprising_chi_squared
from tasks.manifest import COLUMNS
from tasks.near_duplicates import near_duplicate_groups

if TYPE_CHECKING:
    from edge.statistics import Summary

COMPARISONS = len(PICTURE_FEATURES) + 1
"""Image statistics and the label mix are judged together."""
_CHANGE_COLUMNS = ("aspect", "name", "before", "now", "ours", "change", "share")


def manifest_types() -> dict[str, str]:
    """Our columns, in order, and their Parquet types."""
    import pyarrow as pa

    return {name: str(pa.type_for_alias(kind)) for name, kind in COLUMNS.items()}


def schema_table(
    rows: pd.DataFrame,
    columns: Mapping[str, str],
    accepted: AcceptedData | None,
    wanted: Sequence[str],
) -> pd.DataFrame:
    """One row per column, class, colour mode and size range that is compared."""
    found = list(_columns(columns, accepted))
    if accepted and "label" in columns and "problem" in columns:
        usable = rows[rows["problem"].isna()]
        found += list(_classes(usable, accepted, wanted))
        found += [_modes(usable, accepted), _sizes(usable, accepted)]
    return pd.DataFrame(found, columns=list(_CHANGE_COLUMNS))


def classes_table(usable: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """One row per class, in the data or asked for; `share` is of an equal share."""
    counts = usable["label"].value_counts()
    labels = sorted({*counts.index, *wanted})
    equal = len(usable) / max(1, len(labels))
    return pd.DataFrame(
        {
            "label": labels,
            "images": [int(counts.get(label, 0)) for label in labels],
            "share": [float(counts.get(label, 0)) / max(equal, 1e-9) for label in labels],
            "matters": ["yes" if label in wanted else "no" for label in labels],
        }
    )


def pictures_table(usable: pd.DataFrame, max_distance: int) -> pd.DataFrame:
    """One row per usable file: what else has its bytes, or looks like it. Null: nothing."""
    alike = pd.Series(
        near_duplicate_groups(usable["phash"].tolist(), max_distance), index=usable.index
    )
    return pd.DataFrame(
        {
            "path": usable["path"],
            "other_labels": _others(usable["image_id"], usable["label"]),
            "copies": _crowd(usable["image_id"]),
            "alike": _crowd(alike),
            "alike_elsewhere": _others(alike, usable["label"]),
        }
    )


def drift_table(before: "Summary", now: "Summary") -> pd.DataFrame:
    """One row per image statistic (psi) and one for the label mix (js, over labels in both)."""
    found: list[dict[str, Any]] = []
    for name in PICTURE_FEATURES:
        old, new = before.features[name], now.features[name]
        effect = population_stability(old.bins, new.bins, COMPARISONS)
        moved = {"mean_before": old.mean, "mean_now": new.mean, "raw": effect.raw}
        found.append({"statistic": name, "psi": effect.size, "js": None, **moved})
    labels = shared_labels(before, now)
    if labels:
        mix = jensen_shannon(
            [before.labels[label] for label in labels],
            [now.labels[label] for label in labels],
            COMPARISONS,
        )
        found.append({"statistic": "label mix", "psi": None, "js": mix.size, "raw": mix.raw})
    columns = ["statistic", "psi", "js", "mean_before", "mean_now", "raw"]
    return pd.DataFrame(found, columns=columns).astype({"psi": "float64", "js": "float64"})


def shared_labels(before: "Summary", now: "Summary") -> list[str]:
    """Labels in both; a class that comes or goes is a matter of data.schema."""
    return sorted({*before.labels} & {*now.labels})


def kl_allowance(before: "Summary", now: "Summary", max_psi: float) -> float:
    """The KL divergence (nats) that goes with `max_psi`, plus what chance explains.

    For small changes KL is half of PSI; the KL of a sample of m from its population is about
    chi-squared / 2m.
    """
    labels = shared_labels(before, now)
    n, m = (sum(side.labels[label] for label in labels) for side in (before, now))
    chance = surprising_chi_squared(max(1, len(labels) - 1), COMPARISONS)
    return max_psi / 2 + chance * (1 / n + 1 / m) / 2


def _row(aspect: str, name: str, **facts: Any) -> dict[str, Any]:
    return {"aspect": aspect, "name": name, **facts}


def _columns(columns: Mapping[str, str], accepted: AcceptedData | None) -> Iterator[dict[str, Any]]:
    ours, earlier = manifest_types(), accepted.columns if accepted else {}
    order = [name for name in columns if name in ours]
    place = {name: index for index, name in enumerate(name for name in ours if name in columns)}
    for name in dict.fromkeys([*ours, *columns, *earlier]):
        now, before = columns.get(name), earlier.get(name)
        verdict = "as it should be"
        if name in ours and now is None:
            verdict = "missing"
        elif name not in ours and now is not None:
            verdict = "not ours"
        elif name in ours and now != ours[name]:
            verdict = f"{now}, not {ours[name]}"
        elif name in ours and order[place[name]] != name:
            verdict = "out of place"
        change = _change(before, now) if accepted else "same"
        yield _row("column", name, before=before, now=now, ours=verdict, change=change)


def _change(before: object, now: object) -> str:
    if before == now:
        return "same"
    return "new" if before is None else "gone" if now is None else f"{before} to {now}"


def _classes(
    usable: pd.DataFrame, accepted: AcceptedData, wanted: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """A new class that the targets name, or a lost one that they leave out, was declared."""
    present = set(usable["label"])
    for name in sorted({*present, *accepted.classes}):
        change = "same" if name in present and name in accepted.classes else "new"
        change = "gone" if name not in present else change
        intended = (change == "new") == (name in wanted)
        if wanted and change != "same" and intended:
            change = "declared"
        yield _row("class", name, change=change)


def _modes(usable: pd.DataFrame, accepted: AcceptedData) -> dict[str, Any]:
    strange = ~usable["mode"].isin(list(accepted.modes))
    modes = sorted(usable.loc[strange, "mode"].unique())
    return _row(
        "mode",
        f"colour mode {', '.join(modes)}" if modes else "colour mode",
        before=", ".join(accepted.modes),
        now=", ".join(sorted(usable["mode"].unique())),
        share=float(strange.mean()) if len(usable) else 0.0,
    )


def _sizes(usable: pd.DataFrame, accepted: AcceptedData) -> dict[str, Any]:
    low_width, high_width, low_height, high_height = accepted.sizes
    familiar = usable["width"].between(low_width, high_width)
    familiar &= usable["height"].between(low_height, high_height)
    return _row(
        "size",
        "picture size",
        before=f"{low_width} to {high_width} by {low_height} to {high_height}",
        now=" by ".join(
            f"{usable[side].min()} to {usable[side].max()}" for side in ("width", "height")
        ),
        share=float((~familiar).mean()) if len(usable) else 0.0,
    )


def _crowd(groups: "pd.Series[Any]") -> "pd.Series[Any]":
    """The size of each row's group as text; null where it is alone."""
    sizes = groups.map(groups.value_counts())
    return sizes.astype("object").where(sizes > 1, None)


def _others(groups: "pd.Series[Any]", labels: "pd.Series[Any]") -> "pd.Series[Any]":
    """The labels of each row's group, where there is more than one; else null."""
    held = labels.groupby(groups).agg(lambda mine: " and ".join(sorted(set(mine))))
    mixed = labels.groupby(groups).nunique() > 1
    return groups.map(held.where(mixed, None)).astype("object").where(groups.map(mixed), None)
