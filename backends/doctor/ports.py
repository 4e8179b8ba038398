"""Whether the ports that were asked for are ours, or free; who has them, when they are not."""

import socket
from pathlib import Path

import psutil

from backends.doctor.finding import Finding, warning
from backends.local.processes import Processes
from backends.settings import MqttSettings

SERVER = "prefect-server"
BROKER = "cloud"
HOST = "127.0.0.1"
DEFAULT_BROKER_PORT = 1883


def prefect(port: int, home: Path) -> Finding:
    """Only `edgeward up` takes this port; a run takes any that is free."""
    subject = "Prefect's port"
    if not port:
        return warning(subject, True, "any free one", "")
    taken = _taken_by_another(port, home, SERVER)
    if taken is None:
        return warning(subject, True, f"{port} is free, or our own", "")
    remedy = "End it, or set EDGEWARD_PREFECT__PORT to a free port (0: any)."
    return warning(subject, False, f"{taken}; `edgeward up` needs it", remedy)


def broker(mqtt: MqttSettings, home: Path) -> Finding:
    subject = "MQTT broker"
    if mqtt.host:
        address = (mqtt.host, mqtt.port or DEFAULT_BROKER_PORT)
        healthy = _connects(address)
        return Finding(
            subject,
            healthy,
            f"{address[0]}:{address[1]} {'answers' if healthy else 'does not answer'}",
            "Start it, or unset EDGEWARD_MQTT__HOST to use our own.",
        )
    taken = _taken_by_another(mqtt.port, home, BROKER) if mqtt.port else None
    if taken is not None:
        return Finding(
            subject, False, taken, "Set EDGEWARD_MQTT__PORT to a free port, or to 0 (any)."
        )
    return Finding(subject, True, "our own, on loopback", "")


def _taken_by_another(port: int, home: Path, ours: str) -> str | None:
    """Who listens on the port; None when nobody does, or the process of this home called `ours`."""
    if not _connects((HOST, port)):
        return None
    listeners = _listeners(port)
    own = Processes(home / "processes").find(ours)
    if own is not None and own.pid in listeners:
        return None
    named = [_name(pid) for pid in sorted(listeners)]
    return f"port {port} is taken by {', '.join(named) or 'a program of another user'}"


def _listeners(port: int) -> set[int]:
    """Processes that listen on it, as far as we may see them."""
    try:
        found = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return set()
    return {
        one.pid
        for one in found
        if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid
    }


def _name(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        command = " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        return f"process {pid}"
    return f"process {pid} ({command[:60]}{'…' if len(command) > 60 else ''})"  # noqa: PLR2004


def _connects(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False
