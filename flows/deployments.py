"""Puts the flows on a Prefect server: the work pool, prefect.yaml's deployments, automations."""

import contextlib
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from backends.errors import BackendUnavailableError
from backends.local.files import read_json, write_json
from backends.settings import PROJECT, Settings

POOL = "edgeward"
FILE = PROJECT / "prefect.yaml"
AT_ONCE = 4
"""Flow runs of the pool at one time; most wait for a job."""
DEPLOY_SECONDS = 300
LAST_LINES = 3


def deploy_flows(settings: Settings, server: str) -> bool:
    """Deploy to the server that PREFECT_API_URL names; whether there was anything to do.

    What was deployed there already, just so, is left as it is: with what people have paused.
    `server` tells one database from another. Raises BackendUnavailableError.
    """
    note = settings.root / "prefect" / "deployed.json"
    wanted = {"server": server, "content": _digest(settings)}
    if read_json(note) == wanted:
        return False
    import anyio

    anyio.run(_make_pool)
    _deploy(settings.root / "prefect" / "deploy.log")
    anyio.run(_automate, settings)
    write_json(note, wanted)
    return True


def _digest(settings: Settings) -> str:
    notify = settings.notify
    told = f"{notify.webhook.get_secret_value()} {notify.silence_minutes}"
    code = [FILE, *sorted((PROJECT / "flows").glob("*.py"))]  # the forms come from the flows
    parts = [*(path.read_bytes() for path in code), told.encode(), str(PROJECT).encode()]
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


async def _make_pool() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    async with get_client() as client:
        template = ProcessWorker.get_default_base_job_template()
        pool = WorkPoolCreate(
            name=POOL, type="process", base_job_template=template, concurrency_limit=AT_ONCE
        )
        with contextlib.suppress(ObjectAlreadyExists):  # with the limit that people gave it
            await client.create_work_pool(pool)


async def _automate(settings: Settings) -> None:
    """They start a flow, which must be deployed by then."""
    from prefect.client.orchestration import get_client

    from flows.automations import apply_automations

    async with get_client() as client:
        await apply_automations(client, settings.notify)


def _deploy(log: Path) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    command += ["--prefect-file", str(FILE)]
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter
            command,
            cwd=PROJECT,
            env=os.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEPLOY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        reason = f"`prefect deploy` did not end within {DEPLOY_SECONDS} s"
        raise BackendUnavailableError("the Prefect server", reason) from error
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split("\n")[-LAST_LINES:]).strip()
        reason = f"`prefect deploy` ended with status {done.returncode}: {said}"
        raise BackendUnavailableError("the Prefect server", reason, f"Read {log}.")
