"""Statements about records and about what Table 1 prints of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.errors import BenchError, DataError
from bench.paper_numbers import TABLE1, TABLE2, TABLE4, published
from bench.records import Record, read_record, read_records, write_record
from bench.render_table import FILE_WIDTH, Table, Value, cell_text, escape_latex
from bench.tables import paired_tie, table1

CHARACTERS = [f"character {i}" for i in range(12)]
PER_IMAGE = ("ssim", "ssim_foreground", "l1_foreground", "l1_background")


def made_up(
    method: str = "patn",
    title: str = "PATN",
    quality: float = 0.8,
    spread: float = 0.001,
    **changed: Any,
) -> Record:
    """A record whose scores all follow from `quality`; `part__field=…` changes one field."""
    kind = "floor" if method in ("copy-source", "white", "nearest-pose", "truth") else "method"
    wobble = [spread * (i % 3 - 1) for i in range(len(CHARACTERS))]
    means = {
        "ssim": quality,
        "ssim_foreground": quality - 0.3,
        "l1_foreground": 1 - quality,
        "l1_background": (1 - quality) / 50,
    }
    value: dict[str, Any] = {
        "schema": 1,
        "key": f"key-{title}",
        "cell": {
            "method": method, "variant": "", "shots": 1, "adaptation": "default", "preset": "quick", "seed": 0,
            "data": "procedural", "protocol": "shift",
        },
        "title": title,
        "kind": kind,
        "build": {"options": {}, "width": 0.25, "batch": 4, "parameters": {"generator": 7}, "precision": "fp32"},
        "budget": {"pairs": 4000, "queries": 0, "warm_start_pairs": 0},
        "data": {
            "digest": "d" * 16, "pixels": "p" * 16, "image_size": 64, "characters": 12, "images": 324,
            "fid_images": 144,
        },
        "metrics": {
            **{name: {"mean": mean, "low": mean - 0.0123, "high": mean + 0.0123} for name, mean in means.items()},
            "fid": {"value": 100 * (1 - quality)},
            "kid": {"value": (1 - quality) / 10, "error": 0.0001},
        },
        "features": {"name": "inception", "sha256": "f" * 64, "dim": 2048, "n": 144},
        "per_character": {
            name: {metric: mean + wobble[i] for metric, mean in means.items()}
            for i, name in enumerate(CHARACTERS)
        },
        "finetune": None,
        "notes": [],
        "seconds": {"train": 100.4, "warm_start": 0.0, "tune": 0.0, "generate": 1.0, "score": 2.0},
        "environment": {"python": "3.11", "torch": "2.6", "processor": "CPU", "threads": 2, "device": "cpu"},
        "git": {"commit": "c" * 40, "dirty": False},
        "created": "2026-01-01T00:00:00+00:00",
        "command": "bench table1 --preset quick",
    }  # fmt: skip
    for name, new in changed.items():
        part, _, field = name.partition("__")
        if field:
            value[part] = {**value[part], field: new}
        else:
            value[part] = new
    return Record.from_dict(value)


SCHEDULE = {"lr": 0.003, "passes": 5, "chosen_on": "6 validation characters, lowest foreground L1", "curve": []}


def ours(title: str = "Ours (1-shot)", quality: float = 0.85, variant: str = "", **changed: Any) -> Record:
    return made_up("ours", title, quality, **{"cell__variant": variant, "finetune": SCHEDULE, **changed})


def everything() -> list[Record]:
    """All rows, handed over in an order that is not the paper's."""
    return [
        made_up("white", "White image", 0.95),
        ours("Ours (1-shot) (MSL)", 0.87, "msl"),
        made_up("pix2pix", "Pix2Pix", 0.83),
        made_up("truth", "Real vs real", 0.999),
        made_up("xinggan", "XingGAN", 0.79),
        ours(),
        made_up("nearest-pose", "Nearest training pose", 0.7),
        made_up("pg2", "PG2", 0.81),
        made_up("copy-source", "Copy of the source", 0.75),
        made_up("patn", "PATN", 0.8),
    ]


def row(table: Table, title: str):
    return next(row for _, row in table.rows() if row.title == title)


def notes_of(table: Table, title: str) -> list[str]:
    return [table.footnotes[i] for i in row(table, title).footnotes]


# records


def test_a_record_survives_its_file(tmp_path):
    record = ours()
    write_record(tmp_path / "records" / "ours.json", record)
    write_record(tmp_path / "records" / "patn.json", made_up())
    assert read_record(tmp_path / "records" / "ours.json") == record
    assert [r.title for r in read_records(tmp_path / "records")] == ["Ours (1-shot)", "PATN"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda v: v.pop("metrics"), "no field 'metrics'"),
        (lambda v: v["features"].pop("sha256"), "no field 'features.sha256'"),
        (lambda v: v["metrics"]["ssim"].pop("low"), "no field 'metrics.ssim.low'"),
        (lambda v: v["metrics"]["fid"].update(value=float("nan")), "'metrics.fid.value' is nan"),
        (lambda v: v["metrics"]["kid"].update(value=None), "'metrics.kid.value' is None"),
        (lambda v: v.update(metircs={}), "unknown field 'metircs' (did you mean 'metrics'?)"),
        (lambda v: v.update(schema=2), "schema 2"),
        (lambda v: v.update(kind="mehtod"), "kind 'mehtod'"),
    ],
)
def test_a_broken_record_is_refused_by_file_and_field(tmp_path, change, complaint):
    value = json.loads(json.dumps(made_up().to_dict()))
    change(value)
    (tmp_path / "broken.json").write_text(json.dumps(value))
    with pytest.raises(DataError) as refused:
        read_record(tmp_path / "broken.json")
    assert complaint in str(refused.value)
    assert "broken.json" in str(refused.value)


@pytest.mark.parametrize("text", ['{"schema": 1, "key"', "[1, 2]"])
def test_a_file_that_is_no_record_is_named(tmp_path, text):
    (tmp_path / "half.json").write_text(text)
    with pytest.raises(DataError, match=r"half\.json"):
        read_records(tmp_path)


def test_every_fault_of_a_record_is_listed_at_once():
    value = made_up().to_dict()
    del value["title"], value["git"]
    with pytest.raises(DataError, match=r"'git'.*'title'"):
        Record.from_dict(value)


def test_what_a_later_version_adds_is_kept_in_extra():
    value = {**made_up().to_dict(), "extra": {"lpips": 0.2}}
    assert Record.from_dict(value).to_dict()["extra"] == {"lpips": 0.2}


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
        "seed 0",
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


# files


def test_csv_reads_back_to_the_same_numbers():
    table = table1(everything())
    frame = pd.read_csv(io.StringIO(table.to_csv())).set_index("method")
    for _, shown in table.rows():
        for column in table.columns:
            value = shown.values.get(column.key)
            read = frame.loc[shown.title, column.key]
            assert pd.isna(read) if value is None else read == value.number
            if value is not None and value.half_width is not None:
                assert frame.loc[shown.title, f"{column.key}_half_width"] == value.half_width


def test_json_says_what_markdown_shows():
    table = table1(everything())
    value = json.loads(table.to_json())
    assert [r["method"] for r in value["rows"]] == [shown.title for _, shown in table.rows()]
    assert value["rows"][0]["values"]["fid"] == {"number": pytest.approx(20), "half_width": None, "best": False}
    assert value["facts"]["commands"] == ["bench table1 --preset quick"]
    assert value["facts"]["data_digest"] == "d" * 16


def test_markdown_columns_are_aligned_and_bold():
    text = table1(everything()).to_markdown()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    assert len({line.count("|") for line in lines}) == 1
    assert "**13.00**" in text


def test_latex_escapes_what_it_would_read_as_code():
    assert escape_latex(r"50 % of R_1 & $x^2$ #{a} ~\b") == (
        r"50 \% of R\_1 \& \$x\textasciicircum{}2\$ \#\{a\} \textasciitilde{}\textbackslash{}b"
    )
    assert escape_latex("FID↓ ±0.1 ×10³ –") == r"FID$\downarrow$ $\pm$0.1 $\times$10$^{3}$ \textendash{}"
    assert escape_latex("“about 140”") == "``about 140''"
    assert escape_latex("--preset") == "-{}-preset"  # not a dash


def test_latex_has_as_many_cells_as_columns_and_only_ascii():
    awkward = made_up("patn", "PATN", 0.8, notes=["50 % of R_1 & more #2"])
    others = [record for record in everything() if record.title != "PATN"]
    table = table1([*others, awkward])
    text = table.to_latex()
    assert text.isascii()
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    for line in body.splitlines():
        if line.endswith(r"\\") and "multicolumn" not in line:
            assert line.replace(r"\&", "").count("&") == len(table.columns)
    assert r"50 \% of R\_1 \& more \#2" in text
    bare = text.replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert r"\textbf{\boldmath 13.00}" in text


def test_the_terminal_shows_every_row():
    from rich.console import Console

    console = Console(file=io.StringIO(), width=FILE_WIDTH)
    table = table1(everything())
    console.print(table.to_rich())
    shown = console.file.getvalue()
    assert all(line.title in shown for _, line in table.rows())
    assert "0.870 ±0.012" in shown
    assert "0.807" in shown  # the last column too


def test_write_makes_four_files_of_one_table(tmp_path: Path):
    table = table1(everything())
    paths = table.write(tmp_path / "quick" / "table1")
    assert [path.name for path in paths] == ["table1.md", "table1.tex", "table1.csv", "table1.json"]
    assert paths[0].read_text() == table.to_markdown()
