"""Statements about files: whole or not there, and what they are to hold."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.files import kept_array, read_json, write_array

ARRAYS = [
    np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    np.zeros((0, 3), np.uint8),
    np.array(7.5),
    np.arange(12, dtype=np.int64)[::2],
]


@pytest.mark.parametrize("array", ARRAYS)
def test_an_array_is_written_as_numpy_writes_it(tmp_path: Path, array: NDArray[np.generic]) -> None:
    expected = io.BytesIO()
    np.save(expected, array)
    write_array(tmp_path / "a.npy", array)
    assert (tmp_path / "a.npy").read_bytes() == expected.getvalue()


def test_another_order_in_memory_is_another_order_on_disk_only(tmp_path: Path) -> None:
    array = np.asfortranarray(np.arange(6).reshape(2, 3))
    write_array(tmp_path / "a.npy", array)
    assert np.array_equal(np.load(tmp_path / "a.npy"), array)


def test_an_array_is_kept_until_it_is_not_what_was_written(tmp_path: Path) -> None:
    path, made = tmp_path / "deep" / "a.npy", list[int]()

    def make() -> NDArray[np.float64]:
        made.append(1)
        return np.ones(100)

    def kept() -> int:
        assert np.array_equal(kept_array(path, make), np.ones(100))
        return len(made)

    assert [kept(), kept()] == [1, 1]
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert [kept(), kept()] == [2, 2], "one bit of one number"
    beside = path.with_name("a.npy.json")
    for damage in ("", "[]", '{"sha256": 3}', "[" * 10**5):
        beside.write_text(damage)
        before = len(made)
        assert [kept(), kept()] == [before + 1] * 2
    beside.unlink()
    assert kept() == len(made) == 7, "kept by a version that wrote no digest"
    path.unlink()
    assert kept() == 8 and set(read_json(beside)) == {"sha256"}
