"""What the deployment commands do with a terminal: begin one, follow it, show where it is."""

import json
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import typer
from rich.console import Console

from backends.local.deployment_request import DeploymentRequest
from backends.local.deployments import DeploymentStatus, Execution, Progress, Record, describe
from backends.local.fleet import LocalFleet
from backends.local.rollout import Status, counts
from flows.tables import print_table
from flows.terminal import fleet

POLL_SECONDS = 0.2
AWAY_SECONDS = 5.0
"""A device that was notified so long ago, and has no connection, is not waited for."""
_WORDS = {
    Status.QUEUED: "pending",
    Status.IN_PROGRESS: "in progress",
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "failed",
    Status.REJECTED: "rejected",
    Status.TIMED_OUT: "timed out",
    Status.CANCELED: "cancelled",
}
_BAD = (Status.FAILED, Status.REJECTED, Status.TIMED_OUT)
_SHOWN = 20


def deploy_to(request: DeploymentRequest, *, wait: bool, as_json: bool) -> None:
    """Begin the deployment; wait for it if asked to. Exits 1 when any thing failed."""
    devices = fleet()
    record = devices.start_deployment(request)
    typer.echo(f"deployment {record.id}, revision {record.revision} of {request.target}", err=True)
    if wait:
        try:
            progress = _follow(devices, record)
        except KeyboardInterrupt as error:
            typer.echo("the rollout goes on; look at it with", err=True)
            typer.echo(f"  edgeward deployment show {record.id}", err=True)
            raise typer.Exit(1) from error
    else:
        progress = devices.deployments.progress(record.id)
    if as_json:
        _print_json(describe(record, progress))
    elif wait:
        _report(progress)
    failed = any(execution.status in _BAD for execution in progress.executions.values())
    if failed or progress.status is DeploymentStatus.CANCELED:
        raise typer.Exit(1)


def show_deployments(as_json: bool) -> None:
    """Print all deployments that are remembered."""
    deployments = fleet().deployments
    ids = [identifier for known in deployments.index().values() for identifier in known]
    found = [(deployments.record(one), deployments.progress(one)) for one in ids]
    found.sort(key=lambda entry: -entry[0].created)
    if as_json:
        tables = [describe(record, progress) for record, progress in found]
        _print_json([{k: v for k, v in one.items() if k != "executions"} for one in tables])
        return
    if not found:
        typer.echo("no deployment yet: `edgeward deploy --help`", err=True)
        return
    rows = (
        (
            record.id,
            str(record.request.target),
            str(record.revision),
            progress.status.value,
            _in_words(progress),
        )
        for record, progress in found
    )
    print_table(Console(), ("deployment", "target", "revision", "status", "things"), rows)


def show_deployment(identifier: str, as_json: bool) -> None:
    """Print one deployment and each of its things."""
    deployments = fleet().deployments
    record, progress = deployments.record(identifier), deployments.progress(identifier)
    if as_json:
        _print_json(describe(record, progress))
        return
    wanted = ", ".join(
        f"{name} {component.componentVersion}"
        for name, component in record.request.components.items()
    )
    console = Console(highlight=False)
    console.print(f"{record.request.target}, revision {record.revision}: {wanted or 'nothing'}")
    console.print(f"{progress.status.value} {progress.reason}".rstrip(), soft_wrap=True)
    _print_executions(console, progress.executions.items())


def cancel(identifier: str) -> None:
    """Ask the cloud side to stop a deployment, and wait until it has."""
    devices = fleet()
    devices.deployments.record(identifier)
    final = (DeploymentStatus.CANCELED, DeploymentStatus.INACTIVE)
    if (status := devices.deployments.progress(identifier).status) in final:
        typer.echo(f"it is {status.value} already", err=True)
        return
    devices.ensure_cloud()
    devices.deployments.cancel(identifier)
    while (progress := devices.deployments.progress(identifier)).status not in final:
        time.sleep(POLL_SECONDS)
    typer.echo(f"{progress.status.value}: {_in_words(progress)}", err=True)


def _follow(devices: LocalFleet, record: Record) -> Progress:
    """Until nothing more can be expected soon; says how far it is whenever that changes."""
    said = ""
    while True:
        progress = devices.deployments.progress(record.id)
        now = f"{progress.status.value}: {_in_words(progress)}"
        if progress.executions and now != said:
            typer.echo(now, err=True)
            said = now
        open_ = {t: one for t, one in progress.executions.items() if not one.has_ended}
        begun = progress.executions or progress.status is not DeploymentStatus.ACTIVE
        if begun and all(_is_away(devices, thing, one) for thing, one in open_.items()):
            return progress
        if not begun and not _members(devices, record):
            typer.echo("nobody is in the group yet; who joins gets it", err=True)
            return progress
        time.sleep(POLL_SECONDS)


def _members(devices: LocalFleet, record: Record) -> list[str]:
    target = record.request.target
    return [target.name] if target.kind == "thing" else devices.groups.members(target.name)


def _is_away(devices: LocalFleet, thing: str, execution: Execution) -> bool:
    """Notified, not begun, and off or without a connection."""
    if execution.status is not Status.QUEUED or not execution.notified_at:
        return False
    device = devices.device(thing)
    waited = time.time() - execution.notified_at > AWAY_SECONDS
    return not device.running or (waited and not device.connected)


def _report(progress: Progress) -> None:
    console = Console(stderr=True, highlight=False)
    bad = [entry for entry in progress.executions.items() if entry[1].status in _BAD]
    if bad:
        _print_executions(console, bad[:_SHOWN])
    if progress.reason:
        console.print(f"{progress.status.value}: {progress.reason}", soft_wrap=True)
    away = [thing for thing, one in progress.executions.items() if one.status is Status.QUEUED]
    if away:
        names = ", ".join(away[:_SHOWN]) + (", …" if len(away) > _SHOWN else "")
        console.print(f"pending: {names}; they take it when they return", soft_wrap=True)


def _print_executions(console: Console, executions: Iterable[tuple[str, Execution]]) -> None:
    rows = (
        (thing, one.status.value, one.detailed_status, one.reason)
        for thing, one in sorted(executions)
    )
    print_table(console, ("thing", "status", "detailed status", "reason"), rows)


def _in_words(progress: Progress) -> str:
    """`12 succeeded, 3 pending`."""
    found: Mapping[str, int] = counts(progress.statuses())
    words = [f"{number} {_WORDS[Status(status)]}" for status, number in found.items()]
    return ", ".join(words) or "no thing yet"


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
