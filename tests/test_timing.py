"""Statements about `bench time`: what the clock sees, what is counted, and what Table 3 prints of it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import bench.cells
import bench.timing
import bench.timing_apart
from bench.cells import Workplace
from bench.cli import main
from bench.data.batches import pair_batch
from bench.data.pack import Pack
from bench.errors import DataError, UsageError
from bench.files import read_json, write_json
from bench.inspect import inspect
from bench.progress import SilentReporter
from bench.seeds import derive
from bench.spec import Cell
from bench.timing import Job, macs_of, measure, repeat, samples_a_step, stretches
from bench.timing_apart import cells_to_time, jobs_of, planned, time_methods
from bench.timing_record import Measurement, Part, Spread, Timings
from bench.timing_table import table3
from methods import METHODS
from methods.interface import Budget, FineTune, PairBatch, Progress, Setup, Support, Transfer
from ours.method import EPOCHS, Ours
from ours.multi_step import step_weights
from tests.example_method import Plain
from tests.made_pack import made_pack

CPU = torch.device("cpu")
BASE = Cell("ours", "smoke", device="cpu")


class Spy(Plain):
    """Plain, adapting in as many passes as `makes`, that writes down what it is given."""

    title, few_shot = "Spy", True
    makes: ClassVar[int] = 1000
    steps: ClassVar[list[tuple[PairBatch, Progress, bool]]] = []
    schedules: ClassVar[list[FineTune | None]] = []

    def train_step(self, batch: Any, progress: Progress) -> dict[str, torch.Tensor]:
        self.steps.append((batch, progress, torch.is_autocast_enabled("cpu")))
        return super().train_step(batch, progress)

    def adapt(
        self,
        support: Support,
        finetune: FineTune | None,
        on_pass: Callable[[int, Transfer], None] | None = None,
    ) -> Transfer:
        self.schedules.append(finetune)
        if finetune is not None and on_pass is not None:
            for index in range(min(self.makes, finetune.passes) + 1):
                on_pass(index, self.draw)
        return self.draw


class Dying(Plain):
    """A method that memory runs out for: its process ends without a word."""

    title = "Dying"

    def train_step(self, batch: Any, progress: Progress) -> dict[str, torch.Tensor]:
        os._exit(9)


SPY = replace(BASE, method="tests.test_timing:Spy")


def job(cell: Cell, **changed: Any) -> Job:
    made = Job(cell, Path(), None, repetitions=3, seconds=30.0, lr=0.001, passes=2, finetune=False)
    return replace(made, **changed)


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch) -> Pack:
    """A data set made in code in place of the preset's, and no pretrained networks."""
    made = made_pack(train=4, validation=1, test=2, size=64)
    monkeypatch.setattr(bench.timing, "data_pack", lambda size, place: made)
    monkeypatch.setattr(bench.cells, "perceptual_hashes", lambda names, report: {})
    Spy.steps.clear()
    Spy.schedules.clear()
    return made


class Clock:
    """Stands still but for what is added to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(bench.timing, "perf_counter", lambda: self.now)

    def passes(self, seconds: float) -> None:
        self.now += seconds


# --- the clock ------------------------------------------------------------------------------------------------


def test_a_steps_time_is_all_of_its_work_and_neither_its_batch_nor_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device that queues what it is given, and works when it is waited for."""
    clock, queue = Clock(monkeypatch), list[float]()

    def wait(_: torch.device) -> None:
        clock.passes(sum(queue))
        queue.clear()

    monkeypatch.setattr(bench.timing, "synchronise", wait)
    step_seconds = [50.0, 0.25, 0.75, 0.5]  # the first warms up

    def make(number: int) -> float:
        queue.append(3.0)
        return step_seconds[number]

    step, data = repeat(make, queue.append, CPU, 3, 1000)
    assert step == Spread(0.5, 0.25, 0.75, 3)
    assert data == Spread(3.0, 3.0, 3.0, 3)


@pytest.mark.parametrize(("seconds", "count"), [(0, 3), (45, 4), (1000, 8)])
def test_repetitions_stop_when_the_time_is_spent_but_never_before_three(
    monkeypatch: pytest.MonkeyPatch, seconds: float, count: int
) -> None:
    clock = Clock(monkeypatch)
    step, _ = repeat(lambda _: None, lambda _: clock.passes(10), CPU, 8, seconds)
    assert step.count == count


def test_steps_are_those_of_training_under_its_autocast(pack: Pack) -> None:
    measured = measure(job(replace(SPY, precision="bf16", seed=3)))
    assert [progress.step for _, progress, _ in Spy.steps] == [0, 1, 2, 3]
    assert all(autocast for _, _, autocast in Spy.steps)
    for batch, progress, _ in Spy.steps:
        seed = derive(derive("train", 3), progress.phase.name)
        assert torch.equal(batch.target, pair_batch(pack, seed, progress.step, progress.phase.batch).target)
    assert measured.parts[0].pairs == measured.parts[0].samples == 8
    Spy.steps.clear()
    measure(job(replace(SPY, precision="fp32")))
    assert not any(autocast for _, _, autocast in Spy.steps)


# --- fine-tuning ----------------------------------------------------------------------------------------------


def test_the_whole_schedule_is_timed_where_it_fits(pack: Pack) -> None:
    measured = measure(job(SPY, passes=7))
    assert Spy.schedules.count(FineTune(0.001, 7)) == 4  # one warms up
    assert measured.adapt is not None and not measured.notes


def test_where_it_does_not_fit_single_passes_are_multiplied_and_that_is_said(pack: Pack) -> None:
    measured = measure(job(SPY, passes=7, seconds=0, repetitions=5))
    assert set(Spy.schedules) == {None, FineTune(0.001, 1)}
    assert measured.adapt is not None and measured.adapt.count == 3
    assert any("multiplied by 7" in note for note in measured.notes)
    assert any(note.startswith("Of 5 repetitions, the 0 s") and "steps 3" in note for note in measured.notes)


def test_a_fine_tuning_that_stops_early_is_not_timed(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spy, "makes", 2)
    measured = measure(job(SPY, passes=7))
    assert measured.adapt is None
    assert any("made 2 of 7 passes" in note for note in measured.notes)


def test_baselines_are_fine_tuned_only_when_asked(pack: Pack) -> None:
    cell = replace(BASE, method="pix2pix")
    assert measure(job(cell)).adapt is None
    tuned = measure(job(cell, finetune=True))
    assert tuned.adapt is not None and 0 < tuned.adapt.low <= tuned.adapt.median <= tuned.adapt.high


# --- what is counted ------------------------------------------------------------------------------------------


def build(name: str, options: Mapping[str, Any] | None = None, queries: int = 8) -> Any:
    module, _, cls = METHODS[name].partition(":")
    setup = Setup(64, Budget(32, queries, 32), width=0.125, batch=4, options=options or {})
    return getattr(__import__(module, fromlist=[cls]), cls)(setup)


@pytest.mark.parametrize("name", METHODS)
def test_generating_costs_what_inspect_says_of_the_networks_that_draw(name: str) -> None:
    image, keypoints = torch.zeros(1, 3, 64, 64), torch.full((1, 17, 3), 2.0)
    transfer = build(name).adapt(Support(image, keypoints, image, keypoints), None)
    judges = ("discriminator", "D_PP", "D_PB")
    expected = sum(network.macs for network in inspect(name, "smoke") if network.name not in judges)
    # smoke has the width of this build, so the two must agree exactly
    assert macs_of(transfer, image, keypoints, keypoints) == expected > 0


@pytest.mark.parametrize("queries", [8, 400, 1200])
def test_multi_step_training_is_cut_where_its_loss_changes(queries: int) -> None:
    method = build("ours", {"msl": True, "support": 2}, queries)
    annealed, alone = stretches(method)
    assert annealed.first == 0 and alone.first == annealed.steps
    assert annealed.steps + alone.steps == annealed.phase.steps
    for step in range(annealed.phase.steps):
        weights = step_weights(4, Progress(annealed.phase, step).epoch(EPOCHS), method.options.msl_epochs)
        assert any(weights[:-1]) == (step < annealed.steps)


def test_a_meta_step_counts_its_queries_and_what_its_inner_steps_see() -> None:
    for options in ({}, {"msl": True, "support": 2}):  # two support samples are seen twice each
        method = build("ours", options)
        assert samples_a_step(method, method.phases()[0]) == 4 * (1 + 4)
    (joint,) = (method := build("ours", {"training": "joint"})).phases()
    assert samples_a_step(method, joint) == 4


def test_both_stages_of_pg2_are_timed_apart_and_together(pack: Pack) -> None:
    measured = measure(job(replace(BASE, method="pg2")))
    assert [part.name for part in measured.parts] == ["stage 1", "stage 2"]
    assert measured.parts[0].share == pytest.approx(9 / 32)  # 22 000 of 80 000, rounded to pairs
    assert sum(part.share for part in measured.parts) == pytest.approx(1)
    per_step = [part.step.median for part in measured.parts]
    assert min(per_step) <= measured.step(lambda part: part.step.median) <= max(per_step)


def test_a_variant_of_ours_is_built_as_in_training(pack: Pack) -> None:
    measured = measure(job(replace(BASE, variant="msl", shots=2), passes=1, seconds=0))
    assert measured.title == "Ours (2-shot) (MSL)"
    assert [part.name for part in measured.parts] == ["multi-step loss", "last step alone"]
    assert measured.samples_a_pair == 5 and measured.adapt is not None
    assert isinstance(build("ours"), Ours)
    with pytest.raises(UsageError, match="unknown option nonsense"):
        measure(job(replace(BASE, overrides={"nonsense": 1})))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can reset the peak of a process")
def test_peak_memory_is_what_the_work_adds_and_not_what_was_there_before() -> None:
    # in a process of its own: memory that other tests' garbage frees meanwhile would count against the growth
    program = """
import numpy as np, torch
from bench.peak_memory import PeakMemory
megabyte = 2**20
before = np.ones(64 * megabyte, np.uint8)
memory = PeakMemory(torch.device("cpu"))
np.ones(300 * megabyte, np.uint8)
memory.reset()
kept = np.ones(50 * megabyte, np.uint8)
np.ones(150 * megabyte, np.uint8)
print(memory.growth() // megabyte)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 190 < int(done.stdout) < 260


# --- what may be asked for ------------------------------------------------------------------------------------


def test_all_methods_are_timed_in_the_papers_order_and_ours_without_and_with_msl() -> None:
    cells = [(cell.method, cell.variant) for cell in cells_to_time(BASE, [], [])]
    assert cells == [
        ("patn", ""), ("pg2", ""), ("pix2pix", ""), ("xinggan", ""), ("ours", ""), ("ours", "msl"), ("dptn", "")
    ]  # fmt: skip
    assert [c.variant for c in cells_to_time(BASE, ["ours"], ["k2", "plain", "k2"])] == ["k2", ""]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--methods", "pant"), "did you mean 'patn'?"),
        (("--methods", "patn,no_such_module:Class"), "cannot import no_such_module"),
        (("--methods", "tests.made_pack:made_pack"), "no class made_pack"),
        (("--methods", "patn,white"), "'white' is a floor"),
        (("--variants", "mls"), "did you mean 'msl'?"),
        (("--methods", "patn", "--variants", "msl"), "add it to --methods"),
        (("--preset", "smok"), "did you mean 'smoke'?"),
        (("--repetitions", "2"), "--repetitions must be at least 3"),
        (("--passes", "0"), "--passes must be at least 1"),
        (("--features", "inception"), "leave it out"),
    ],
)
def test_a_wrong_request_ends_in_one_line_that_names_the_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "time", "--dry-run", *arguments])
    with pytest.raises(SystemExit) as exit_of:
        main()
    said = capsys.readouterr()
    assert exit_of.value.code == 2 and words in said.err and not said.out
    assert len(said.err.strip().splitlines()) == 1


def test_a_dry_run_lists_every_row_and_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.timing_apart, "in_fresh_process", None)
    place = Workplace(tmp_path / "store", tmp_path, SilentReporter())
    rows = planned(jobs_of(cells_to_time(BASE, ["xinggan", "ours"], []), place, finetune=False))
    assert [row["title"] for row in rows] == ["XingGAN", "Ours (1-shot)", "Ours (1-shot) (MSL)"]
    assert [row["finetuned"] for row in rows] == [False, True, True]
    assert [row["batch"] for row in rows] == [8, 4, 4]
    assert not list(tmp_path.iterdir())


# --- the whole way --------------------------------------------------------------------------------------------


def save(pack: Pack, folder: Path) -> None:
    folder.mkdir()
    np.save(folder / "pixels.npy", pack.pixels)
    np.save(folder / "keypoints.npy", pack.keypoints)
    np.save(folder / "index.npy", np.stack([pack.character, pack.view, pack.clip], 1).astype(np.int32))
    description = {
        "schema": 1, "digest": pack.digest, "pixel_digest": pack.pixel_digest, "image_size": pack.image_size,
        "names": pack.names, "splits": pack.splits, "tags": pack.tags,
    }  # fmt: skip
    write_json(folder / "pack.json", description)


class Said(SilentReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def test_methods_run_in_their_own_processes_and_one_that_dies_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(made_pack(train=4, validation=1, test=2, size=64), tmp_path / "own")
    monkeypatch.setattr(bench.timing_apart, "load_average", lambda: 2.0 * (os.cpu_count() or 1))
    report = Said()
    place = Workplace(tmp_path / "store", tmp_path / "results", report, data=tmp_path / "own")
    cells = cells_to_time(BASE, ["tests.test_timing:Dying", "tests.example_method:Plain"], [])
    timings = time_methods(jobs_of(cells, place, repetitions=3, seconds=1), place)
    assert [row.title for row in timings.rows] == ["Plain"]
    assert "died" in timings.missing["Dying"]
    assert "machine is busy" in report.lines[0] and "SKIPPED: Dying" in report.lines[1]
    (row,) = timings.rows
    assert row.adapt is None and row.generate.median > 0 and row.parameters > 0 and row.macs > 0
    if sys.platform == "linux":
        assert row.memory is not None and 0 < row.memory < 2**30
    assert timings.data["train_frames"] == 32 and timings.data["name"] == "own"
    folder = tmp_path / "results" / "smoke"
    formats = {f"table3.{suffix}" for suffix in ("md", "tex", "csv", "json")}
    assert formats | {"timing.json"} <= {path.name for path in folder.iterdir()}
    assert Timings.from_dict(read_json(folder / "timing.json")) == timings
    assert (folder / "table3.md").read_text() == table3(timings).to_markdown()
    assert not (tmp_path / "store").exists(), "nothing of a timing goes into the store"


# --- the table ------------------------------------------------------------------------------------------------


def spread(median: float, count: int = 5) -> Spread:
    return Spread(median, median / 2, median * 2, count)


def made_up(**changed: Any) -> Timings:
    pg2 = Measurement(
        "pg2", "", "PG2",
        (
            Part("stage 1", 0.25, 8, 8, spread(0.4), spread(0.001)),
            Part("stage 2", 0.75, 8, 8, spread(0.8), spread(0.001)),
        ),
        None, spread(0.012), 300 * 2**20, 1_250_000, 2_500_000_000, ("PG2 channels × 0.125",),
    )  # fmt: skip
    meta = (Part("meta", 1.0, 4, 20, spread(2.0), spread(0.004)),)
    ours = Measurement("ours", "", "Ours (4-shot)", meta, spread(6.5), spread(0.03), None, 500_000, 60_000_000, ())
    timings = Timings(
        schema=1,
        preset="smoke",
        data={"name": "procedural", "digest": "d" * 16, "image_size": 64, "train_frames": 1200},
        settings={
            "seed": 0, "shots": 4, "passes": 10, "lr": 0.001, "finetune": False, "repetitions": 5, "seconds": 20.0,
            "precision": "fp32", "images_at_once": 16,
        },
        environment={"processor": "A Processor", "threads": 2, "cores": 2, "torch": "2.9", "device": "cpu"},
        load=0.3,
        git={"commit": "c" * 40, "dirty": False},
        created="2026-01-02T03:04:05+00:00",
        command="bench time --preset smoke",
        rows=(ours, pg2),
        missing={"XingGAN": "its process died, as it does when memory runs out"},
    )  # fmt: skip
    return replace(timings, **changed)


def lines_of(timings: Timings) -> dict[str, list[str]]:
    """Cells of the Markdown table by row title, without the marks of footnotes."""
    rows = [line for line in table3(timings).to_markdown().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0].rstrip(" ⁰¹²³⁴⁵⁶⁷⁸⁹"): row[1:] for row in cells}


def test_table_3_prints_times_per_step_per_pair_per_sample_and_per_epoch() -> None:
    rows = lines_of(made_up())
    assert list(rows)[2:] == [
        "PG2", "Ours (4-shot)", "XingGAN", "*Parts of a training that cost differently, and their share of its pairs*",
        "PG2: stage 1 (25 %)", "PG2: stage 2 (75 %)",
    ]  # fmt: skip
    # 0.25 · 0.4 + 0.75 · 0.8 = 0.7 s for 8 pairs: 87.5 s for a thousand, 105 s for 1 200
    assert rows["PG2"] == [
        "0.700", "0.350", "1.400", "87.5", "87.5", "1.75", "1.0", "", "12.0", "300", "1.25", "2.50", "8"
    ]  # fmt: skip
    # 2 s for 4 queries, which are 20 samples
    assert rows["Ours (4-shot)"] == [
        "2.000", "1.000", "4.000", "500.0", "100.0", "10.00", "4.0", "6.50", "30.0", "–", "0.50", "0.06", "85"
    ]  # fmt: skip
    assert rows["PG2: stage 1 (25 %)"][:6] == ["0.400", "0.200", "0.800", "50.0", "50.0", "1.00"]
    assert rows["XingGAN"] == ["–", *[""] * 12]


def test_table_3_says_what_was_left_out_on_which_machine_and_whether_it_was_busy() -> None:
    table = table3(made_up())
    assert "Not measured: its process died, as it does when memory runs out" in table.footnotes
    assert any("These epochs cannot be of one size" in note for note in table.footnotes)
    assert "A Processor, 2 threads" in table.caption and "Medians of 5 repetitions" in table.caption
    assert "BUSY" not in table.caption
    assert "BUSY (1-minute load 1.5 on 2 cores" in table3(made_up(load=1.5)).caption
    with_msl = replace(made_up().rows[0], variant="msl")
    assert "paper_epoch_minutes" not in table3(made_up(rows=(with_msl,))).blocks[0].rows[0].values


def test_table_3_is_a_pure_function_of_the_file() -> None:
    timings = made_up()
    text = json.dumps(timings.to_dict())
    table = table3(timings)
    assert table3(Timings.from_dict(json.loads(text))) == table == table3(timings)
    assert json.dumps(timings.to_dict()) == text
    numbers = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert float(numbers[0]["seconds_1000_pairs"]) == pytest.approx(87.5)
    assert table.to_latex().isascii(), "LaTeX must know every character"


def test_a_file_that_is_no_timing_is_refused() -> None:
    value = made_up().to_dict()
    with pytest.raises(DataError, match="schema 9"):
        Timings.from_dict({**value, "schema": 9})
    with pytest.raises(DataError, match="run `bench time` again"):
        Timings.from_dict({name: value[name] for name in value if name != "rows"})
    with pytest.raises(DataError, match="no method was measured"):
        table3(made_up(rows=()))


def _without(text: str, name: str) -> str:
    value = json.loads(text)
    del value[name]
    return json.dumps(value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-9],
        lambda text: "[]",
        lambda text: "[" * 10**5,
        lambda text: _without(text, "rows"),
        lambda text: _without(text, "environment"),
        lambda text: text.replace('"device"', '"Device"'),
        lambda text: text.replace("6.5", '"long"'),
    ],
)
def test_a_damaged_file_of_timings_is_named_with_the_way_out(tmp_path: Path, damage: Callable[[str], str]) -> None:
    path, text = tmp_path / "timing.json", json.dumps(made_up().to_dict())
    path.write_text(text)
    assert Timings.read(path) == made_up()
    assert damage(text) != text
    path.write_text(damage(text))
    with pytest.raises(DataError, match=r"timing\.json: .*run `bench time` again"):
        Timings.read(path)
