"""A table in LaTeX, for documents with booktabs, graphicx and rotating."""

from __future__ import annotations

import unicodedata
from itertools import zip_longest

from bench.render_table import Column, Row, Table, cell_text, is_best

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "`": r"\textasciigrave{}",
    # after the end of a row these two would be its options
    "[": "{[}", "*": "{*}",
    "↓": r"$\downarrow$", "↑": r"$\uparrow$", "×": r"$\times$", "±": r"$\pm$", "−": "$-$",
    "–": r"\textendash{}", "—": r"\textemdash{}", "≤": r"$\leq$", "≥": r"$\geq$", "·": r"$\cdot$",
    "²": r"$^{2}$", "³": r"$^{3}$", "σ": r"$\sigma$", "β": r"$\beta$", "λ": r"$\lambda$", "Δ": r"$\Delta$",
    "§": r"\S{}", "…": r"\ldots{}", "→": r"$\rightarrow$", "’": "'", "“": "``", "”": "''",
}  # fmt: skip
"""How a character is written in LaTeX, where it means something else there or is not in its fonts."""

MOST_COLUMNS = 6
"""Wider tables are turned on their side and scaled to the height of the text."""
MOST_ROWS = 30
"""Longer ones stay upright, scaled to the width of the text: on their side they would not fit the page."""
MANY_FOOTNOTES = 15
"""More are set smaller."""


def escape_latex(text: str) -> str:
    r"""Text that LaTeX prints as it stands, on one line: `50 % of R_1` -> `50 \% of R\_1`."""
    escaped = "".join(LATEX.get(character) or _in_its_fonts(character) for character in " ".join(text.split()))
    return escaped.replace("--", "-{}-")  # two hyphens of a command line, not a dash


def _in_its_fonts(character: str) -> str:
    """ASCII as it is, an accented letter without its accent, anything else by its number."""
    if character.isascii():
        return character
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(LATEX.get(part, part) for part in bare) or f"U+{ord(character):04X}"


def latex(table: Table) -> str:
    """A float with its caption, and the footnotes below: `table*`, or `sidewaystable` where there are many columns."""

    def marks(footnotes: tuple[int, ...]) -> str:
        return "$^{" + ",".join(str(index + 1) for index in footnotes) + "}$" if footnotes else ""

    def number(column: Column, row: Row) -> str:
        text = escape_latex(cell_text(column, row))
        return rf"\textbf{{\boldmath {text}}}" if is_best(column, row) else text

    def line(*cells: str) -> str:
        return " & ".join(cells) + r" \\"

    wide, rows = len(table.columns) > MOST_COLUMNS, sum(len(block.rows) for block in table.blocks)
    environment = "sidewaystable" if wide and rows <= MOST_ROWS else "table*"
    small = r"\tiny" if len(table.footnotes) > MANY_FOOTNOTES else r"\scriptsize"
    head = [escape_latex(column.title) + marks(column.footnotes) for column in table.columns]
    # one line of the header a part: no header wider than the numbers below it
    details = list(zip_longest(*(column.detail.split(", ") for column in table.columns), fillvalue=""))
    out = [
        r"% needs \usepackage{booktabs,graphicx,rotating}" if wide else r"% needs \usepackage{booktabs}",
        rf"\begin{{{environment}}}",
        r"\centering",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\caption{{\small {escape_latex(table.title)}. {escape_latex(table.caption)}}}",
        r"\smallskip",
        *([r"\resizebox{\linewidth}{!}{%"] if wide else []),
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        line(escape_latex(table.first), *head),
    ]
    for part in details if any(map(any, details)) else []:
        out.append(line("", *(rf"{{\scriptsize {escape_latex(text)}}}" if text else "" for text in part)))
    for block in table.blocks:
        out.append(r"\midrule")
        if block.heading:
            heading = rf"\emph{{{escape_latex(block.heading)}}}"
            out.append(rf"\multicolumn{{{len(table.columns) + 1}}}{{l}}{{{heading}}} \\")
        for row in block.rows:
            title = escape_latex(row.title) + marks(row.footnotes)
            out.append(line(title, *(number(column, row) for column in table.columns)))
    out += [r"\bottomrule", r"\end{tabular}" + ("}" if wide else "")]
    if table.footnotes:
        out += ["", r"\smallskip", rf"\begin{{minipage}}{{\linewidth}}{small}\raggedright"]
        out += [rf"$^{{{index + 1}}}$ {escape_latex(note)}.\par" for index, note in enumerate(table.footnotes)]
        out.append(r"\end{minipage}")
    return "\n".join([*out, rf"\end{{{environment}}}"]) + "\n"
