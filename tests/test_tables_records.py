"""Statements about record files."""

from __future__ import annotations

import json

import pytest

from bench.errors import DataError
from bench.records import Record, comparable, read_record, read_records, write_record
from tests.made_records import made_up, ours


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


def test_records_of_older_data_are_left_out_by_name():
    old = made_up(data__digest="other", created="2025-01-01T00:00:00+00:00")
    new = [ours(), made_up("pg2", "PG2")]
    assert comparable([old, *new]) == (new, ["PATN"])
    assert comparable([]) == ([], [])
