"""What the formats for plain text share: superscripts, and what stands below a table."""

from __future__ import annotations

from bench.render_table import Table

SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def marks(footnotes: tuple[int, ...]) -> str:
    """` ¹ ³` for the footnotes 0 and 2."""
    return "".join(f" {index + 1}".translate(SUPERSCRIPT) for index in footnotes)


def below(table: Table) -> list[str]:
    """The caption, then a line a footnote."""
    return [table.caption, *(f"{marks((index,)).strip()} {note}." for index, note in enumerate(table.footnotes))]
