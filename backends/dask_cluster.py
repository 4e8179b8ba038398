"""The work of backends.workers on a Dask cluster: in order, with few chunks under way."""

import contextlib
import functools
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from backends.errors import BackendBlockedError, BackendUnavailableError, JobError
from backends.workers import Cluster, apply_to_each

_AHEAD = 3  # chunks per thread of the cluster that may be under way or finished and not yet taken
_CONNECT_SECONDS = 10
_LOOK_SECONDS = 2  # how often a wait asks whether anybody is there


def map_on_cluster[Item, Result](
    function: Callable[[Item], Result],
    items: Iterable[Item],
    cluster: Cluster,
    *,
    what: str,
    chunk: int,
) -> Generator[Result]:
    """As map_in_order, on `cluster`.

    Raises what `function` raises, JobError(`what`) if workers were killed, BackendUnavailableError
    for a scheduler that does not answer, BackendBlockedError without Dask.
    """
    with connected(cluster) as client:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        ask = functools.partial(_result, client, cluster)
        most = max(1, sum(client.nthreads().values())) * _AHEAD
        waiting: deque[Any] = deque()
        try:
            for batch in itertools.batched(items, chunk):
                waiting.append(client.submit(apply_to_each, function, batch, pure=False))
                if len(waiting) >= most:
                    yield from ask(waiting.popleft())
            while waiting:
                yield from ask(waiting.popleft())
        except KilledWorker as error:
            reason = "workers of the cluster were killed; have they enough memory?"
            raise JobError(what, reason) from error
        except (FutureCancelledError, OSError) as error:
            raise _away(cluster, str(error)) from error
        finally:
            with contextlib.suppress(Exception):
                client.cancel(list(waiting))


def _result(client: Any, cluster: Cluster, future: Any) -> Any:
    """Wait for as long as there is somebody who works."""
    while True:
        try:
            return future.result(timeout=_LOOK_SECONDS)
        except TimeoutError:
            if future.status == "error":  # it is the function's own
                raise
            if client.status != "running":
                raise _away(cluster, "its scheduler is gone") from None
            if not client.nthreads():
                raise _away(cluster, "its last worker is gone") from None


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[Any]:
    """A client of the cluster. Raises as `map_on_cluster`."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise BackendBlockedError(
            "Dask", "it is not installed", "Install Edgeward with the extra `dask`."
        ) from error
    try:
        client = Client(cluster.address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise _away(cluster, str(error)) from error
    with client:
        if not client.nthreads():
            raise _away(cluster, "it has no worker")
        yield client


def _away(cluster: Cluster, reason: str) -> BackendUnavailableError:
    return BackendUnavailableError(
        f"the Dask cluster {cluster.address}",
        reason,
        "Start its scheduler and workers, or empty EDGEWARD_DASK__ADDRESS.",
    )
