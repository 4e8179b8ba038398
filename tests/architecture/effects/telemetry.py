"""What each key about the telemetry store, and the cluster's address, changes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backends.connect import telemetry_keeper
from backends.errors import BackendUnavailableError
from backends.settings import DaskSettings, Settings, TelemetrySettings
from backends.sources.driveway import DrivewaySource
from backends.sources.plan import DrivewayPlan
from tests.architecture.effects.effect import Effect


def removed(folder: Path, table: str, days: int) -> list[str]:
    """What is let go of a table that has a day of 9 days ago."""
    today = datetime.now(UTC).date()
    day = folder / "cloud" / table / f"date={today - timedelta(days=9)}"
    day.mkdir(parents=True)
    values = TelemetrySettings.model_validate({f"{table}_days": days})
    settings = Settings(home=folder, telemetry=values)
    keeper = telemetry_keeper(settings)
    return list(keeper.remove_old(settings.telemetry.by_table(), today))


def drawn_by(folder: Path, address: str) -> str:
    """Who draws the pictures: this machine, or a cluster that is not there."""
    workers = Settings(home=folder, dask=DaskSettings(address=address)).workers
    source = DrivewaySource(folder, DrivewayPlan(images=70), workers)
    if not address:
        source.fetch(lambda _done, _total: None)
        return "here"
    with pytest.raises(BackendUnavailableError, match=address) as refused:
        source.fetch(lambda _done, _total: None)
    return str(refused.value)


def _days(table: str) -> Effect:
    return lambda folder: (
        removed(folder / "a", table, 8),
        removed(folder / "b", table, 10),
    )


EFFECTS: dict[str, Effect] = {
    **{
        f"telemetry.{table}_days": _days(table)
        for table in ("results", "statistics", "heartbeats", "alerts", "quarantine")
    },
    "dask.address": lambda folder: (
        drawn_by(folder / "a", ""),
        drawn_by(folder / "b", "tcp://127.0.0.1:9"),
    ),
}
