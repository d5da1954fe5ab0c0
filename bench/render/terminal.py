"""A table on the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from bench.render.text import below, marks
from bench.render_table import Table, cell_text, is_best

FILE_WIDTH = 190  # characters of a line of text in a file; wider tables keep their width
MAX_WIDTH = 1000


def terminal(table: Table) -> RichTable:
    """For `rich`: bold is bold."""
    shown = RichTable(title=Text(table.title), box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    shown.add_column(table.first, min_width=27)
    for column in table.columns:
        detail = column.detail.replace(", ", "\n")  # no header wider than the numbers below it
        header = f"{column.title}{marks(column.footnotes)}\n{detail}".rstrip()
        shown.add_column(Text(header), justify="right", overflow="fold")
    for block in table.blocks:
        if block.heading:
            shown.add_row(Text(block.heading, style="italic"))
        for row in block.rows:
            shown.add_row(
                Text(row.title + marks(row.footnotes)),
                *(
                    Text(cell_text(column, row), style="bold" if is_best(column, row) else "")
                    for column in table.columns
                ),
                end_section=row is block.rows[-1],
            )
    return shown


def show(table: Table) -> None:
    """Print it with its caption and footnotes; a pipe has no width of its own, and rich would assume 80."""
    console, shown = Console(), terminal(table)
    if not console.is_terminal:
        natural = Measurement.get(console, console.options.update(max_width=MAX_WIDTH), shown).maximum
        console = Console(width=max(FILE_WIDTH, natural))
    console.print(shown)
    for line in below(table):
        console.print(line, highlight=False, markup=False)
