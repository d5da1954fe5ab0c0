"""A table in HTML, as a fragment for a page to hold."""

from __future__ import annotations

import re
from html import escape

from bench.render_table import Column, Row, Table, cell_text, is_best


def html(table: Table) -> str:
    """A `<figure class="scores">` with caption and footnotes: no style, no script.

    Classes of cells: `number`, `best`, `absent`, `empty`, `text` with the text itself (`text not-run`). Footnotes are
    linked, under ids that start with the table's title, so that several tables can stand on one page.
    """
    name = slug(table.title)

    def marks(footnotes: tuple[int, ...]) -> str:
        links = (f'<a href="#{name}-note-{index + 1}">{index + 1}</a>' for index in footnotes)
        return f" <sup>{', '.join(links)}</sup>" if footnotes else ""

    def cell(column: Column, row: Row) -> str:
        text = escape(cell_text(column, row))
        if is_best(column, row):
            text = f"<strong>{text}</strong>"
        return f'<td class="{_kind(column, row)}">{text}</td>'

    out = ['<figure class="scores">', "<table>", f"<caption>{escape(table.title)}</caption>", "<thead><tr>"]
    out.append(f'<th scope="col">{escape(table.first)}</th>')
    for column in table.columns:
        detail = f"<br><small>{escape(column.detail)}</small>" if column.detail else ""
        out.append(f'<th scope="col">{escape(column.title)}{marks(column.footnotes)}{detail}</th>')
    out.append("</tr></thead>")
    for block in table.blocks:
        out.append(f'<tbody class="{slug(block.name)}">')
        if block.heading:
            heading = escape(block.heading)
            out.append(f'<tr><th scope="rowgroup" colspan="{len(table.columns) + 1}">{heading}</th></tr>')
        for row in block.rows:
            cells = "".join(cell(column, row) for column in table.columns)
            out.append(f'<tr><th scope="row">{escape(row.title)}{marks(row.footnotes)}</th>{cells}</tr>')
        out.append("</tbody>")
    out += ["</table>", f"<figcaption><p>{escape(table.caption)}</p>"]
    if table.footnotes:
        notes = [f'<li id="{name}-note-{index + 1}">{escape(note)}.</li>' for index, note in enumerate(table.footnotes)]
        out += ["<ol>", *notes, "</ol>"]
    return "\n".join([*out, "</figcaption>", "</figure>"]) + "\n"


def slug(text: str) -> str:
    """Lower-case letters, digits and hyphens: a class or the start of an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "table"


def _kind(column: Column, row: Row) -> str:
    if column.key not in row.values:
        return "empty"
    value = row.values[column.key]
    if value is None:
        return "absent"
    if value.text:
        return f"text {slug(value.text)}"
    return "number best" if value.best else "number"
