"""What the commands do with a terminal: start a flow, follow it, show what came of it."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from backends.connect import local_fleet
from backends.local.fleet import DeviceStatus, LocalFleet
from backends.settings import load_settings
from flows.console import show_our_lines
from flows.prefect_server import prefect_server

FOLLOW_SECONDS = 2.0


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
                _show_run(run, as_json)


def run_monitor(thing: str, targets: Path | None, as_json: bool) -> None:
    """Run the monitoring flow once and show what it found."""
    with prefect_server(load_settings().root) as await_server:
        from flows.monitor import MonitorPlan, monitor

        plan = MonitorPlan(thing=thing)
        await_server()
        show_our_lines()
        report = monitor(plan)
    raise NotImplementedError((report, targets, as_json))


def show_results(thing: str, follow: bool, count: int, as_json: bool) -> None:
    """Print the newest results, one to a line; with `follow`, go on until Ctrl-C."""
    since = (datetime.now(UTC) - timedelta(days=3650)).isoformat()
    heard = list(fleet().results(thing, since, 0, 0.0))[-count:]
    seen: set[str] = set()
    while True:
        for result in heard:
            if (key := str(result.payload.get("message_id"))) not in seen:
                seen.add(key)
                _show_result(result, as_json)
        if not follow:
            break
        time.sleep(FOLLOW_SECONDS)
        heard = list(fleet().results(thing, since, 0, 0.0))


def _show_result(result: Any, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result.payload) + "\n")
        return
    sys.stdout.write(
        f"{result.taken_at}  {result.thing}  {result.label:<12} {result.score:.3f}"
        f"  {result.latency_ms:6.2f} ms  model {result.model_version}  {result.image_id[:12]}\n"
    )
    sys.stdout.flush()


def show_devices(name: str | None, as_json: bool) -> None:
    """Print the devices of this machine, or the one named."""
    devices = [device for device in fleet().devices() if name in (None, device.thing)]
    if as_json:
        from dataclasses import asdict

        sys.stdout.write(json.dumps([asdict(device) for device in devices], indent=2) + "\n")
        return
    if not devices:
        who = f"no device {name!r}" if name else "no device"
        sys.stderr.write(f"{who} on this machine yet: `edgeward run` or `device start` makes one\n")
        return
    Console().print(_device_table(devices))


def _device_table(devices: list[DeviceStatus]) -> Table:
    table = Table("device", "running", "components", "last deployment", box=None)
    for device in devices:
        components = "\n".join(
            f"{name} {version} {state}" for name, (version, state) in device.components.items()
        )
        table.add_row(device.thing, "yes" if device.running else "no", components, "")
    return table


def fleet() -> LocalFleet:
    return local_fleet(load_settings())


def _show_run(run: Any, as_json: bool) -> None:
    from tasks.recording import read_record
    from tasks.summary import print_summary

    record = read_record(run)
    if as_json:
        sys.stdout.write(json.dumps(record, indent=2) + "\n")
    print_summary(record, run.report, Console(stderr=True))
