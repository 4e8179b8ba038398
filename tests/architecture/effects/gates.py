"""A case that passes and one that is refused for every gate."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from backends.cost import estimate
from backends.settings import AwsSettings
from tasks.business_understanding import CostTargets
from tasks.costs import judge_cost
from tasks.data_gates import DataLimits
from tasks.leakage import judge_leakage
from tasks.quality.rollbacks import decide, judge_version
from tasks.splitting import SplitPlan, split_pictures
from tests.architecture.effects import data_gates, targets
from tests.architecture.effects.data_gates import ALIKE, USUAL
from tests.architecture.effects.runs import released
from tests.architecture.effects.targets import accuracy, package
from tests.tasks.manifests import dataset_of, rows_of

Case = Callable[[Path], bool | None]


def schema(since: str) -> bool | None:
    """Cats and dogs, after a data set of cats and of these."""
    before = rows_of(seed=1, cat=60, **{since: 60})
    return data_gates.judge("data.schema", ALIKE, DataLimits(), before).passed


def integrity(problem: str | None) -> bool | None:
    rows = [row | {"problem": problem} for row in USUAL[:1]] + USUAL[1:]
    return data_gates.judge("data.integrity", rows, DataLimits()).passed


def leakage(crossing: bool) -> bool | None:
    """Judge a split, and the same with a picture of the training in the test as well."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = dataset_of(rows_of(cat=40, dog=40), Path(folder))
        split = split_pictures(dataset, SplitPlan(), Path(folder) / "split")
        if crossing:
            table = pd.read_parquet(split.table)
            again = table[table["part"] == "train"].head(1).assign(part="test")
            pd.concat([table, again]).to_parquet(split.table)
        return judge_leakage(dataset, split).passed


def first_results(folder: Path, wrong: int) -> bool | None:
    gate: bool | None = released(folder, wrong=wrong).gate["passed"]
    return gate


def given_back(home: Path, version: str) -> bool | None:
    decide(home, "hub-1", "run", (version, "1.0.0"), "2026-11-25", "less sure", "Ada")
    return judge_version(home, "hub-1", version).passed


def cost(max_usd: float) -> bool | None:
    """An hour of an instance at a dollar, and 30 GB for a month: 1.696 dollars."""
    settings = AwsSettings(usd_per_hour=1, spot=False)
    return judge_cost(estimate(settings), CostTargets(max_usd=max_usd)).passed


CASES: dict[str, tuple[Case, Case]] = {
    "cost.estimate": (lambda _: cost(1.7), lambda _: cost(1.69)),
    "data.schema": (lambda _: schema("dog"), lambda _: schema("bird")),
    "data.integrity": (lambda _: integrity(None), lambda _: integrity("truncated")),
    "data.labels": (
        lambda _: data_gates.labels("cat", "dog").passed,
        lambda _: data_gates.labels("cat", "dog", "child").passed,
    ),
    "data.drift": (lambda _: data_gates.drift(5.0, 100), lambda _: data_gates.drift(0.1, 100)),
    "split.leakage": (lambda _: leakage(False), lambda _: leakage(True)),
    "model.accuracy": (
        lambda _: accuracy(min_top1=0.8)["model.accuracy"],
        lambda _: accuracy(min_top1=0.81)["model.accuracy"],
    ),
    "model.recall": (
        lambda _: accuracy(min_recall={"child": 0.7})["model.recall"],
        lambda _: accuracy(min_recall={"child": 0.71})["model.recall"],
    ),
    "model.champion": (
        lambda _: accuracy(min_champion_gain=0.0)["model.champion"],
        lambda _: accuracy(min_champion_gain=0.05)["model.champion"],
    ),
    "model.champion-new": (
        lambda _: targets.better_on_new(10, 0.1),
        lambda _: targets.better_on_new(3, 0.0),
    ),
    "compiled.parity": (
        lambda _: package(max_abs_diff=0.002)["compiled.parity"],
        lambda _: package(max_abs_diff=0.001)["compiled.parity"],
    ),
    "compiled.latency": (
        lambda _: package(max_latency_p95_ms=5)["compiled.latency"],
        lambda _: package(max_latency_p95_ms=4.9)["compiled.latency"],
    ),
    "compiled.memory": (
        lambda _: package(max_peak_rss_mb=60)["compiled.memory"],
        lambda _: package(max_peak_rss_mb=59)["compiled.memory"],
    ),
    "compiled.size": (
        lambda _: package(max_package_mb=3)["compiled.size"],
        lambda _: package(max_package_mb=2.9)["compiled.size"],
    ),
    "device.rolled-back": (
        lambda folder: judge_version(folder, "hub-1", "1.0.1").passed,
        lambda folder: given_back(folder, "1.0.1"),
    ),
    "device.first-result": (
        lambda folder: first_results(folder, wrong=0),
        lambda folder: first_results(folder, wrong=1),
    ),
}
