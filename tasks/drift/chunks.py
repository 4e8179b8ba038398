"""Windows joined until they hold enough pictures to be judged, in the order in which they ended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from edge.statistics import Summary, merge
from tasks.statistics_store import NewWindows

MOST = 48
"""Of one model version in one look: after a long pause, more windows are joined."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Windows of one model version that are judged as one."""

    summary: Summary
    windows: int
    things: tuple[str, ...]

    @property
    def model_version(self) -> str:
        return self.summary.model_version

    @property
    def evidence(self) -> int:
        return _evidence(self.summary)


def chunked(found: Sequence[NewWindows], least: int) -> list[Chunk]:
    """All windows, in chunks of at least `least` pictures, by their ends.

    What is left over at the end belongs to the chunk before it. A version that has fewer pictures
    in all gives one chunk, which is too small.
    """
    of: dict[str, list[tuple[str, Summary]]] = {}
    for one in found:
        for window in one.windows:
            of.setdefault(window.summary.model_version, []).append((one.thing, window.summary))
    chunks = [chunk for windows in of.values() for chunk in _chunks(windows, least)]
    return sorted(chunks, key=lambda chunk: (chunk.summary.end, chunk.model_version))


def _chunks(windows: list[tuple[str, Summary]], least: int) -> Iterator[Chunk]:
    windows.sort(key=lambda pair: (pair[1].end, pair[1].start, pair[0]))
    whole = sum(_evidence(summary) for _, summary in windows)
    wanted = max(least, whole // MOST)
    ready: list[list[tuple[str, Summary]]] = []
    held: list[tuple[str, Summary]] = []
    for pair in windows:
        held.append(pair)
        if sum(_evidence(summary) for _, summary in held) < wanted:
            continue
        if _evidence(_merged(held)) >= wanted:  # pictures that repeat count once
            ready.append(held)
            held = []
    if held and ready:
        ready[-1] += held
    elif held:
        ready = [held]
    for pairs in ready:
        things = tuple(sorted({thing for thing, _ in pairs}))
        yield Chunk(_merged(pairs), len(pairs), things)


def _merged(pairs: Sequence[tuple[str, Summary]]) -> Summary:
    return reduce(merge, (summary for _, summary in pairs))


def _evidence(summary: Summary) -> int:
    return summary.distinct + summary.unreadable
