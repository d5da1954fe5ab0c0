"""A table as a value; `bench.render` writes it as Markdown, LaTeX, HTML, CSV, JSON and on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files import write_bytes

if TYPE_CHECKING:
    from rich.table import Table as RichTable

ABSENT = "–"  # a number one would look for here; a footnote says why there is none
EMPTY = ""  # a number that would mean nothing


@dataclass(frozen=True)
class Value:
    """A number as printed (scaled), half the width of its 95 % interval, and whether it is best or tied."""

    number: float
    half_width: float | None = None
    best: bool = False
    spread: float | None = None  # standard deviation over seeds, where there are several
    text: str = ""  # printed instead of the number: a verdict
    bounds: tuple[float, float] | None = None  # of a difference, printed instead of the half width


@dataclass(frozen=True)
class Column:
    """One column; `detail` is the second line of its header, `footnotes` are indices into the table's."""

    key: str
    title: str
    digits: int
    detail: str = ""
    footnotes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Row:
    """One row. A value of None prints as ABSENT; a column that is absent from `values` does not apply."""

    title: str
    values: Mapping[str, Value | None]
    footnotes: tuple[int, ...] = ()
    record: str = ""  # key of the record it shows, of the first seed
    facts: Mapping[str, Any] = field(default_factory=dict)  # what JSON says of it and the printed row does not


@dataclass(frozen=True)
class Block:
    """Rows between two rules, with a heading or without."""

    name: str
    rows: tuple[Row, ...]
    heading: str = ""


@dataclass(frozen=True)
class Table:
    """Everything a table prints. `facts` says of which data and settings, for the caption and for JSON."""

    title: str
    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]
    footnotes: tuple[str, ...]
    facts: Mapping[str, Any]
    caption: str
    first: str = "Method"  # header of the column of titles

    def rows(self) -> Iterator[tuple[Block, Row]]:
        for block in self.blocks:
            for row in block.rows:
                yield block, row

    def to_markdown(self) -> str:
        from bench.render.markdown import markdown

        return markdown(self)

    def to_latex(self) -> str:
        """A float for documents with booktabs, graphicx and rotating."""
        from bench.render.latex import latex

        return latex(self)

    def to_html(self) -> str:
        """A `<figure>` for a page to hold: no style, no script, everything escaped."""
        from bench.render.html import html

        return html(self)

    def to_csv(self) -> str:
        from bench.render.data import comma_separated

        return comma_separated(self)

    def to_json(self) -> str:
        from bench.render.data import json_text

        return json_text(self)

    def to_rich(self) -> RichTable:
        from bench.render.terminal import terminal

        return terminal(self)

    def print(self) -> None:
        """On the terminal, with its footnotes below."""
        from bench.render.terminal import show

        show(self)

    def write(self, stem: Path) -> list[Path]:
        """Write `stem`.md, .tex, .html (a fragment), .csv and .json; returns their paths."""
        contents = {
            ".md": self.to_markdown(),
            ".tex": self.to_latex(),
            ".html": self.to_html(),
            ".csv": self.to_csv(),
            ".json": self.to_json() + "\n",
        }
        paths = []
        for suffix, content in contents.items():
            paths.append(stem.parent / (stem.name + suffix))
            write_bytes(paths[-1], content.encode())
        return paths


def cell_text(column: Column, row: Row) -> str:
    """`0.812 ±0.010 [0.004]`, `0.021 (0.011, 0.034)`, a text, `–` or nothing; without the mark of the best."""
    if column.key not in row.values:
        return EMPTY
    value = row.values[column.key]
    if value is None:
        return ABSENT
    if value.text:
        return value.text

    def number(of: float) -> str:
        return f"{of:.{column.digits}f}".replace("-", "−")  # a minus, not a hyphen

    text = number(value.number)
    if value.bounds is not None:
        text += f" ({number(value.bounds[0])}, {number(value.bounds[1])})"
    elif value.half_width is not None:
        text += f" ±{number(value.half_width)}"
    return text if value.spread is None else f"{text} [{number(value.spread)}]"


def is_best(column: Column, row: Row) -> bool:
    """Whether a cell is marked: the best of its column, or tied with it."""
    value = row.values.get(column.key)
    return value is not None and value.best
