"""Where the tasks of a flow run that has many of a kind: here in threads, or on a Dask cluster."""

from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from backends.errors import BackendBlockedError
from backends.settings import Settings

THREADS = 4


def task_runner(settings: Settings) -> TaskRunner[Any]:
    """prefect-dask's runner with EDGEWARD_DASK__ADDRESS, else Prefect's own.

    Raises BackendBlockedError without prefect-dask.
    """
    address = settings.dask.address
    if not address:
        return ThreadPoolTaskRunner(max_workers=THREADS)
    try:
        from prefect_dask import DaskTaskRunner
    except ModuleNotFoundError as error:
        raise BackendBlockedError(
            "prefect-dask", "it is not installed", "Install Edgeward with the extra `dask`."
        ) from error
    runner: TaskRunner[Any] = DaskTaskRunner(address=address)
    return runner
