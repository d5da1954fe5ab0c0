"""What a plan says of GPUs: measured where it was measured, an estimate that says so where not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import bench.cells
import bench.inspect
import bench.launch.forecast
from bench.cells import Workplace, stages
from bench.inspect import inspect
from bench.launch import macs
from bench.launch.forecast import Gpu, forecast
from bench.launch.macs import network_macs
from bench.plan import EQUAL_SECONDS, cells_of, plan
from bench.progress import SilentReporter
from bench.spec import Cell
from methods.count import Count, count
from methods.interface import Probe
from tests.test_run import PLAIN, MeanColours

BASE = Cell("ours", "smoke", device="cpu")
COUNTED = macs.counted
PATN = replace(BASE, method="patn")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    identity = {"name": MeanColours.name, "sha256": MeanColours.sha256}
    monkeypatch.setattr(bench.cells, "extractor_identity", lambda name: identity)
    monkeypatch.setattr(bench.cells, "lpips_identity", lambda: None)
    monkeypatch.setattr(macs, "counted", macs.rough)  # seconds a training; the count itself is tested below
    return Workplace(tmp_path / "store", tmp_path / "results", SilentReporter())


def record(place: Workplace, device: str) -> None:
    folder = place.results / "smoke" / "records"
    folder.mkdir(parents=True)
    value = {
        "seconds": {"warm_start": 0, "train": 7200, "tune": 0, "adapt_per_character": 0, "generate": 360, "score": 14},
        "environment": {"device": device},
        "data": {"characters": 2, "images": 14},
    }
    (folder / "patn-1shot-s0.json").write_text(json.dumps(value))


def test_an_estimate_is_macs_at_the_stated_throughput(place: Workplace) -> None:
    gpu = Gpu(tflops=1e-3, utilisation=0.5)  # 5e8 operations, 2.5e8 multiply-accumulates, a second
    found = forecast([PATN], place, [1], gpu)
    draw, judge = network_macs("patn", "smoke")
    assert found.rows[0].training_hours * 3600 == pytest.approx(32 * (3 * draw + 9 * judge) / 2.5e8)
    # 14 images drawn, and scored at a tenth of a second each where no record tells
    assert found.rows[0].other_hours * 3600 == pytest.approx(14 * draw / 2.5e8 + 1.4)
    assert found.estimated and not found.measured and found.rows[0].basis == "estimate"


def test_seconds_of_a_gpu_go_before_the_estimate_and_those_of_a_cpu_do_not(place: Workplace) -> None:
    record(place, "cuda")
    found = forecast([PATN], place, [1], Gpu())
    assert found.rows[0].training_hours == pytest.approx(2) and found.rows[0].basis == "record" and found.measured
    assert found.rows[0].other_hours == pytest.approx(374 / 3600)


def test_seconds_of_a_cpu_say_nothing_of_gpus(place: Workplace) -> None:
    record(place, "cpu")
    found = forecast([PATN], place, [1], Gpu())
    assert found.rows[0].training_hours < 0.01 and not found.measured


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"seconds": 3}', '{"seconds": {"train": "long"}}', "[" * 10**5],
)
def test_a_file_that_is_no_record_says_nothing_of_seconds_and_the_next_does(place: Workplace, text: str) -> None:
    record(place, "cuda")
    folder = place.results / "smoke" / "records"
    whole = (folder / "patn-1shot-s0.json").read_text()
    (folder / "patn-1shot-s0.json").write_text(text)
    assert {stage.seconds for stage in plan([PATN], place)} == {None}
    assert forecast([PATN], place, [1], Gpu()).rows[0].basis == "estimate"
    (folder / "patn-1shot-s1.json").write_text(whole)
    assert forecast([PATN], place, [1], Gpu()).rows[0].training_hours == pytest.approx(2)


def test_networks_are_counted_without_memory_for_them_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = []

    def seen(probe: Probe) -> Count:
        devices.extend(parameter.device.type for parameter in probe.module.parameters())
        return count(probe)

    monkeypatch.setattr(bench.inspect, "count", seen)
    network_macs.cache_clear()
    counted = network_macs("pg2", "paper")
    assert set(devices) == {"meta"}
    devices.clear()
    assert network_macs("pg2", "paper") == counted and not devices


def test_a_method_that_looks_at_values_as_it_is_built_is_counted_too() -> None:
    looking, plain = (inspect(name, "smoke") for name in ("tests.failing_methods:LookingAsBuilt", PLAIN.method))
    assert looking == plain


def test_more_gpus_are_never_slower_and_never_faster_than_the_longest_chain(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (macs, bench.launch.forecast):
        monkeypatch.setattr(module, "network_macs", lambda method, preset: (10**9, 10**8))
    cells = [cell for name in ("table1", "table4") for cell in cells_of(name, BASE, [0])]
    found = forecast(cells, place, [1, 2, 64], Gpu())
    assert found.makespans[1] == pytest.approx(found.hours), "one does all of it, and what is shared once"
    assert found.makespans[1] > found.makespans[2] > found.makespans[64] >= found.longest
    rows = {row.title: row for row in found.rows}
    later = rows[EQUAL_SECONDS]
    assert later.training_hours == rows["Ours (1-shot) (MSL)"].training_hours > 0, "as long as what it equals"


def test_a_training_is_counted_without_being_computed_and_once(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The README's example: three convolutions of stride 1, forward, and backward but for the first layer's input."""
    found = stages(PLAIN, place)
    assert found.spec is not None and found.train is not None
    monkeypatch.setattr(macs, "counted", COUNTED)
    count, how = macs.training_macs(found.spec, found.train.source, place.store)
    first, second, third = (64 * 64 * 25 * a * b for a, b in ((6, 8), (8, 8), (8, 3)))
    assert how == "counted" and count == 32 * (2 * first + 3 * second + 3 * third)
    monkeypatch.setattr(macs, "counted", lambda spec: 1 / 0)
    assert macs.training_macs(found.spec, found.train.source, place.store) == (count, "counted")


def test_a_step_that_looks_at_values_is_estimated_by_its_networks(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = stages(replace(PLAIN, method="tests.failing_methods:Looking"), place)
    assert found.spec is not None
    monkeypatch.setattr(macs, "counted", COUNTED)
    draw, _ = network_macs(PLAIN.method, "smoke")
    assert macs.training_macs(found.spec, "code", place.store) == (32 * 3 * draw, "rough")


@pytest.mark.parametrize("variant", ["", "msl"])
def test_a_query_costs_as_much_beside_others_as_alone(variant: str, place: Workplace) -> None:
    """As many queries, eight steps of one or two of four: several tasks under vmap are grouped convolutions."""
    spec = stages(replace(BASE, variant=variant), place).spec
    assert spec is not None
    alone, four = (COUNTED(replace(spec, batch=batch)) for batch in (1, 4))
    # the multi-step loss lasts for 15 of 96 epochs: two of eight steps, or one of two, which are four queries
    assert four == pytest.approx(alone) if not variant else alone < four < 2 * alone


def test_a_count_that_was_kept_by_another_way_of_counting_is_not_used(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = stages(PLAIN, place)
    assert found.spec is not None
    macs.training_macs(found.spec, "code", place.store)
    monkeypatch.setattr(macs, "counted", lambda spec: 7.0)
    monkeypatch.setattr(macs, "COUNTING", macs.COUNTING + 1)
    assert macs.training_macs(found.spec, "code", place.store) == (7.0, "counted")
