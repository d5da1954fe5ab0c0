"""Statements about what Table 1 prints of records."""

from __future__ import annotations

import pytest

from bench.errors import BenchError, DataError
from bench.paper_numbers import TABLE1, TABLE2, TABLE4, published
from bench.render_table import Value, cell_text
from bench.tables import paired_tie, table1
from tests.made_records import SCHEDULE, everything, made_up, notes_of, ours, row

# rows


def test_rows_stand_in_the_papers_order_and_floors_below():
    table = table1(everything())
    assert [(block.name, [row.title for row in block.rows]) for block in table.blocks] == [
        ("methods", ["PATN", "PG2", "Pix2Pix", "XingGAN", "Ours (1-shot)", "Ours (1-shot) (MSL)"]),
        ("floors", ["Copy of the source", "White image", "Nearest training pose", "Real vs real"]),
    ]


def test_the_table_does_not_depend_on_the_order_of_the_records():
    assert table1(everything()).to_json() == table1(everything()[::-1]).to_json()


def test_other_rows_go_in_a_block_of_their_own():
    four_shot = ours("Ours (4-shot) (MSL)", 0.9, "msl", cell__shots=4)
    tuned_baseline = made_up("patn", "PATN (1-shot)", 0.8, finetune=SCHEDULE, cell__adaptation="tuned")
    unadapted = ours("w/o FT", 0.7, "msl", finetune=None, cell__adaptation="none")
    table = table1([*everything(), four_shot, tuned_baseline, unadapted])
    assert [block.name for block in table.blocks] == ["methods", "more", "floors"]
    assert [row.title for row in table.blocks[1].rows] == ["Ours (4-shot) (MSL)", "PATN (1-shot)", "w/o FT"]
    assert row(table, "PATN").record == "key-PATN"


def test_a_method_of_ones_own_competes_with_the_papers():
    table = table1([*everything(), made_up("mine.method:Mine", "Mine", 0.9)])
    assert [row.title for row in table.blocks[1].rows] == ["Mine"]
    assert row(table, "Mine").values["fid"].best
    assert not row(table, "Ours (1-shot) (MSL)").values["fid"].best


def test_a_missing_row_is_a_dash_and_a_footnote():
    records = [record for record in everything() if record.title not in ("PG2", "XingGAN", "White image")]
    table = table1(records, missing={"PG2": "loss g_gan is not finite at step 7"})
    line = next(line for line in table.to_markdown().splitlines() if line.startswith("| PG2"))
    assert [cell.strip() for cell in line.split("|")[2:9]] == ["–"] * 7
    assert "No record: loss g_gan is not finite at step 7" in notes_of(table, "PG2")
    assert any("bench table1 --preset quick" in note for note in notes_of(table, "XingGAN"))
    assert cell_text(table.columns[0], row(table, "White image")) == "–"


def test_real_against_real_shows_distances_only():
    table = table1(everything())
    shown = row(table, "Real vs real")
    assert [key for key, value in shown.values.items() if value is not None] == ["fid", "kid"]
    assert [cell_text(column, shown) for column in table.columns[2:6]] == ["–"] * 4
    assert any("those of the other" in note for note in notes_of(table, "Real vs real"))


def test_two_records_of_one_row_are_refused():
    with pytest.raises(DataError, match="two records of the row 'PATN'"):
        table1([*everything(), made_up("patn", "PATN", 0.5)])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"data__digest": "other"}, "data digest"),
        ({"features__name": "danbooru-resnet50"}, "FID features"),
        ({"features__sha256": "0" * 64}, "FID features"),
        ({"features__n": 143}, "N of FID"),
        ({"cell__preset": "smoke"}, "preset"),
    ],
)
def test_records_that_cannot_be_compared_are_refused(change, named):
    others = [record for record in everything() if record.title != "PG2"]
    with pytest.raises(BenchError, match=named) as refused:
        table1([*others, made_up("pg2", "PG2", 0.81, **change)])
    assert "PG2" in str(refused.value)


def test_no_records_are_refused():
    with pytest.raises(DataError, match="at least one record"):
        table1([])


# numbers, bold, ties


def test_numbers_have_the_papers_digits_and_half_widths():
    table = table1(everything())
    texts = {column.key: cell_text(column, row(table, "PATN")) for column in table.columns}
    assert texts == {
        "fid": "20.00",
        "kid": "20.00 ±0.20",
        "ssim": "0.800 ±0.012",
        "ssim_foreground": "0.500 ±0.012",
        "l1_foreground": "0.200 ±0.012",
        "l1_background": "0.0040 ±0.0123",
        "minutes": "1.7",
        "paper_fid": "6.77",
        "paper_ssim": "0.807",
    }


def test_a_negative_distance_has_a_minus_and_no_hyphen():
    truth = made_up("truth", "Real vs real", metrics={**made_up().metrics, "kid": {"value": -0.0005, "error": 0.001}})
    table = table1([truth])
    assert cell_text(table.columns[1], row(table, "Real vs real")) == "−0.50 ±1.96"
    assert "$-$0.50 $\\pm$1.96" in table.to_latex()
    assert ",-0.5," in table.to_csv()


def test_a_wide_table_fits_the_width_of_a_file(capsys):
    metrics = {**made_up().metrics, "fid": {"value": 249.04}, "kid": {"value": 0.54726, "error": 0.0112}}
    table1([*everything()[1:], made_up("white", "White image", metrics=metrics)]).print()
    shown = capsys.readouterr().out
    assert "547.26 ±21.95" in shown
    assert shown.count("0.872") == 1
    assert "paper's SSIM↑ ³ ⁴" in shown


def test_the_best_method_is_bold_and_a_floor_never_is():
    bold = {
        (row.title, key) for _, row in table1(everything()).rows() for key, value in row.values.items()
        if value is not None and value.best
    }  # fmt: skip
    assert bold == {
        ("Ours (1-shot) (MSL)", key)
        for key in ("fid", "kid", "ssim", "ssim_foreground", "l1_foreground", "l1_background")
    }


def test_a_row_that_cannot_be_told_from_the_best_is_bold_too():
    blurred = ours(quality=0.8695)
    per_character = {
        name: {metric: value + (-1) ** i * 0.01 for metric, value in scores.items()}
        for i, (name, scores) in enumerate(blurred.per_character.items())
    }
    tied = ours(quality=0.8695, per_character=per_character)
    others = [record for record in everything() if record.title != "Ours (1-shot)"]
    best = row(table1([*others, tied]), "Ours (1-shot)").values
    assert best["ssim"].best
    assert not best["fid"].best  # FID has no error to tie by


def test_a_small_difference_that_every_character_shows_is_no_tie():
    better, worse = ours(quality=0.87), made_up(quality=0.8695)
    assert better.half_width("ssim") > 0.0005  # the intervals themselves overlap by far
    assert not paired_tie(better, worse, "ssim")


def test_fid_ties_only_when_equal_and_kid_within_its_standard_errors():
    best = made_up(quality=0.8)

    def shifted(metric, by):
        return made_up(metrics={**best.metrics, metric: {**best.metrics[metric], "value": best.centre(metric) + by}})

    assert paired_tie(best, best, "fid") and not paired_tie(best, shifted("fid", 1e-6), "fid")
    error = 1.96 * 0.0001 * 2**0.5  # of the difference of two with a standard error of 0.0001 each
    assert paired_tie(best, shifted("kid", 0.9 * error), "kid")
    assert not paired_tie(best, shifted("kid", 1.1 * error), "kid")


def test_scores_of_different_characters_are_never_paired():
    best = made_up()
    with pytest.raises(DataError, match="different characters"):
        paired_tie(best, ours(per_character={"another": best.per_character["character 0"]}), "ssim")


def test_another_test_of_ties_can_be_given():
    table = table1(everything(), tie=lambda best, other, metric: True)
    assert all(row.values["fid"].best for row in table.blocks[0].rows)


def test_one_test_character_has_no_interval():
    metrics = {name: {**metric, "low": None, "high": None} if "low" in metric else metric
               for name, metric in made_up().metrics.items()}  # fmt: skip
    table = table1([made_up(metrics=metrics)])
    assert row(table, "PATN").values["ssim"] == Value(0.8)


def test_training_minutes_count_the_warm_start():
    table = table1([ours(seconds__warm_start=50.0)])
    assert row(table, "Ours (1-shot)").values["minutes"].number == pytest.approx(150.4 / 60)
    assert any("0.8 of a warm start" in note for note in notes_of(table, "Ours (1-shot)"))


# footnotes and the paper's numbers


def test_footnotes_are_shared_and_numbered_in_order_of_use():
    records = [
        made_up("patn", "PATN", 0.8, notes=["PATN channels × 0.25.", "PATN poses are maps."]),
        made_up("xinggan", "XingGAN", 0.79, notes=["XingGAN channels × 0.25."]),
    ]
    table = table1(records)
    shared = "Channels × 0.25"
    assert shared in notes_of(table, "PATN")
    assert shared in notes_of(table, "XingGAN")
    assert "PATN poses are maps" in notes_of(table, "PATN")  # a note of one row keeps its subject
    assert len(set(table.footnotes)) == len(table.footnotes)
    used = [i for column in table.columns for i in column.footnotes]
    used += [i for _, row in table.rows() for i in row.footnotes]
    assert list(dict.fromkeys(used)) == list(range(len(table.footnotes)))


def test_a_fine_tuned_row_says_how():
    (note,) = [n for n in notes_of(table1([ours()]), "Ours (1-shot)") if "Fine-tuned" in n]
    assert "learning rate 0.003, 5 passes, chosen on 6 validation characters" in note


@pytest.mark.parametrize(
    ("rate", "passes", "said"),
    [
        (0.001, 1, "learning rate 0.001 (the lowest tried), 1 pass, chosen"),
        (0.003, 5, "learning rate 0.003, 5 passes, chosen"),
        (0.01, 5, "learning rate 0.01 (the highest tried), 5 passes, chosen"),
        (0.003, 20, "learning rate 0.003, 20 passes (the most tried), chosen"),
    ],
)
def test_a_schedule_at_the_end_of_those_tried_says_so(rate, passes, said):
    curve = [{"lr": lr, "passes": count} for lr in (0.001, 0.003, 0.01) for count in (0, 1, 5, 20)]
    chosen = ours(finetune={**SCHEDULE, "lr": rate, "passes": passes, "curve": curve})
    assert any(said in note for note in notes_of(table1([chosen]), "Ours (1-shot)"))


def test_the_papers_columns_say_that_they_are_of_other_data():
    table = table1(everything())
    (column,) = [column for column in table.columns if column.key == "paper_fid"]
    assert any("other data" in table.footnotes[i] for i in column.footnotes)


def test_the_caption_names_everything_the_numbers_depend_on():
    caption = table1(everything()).caption
    for fact in (
        "324 images",
        "12 unseen characters",
        "64 px",
        "preset quick",
        "one seed (0)",
        "inception",
        "d=2048",
        "N=144",
    ):
        assert fact in caption


def test_the_fid_column_names_extractor_dimension_and_n():
    assert table1(everything()).columns[0].detail == "inception, d=2048, N=144"


def test_the_papers_contradictions_stand_at_its_numbers():
    without_msl = ours("w/o MSL", 0.8, cell__shots=4)
    table = table1([*everything(), without_msl])
    assert row(table, "w/o MSL").values["paper_fid"].number == 4.31
    assert any("3.71 / 0.862" in note for note in notes_of(table, "w/o MSL"))


def test_the_papers_tables_agree_where_they_share_a_row():
    assert published("ours", "msl", 1, "default") is TABLE1["ours msl"]
    assert (TABLE2["4 msl"].fid, TABLE2["4 msl"].ssim) == (TABLE4["Ours (MSL)"].fid, TABLE4["Ours (MSL)"].ssim)
    assert published("ours", "msl", 4, "none") is TABLE4["w/o FT"]
    assert published("ours", "wo-ml", 4, "default") is TABLE4["w/o ML"]
    assert published("ours", "wo-ml", 4, "none") is None  # the paper has no w/o ML & FT
    assert published("patn", "", 1, "tuned") is None  # nor a fine-tuned baseline


def test_floors_of_few_distinct_images_say_what_that_does_to_kid():
    table = table1(everything())
    (copies,) = notes_of(table, "Copy of the source")
    assert copies.startswith("Its 144 images are copies of 12 distinct ones, and KID takes them for independent")
    assert "copies of one image" in " ".join(notes_of(table, "White image"))
    assert not any("KID" in note for note in notes_of(table, "Nearest training pose"))
