"""Whether the devices of this machine say as much as they should."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from backends.artifacts import Reporting
from backends.errors import InvalidInputError
from backends.local.device_status import DeviceStatus
from backends.local.fleet import LocalFleet
from edge.contract import DEFAULT_CONFIGURATION, INFERENCE_COMPONENT
from edge.fields import read_instant

_KEY = "StatisticsInterval"
_OPEN = ("QUEUED", "IN_PROGRESS")


def reporting(fleet: LocalFleet, root: Path, thing: str) -> Reporting:
    """Of a thing that runs our component; of any other, nothing is expected."""
    try:
        device = fleet.device(thing)
    except InvalidInputError:
        return Reporting(thing)
    waiting = any(one.get("status") in _OPEN for one in fleet.deployments_to(thing))
    if INFERENCE_COMPONENT not in device.components and not waiting:
        return Reporting(thing)
    _, merge = fleet.deployed(thing)
    interval = merge.get(INFERENCE_COMPONENT, {}).get(_KEY, DEFAULT_CONFIGURATION[_KEY])
    made = (root / "things" / thing / "config" / "device.json").stat().st_mtime
    return Reporting(
        thing=thing,
        interval=float(str(interval)),
        heard=max(_arrivals(root / "cloud", thing), default=""),
        due=_instant(datetime.fromtimestamp(made, UTC)),
        problem=_problem(device, waiting),
    )


def _problem(device: DeviceStatus, waiting: bool) -> str:
    if not device.running:
        return "it is stopped"
    if not device.connected:
        return "it is not connected"
    return "a deployment to it is pending" if waiting else ""


def _arrivals(cloud: Path, thing: str) -> Iterator[str]:
    """When the newest of its heartbeats and of its windows arrived."""
    import pyarrow as pa
    from pyarrow import compute, parquet

    for table in ("heartbeats", "statistics"):
        days = sorted((cloud / table).glob(f"date=*/thing={thing}"), reverse=True)
        for path in days[0].glob("[!.]*.parquet") if days else ():
            try:
                with parquet.ParquetFile(path) as stored:
                    column = stored.read(columns=["received_at"]).column("received_at")
            except (OSError, pa.ArrowInvalid, KeyError):
                continue  # the reader of windows tells of it
            newest = compute.max(column).as_py()
            if isinstance(newest, datetime):
                yield _instant(newest)


def _instant(moment: datetime) -> str:
    return read_instant(moment.isoformat(), "received_at")
