"""What `edgeward doctor` looks at: is everything here that a run needs, and is nothing odd?

On this machine it looks at files, and starts no program but each environment's interpreter and uv,
so it answers at once; it changes nothing. Of an AWS account it asks what only the account can say.
"""

from collections.abc import Sequence

from backends.doctor import databases, environments, leftovers, locks, machine, ports, variables
from backends.doctor.finding import Finding
from backends.doctor.machine import FREE_BYTES, FREE_MEMORY
from backends.errors import InvalidInputError
from backends.settings import Settings


def diagnose(
    settings: Settings,
    least_free: int = FREE_BYTES,
    least_memory: int = FREE_MEMORY,
    thing: str = "",
) -> tuple[Finding, ...]:
    """Look at environments, machine (at least so many bytes of disk and memory), ports and home.

    With backend kind aws, at the account and its core device `thing` as well.
    """
    home = settings.root
    held = locks.held_locks(home)
    return (
        environments.python(),
        environments.uv(),
        *environments.judge_environments(settings.backend),
        *variables.judge_variables(),
        machine.home(home),
        machine.disk(home, least_free),
        machine.memory(least_memory),
        machine.clock(home),
        ports.broker(settings.mqtt, home),
        ports.prefect(settings.prefect.port, home),
        *locks.judge_locks(home, held),
        *leftovers.judge_leftovers(home, held),
        *databases.judge_databases(home),
        machine.tools(),
        *_account(settings, thing),
    )


def diagnose_settings(faults: Sequence[InvalidInputError]) -> tuple[Finding, ...]:
    """All that can be said while the settings cannot be read."""
    wrong = (Finding(fault.what, False, fault.reason, fault.remedy) for fault in faults)
    return (environments.python(), environments.uv(), *wrong)


def _account(settings: Settings, thing: str) -> tuple[Finding, ...]:
    if settings.backend.kind != "aws":
        return ()
    try:
        from backends.aws.diagnosis import diagnose_account
    except ModuleNotFoundError:
        return (Finding("AWS packages", False, "boto3 is not installed", "Run `make setup-aws`."),)
    return diagnose_account(settings.aws, thing)
