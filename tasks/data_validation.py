"""Data validation (between CRISP-DM 2 and 3): may these pictures be learnt from?

Great Expectations decides; this module lays the tables before it and words the gates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from backends.artifacts import Dataset, Gate
from backends.sources.collected import Entry
from edge.statistics import PICTURE_FEATURES
from tasks.accepted_data import (
    AcceptedData,
    accept_data,
    load_accepted,
    of_the_source,
    read_manifest,
    summarize,
)
from tasks.business_understanding import Targets
from tasks.collected_data import describe_collected, explained
from tasks.data_gates import (
    DRIFT,
    INTEGRITY,
    LABELS,
    DataLimits,
    describe_findings,
    drift_gate,
    integrity_gate,
    labels_gate,
    schema_gate,
)
from tasks.effect_sizes import as_jensen_shannon

if TYPE_CHECKING:
    import pandas as pd

    from expectations.check import Check
    from expectations.checks import Table


@dataclass(frozen=True, slots=True)
class DataVerdict:
    """What validation found. `findings` is JSON-able: counts, conversions, duplicates, drift."""

    gates: tuple[Gate, ...]
    data_docs: Path
    findings: dict[str, Any]
    checks: "tuple[Check, ...]"


def data_limits(targets: Targets) -> DataLimits:
    """The limits that a targets file sets; the others keep their defaults."""
    return DataLimits(
        classes=targets.classes,
        max_psi=targets.drift.max_psi,
        min_samples=targets.drift.min_samples,
    )


def new_classes(targets: Targets) -> Entry:
    """When a class that only devices have seen enters the data."""
    share = data_limits(targets).min_class_share
    return Entry(targets.retraining.min_new_class, share)


def validate_data(
    dataset: Dataset, accepted: AcceptedData | None, limits: DataLimits, docs: Path
) -> DataVerdict:
    """Judge a data set by the four data gates and write their Data Docs into the folder `docs`.

    What devices collected is new by intention: that it has new classes, modes and sizes, or other
    statistics, is measured and said, and refuses nothing. The source's own pictures are judged as
    strictly as without it, and whole files, labels and balance are asked of both.
    `accepted`: the last accepted data set of the same source; None the first time, which the
    gates then say. Raises InvalidInputError where the manifest is no Parquet.
    """
    from expectations.checks import run_checks
    from tasks.validation_tables import manifest_types

    rows, columns = read_manifest(dataset.manifest)
    if set(manifest_types()) - set(columns):
        tables = _shape_tables(rows, columns, accepted, limits)
        checks, index = run_checks(tables, docs, "Data validation")
        unjudged = "not judged: the manifest lacks columns"
        others = [Gate(name, None, None, None, unjudged) for name in (INTEGRITY, LABELS, DRIFT)]
        return DataVerdict((schema_gate(checks, accepted), *others), index, {}, tuple(checks))
    tables = _shape_tables(rows, columns, accepted, limits)
    tables += _content_tables(rows[rows["problem"].isna()], limits)
    own = of_the_source(rows)
    missing = _why_no_drift(own, accepted, limits)
    if accepted and not missing:
        tables += _drift_tables(own, accepted, limits)
    checks, index = run_checks(tables, docs, "Data validation")
    findings = describe_findings(rows, tables)
    findings["collected"] = describe_collected(rows, accepted)
    gates = explained(
        findings["collected"],
        schema_gate(checks, accepted),
        integrity_gate(checks, len(rows), findings["converted"]),
        labels_gate(checks, findings, limits),
        Gate(DRIFT, None, None, None, missing) if missing else drift_gate(checks, findings, limits),
    )
    return DataVerdict(gates, index, findings, tuple(checks))


@task(cache_policy=NO_CACHE, task_run_name="validate data")
def validate_dataset(
    dataset: Dataset, accepted_in: Path, limits: DataLimits, docs: Path
) -> DataVerdict:
    """Judge a data set against what was last accepted in the folder `accepted_in`."""
    verdict = validate_data(dataset, load_accepted(accepted_in), limits, docs)
    for gate in verdict.gates:
        word = {True: "passed", False: "refused", None: "not judged"}[gate.passed]
        get_run_logger().info("%s %s: %s", gate.name, word, gate.reason)
    return verdict


@task(cache_policy=NO_CACHE, task_run_name="accept data")
def accept_dataset(dataset: Dataset, accepted_in: Path) -> AcceptedData:
    """Make a data set the baseline that the next one of its source is compared with."""
    return accept_data(dataset, accepted_in)


def _shape_tables(
    rows: "pd.DataFrame",
    columns: Mapping[str, str],
    accepted: AcceptedData | None,
    limits: DataLimits,
) -> "list[Table]":
    from expectations import manifest, schema
    from expectations.checks import Table
    from tasks.validation_tables import manifest_types, schema_table

    own = of_the_source(rows) if "path" in columns else rows
    compared = schema_table(own, columns, accepted, limits.classes)
    aspects = ("column", "class", "mode", "size") if accepted else ()
    suite = schema.suite(aspects, limits.max_strange_share)
    content = manifest.suite(list(manifest_types()), PICTURE_FEATURES)
    shape = [Table("schema", compared, suite, "name")]
    if "path" in columns:
        shape.append(Table("manifest", rows, content, "path"))
    return shape


def _content_tables(usable: "pd.DataFrame", limits: DataLimits) -> "list[Table]":
    from expectations import labels
    from expectations.checks import Table
    from tasks.validation_tables import classes_table, pictures_table

    classes = classes_table(usable, limits.classes)
    pictures = pictures_table(usable, limits.near_distance)
    balance = labels.suite(limits.min_images, limits.min_class_share)
    return [
        Table("classes", classes, balance, "label"),
        Table("pictures", pictures, labels.pictures_suite(), "path"),
    ]


def _why_no_drift(rows: "pd.DataFrame", accepted: AcceptedData | None, limits: DataLimits) -> str:
    if accepted is None:
        return "no baseline: no data set of this source was accepted before"
    fewest = min(int(rows["problem"].isna().sum()), accepted.images)
    if fewest < limits.min_samples:
        return f"too few pictures to tell: {fewest}, and {limits.min_samples} are needed"
    return ""


def _drift_tables(own: "pd.DataFrame", accepted: AcceptedData, limits: DataLimits) -> "list[Table]":
    from expectations import drift
    from expectations.checks import Table
    from tasks.validation_tables import drift_table, kl_allowance, shared_labels

    usable = own[own["problem"].isna()]
    before, now = accepted.summary, summarize(usable, "data", accepted.accepted_at)
    moved = drift_table(before, now)
    suite = drift.suite(limits.max_psi, as_jensen_shannon(limits.max_psi))
    tables = [Table("drift", moved, suite, "statistic")]
    labels = shared_labels(before, now)
    if len(labels) > 1:
        whole = sum(before.labels[label] for label in labels)
        shares = {label: before.labels[label] / whole for label in labels}
        known = usable[usable["label"].isin(labels)][["path", "label"]]
        mix = drift.labels_suite(shares, kl_allowance(before, now, limits.max_psi))
        tables.append(Table("label-mix", known, mix, "path"))
    return tables
