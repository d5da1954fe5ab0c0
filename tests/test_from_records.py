"""A table printed from records alone: the same table, nothing run, and what is stale or missing left out by name."""

from dataclasses import replace
from pathlib import Path

from bench.cells import Workplace, record_path, stages
from bench.files import read_json, write_json
from bench.launch import from_records, one_after_the_other
from bench.plan import EQUAL_SECONDS, Later, NotYet
from bench.run import run_cell
from bench.spec import Cell
from bench.tables import table1
from tests.test_run import PLAIN, place, store  # noqa: F401 - fixtures

WHITE = Cell("white", "smoke", device="cpu")


def test_the_table_is_the_same_without_the_store(place: Workplace, tmp_path: Path) -> None:  # noqa: F811
    done = one_after_the_other([PLAIN, WHITE], place)
    elsewhere = replace(place, store=tmp_path / "empty")
    found = from_records([PLAIN, WHITE], elsewhere)
    assert not found.missing and not (tmp_path / "empty").exists()
    tables = [table1([record for _, record in outcome.done]).to_markdown() for outcome in (done, found)]
    assert tables[0] == tables[1]


def test_what_was_not_recorded_or_is_stale_is_left_out_with_its_reason(place: Workplace) -> None:  # noqa: F811
    run_cell(WHITE, place)
    path = record_path(stages(WHITE, place), place.results)
    write_json(path, read_json(path) | {"key": "of-other-code"})
    found = from_records([PLAIN, WHITE], place)
    assert not found.done and len(found.missing) == 2
    assert any("there is no" in why for why in found.missing.values())
    assert "made by other code" in found.missing["White image"]


def test_a_row_named_by_measured_seconds_is_found_by_its_record(place: Workplace) -> None:  # noqa: F811
    def not_yet(_: Workplace) -> Cell:
        raise NotYet("nothing is trained here")

    joint = Cell("ours", "smoke", variant="wo-ml", extra_pairs=9, seed=0, device="cpu")
    later = Later(EQUAL_SECONDS, 0, (joint,), not_yet)
    assert "no record of it" in from_records([later], place).missing[EQUAL_SECONDS]

    run_cell(WHITE, place)
    made = read_json(record_path(stages(WHITE, place), place.results))
    named = replace(joint, extra_pairs=23, label=EQUAL_SECONDS)
    found = stages(named, place)
    made |= {"key": found.score.key, "title": EQUAL_SECONDS, "budget": made["budget"] | {"pairs": 23}}
    write_json(record_path(found, place.results), made)
    (row,) = from_records([later], place).rows
    assert row.record is not None and row.cell == named


def test_another_seed_is_another_record(place: Workplace) -> None:  # noqa: F811
    run_cell(PLAIN, place)
    assert from_records([replace(PLAIN, seed=1)], place).missing
