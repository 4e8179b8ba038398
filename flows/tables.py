"""Tables that stay readable: side by side where there is room, else a line for each cell.

In a pipe or a log there is no width to keep to: each row is one whole line, for grep.
"""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_ANY_WIDTH = 10_000


def print_table(console: Console, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Cells are texts, and no markup."""
    kept = [tuple(row) for row in rows]
    table = Table(*names, box=None)
    for column in table.columns:
        column.no_wrap = True
    for row in kept:
        table.add_row(*map(Text, row))
    wanted = Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), table).maximum
    if not console.is_terminal:
        Console(file=console.file, width=wanted).print(table)
    elif wanted <= console.width:
        console.print(table)
    else:
        _stack(console, names, kept)


def _stack(console: Console, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A block for each row: its first cell as a heading, then what is not empty."""
    for row in rows:
        if row[0]:
            console.print(Text(f"{names[0]} {row[0]}".lstrip(), style="bold"), overflow="fold")
        for name, cell in zip(names[1:], row[1:], strict=True):
            if cell:
                console.print(Text(f"  {name}: {cell}"), overflow="fold")
