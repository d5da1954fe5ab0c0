"""Statements about Tables 2 and 4, the verdicts on the paper's claims, and quality against cost."""

from __future__ import annotations

import pytest

from bench.errors import DataError
from bench.records import Record
from bench.tables import budget, claims, table2, table4
from bench.tables.claims import CLAIMS, NOT_RUN
from bench.tables.compare import NO, OPEN, YES, Gain
from tests.made_records import SCHEDULE, everything, made_up, notes_of, ours, row, text


def shots(number: int, quality: float, variant: str = "") -> Record:
    """Ours at some shots; 0 is unadapted."""
    mark = " (MSL)" if variant else ""
    if number == 0:
        return ours(f"Ours (1-shot){mark} w/o FT", quality, variant, cell__adaptation="none", finetune=None)
    return ours(f"Ours ({number}-shot){mark}", quality, variant, cell__shots=number)


def tuned(quality: float, number: int) -> Record:
    title = f"PATN ({number}-shot)"
    return made_up("patn", title, quality, finetune=SCHEDULE, cell__adaptation="tuned", cell__shots=number)


def joint(budget: str, quality: float, **changed: object) -> Record:
    named = {"title": f"w/o ML (equal {budget})", "cell__shots": 4, "key": f"key-{budget}", **changed}
    return ours(quality=quality, variant="wo-ml", **named)


# Table 2


def test_table2_always_has_the_papers_rows_in_two_blocks() -> None:
    table = table2([shots(10, 0.84), shots(0, 0.6, "msl")], missing={"Ours (4-shot)": "it diverged"})
    assert [(block.name, [r.title for r in block.rows]) for block in table.blocks] == [
        ("plain", ["Ours w/o FT", "Ours (1-shot)", "Ours (4-shot)", "Ours (10-shot)"]),
        ("msl", ["Ours w/o FT (MSL)", "Ours (1-shot) (MSL)", "Ours (4-shot) (MSL)", "Ours (10-shot) (MSL)"]),
    ]
    assert "No record: it diverged" in notes_of(table, "Ours (4-shot)")
    assert "No record: bench table2 --preset quick has not made it yet" in notes_of(table, "Ours (1-shot)")
    assert text(table, "Ours (4-shot)", "paper_fid") == "4.31"
    assert text(table, "Ours (10-shot) (MSL)", "paper_fid") == "", "the paper has no such row"


def test_table2_says_what_each_row_gains_over_fewer_shots() -> None:
    table = table2([shots(4, 0.83), shots(1, 0.82), shots(0, 0.70), shots(2, 0.825)])
    assert text(table, "Ours (1-shot)", "gain_ssim_foreground") == "0.120 (0.120, 0.120)"
    assert text(table, "Ours (2-shot)", "gain_l1_foreground") == "0.005 (0.005, 0.005)", "less error is a gain"
    assert text(table, "Ours (4-shot)", "gain_ssim_foreground").startswith("0.005"), "over 2 shots, which stand above"
    assert text(table, "Ours w/o FT", "gain_ssim_foreground") == ""


def test_table2_leaves_other_rows_out() -> None:
    others = [made_up("white", "White image"), joint("samples", 0.9), ours("views", cell__protocol="views")]
    table = table2([*others, made_up("pg2", "PG2"), shots(1, 0.8)])
    assert [r.record for _, r in table.rows() if r.record] == ["key-Ours (1-shot)"]
    with pytest.raises(DataError, match="none of these records is a row of Table 2"):
        table2(others)


def test_table2_has_fine_tuned_baselines_after_themselves_unadapted() -> None:
    table = table2([tuned(0.83, 4), shots(1, 0.82), made_up(), tuned(0.82, 1), made_up("pg2", "PG2")])
    assert table.blocks[2].heading == "Baselines with the same fine-tuning"
    assert [r.title for r in table.blocks[2].rows] == ["PATN", "PATN (1-shot)", "PATN (4-shot)"]
    assert text(table, "PATN (1-shot)", "gain_ssim_foreground").startswith("0.020")
    assert row(table, "PATN (4-shot)").values["ssim"].best, "they compete"  # type: ignore[union-attr]


# Table 4


def test_table4_has_the_papers_rows_and_those_that_take_them_apart() -> None:
    table = table4([shots(4, 0.85, "msl")], missing={"w/o FRM": "it diverged"})
    assert [[r.title for r in block.rows] for block in table.blocks] == [
        ["w/o ML (equal samples)", "w/o FT", "w/o FRM", "w/o MSL", "Ours (MSL)"],
        ["w/o ML (equal queries)", "w/o ML (equal seconds)", "w/o ML & FT", "K=2 w/o MSL"],
    ]
    assert "No record: it diverged" in notes_of(table, "w/o FRM")
    papers = [text(table, r.title, "paper_fid") for r in table.blocks[0].rows]
    assert papers == ["5.30", "5.92", "4.31", "3.71", "2.33"]
    assert row(table, "Ours (MSL)").record == "key-Ours (4-shot) (MSL)", "whatever its record is titled"


def test_table4_compares_every_row_with_the_full_method() -> None:
    rows = [shots(4, 0.85, "msl"), joint("samples", 0.87), ours("w/o FRM", 0.6, "wo-frm", cell__shots=4)]
    table = table4([*rows, shots(0, 0.5, "msl"), joint("samples", 0.4, finetune=None, title="w/o ML & FT")])
    assert text(table, "w/o FRM", "gain_ssim_foreground") == "−0.250 (−0.250, −0.250)"
    assert text(table, "w/o ML (equal samples)", "gain_l1_foreground").startswith("0.020")
    assert text(table, "w/o FT", "gain_l1_foreground").startswith("−0.350")
    assert text(table, "w/o ML & FT", "gain_ssim_foreground").startswith("−0.450")
    assert text(table, "Ours (MSL)", "gain_ssim_foreground") == ""
    with pytest.raises(DataError, match="none of these records is a row of Table 4"):
        table4(everything())


def test_table4_says_where_equal_seconds_were_missed_and_by_which_seed() -> None:
    full = [ours("Ours (4-shot) (MSL)", 0.9, "msl", cell__shots=4, cell__seed=s, seconds__train=584.0) for s in (0, 1)]
    equal = [joint("seconds", 0.8, cell__seed=s, seconds__train=t) for s, t in ((0, 388.0), (1, 560.0))]
    (note,) = [n for n in notes_of(table4([*full, *equal]), "w/o ML (equal seconds)") if "equal" in n]
    assert note == "Not quite equal: it trained for 388 s, Ours (MSL) for 584 s (seed 0)"
    assert not any("584 s" in note for note in table4([*full, equal[1], joint("samples", 0.8)]).footnotes)


# claims


def test_verdicts_follow_from_the_numbers_alone() -> None:
    table = claims([ours(), made_up(), made_up("pg2", "PG2", 0.95), made_up("pix2pix", "Pix2Pix", 0.85)])
    assert text(table, "Ours (1-shot) beats PATN", "ssim_foreground_verdict") == YES
    assert text(table, "Ours (1-shot) beats PATN", "l1_foreground_verdict") == YES
    assert text(table, "Ours (1-shot) beats PATN", "l1_foreground") == "0.050 (0.050, 0.050)"
    assert text(table, "Ours (1-shot) beats PG2", "l1_foreground_verdict") == NO
    assert text(table, "Ours (1-shot) beats PG2", "kid_verdict") == NO
    assert text(table, "Ours (1-shot) beats Pix2Pix", "ssim_verdict") == OPEN, "equal scores"
    assert text(table, "Ours (1-shot) beats XingGAN", "ssim_verdict") == NOT_RUN
    assert text(table, "MSL helps at 4 shots", "ssim") == "–"


def test_fid_has_a_difference_and_no_verdict() -> None:
    table = claims([ours(), made_up()])
    assert text(table, "Ours (1-shot) beats PATN", "fid") == "5.00"
    assert "fid_verdict" not in {column.key for column in table.columns}
    (column,) = [column for column in table.columns if column.key == "fid"]
    assert column.detail == "no interval" and any("no verdict" in table.footnotes[i] for i in column.footnotes)


def test_kid_has_the_standard_errors_of_both() -> None:
    half = 1000 * 1.96 * 0.0001 * 2**0.5
    found = text(claims([ours(), made_up()]), "Ours (1-shot) beats PATN", "kid")
    assert found == f"5.00 ({5 - half:.2f}, {5 + half:.2f})"
    assert any(
        note.endswith("treats images of one character as independent") for note in claims(everything()).footnotes
    )


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.3, YES), (-0.3, -0.1, NO), (-0.1, 0.3, OPEN), (0.0, 0.1, OPEN), (None, None, OPEN)],
)
def test_a_verdict_needs_an_interval_on_one_side_of_zero(low: float | None, high: float | None, said: str) -> None:
    assert Gain(0.1, low, high).verdict == said


def test_every_claim_compares_two_rows_and_stands_once() -> None:
    every = [claim for group in CLAIMS.values() for claim in group]
    assert all(claim.better != claim.worse for claim in every)
    assert len({claim.text for claim in every}) == len(every)
    assert all(claim.paper[0].fid < claim.paper[1].fid for claim in every if claim.paper), "so the paper prints them"


def test_the_papers_numbers_stand_beside_each_claim() -> None:
    table = claims([ours()])
    assert text(table, "Ours (1-shot) beats PATN", "paper_fid") == "5.78 vs 6.77"
    assert text(table, "4 shots beat 1 shot (MSL)", "paper_fid") == "2.33 vs 4.03"
    assert text(table, "fine-tuning", "paper_ssim") == "0.874 vs 0.827"
    assert text(table, "10 shots beat 4 shots (MSL)", "paper_fid") == ""


def test_the_budget_rows_of_wo_ml_are_told_apart() -> None:
    table = claims([shots(4, 0.85, "msl"), joint("samples", 0.8), joint("seconds", 0.9)])
    assert text(table, "meta-learning, at equal samples", "ssim_verdict") == YES
    assert text(table, "meta-learning, at equal seconds", "ssim_verdict") == NO
    assert text(table, "meta-learning, at equal queries", "ssim_verdict") == NOT_RUN


def test_a_fine_tuned_baseline_is_not_the_papers_baseline() -> None:
    table = claims([ours(), tuned(0.9, 1)])
    assert text(table, "Ours (1-shot) beats PATN", "ssim_verdict") == NOT_RUN
    assert text(table, "Ours (1-shot) beats PATN, fine-tuned", "ssim_verdict") == NO


def test_claims_of_one_test_character_cannot_be_judged() -> None:
    def alone(record: Record) -> Record:
        name = next(iter(record.per_character))
        return Record.from_dict({**record.to_dict(), "per_character": {name: record.per_character[name]}})

    table = claims([alone(ours()), alone(made_up())])
    assert text(table, "Ours (1-shot) beats PATN", "ssim") == "0.050"
    assert text(table, "Ours (1-shot) beats PATN", "ssim_verdict") == OPEN
    assert "One test character gives no interval" in notes_of(table, "Ours (1-shot) beats PATN")


def test_claims_refuse_records_of_different_data() -> None:
    with pytest.raises(DataError, match="data digest"):
        claims([ours(), made_up(data__digest="other")])


# quality against cost


def meta(title: str, quality: float, seconds: float, **changed: object) -> Record:
    phases = [{"data": "pairs", "steps": 4000, "samples": 16000}, {"data": "episodes", "steps": 300, "samples": 1200}]
    trained = {"pairs": 0, "queries": 1200, "warm_start_pairs": 16000, "phases": phases}
    cost = {"train": seconds, "warm_start": 60.0, "tune": 1.0, "generate": 1.0, "score": 1.0, "adapt_per_character": 2}
    return ours(title, quality, budget=trained, seconds=cost, **changed)


def test_costs_count_the_warm_start_and_the_support_samples() -> None:
    table = budget([meta("Ours (1-shot)", 0.9, 120), made_up(), made_up("white", "White image")])
    assert [r.title for _, r in table.rows()] == ["PATN", "Ours (1-shot)"], "by seconds; floors cost nothing"
    shown = {key: text(table, "Ours (1-shot)", key) for key in ("minutes", "pairs", "samples", "steps", "adapt")}
    assert shown == {"minutes": "3.0", "pairs": "17200", "samples": "22000", "steps": "4300", "adapt": "2.00"}
    shown = {key: text(table, "PATN", key) for key in ("minutes", "pairs", "samples", "steps", "adapt")}
    assert shown == {"minutes": "1.7", "pairs": "4000", "samples": "4000", "steps": "–", "adapt": ""}
    one_inner_step = meta("Ours (1-shot)", 0.9, 120, build__options={"inner_steps": 1})
    assert text(budget([one_inner_step]), "Ours (1-shot)", "samples") == "18400"


def test_bold_is_what_a_given_time_can_buy() -> None:
    rows = [
        meta("slow and worse", 0.7, 300, cell__shots=4),
        meta("slow and best", 0.9, 300, cell__shots=10),
        meta("fast", 0.8, 100),
    ]
    table = budget(rows)
    bold = {r.title for _, r in table.rows() if r.values["fid"].best}  # type: ignore[union-attr]
    assert bold == {"fast", "slow and best"}


def test_costs_of_several_seeds_are_means() -> None:
    table = budget([meta("Ours (1-shot)", 0.8, 100), meta("Ours (1-shot)", 0.9, 220, cell__seed=1)])
    assert text(table, "Ours (1-shot)", "minutes") == "3.7"
    assert text(table, "Ours (1-shot)", "fid") == "15.00 [7.07]"


def test_costs_of_different_machines_are_said_not_to_compare() -> None:
    other = made_up("pg2", "PG2", environment__processor="another CPU")
    (column,) = [c for c in budget([made_up(), other]).columns if c.key == "minutes"]
    footnotes = budget([made_up(), other]).footnotes
    assert any("different machines" in footnotes[i] for i in column.footnotes)


def test_floors_alone_have_no_costs() -> None:
    with pytest.raises(DataError, match="no record of a trained method"):
        budget([made_up("white", "White image", seconds__train=0.0)])
