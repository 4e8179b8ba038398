"""What the commands do with a terminal: start a flow, follow it, show what came of it."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from backends.artifacts import DeviceResult
from backends.connect import local_fleet, results_source
from backends.local.device_status import DeviceStatus
from backends.local.fleet import LocalFleet
from backends.settings import load_settings
from flows.console import show_our_lines
from flows.prefect_server import prefect_server
from flows.tables import print_table

if TYPE_CHECKING:
    from tasks.recording import Run

FOLLOW_SECONDS = 2.0
OVERLAP_SECONDS = 10.0  # a result may arrive a little after it was taken
ALL = 1_000_000
DEVICE_COLUMNS = ("device", "is", "nucleus", "component", "version", "state", "reason")
DEPLOYMENT_COLUMNS = ("last deployment to", "revision", "status", "detailed status", "reason")


def run_cycle(
    data: str,
    targets: Path | None,
    platform: str,
    thing: str,
    settings: list[str],
    override: list[str],
    as_json: bool,
    collected: bool,
) -> None:
    """Run the full cycle; the record goes to stdout when asked for, the summary to stderr."""
    home = load_settings().root
    with prefect_server(home) as await_server:
        from flows.cycle import cycle
        from flows.plan import make_plan
        from tasks.recording import Run, new_run_id

        run = Run((run_id := new_run_id()), home / "runs" / run_id)
        plan = make_plan(data, targets, platform, thing, settings, override, run_id, collected)
        await_server()
        show_our_lines()
        try:
            cycle(plan)
        finally:
            if run.record.exists():
                show_run(run, as_json)


def show_results(thing: str, follow: bool, count: int, as_json: bool) -> None:
    """Print the newest results of the last day; with `follow`, go on until Ctrl-C."""
    settings = load_settings()
    devices = results_source(settings, thing)
    if thing and settings.backend.kind == "local":
        fleet().device(thing)
    things = [thing] if thing else [device.thing for device in fleet().devices()]
    since = dict.fromkeys(things, (datetime.now(UTC) - timedelta(days=1)).isoformat())
    newest = [result for name in things for result in devices.results(name, since[name], ALL, 0)]
    newest = sorted(newest, key=lambda result: result.taken_at)[-count:]
    seen = {str(result.payload.get("message_id")) for result in newest}
    if not newest and not follow:
        sys.stderr.write("no result in the last 24 hours\n")
    _show_results(newest, as_json)
    while follow:
        start = (datetime.now(UTC) - timedelta(seconds=OVERLAP_SECONDS)).isoformat()
        time.sleep(FOLLOW_SECONDS)
        heard = [result for name in things for result in devices.results(name, start, ALL, 0)]
        fresh = [result for result in heard if str(result.payload.get("message_id")) not in seen]
        seen = {str(result.payload.get("message_id")) for result in heard} | seen
        _show_results(fresh, as_json)


def _show_results(results: Iterable[DeviceResult], as_json: bool) -> None:
    for result in results:
        if as_json:
            sys.stdout.write(json.dumps(result.payload) + "\n")
        else:
            sys.stdout.write(
                f"{result.taken_at}  {result.thing}  {result.label:<12} {result.score:.3f}"
                f"  {result.latency_ms:6.2f} ms  model {result.model_version}"
                f"  {result.image_id[:12]}\n"
            )
    sys.stdout.flush()


def show_devices(name: str | None, as_json: bool) -> None:
    """Print the devices of this machine, or the one named."""
    devices = fleet().devices() if name is None else [fleet().device(name)]
    deployments = [] if name is None else fleet().deployments_to(name)
    if as_json:
        tables = [asdict(device) for device in devices]
        shown = {**tables[0], "deployments": deployments} if name is not None else tables
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return
    if not devices:
        sys.stderr.write("no device on this machine yet: `edgeward run` makes one\n")
        return
    print_table(Console(), DEVICE_COLUMNS, _device_rows(devices))
    for device in devices:
        if device.damaged:
            sys.stderr.write(f"{device.thing}: its state could not be read; see {device.damaged}\n")
    if deployments:
        sys.stdout.write("\n")
        keys = ("target", "revisionId", "status", "detailedStatus", "reason")
        rows = ([str(one[key]) for key in keys] for one in deployments)
        print_table(Console(), DEPLOYMENT_COLUMNS, rows)


def _device_rows(devices: Sequence[DeviceStatus]) -> Iterator[tuple[str, ...]]:
    for device in devices:
        connected = "running" if device.connected else "running, offline"
        first = (device.thing, connected if device.running else "stopped", device.nucleus)
        rows = list(device.components.items())
        if not rows:
            yield (*first, "nothing deployed", "", "", "")
        for component, found in rows:
            yield (*first, component, found.version, found.state, found.reason)
            first = ("", "", "")


def show_started(name: str) -> None:
    """Say what runs now; where nothing is deployed yet, what it is and what to do next."""
    device = fleet().device(name)
    sys.stderr.write(f"{name} is running\n")
    if not device.components:
        folder = load_settings().root / "things" / name
        sys.stderr.write(
            f"It is a Greengrass core device on this machine, in {folder}.\n"
            "Nothing is deployed to it yet. Next, one of:\n"
            f"  edgeward run --thing {name}\n"
            f"  edgeward deploy thing/{name} --component NAME=VERSION\n"
        )


def fleet() -> LocalFleet:
    return local_fleet(load_settings())


def show_run(run: "Run", as_json: bool) -> None:
    """Print what came of a run."""
    from tasks.recording import read_record
    from tasks.summary import print_summary

    record = read_record(run)
    if as_json:
        sys.stdout.write(json.dumps(record, indent=2) + "\n")
    print_summary(record, run.report, Console(stderr=True))
