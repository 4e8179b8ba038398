"""The report's charts as pictures of their own, for pages that take pictures only.

Prefect's UI lets no inline SVG through, nor style; it shows `<img>` with a data URI. So a picture
brings its colours and its ground, which read well in the UI's light theme and in its dark one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from backends.artifacts import Epoch
from tasks.charts import plot_epochs
from tasks.report_accuracy import Cell
from tasks.report_data import Samples, Spread

WIDTH = 680
MARGIN = 16
_NAME, _VALUE = 170, 90
_ROW = 28
_THUMB = 74
_CELL_HEIGHT = 34
_STYLE = Markup("""
svg svg{overflow:visible}
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#1d1f21}
.soft{fill:#585c61}.mid{text-anchor:middle}.end{text-anchor:end}.strong{font-weight:600}
.track{fill:#f0eee8}.ours,.train{fill:#2558c4}.second,.validation{fill:#6f8fd6}
.theirs,.test{fill:#8c8a84}.missed{fill:#b0241c}
.limit{stroke:#1d1f21;stroke-width:2px;vector-effect:non-scaling-stroke}
.histogram rect{fill:#2558c4}
.lines path,.lines line{fill:none;vector-effect:non-scaling-stroke}
.lines .grid{stroke:#dedbd2}.lines path{stroke-width:2.5px;stroke-linejoin:round}
.lines .validation{stroke:#2558c4}.lines .train{stroke:#b4631c;stroke-dasharray:6 6}
.lines .dots{stroke-width:7px;stroke-linecap:round;stroke-dasharray:none}
""")
_SVG = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    'viewBox="0 0 {width} {height}"><style>{style}</style>'
    '<rect width="100%" height="100%" rx="10" fill="#fff"/>{inside}</svg>'
)


@dataclass(frozen=True, slots=True)
class Bar:
    """A named bar with its value in words; `chart` is one of tasks/charts.py."""

    name: str
    chart: Markup
    value: str


def bars(rows: Sequence[Bar], says: str) -> str:
    """Bars under each other."""
    width = WIDTH - 2 * MARGIN - _NAME - _VALUE
    inside = Markup("")
    for number, row in enumerate(rows):
        y = MARGIN + number * _ROW
        inside += _text(MARGIN, y + 18, _shortened(row.name, 22))
        inside += _placed(row.chart, MARGIN + _NAME, y + 6, width, 16)
        inside += _text(WIDTH - MARGIN, y + 18, row.value, "soft end")
    return _picture(inside, 2 * MARGIN + len(rows) * _ROW, says)


def histograms(spreads: Sequence[Spread], says: str) -> str:
    """The image statistics beside each other, each from 0 to 1, the median as a line."""
    width = (WIDTH - MARGIN) / max(1, len(spreads)) - MARGIN
    inside = Markup("")
    for number, spread in enumerate(spreads):
        x = MARGIN + number * (width + MARGIN)
        inside += _text(x, 28, spread.feature, "strong")
        inside += _text(x, 46, f"median {spread.median}", "soft")
        inside += _placed(spread.chart, x, 56, width, 84)
        inside += _text(x, 156, "0", "soft") + _text(x + width, 156, "1", "soft end")
    return _picture(inside, 170, says)


def learning_curve(epochs: Sequence[Epoch]) -> str:
    """Accuracy by epoch; empty where no epoch has a figure."""
    if (plot := plot_epochs(epochs)) is None:
        return ""
    left, top, width, height = 64, 44, WIDTH - 64 - 2 * MARGIN, 220
    inside = _text(left, 26, "validation", "strong") + _line_sample(left + 78, "validation")
    inside += _text(left + 150, 26, "training", "strong") + _line_sample(left + 216, "train")
    inside += _placed(plot.lines, left, top, width, height)
    for share, words in plot.y:
        inside += _text(left - 10, top + height * (1 - share / 100) + 4, words, "soft end")
    for share, words in plot.x:
        inside += _text(left + width * share / 100, top + height + 22, words, "soft mid")
    inside += _text(left + width / 2, top + height + 44, "epoch", "soft mid")
    return _picture(inside, top + height + 60, plot.spoken)


def confusion_matrix(classes: Sequence[str], matrix: Sequence[Sequence[Cell]]) -> str:
    """Rows: what it is; columns: what the model says. Empty for none, or for too many classes."""
    if not matrix:
        return ""
    left, top = MARGIN + 120, 74
    width = min(72.0, (WIDTH - left - MARGIN) / len(classes))
    longest = max(3, int(width / 7))
    inside = _text(left, 28, "the model says", "soft") + _text(MARGIN, top - 10, "it is", "soft")
    for column, name in enumerate(classes):
        inside += _text(left + (column + 0.5) * width, top - 10, _shortened(name, longest), "mid")
    for row, (name, cells) in enumerate(zip(classes, matrix, strict=True)):
        y = top + row * _CELL_HEIGHT
        inside += _text(left - 12, y + 22, _shortened(name, 16), "end")
        for column, cell in enumerate(cells):
            inside += _cell(cell, left + column * width, y, width)
    return _picture(inside, top + len(classes) * _CELL_HEIGHT + MARGIN, "Confusion matrix")


def contact_sheet(samples: Sequence[Samples]) -> str:
    """A few pictures of each class; empty where there is none."""
    if not samples:
        return ""
    inside = Markup("")
    x, y, sheet = MARGIN, MARGIN, WIDTH - MARGIN
    for group in samples:
        width = max(len(group.pictures), 1) * (_THUMB + 4)
        if x > MARGIN and x + width > sheet:
            x, y = MARGIN, y + _THUMB + 44
        inside += _text(x, y + 12, _shortened(group.label, max(8, width // 8)), "strong")
        for number, picture in enumerate(group.pictures):
            inside += Markup(
                '<image href="{uri}" x="{x}" y="{y}" width="{side}" height="{side}" '
                'preserveAspectRatio="xMidYMid slice"/>'
            ).format(uri=picture, x=x + number * (_THUMB + 4), y=y + 20, side=_THUMB)
        x += width + 20
    return _picture(inside, y + _THUMB + 20 + MARGIN, "Pictures of each class")


def _cell(cell: Cell, x: float, y: float, width: float) -> Markup:
    colour = "37,88,196" if cell.right else "190,84,20"
    dark = cell.heat > 0.55  # noqa: PLR2004 - white reads better from here on
    ground = Markup(
        '<rect x="{x:.1f}" y="{y}" width="{w:.1f}" height="{h}" rx="4" fill="#f0eee8"/>'
        '<rect x="{x:.1f}" y="{y}" width="{w:.1f}" height="{h}" rx="4" fill="rgba({rgb},{a:.2f})"/>'
    ).format(x=x + 1, y=y, w=width - 2, h=_CELL_HEIGHT - 2, rgb=colour, a=cell.heat)
    fill = "#fff" if dark else "#1d1f21" if cell.count else "#585c61"
    number = Markup('<text x="{x:.1f}" y="{y}" class="mid" style="fill:{fill}">{n}</text>')
    return ground + number.format(x=x + width / 2, y=y + 21, fill=fill, n=cell.count)


def _line_sample(x: float, kind: str) -> Markup:
    path = Markup('<path class="{kind}" d="M{x} 0h48"/>').format(kind=kind, x=x)
    return Markup('<g class="lines" transform="translate(0 22)">{path}</g>').format(path=path)


def _placed(chart: Markup, x: float, y: float, width: float, height: float) -> Markup:
    return Markup('<svg x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h}">{chart}</svg>').format(
        x=x, y=y, w=width, h=height, chart=chart
    )


def _text(x: float, y: float, words: str, kind: str = "") -> Markup:
    return Markup('<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{words}</text>').format(
        x=x, y=y, kind=kind, words=words
    )


def _shortened(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _picture(inside: Markup, height: float, says: str) -> str:
    """Markdown that shows the drawing, with words for those who do not see it."""
    svg = _SVG.format(width=WIDTH, height=round(height), style=_STYLE, inside=inside)
    words = says.replace("[", "(").replace("]", ")").replace("\n", " ")
    return f"![{words}](data:image/svg+xml,{quote(svg, safe='/:;=+,@')})"
