"""A table as a value, and how it is written: Markdown, LaTeX, CSV, JSON, terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files import write_bytes

if TYPE_CHECKING:
    from rich.table import Table as RichTable

ABSENT = "–"  # a number one would look for here; a footnote says why there is none
EMPTY = ""  # a number that would mean nothing
FILE_WIDTH = 190  # characters; KID of three digits fits


@dataclass(frozen=True)
class Value:
    """A number as printed (scaled), half the width of its 95 % interval, and whether it is best or tied."""

    number: float
    half_width: float | None = None
    best: bool = False
    spread: float | None = None  # standard deviation over seeds, where there are several
    text: str = ""  # printed instead of the number: a verdict


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
    record: str = ""  # key of the record it shows


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

    def rows(self) -> Iterator[tuple[Block, Row]]:
        for block in self.blocks:
            for row in block.rows:
                yield block, row

    def to_markdown(self) -> str:
        return markdown(self)

    def to_latex(self) -> str:
        return latex(self)

    def to_html(self) -> str:
        return html(self)

    def to_csv(self) -> str:
        return comma_separated(self)

    def to_json(self) -> str:
        return json.dumps(as_dict(self), indent=1, ensure_ascii=False, allow_nan=False)

    def to_rich(self) -> RichTable:
        return terminal(self)

    def print(self) -> None:
        """On the terminal, with its footnotes below."""
        from rich.console import Console

        console = Console()
        if not console.is_terminal:
            console = Console(width=FILE_WIDTH)  # a pipe has no width of its own; rich would assume 80
        console.print(self.to_rich())
        for line in _below(self):
            console.print(line, highlight=False, markup=False)

    def write(self, stem: Path) -> list[Path]:
        """Write `stem`.md, .tex, .csv and .json; returns their paths."""
        contents = {
            ".md": self.to_markdown(),
            ".tex": self.to_latex(),
            ".csv": self.to_csv(),
            ".json": self.to_json() + "\n",
        }
        paths = []
        for suffix, content in contents.items():
            paths.append(stem.parent / (stem.name + suffix))
            write_bytes(paths[-1], content.encode())
        return paths


def cell_text(column: Column, row: Row) -> str:
    """`0.812 ±0.010 [0.004]`, a text, `–` or nothing; without the mark of the best."""
    if column.key not in row.values:
        return EMPTY
    value = row.values[column.key]
    if value is None:
        return ABSENT
    if value.text:
        return value.text
    text = f"{value.number:.{column.digits}f}".replace("-", "−")  # a minus, not a hyphen
    if value.half_width is not None:
        text += f" ±{value.half_width:.{column.digits}f}"
    return text if value.spread is None else f"{text} [{value.spread:.{column.digits}f}]"


def _is_best(column: Column, row: Row) -> bool:
    value = row.values.get(column.key)
    return value is not None and value.best


def _marks(footnotes: tuple[int, ...]) -> str:
    """` ¹ ³` for the footnotes 0 and 2."""
    superscript = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    return "".join(f" {index + 1}".translate(superscript) for index in footnotes)


def _below(table: Table) -> list[str]:
    notes = [f"{_marks((index,)).strip()} {note}." for index, note in enumerate(table.footnotes)]
    return [table.caption, *notes]


def markdown(table: Table) -> str:
    """A table whose columns are aligned in the file too, its caption, its footnotes."""

    def escape(text: str) -> str:
        for special in "\\`*_|<>[]":
            text = text.replace(special, "\\" + special)
        return text

    def number(column: Column, row: Row) -> str:
        text = cell_text(column, row)
        return f"**{text}**" if _is_best(column, row) else text

    header = ["Method"]
    for column in table.columns:
        header.append(escape(f"{column.title} {column.detail}".strip()) + _marks(column.footnotes))
    lines: list[list[str]] = [header, []]
    for block in table.blocks:
        if block is not table.blocks[0]:
            # Markdown has no rules inside a table: an emphasised row stands for one
            lines.append([f"*{escape(block.heading)}*", *("" for _ in table.columns)])
        lines += [
            [escape(row.title) + _marks(row.footnotes), *(number(column, row) for column in table.columns)]
            for row in block.rows
        ]
    widths = [max(len(line[i]) for line in lines if line) for i in range(len(header))]
    lines[1] = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    out = [f"## {escape(table.title)}", ""]
    for line in lines:
        padded = [line[0].ljust(widths[0]), *(text.rjust(widths[i + 1]) for i, text in enumerate(line[1:]))]
        out.append("| " + " | ".join(padded) + " |")
    for line_below in _below(table):
        out += ["", escape(line_below)]
    return "\n".join(out) + "\n"


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "`": r"\textasciigrave{}",
    "↓": r"$\downarrow$", "↑": r"$\uparrow$", "×": r"$\times$", "±": r"$\pm$", "−": "$-$",
    "–": r"\textendash{}", "—": r"\textemdash{}", "≤": r"$\leq$", "≥": r"$\geq$", "·": r"$\cdot$",
    "²": r"$^{2}$", "³": r"$^{3}$", "σ": r"$\sigma$", "β": r"$\beta$", "λ": r"$\lambda$",
    "§": r"\S{}", "…": r"\ldots{}", "→": r"$\rightarrow$", "’": "'", "“": "``", "”": "''",
}  # fmt: skip
"""How a character is written in LaTeX, where it means something else there or is not in its fonts."""


def escape_latex(text: str) -> str:
    r"""Text that LaTeX prints as it stands: `50 % of R_1` -> `50 \% of R\_1`."""
    escaped = "".join(LATEX.get(character, character) for character in text)
    return escaped.replace("--", "-{}-")  # two hyphens of a command line, not a dash


def latex(table: Table) -> str:
    """A `table*` for documents with `booktabs`."""

    def marks(footnotes: tuple[int, ...]) -> str:
        return "$^{" + ",".join(str(index + 1) for index in footnotes) + "}$" if footnotes else ""

    def number(column: Column, row: Row) -> str:
        text = escape_latex(cell_text(column, row))
        return rf"\textbf{{\boldmath {text}}}" if _is_best(column, row) else text

    span = len(table.columns) + 1
    head = [escape_latex(column.title) + marks(column.footnotes) for column in table.columns]
    details = [rf"{{\scriptsize {escape_latex(c.detail)}}}" if c.detail else "" for c in table.columns]
    out = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table*}",
        r"\centering",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape_latex(table.title)}. {escape_latex(table.caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(["Method", *head]) + r" \\",
        " & ".join(["", *details]) + r" \\",
    ]
    for block in table.blocks:
        out.append(r"\midrule")
        if block.heading:
            out.append(rf"\multicolumn{{{span}}}{{l}}{{\emph{{{escape_latex(block.heading)}}}}} \\")
        for row in block.rows:
            title = escape_latex(row.title) + marks(row.footnotes)
            out.append(" & ".join([title, *(number(column, row) for column in table.columns)]) + r" \\")
    out += [r"\bottomrule", r"\end{tabular}"]
    if table.footnotes:
        out += ["", r"\smallskip", r"\begin{minipage}{\linewidth}\scriptsize\raggedright"]
        out += [rf"$^{{{index + 1}}}$ {escape_latex(note)}.\par" for index, note in enumerate(table.footnotes)]
        out.append(r"\end{minipage}")
    return "\n".join([*out, r"\end{table*}"]) + "\n"


def html(table: Table) -> str:
    """A `<table>` with its caption and footnotes, for a page to hold: no style, no script."""
    from html import escape

    def number(column: Column, row: Row) -> str:
        text = escape(cell_text(column, row))
        return f"<strong>{text}</strong>" if _is_best(column, row) else text

    def marks(footnotes: tuple[int, ...]) -> str:
        return "".join(f" <sup>{index + 1}</sup>" for index in footnotes)

    out = ['<figure class="scores">', "<table>", f"<caption>{escape(table.title)}</caption>", "<thead><tr>"]
    out.append('<th scope="col">Method</th>')
    for column in table.columns:
        detail = f"<br><small>{escape(column.detail)}</small>" if column.detail else ""
        out.append(f'<th scope="col">{escape(column.title)}{marks(column.footnotes)}{detail}</th>')
    out.append("</tr></thead>")
    for block in table.blocks:
        out.append("<tbody>")
        if block.heading:
            out.append(f'<tr><th scope="rowgroup" colspan="{len(table.columns) + 1}">{escape(block.heading)}</th></tr>')
        for row in block.rows:
            cells = "".join(f"<td>{number(column, row)}</td>" for column in table.columns)
            out.append(f'<tr><th scope="row">{escape(row.title)}{marks(row.footnotes)}</th>{cells}</tr>')
        out.append("</tbody>")
    out += ["</table>", f"<figcaption><p>{escape(table.caption)}</p>", "<ol>"]
    out += [f"<li>{escape(note)}.</li>" for note in table.footnotes]
    return "\n".join([*out, "</ol></figcaption>", "</figure>"]) + "\n"


def comma_separated(table: Table) -> str:
    """One line a row, numbers in full; half widths in columns of their own; footnotes as text."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    bounded = {
        column.key
        for column in table.columns
        for _, row in table.rows()
        if (value := row.values.get(column.key)) is not None and value.half_width is not None
    }
    header = ["block", "method"]
    for column in table.columns:
        header += [column.key, f"{column.key}_half_width"] if column.key in bounded else [column.key]
    writer.writerow([*header, "record", "notes"])
    for block, row in table.rows():
        line = [block.name, row.title]
        for column in table.columns:
            value = row.values.get(column.key)
            line.append("" if value is None else value.text or repr(value.number))
            if column.key in bounded:
                line.append("" if value is None or value.half_width is None else repr(value.half_width))
        writer.writerow([*line, row.record, "; ".join(table.footnotes[i] for i in row.footnotes)])
    return file.getvalue()


def _plain(value: Value) -> dict[str, Any]:
    """Its fields; those that few values have only where they are."""
    rare = {name: found for name in ("spread", "text") if (found := getattr(value, name))}
    return {"number": value.number, "half_width": value.half_width, "best": value.best, **rare}


def as_dict(table: Table) -> dict[str, Any]:
    """Plain JSON. Footnotes are numbered from 1, as printed."""
    return {
        "title": table.title,
        "caption": table.caption,
        "facts": dict(table.facts),
        "columns": [
            {
                "key": column.key,
                "title": column.title,
                "detail": column.detail,
                "digits": column.digits,
                "footnotes": [index + 1 for index in column.footnotes],
            }
            for column in table.columns
        ],
        "rows": [
            {
                "block": block.name,
                "method": row.title,
                "record": row.record,
                "values": {key: _plain(value) if value else None for key, value in row.values.items()},
                "footnotes": [index + 1 for index in row.footnotes],
            }
            for block, row in table.rows()
        ],
        "footnotes": list(table.footnotes),
    }


def terminal(table: Table) -> RichTable:
    """For `rich`: bold is bold."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(title=Text(table.title), box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    shown.add_column("Method", min_width=27)
    for column in table.columns:
        detail = column.detail.replace(", ", "\n")  # no header wider than the numbers below it
        header = f"{column.title}{_marks(column.footnotes)}\n{detail}".rstrip()
        shown.add_column(Text(header), justify="right", overflow="fold")
    for block in table.blocks:
        if block.heading:
            shown.add_row(Text(block.heading, style="italic"))
        for row in block.rows:
            shown.add_row(
                Text(row.title + _marks(row.footnotes)),
                *(
                    Text(cell_text(column, row), style="bold" if _is_best(column, row) else "")
                    for column in table.columns
                ),
                end_section=row is block.rows[-1],
            )
    return shown
