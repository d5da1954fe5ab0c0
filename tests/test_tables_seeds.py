"""Statements about several seeds, Tables 2 and 4, and the verdicts on the paper's claims."""

from __future__ import annotations

import math
from html.parser import HTMLParser

import pytest

from bench.errors import DataError
from bench.records import Record, comparable
from bench.render_table import Table, cell_text
from bench.tables import claims, table1, table2, table4
from bench.tables.claims import NO, NOT_RUN, OPEN, YES, Gain
from bench.tables.common import pool
from tests.test_tables import CHARACTERS, everything, made_up, notes_of, ours, row


def text(table: Table, title: str, column: str) -> str:
    found = next(c for c in table.columns if c.key == column)
    return cell_text(found, row(table, title))


def seeded(seed: int, quality: float) -> Record:
    return made_up(quality=quality, cell__seed=seed, key=f"key-{seed}")


def test_seeds_of_a_row_become_their_mean_and_their_spread_stands_apart() -> None:
    (found,) = pool([seeded(1, 0.82), seeded(0, 0.80)])
    assert found.centre("ssim") == pytest.approx(0.81)
    assert found.extra["seeds"] == [0, 1]
    assert found.extra["spread"]["ssim"] == pytest.approx(0.02 / math.sqrt(2))
    name = CHARACTERS[2]
    both = [seeded(s, q).per_character[name]["ssim"] for s, q in ((0, 0.80), (1, 0.82))]
    assert found.per_character[name]["ssim"] == pytest.approx(sum(both) / 2)
    # the same wobble in both seeds: the noise of the test set stays what it is in one
    assert found.half_width("ssim") == pytest.approx(pool([seeded(0, 0.80), seeded(5, 0.80)])[0].half_width("ssim"))


def test_one_seed_is_handed_on_as_it_is() -> None:
    record = seeded(3, 0.8)
    assert pool([record]) == [record]


def test_a_row_twice_with_one_seed_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="'PATN' and one seed"):
        pool([seeded(0, 0.8), made_up(quality=0.7, key="other")])


def test_a_row_with_fewer_seeds_than_the_others_says_so() -> None:
    several = [seeded(0, 0.8), seeded(1, 0.82), ours()]
    table = table1(several)
    assert "seeds 0, 1" in table.caption and "standard deviation" in table.caption
    assert "Seed 0 only" in notes_of(table, "Ours (1-shot)")
    assert "[0.014]" in text(table, "PATN", "ssim")
    assert "[" not in text(table, "Ours (1-shot)", "ssim")


def test_json_gives_every_rows_difference_to_the_best() -> None:
    apart = table1(everything()).facts["differences_to_best"]
    found = apart["PATN"]["ssim"]
    assert found["best"] == "Ours (1-shot) (MSL)"
    assert found["mean"] == pytest.approx(0.07) and found["low"] <= found["mean"] <= found["high"]
    assert "ssim" not in apart["Ours (1-shot) (MSL)"]


def shots(number: int, quality: float, variant: str = "") -> Record:
    """Ours at some shots; 0 is unadapted."""
    mark = " (MSL)" if variant else ""
    if number == 0:
        return ours(f"Ours (1-shot){mark} w/o FT", quality, variant, cell__adaptation="none", finetune=None)
    return ours(f"Ours ({number}-shot){mark}", quality, variant, cell__shots=number)


def test_table2_has_a_block_a_loss_and_what_adapting_gains() -> None:
    table = table2([shots(10, 0.84), shots(1, 0.82), shots(0, 0.70), shots(4, 0.83), shots(0, 0.6, "msl")])
    assert [block.name for block in table.blocks] == ["plain", "msl"]
    titles = [r.title for r in table.blocks[0].rows]
    assert titles == ["Ours (1-shot) w/o FT", "Ours (1-shot)", "Ours (4-shot)", "Ours (10-shot)"]
    assert text(table, "Ours (4-shot)", "gain_ssim_foreground").startswith("0.130 ±")
    assert text(table, "Ours (4-shot)", "gain_l1_foreground").startswith("0.130 ±"), "less error is a gain"
    assert text(table, "Ours (1-shot) w/o FT", "gain_ssim_foreground") == ""


def test_table4_compares_every_row_with_the_full_method() -> None:
    full = shots(4, 0.85, "msl")
    full = Record.from_dict({**full.to_dict(), "title": "Ours (MSL)"})
    joint = ours("w/o ML (equal samples)", 0.87, "wo-ml", cell__shots=4)
    table = table4([full, joint, ours("w/o FRM", 0.6, "wo-frm", cell__shots=4)], missing={"w/o FT": "it diverged"})
    assert [r.title for _, r in table.rows()][:3] == ["w/o ML (equal samples)", "w/o FRM", "Ours (MSL)"]
    assert text(table, "w/o FRM", "gain_ssim_foreground").startswith("−0.250")
    assert text(table, "w/o ML (equal samples)", "gain_l1_foreground").startswith("0.020")
    assert any("it diverged" in note for note in notes_of(table, "w/o FT"))
    assert row(table, "w/o ML (equal samples)").values["paper_fid"].number == 5.30  # type: ignore[union-attr]


def test_verdicts_follow_from_the_numbers_alone() -> None:
    table = claims([ours(), made_up(), made_up("pg2", "PG2", 0.95), made_up("pix2pix", "Pix2Pix", 0.85)])
    assert text(table, "Ours beats PATN", "ssim_foreground_verdict") == YES
    assert text(table, "Ours beats PATN", "l1_foreground_verdict") == YES
    assert text(table, "Ours beats PG2", "l1_foreground_verdict") == NO
    assert text(table, "Ours beats PG2", "kid_verdict") == NO
    assert text(table, "Ours beats Pix2Pix", "ssim_verdict") == OPEN, "equal scores"
    assert text(table, "Ours beats XingGAN", "ssim_verdict") == NOT_RUN
    assert text(table, "MSL helps at 4 shots", "ssim") == "–"
    assert text(table, "Ours beats PATN", "paper_fid") == "0.99"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.3, YES), (-0.3, -0.1, NO), (-0.1, 0.3, OPEN), (0.0, 0.1, OPEN), (None, None, OPEN)],
)
def test_a_verdict_needs_an_interval_on_one_side_of_zero(low: float | None, high: float | None, said: str) -> None:
    assert Gain(0.1, low, high).verdict == said


def test_the_budget_rows_of_wo_ml_are_told_apart() -> None:
    full = Record.from_dict({**shots(4, 0.85, "msl").to_dict(), "title": "Ours (MSL)"})
    rows = [ours(f"w/o ML (equal {w})", q, "wo-ml", cell__shots=4) for w, q in (("samples", 0.8), ("seconds", 0.9))]
    table = claims([full, *rows])
    assert text(table, "meta-learning, at equal samples", "ssim_verdict") == YES
    assert text(table, "meta-learning, at equal seconds", "ssim_verdict") == NO
    assert text(table, "meta-learning, at equal queries", "ssim_verdict") == NOT_RUN


class Balance(HTMLParser):
    """Open and closed tags, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[int] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            return
        self.open.append(tag)
        if tag == "tr":
            self.cells.append(0)
        if tag in ("td", "th"):
            self.cells[-1] += int(dict(attrs).get("colspan") or 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def test_html_is_balanced_escaped_and_has_equal_rows() -> None:
    table = table1([*everything(), made_up("mine.x:X", "<b>Mine</b> & co", 0.9)])
    page = Balance()
    page.feed(table.to_html())
    assert page.open == []
    assert set(page.cells) == {len(table.columns) + 1}
    assert "<b>Mine</b> & co" in page.said, "shown as text, not read as markup"


def test_records_of_older_data_are_left_out_by_name() -> None:
    old = made_up(data__digest="other", created="2025-01-01T00:00:00+00:00")
    new = [ours(), made_up("pg2", "PG2")]
    assert comparable([old, *new]) == (new, ["PATN"])
    assert comparable([]) == ([], [])
