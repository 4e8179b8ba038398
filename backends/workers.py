"""Work on many files with all cores, in order, with memory that does not grow with their number."""

import contextlib
import ctypes
import itertools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from backends.errors import JobError

_AHEAD = 3  # chunks per worker that may be under way or finished and not yet taken
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Dask cluster, by the address of its scheduler.

    Its workers have this project installed, and see the same files below the same paths.
    """

    address: str


type Workers = int | Cluster
"""How many processes of this machine (0: one per core), or the cluster that does the work."""


def map_in_order[Item, Result](
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: Workers,
    *,
    what: str,
    chunk: int = 16,
    preload: Sequence[str] = (),
) -> Generator[Result]:
    """Yield `function(item)` for every item, in order, computed by `workers` processes.

    `workers` 0 means one per core; 1 computes here; a Cluster computes there. At most a few chunks
    are under way, whatever the number of items. Close the iterator (contextlib.closing) to end the
    workers early; they also end with this process, however it ends. `preload` names modules that
    workers need.
    Raises what `function` raises, and JobError(`what`) if a worker was killed; with a Cluster, also
    BackendUnavailableError.
    """
    if isinstance(workers, Cluster):
        from backends.dask_cluster import map_on_cluster

        yield from map_on_cluster(function, items, workers, what=what, chunk=chunk)
        return
    count = workers or os.cpu_count() or 1
    if count == 1:
        yield from map(function, items)
        return
    # Not fork: the flow engine has threads, and a forked copy of their locks may never open.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_follow_parent)
    waiting: deque[Future[list[Result]]] = deque()
    try:
        for batch in itertools.batched(items, chunk):
            waiting.append(pool.submit(apply_to_each, function, batch))
            if len(waiting) >= count * _AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise JobError(what, "a worker process was killed; is there enough memory?") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def apply_to_each[Item, Result](
    function: Callable[[Item], Result], batch: tuple[Item, ...]
) -> list[Result]:
    """What a worker does with a chunk."""
    return [function(item) for item in batch]


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and die with the fork server, which dies with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
