"""`edgeward monitor`: one look, and what it found, for people and for programs."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from backends.connect import local_fleet
from backends.settings import load_settings
from flows.console import show_our_lines
from flows.prefect_server import prefect_server

if TYPE_CHECKING:
    from tasks.monitor_report import MonitorReport


def run_monitor(thing: str, group: str, fleet: bool, targets: Path | None, as_json: bool) -> None:
    """Run the monitoring flow once and show what it found."""
    settings = load_settings()
    home = settings.root
    with prefect_server(home) as await_server:
        from flows.monitor import MonitorPlan, monitor
        from tasks.business_understanding import load_targets
        from tasks.device_comparison import monitor_limits
        from tasks.recording import targets_of

        devices = local_fleet(settings)
        one = "" if group or fleet else thing
        if one and settings.backend.kind == "local":
            devices.device(one)
        if group:
            thing = next(iter(devices.groups.members(group)), thing)
        wanted = load_targets(targets) if targets else targets_of(home / "runs", thing)
        plan = MonitorPlan(thing=thing, group=group, fleet=fleet, limits=monitor_limits(wanted))
        await_server()
        show_our_lines()
        report = monitor(plan)
    if as_json:
        sys.stdout.write(json.dumps(asdict(report), indent=2, default=str) + "\n")
    _show(report)


def _show(report: "MonitorReport") -> None:
    from tasks.monitor_report import NEXT

    console = Console(stderr=True, highlight=False)
    console.print(f"[bold]{report.status}[/bold]  {report.thing}: {escape(report.reason)}")
    several = len({check.model_version for check in report.checks}) > 1
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for check in report.checks:
        word = {True: "ok", False: "[bold red]DRIFT[/]", None: "[yellow]not judged[/]"}
        of = f"model {check.model_version}: " if several and check.model_version else ""
        table.add_row(word[check.passed], escape(check.name), escape(of + check.reason))
    console.print(Padding(table, (0, 0, 0, 2)))
    for alarm in report.alarms:
        names = ", ".join(alarm.checks)
        on = f" on {', '.join(alarm.things)}" if len(alarm.things) > 1 else ""
        which = f"Alarm ({alarm.kind}, episode {alarm.episode})"
        console.print(f"{which} since {alarm.since[:16]} UTC{on}: {names}")
    console.print(f"Next: {NEXT[report.status].replace('`', '')}")
    for name, path in (("Report", report.page), ("Data Docs", report.data_docs)):
        if path:
            console.print(f"{name}: {path}", soft_wrap=True)
