"""How far the watch over a deployment has come: `<home>/quality/watches/<run>.json`."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from backends.errors import InvalidInputError
from backends.files import replace_file
from backends.ports import StatisticsStore
from tasks.drift.baseline import load_baseline
from tasks.quality.deployments import Watched
from tasks.quality.judging import drift_before, judge_agreement, judge_alerts, judge_telemetry
from tasks.quality.report import QualityReport
from tasks.quality.telemetry import read_telemetry
from tasks.quality.verdicts import count_verdicts
from tasks.variant_comparison import VariantComparison


@dataclass(frozen=True, slots=True)
class Watch:
    """What is remembered of a watch. `shadow`: the challenger that it put on the device."""

    run: str
    concluded: str = ""
    shadow: str = ""


def read_watch(home: Path, run: str) -> Watch:
    """Raises InvalidInputError for a damaged file."""
    path = _file(home, run)
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return Watch(run, str(known["concluded"]), str(known["shadow"]))
    except FileNotFoundError:
        return Watch(run)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"the watch is damaged: {error}"
        raise InvalidInputError(str(path), reason, "Delete it to watch again.") from error


def remember_shadow(home: Path, watch: Watch, challenger: str) -> Watch:
    """Empty: none any more."""
    return _save(home, replace(watch, shadow=challenger))


def conclude_watch(home: Path, watch: Watch, report: QualityReport) -> Watch:
    """Nothing is judged any more after this."""
    return _save(home, replace(watch, concluded=f"{report.status}: {report.reason}"))


@task(cache_policy=NO_CACHE, task_run_name="judge model {watched.model_version}")
def judge_quality(
    home: Path,
    store: StatisticsStore,
    watched: Watched,
    compared: VariantComparison | None,
    now: datetime,
) -> QualityReport:
    """Hold what is known of the new model against the former one, and say what follows."""
    limits = watched.targets.quality
    seen = read_telemetry(store, watched)
    baseline = load_baseline(home / "baselines", watched.former_version)
    drifted = drift_before(seen, baseline, watched.targets)
    alerts = [
        count_verdicts(home, watched.thing, version)
        for version in (watched.former_version, watched.model_version)
    ]
    checks = [
        *judge_telemetry(seen, drifted, watched.targets),
        judge_agreement(compared, drifted, limits),
        judge_alerts(alerts[0], alerts[1], limits),
    ]
    report = QualityReport(
        thing=watched.thing,
        status="watching",
        reason="",
        run=watched.run,
        former_version=watched.former_version,
        model_version=watched.model_version,
        since=watched.began.isoformat(),
        until=watched.until.isoformat(),
        checks=tuple(check for check in checks if check is not None),
    )
    report = _decided(report, over=now >= watched.until)
    get_run_logger().info("%s: %s: %s", report.thing, report.status, report.reason)
    return report


def _decided(report: QualityReport, *, over: bool) -> QualityReport:
    """What the checks come to. What could not be judged never counts as good, nor as bad."""
    if crossed := report.crossed:
        told = "; ".join(f"{check.name}: {check.reason}" for check in crossed)
        return replace(report, status="rolling back", reason=told)
    judged = [check for check in report.checks if check.passed]
    if judged:
        told = f"model {report.model_version} is as good as {report.former_version}: "
        told += "; ".join(check.reason for check in judged)
    else:
        told = "not judged: " + "; ".join(check.reason for check in report.checks)
    return replace(report, status="kept" if over else "watching", reason=told)


def _save(home: Path, watch: Watch) -> Watch:
    document = {"run": watch.run, "concluded": watch.concluded, "shadow": watch.shadow}
    replace_file(_file(home, watch.run), json.dumps(document, indent=1), durable=True)
    return watch


def _file(home: Path, run: str) -> Path:
    return home / "quality" / "watches" / f"{run}.json"
