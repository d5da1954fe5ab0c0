"""A table in Markdown."""

from __future__ import annotations

from bench.render.text import below, marks
from bench.render_table import Column, Row, Table, cell_text, is_best


def markdown(table: Table) -> str:
    """A table whose columns are aligned in the file too, its caption, its footnotes."""

    def number(column: Column, row: Row) -> str:
        text = escape_markdown(cell_text(column, row))
        return f"**{text}**" if is_best(column, row) else text

    header = [escape_markdown(table.first)]
    for column in table.columns:
        header.append(escape_markdown(f"{column.title} {column.detail}".strip()) + marks(column.footnotes))
    lines: list[list[str]] = [header, []]
    for block in table.blocks:
        if block is not table.blocks[0] or block.heading:
            # Markdown has no rules inside a table: an emphasised row stands for one
            heading = f"*{escape_markdown(block.heading)}*" if block.heading else ""
            lines.append([heading, *("" for _ in table.columns)])
        lines += [
            [escape_markdown(row.title) + marks(row.footnotes), *(number(column, row) for column in table.columns)]
            for row in block.rows
        ]
    widths = [max(len(line[i]) for line in lines if line) for i in range(len(header))]
    lines[1] = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    out = [f"## {escape_markdown(table.title)}", ""]
    for line in lines:
        padded = [line[0].ljust(widths[0]), *(text.rjust(widths[i + 1]) for i, text in enumerate(line[1:]))]
        out.append("| " + " | ".join(padded) + " |")
    for line_below in below(table):
        out += ["", escape_markdown(line_below)]
    return "\n".join(out) + "\n"


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it stands, on one line."""
    text = " ".join(text.split())
    for special in "\\`*_|<>[]":
        text = text.replace(special, "\\" + special)
    return text
