"""Small charts as inline SVG. Their colours come from the page's style sheet: light and dark work.

A chart stretches to the width it is given; text stays outside of the SVG, in HTML, and so keeps its
size on a telephone. Numbers always stand beside a chart: it is never the only place that tells.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from backends.artifacts import Epoch

_SVG = Markup(
    '<svg class="{kind}" viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
    'aria-hidden="true" focusable="false">{inside}</svg>'
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a stacked bar: a share of the whole, and the style class that colours it."""

    share: float
    kind: str


def bar(share: float, kind: str = "ours", limit: float | None = None) -> Markup:
    """A horizontal bar of `share` (cut to [0, 1]) of the width; `limit` is drawn as a tick."""
    tick = Markup("")
    if limit is not None:
        x = _cut(limit) * 100
        tick = Markup('<line class="limit" x1="{x:.2f}" x2="{x:.2f}" y1="0" y2="10"/>').format(x=x)
    return _stack([Segment(share, kind)], tick)


def stacked_bar(segments: Sequence[Segment]) -> Markup:
    """A horizontal bar of several pieces, left to right."""
    return _stack(segments, Markup(""))


def histogram(counts: Sequence[int], median: float) -> Markup:
    """Columns for equal-width bins over [0, 1], with the median as a line."""
    top = max([*counts, 1])
    columns = Markup("").join(
        Markup('<rect x="{x:.2f}" y="{y:.2f}" width="0.86" height="{height:.2f}"/>').format(
            x=index + 0.07, y=40 - 40 * number / top, height=40 * number / top
        )
        for index, number in enumerate(counts)
    )
    line = Markup('<line class="limit" x1="{x:.2f}" x2="{x:.2f}" y1="0" y2="40"/>').format(
        x=_cut(median) * len(counts)
    )
    return _svg("histogram", len(counts), 40, columns + line)


def compared(before: Sequence[float], now: Sequence[float]) -> Markup:
    """Shares of the same bins before and now: a wide column behind a narrow one."""
    top = max([*before, *now, 1e-9])
    columns = Markup("").join(
        Markup(
            '<rect class="{kind}" x="{x:.2f}" y="{y:.2f}" width="{w}" height="{h:.2f}"/>'
        ).format(
            kind=kind,
            x=index + (1 - width) / 2,
            y=40 - 40 * share / top,
            w=width,
            h=40 * share / top,
        )
        for kind, width, shares in (("before", 0.9, before), ("now", 0.45, now))
        for index, share in enumerate(shares)
    )
    return _svg("compared", len(before), 40, columns)


def time_line(points: Sequence[float | None]) -> Markup:
    """One value after the other, in limits: the dashed line is 1, and above 3 a line is cut."""
    top = min(3.0, max([1.5, *(point for point in points if point is not None)]) * 1.05)
    step = 100 / max(1, len(points) - 1)
    placed = [
        (number * step, 100 - 100 * min(point, top) / top)
        for number, point in enumerate(points)
        if point is not None
    ]
    limit = Markup('<line class="limit" x1="0" x2="100" y1="{y:.2f}" y2="{y:.2f}"/>').format(
        y=100 - 100 / top
    )
    return _svg("lines", 100, 100, limit + _line("validation", placed))


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines without their labels, which stand at a percentage of the height and of the width."""

    lines: Markup
    y: list[tuple[float, str]]
    x: list[tuple[float, str]]
    spoken: str


def learning_curve(epochs: Sequence[Epoch]) -> Markup:
    """Accuracy by epoch, training and validation, as lines with labelled axes."""
    if (plot := plot_epochs(epochs)) is None:
        return Markup("")
    return Markup(
        '<div class="plot" role="img" aria-label="{label}">'
        '<div class="plot-y">{y}</div>{svg}<div class="plot-x">{x}</div></div>'
    ).format(
        label=plot.spoken,
        y=_labels("bottom", plot.y),
        svg=plot.lines,
        x=_labels("left", plot.x),
    )


def plot_epochs(epochs: Sequence[Epoch]) -> Plot | None:
    """The lines of a learning curve; None where no epoch has a figure."""
    validation = [(e.epoch, e.validation_accuracy) for e in epochs]
    train = [(e.epoch, e.train_accuracy) for e in epochs]
    points = {"train": _finite(train), "validation": _finite(validation)}
    values = [value for line in points.values() for _, value in line]
    if not values:
        return None
    low, high, step = _scale(values)
    first, last = epochs[0].epoch, epochs[-1].epoch
    ticks = [low + step * number for number in range(round((high - low) / step) + 1)]

    def place(epoch: int, value: float) -> tuple[float, float]:
        x = 50.0 if first == last else 100 * (epoch - first) / (last - first)
        return x, 100 - 100 * (value - low) / (high - low)

    grid = Markup("").join(
        Markup('<line class="grid" x1="0" x2="100" y1="{y:.2f}" y2="{y:.2f}"/>').format(
            y=place(first, tick)[1]
        )
        for tick in ticks
    )
    lines = Markup("").join(
        _line(kind, [place(*point) for point in line]) for kind, line in points.items() if line
    )
    return Plot(
        lines=_svg("lines", 100, 100, grid + lines),
        y=[(100 * (tick - low) / (high - low), f"{tick:.0%}") for tick in ticks],
        x=[(place(epoch, low)[0], str(epoch)) for epoch in _epoch_ticks(first, last)],
        spoken=_spoken(points, first, last),
    )


def _stack(segments: Sequence[Segment], over: Markup) -> Markup:
    left, pieces = 0.0, Markup("")
    for segment in segments:
        width = min(_cut(segment.share) * 100, 100 - left)
        pieces += Markup(
            '<rect class="{kind}" x="{x:.2f}" y="1" width="{width:.2f}" height="8"/>'
        ).format(kind=segment.kind, x=left, width=width)
        left += width
    track = Markup('<rect class="track" x="0" y="1" width="100" height="8"/>')
    return _svg("bar", 100, 10, track + pieces + over)


def _svg(kind: str, width: int, height: int, inside: Markup) -> Markup:
    return _SVG.format(kind=kind, width=width, height=height, inside=inside)


def _line(kind: str, points: Sequence[tuple[float, float]]) -> Markup:
    path = " ".join(f"{'L' if i else 'M'}{x:.2f} {y:.2f}" for i, (x, y) in enumerate(points))
    dots = " ".join(f"M{x:.2f} {y:.2f}h0" for x, y in points)
    return Markup('<path class="{kind}" d="{path}"/><path class="{kind} dots" d="{dots}"/>').format(
        kind=kind, path=path, dots=dots
    )


def _labels(side: str, labels: Sequence[tuple[float, str]]) -> Markup:
    return Markup("").join(
        Markup('<span style="{side}:{at:.2f}%">{text}</span>').format(side=side, at=at, text=text)
        for at, text in labels
    )


def _spoken(points: dict[str, list[tuple[int, float]]], first: int, last: int) -> str:
    ends = [
        f"{kind} accuracy goes from {line[0][1]:.1%} to {line[-1][1]:.1%}"
        for kind, line in points.items()
        if line
    ]
    return f"Epochs {first} to {last}: {'; '.join(ends)}."


def _finite(line: Sequence[tuple[int, float | None]]) -> list[tuple[int, float]]:
    return [(epoch, v) for epoch, v in line if v is not None and math.isfinite(v)]


def _scale(values: Sequence[float]) -> tuple[float, float, float]:
    """Bottom, top and step of an axis of shares: tenths, or fifths where there are many."""
    low, high = math.floor(min(values) * 10), math.ceil(max(values) * 10)
    low -= low == high == 10  # noqa: PLR2004 - 100 % is the top
    high += low == high
    step = 1 if high - low <= 5 else 2  # noqa: PLR2004 - more lines than that confuse
    if (high - low) % step:
        low, high = (low, high + 1) if high < 10 else (low - 1, high)  # noqa: PLR2004 - 100 %
    return low / 10, high / 10, step / 10


def _epoch_ticks(first: int, last: int) -> list[int]:
    """About six; the last epoch is always named, and a tick that would collide with it goes."""
    step = max(1, math.ceil((last - first) / 6))
    return [*(tick for tick in range(first, last, step) if last - tick >= step / 2), last]


def _cut(share: float) -> float:
    return min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
