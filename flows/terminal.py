"""What the commands do with a terminal: start a flow, follow it, show what came of it."""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from backends.artifacts import DeviceResult
from backends.connect import local_fleet, results_source
from backends.local.device_status import DeviceStatus
from backends.local.fleet import LocalFleet
from backends.settings import load_settings
from flows.console import show_our_lines
from flows.prefect_server import prefect_server

if TYPE_CHECKING:
    from tasks.recording import Run

FOLLOW_SECONDS = 2.0
OVERLAP_SECONDS = 10.0  # a result may arrive a little after it was taken
ALL = 1_000_000


def run_cycle(
    data: str,
    targets: Path | None,
    platform: str,
    thing: str,
    settings: list[str],
    override: list[str],
    as_json: bool,
) -> None:
    """Run the full cycle; the record goes to stdout when asked for, the summary to stderr."""
    home = load_settings().root
    with prefect_server(home) as await_server:
        from flows.cycle import cycle
        from flows.plan import make_plan
        from tasks.recording import Run, new_run_id

        run = Run((run_id := new_run_id()), home / "runs" / run_id)
        plan = make_plan(data, targets, platform, thing, settings, override, run_id)
        await_server()
        show_our_lines()
        try:
            cycle(plan)
        finally:
            if run.record.exists():
                show_run(run, as_json)


def show_results(thing: str, follow: bool, count: int, as_json: bool) -> None:
    """Print the newest results of the last day; with `follow`, go on until Ctrl-C."""
    devices = results_source(load_settings(), thing)
    things = [thing] if thing else [device.thing for device in fleet().devices()]
    since = dict.fromkeys(things, (datetime.now(UTC) - timedelta(days=1)).isoformat())
    newest = [result for name in things for result in devices.results(name, since[name], ALL, 0)]
    newest = sorted(newest, key=lambda result: result.taken_at)[-count:]
    seen = {str(result.payload.get("message_id")) for result in newest}
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
    Console().print(_device_table(devices))
    for device in devices:
        if device.damaged:
            sys.stderr.write(f"{device.thing}: its state could not be read; see {device.damaged}\n")
    if deployments:
        Console().print("", _deployment_table(deployments))


def _device_table(devices: Sequence[DeviceStatus]) -> Table:
    table = Table("device", "is", "nucleus", "component", "version", "state", "reason", box=None)
    for device in devices:
        connected = "running" if device.connected else "running, offline"
        first = (device.thing, connected if device.running else "stopped", device.nucleus)
        rows = list(device.components.items())
        if not rows:
            table.add_row(*first, "nothing deployed", "", "", "")
        for component, found in rows:
            table.add_row(*first, component, found.version, found.state, found.reason)
            first = ("", "", "")
    return table


def _deployment_table(deployments: Iterable[Mapping[str, Any]]) -> Table:
    keys = ("target", "revisionId", "status", "detailedStatus", "reason")
    table = Table("last deployment to", "revision", "status", "detailed status", "reason", box=None)
    for one in deployments:
        table.add_row(*(one[key] for key in keys))
    return table


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
