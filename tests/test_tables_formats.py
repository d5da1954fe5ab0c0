"""Statements about one table in every format."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from bench.render.latex import escape_latex
from bench.render.terminal import FILE_WIDTH
from bench.render_table import Block, Column, Row, Table, Value
from bench.tables import budget, claims, table1, table2, table4
from tests.made_records import everything, made_up, ours

NASTY = r"50 % of R_1 & more #2 $x^2$ {a} ~\b <i> | [x] *y* -- “é” アニメ" + "\nsecond line"


def nasty() -> Table:
    """A table with characters that mean something to some format, wherever text can stand."""
    columns = (Column("a", f"a {NASTY}", 2, NASTY, (0,)), Column("b", "b", 1), Column("c", "c", 0, "", (0, 1)))
    rows = (
        Row(f"[0] {NASTY}", {"a": Value(-1.5, 0.1, True, 0.2), "b": None}, (1,)),
        Row("*second", {"a": Value(2, bounds=(-1, 3)), "c": Value(0, text=NASTY)}),
    )
    blocks = (Block("one", rows), Block("two", (Row("alone", {}),), NASTY))
    return Table(NASTY, columns, blocks, (NASTY, "plain"), {}, NASTY)


TABLES = {
    "table 1": lambda: table1(everything()),
    "table 2": lambda: table2([ours(), made_up("patn", "PATN (1-shot)", finetune={"lr": 0.1, "passes": 1})]),
    "table 4": lambda: table4([ours("Ours (MSL)", 0.8, "msl", cell__shots=4), ours("w/o FRM", 0.7, "wo-frm")]),
    "claims": lambda: claims(everything()),
    "budget": lambda: budget(everything()),
    "nasty": nasty,
}  # fmt: skip
every_table = pytest.mark.parametrize("name", TABLES)


def test_csv_reads_back_to_the_same_numbers() -> None:
    table = table1(everything())
    frame = pd.read_csv(io.StringIO(table.to_csv())).set_index("method")
    for _, shown in table.rows():
        for column in table.columns:
            value = shown.values.get(column.key)
            read = frame.loc[shown.title, column.key]
            assert pd.isna(read) if value is None else read == value.number
            if value is not None and value.half_width is not None:
                assert frame.loc[shown.title, f"{column.key}_half_width"] == value.half_width


def test_csv_has_bounds_and_spreads_where_there_are_some() -> None:
    frame = pd.read_csv(io.StringIO(nasty().to_csv())).set_index("method")
    assert list(frame.columns[1:6]) == ["a", "a_half_width", "a_low", "a_high", "a_spread"]
    assert frame.loc["*second", "a_low"] == -1 and frame.loc["*second", "a_high"] == 3
    assert frame.loc[f"[0] {NASTY}", "a_spread"] == 0.2
    assert frame.loc["*second", "c"] == NASTY


def test_json_says_what_markdown_shows() -> None:
    table = table1(everything())
    value = json.loads(table.to_json())
    assert [r["method"] for r in value["rows"]] == [shown.title for _, shown in table.rows()]
    assert value["rows"][0]["values"]["fid"] == {"number": pytest.approx(20), "half_width": None, "best": False}
    assert value["facts"]["commands"] == ["bench table1 --preset quick"]
    assert value["facts"]["data_digest"] == "d" * 16


@every_table
def test_markdown_columns_are_aligned(name: str) -> None:
    table = TABLES[name]()
    lines = [line for line in table.to_markdown().splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(table.columns) + 2}
    assert len(lines) == 2 + sum(len(b.rows) + bool(b.heading) for b in table.blocks)


def test_markdown_marks_the_best() -> None:
    assert "**13.00**" in table1(everything()).to_markdown()


def test_latex_escapes_what_it_would_read_as_code() -> None:
    assert escape_latex(r"50 % of R_1 & $x^2$ #{a} ~\b") == (
        r"50 \% of R\_1 \& \$x\textasciicircum{}2\$ \#\{a\} \textasciitilde{}\textbackslash{}b"
    )
    assert escape_latex("FID↓ ±0.1 ×10³ –") == r"FID$\downarrow$ $\pm$0.1 $\times$10$^{3}$ \textendash{}"
    assert escape_latex("“about 140”") == "``about 140''"
    assert escape_latex("--preset") == "-{}-preset"  # not a dash
    assert escape_latex("[x] *") == "{[}x] {*}"  # after the end of a row they would be its options
    assert escape_latex("Bińkowski アニメ") == "Binkowski U+30A2U+30CBU+30E1"
    assert escape_latex("two\n\nlines") == "two lines"  # an empty line ends a paragraph, which a caption cannot hold


def latex_rows(text: str) -> list[int]:
    """How many columns each row of the tabular fills."""
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = []
    for line in body.splitlines():
        if line.endswith(r"\\"):
            spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            rows.append(len(re.findall(r"(?<!\\)&", line)) + 1 + sum(n - 1 for n in spans))
        else:
            assert line in (r"\toprule", r"\midrule")
    return rows


def check_latex(text: str) -> None:
    """Environments and braces are closed in order, mathematics is closed, specials stand only where they may."""
    assert text.isascii()
    opened: list[str] = []
    for token in re.finditer(r"\\begin\{(\w+\*?)\}|\\end\{(\w+\*?)\}|\\(?:[a-zA-Z]+|.)|[{}$#%&_^~]", text):
        begins, ends, found = token[1], token[2], token[0]
        line = text[text.rfind("\n", 0, token.start()) + 1 :].split("\n")[0]
        if begins:
            opened.append(begins)
        elif ends:
            assert opened.pop() == ends
        elif found == "{":
            opened.append(found)
        elif found == "}":
            assert opened.pop() == "{"
        elif found == "$":
            if opened and opened[-1] == "$":
                opened.pop()
            else:
                assert "$" not in opened
                opened.append(found)
        elif found in ("_", "^"):
            assert "$" in opened, line
        elif found == "&":
            assert opened[-1] == "tabular", line
        elif found == "%":
            assert line.startswith("%") or line.endswith("{%"), line
        else:
            assert found.startswith("\\"), line
    assert opened == []


@every_table
def test_latex_is_balanced_and_every_row_fills_the_columns(name: str) -> None:
    table = TABLES[name]()
    text = table.to_latex()
    check_latex(text)
    rows = latex_rows(text)
    assert set(rows) == {len(table.columns) + 1}
    assert len(rows) >= 1 + sum(len(b.rows) + bool(b.heading) for b in table.blocks)
    declared = re.search(r"\\begin\{tabular\}\{(l?r+)\}", text)
    assert declared is not None and len(declared[1]) == len(table.columns) + 1


@pytest.mark.parametrize("broken", ["{", r"\begin{x}", "a_b", "a & b", "$x", "50 % of", r"\end{tabular}"])
def test_the_check_of_latex_sees_what_is_broken(broken: str) -> None:
    with pytest.raises((AssertionError, IndexError)):
        check_latex(table1(everything()).to_latex().replace(r"\centering", broken))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX on this machine")
def test_latex_compiles(tmp_path: Path) -> None:
    body = "\n".join(make().to_latex() + r"\clearpage" for make in TABLES.values())
    packages = r"\usepackage{booktabs,graphicx,rotating}"
    document = "\\documentclass{article}" + packages + "\\begin{document}\n" + body + "\n\\end{document}\n"
    (tmp_path / "all.tex").write_text(document)
    made = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert made.returncode == 0, made.stdout[-2000:]
    assert f"({len(TABLES)} pages" in made.stdout, made.stdout[-500:]
    assert "too large" not in made.stdout, "a table runs off its page"


class Page(HTMLParser):
    """Open and closed tags, columns a row, links, ids, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[int] = []
        self.classes: list[str] = []
        self.links: set[str] = set()
        self.ids: list[str] = []
        self.said = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "br":
            return
        self.open.append(tag)
        if tag == "tr":
            self.cells.append(0)
        if tag in ("td", "th"):
            self.cells[-1] += int(given.get("colspan") or 1)
        if tag == "td":
            self.classes.append(given.get("class") or "")
        if tag == "a":
            self.links.add(str(given["href"]).removeprefix("#"))
        if given.get("id"):
            self.ids.append(str(given["id"]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


@every_table
def test_html_is_balanced_and_every_row_fills_the_columns(name: str) -> None:
    table = TABLES[name]()
    page = Page(table.to_html())
    assert page.open == []
    assert set(page.cells) == {len(table.columns) + 1}
    assert len(set(page.ids)) == len(page.ids) == len(table.footnotes)
    assert page.links <= set(page.ids), "every mark leads to its footnote"


def test_html_shows_markup_as_text() -> None:
    table = table1([*everything(), made_up("mine.x:X", '<b>Mine</b> & "co"', 0.9, notes=["<script>alert(1)</script>"])])
    text = table.to_html()
    assert "<b>" not in text and "<script>" not in text
    page = Page(text)
    assert '<b>Mine</b> & "co"' in page.said and "<script>alert(1)</script>" in page.said


def test_html_says_by_class_what_a_cell_is() -> None:
    assert Page(nasty().to_html()).classes[:2] == ["number best", "absent"]
    said = Page(TABLES["claims"]().to_html()).classes
    assert {"text yes", "text not-run", "number", "absent", "empty"} <= set(said)


def test_two_tables_can_stand_on_one_page() -> None:
    ids = [name for table in ("table 1", "table 2", "claims") for name in Page(TABLES[table]().to_html()).ids]
    assert len(set(ids)) == len(ids)


def test_the_terminal_shows_every_row() -> None:
    from rich.console import Console

    file = io.StringIO()
    table = table1(everything())
    Console(file=file, width=FILE_WIDTH).print(table.to_rich())
    shown = file.getvalue()
    assert all(line.title in shown for _, line in table.rows())
    assert "0.870 ±0.012" in shown
    assert "0.807" in shown  # the last column too


@every_table
def test_a_file_of_terminal_output_cuts_no_cell(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = TABLES[name]()
    table.print()
    shown = capsys.readouterr().out
    for cell in re.findall(r"<td[^>]*>(?:<strong>)?([^<&\n]+)<", table.to_html()):
        assert cell in shown


def test_write_makes_five_files_of_one_table(tmp_path: Path) -> None:
    table = table1(everything())
    paths = table.write(tmp_path / "quick" / "table1")
    assert [path.name for path in paths] == ["table1.md", "table1.tex", "table1.html", "table1.csv", "table1.json"]
    assert [path.read_text(encoding="utf-8") for path in paths[:3]] == [
        table.to_markdown(),
        table.to_latex(),
        table.to_html(),
    ]
