"""Denies the network to a Python process and its children, and writes down who asked for it.

    subprocess.run(command, env=guarded(tmp_path, os.environ))
    assert attempts(tmp_path) == []

The audit hook sees every connection that Python itself makes, however the function was imported.
"""

from collections.abc import Mapping
from pathlib import Path

_SITECUSTOMIZE = """
import os, sys, traceback

def is_here(host):
    text = host.decode() if isinstance(host, bytes) else str(host)
    return text in ("", "None", "localhost", "::1", "::", "0.0.0.0") or text.startswith("127.")

def deny(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        wanted = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]  # a path, for a Unix socket
        wanted = address[0] if isinstance(address, tuple) else None
    else:
        return
    if not is_here(wanted):
        with open(os.environ["NETWORK_ATTEMPTS"], "a") as attempts:
            who = traceback.extract_stack(limit=4)[0]
            attempts.write(f"{event} {arguments[1:] if wanted is None else wanted} by {who}\\n")
        raise OSError("the network is denied")

sys.addaudithook(deny)
"""


def guarded(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with the guard in front of everything that Python imports."""
    guard = folder / "guard"
    guard.mkdir(exist_ok=True)
    (guard / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    path = [str(guard), *filter(None, [environment.get("PYTHONPATH")])]
    return {
        **environment,
        "PYTHONPATH": ":".join(path),
        "NETWORK_ATTEMPTS": str(folder / "network-attempts"),
    }


def attempts(folder: Path) -> list[str]:
    """A line for each attempt to reach another machine."""
    written = folder / "network-attempts"
    return written.read_text().splitlines() if written.exists() else []
