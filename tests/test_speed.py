"""Statements about `bench speed`: what is interleaved, what ratios are of, and what the table says of it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import bench.speed.clock
import bench.speed.make
import bench.speed.steps
from bench.build import build
from bench.cli import main
from bench.errors import Stopped
from bench.spec import TrainSpec
from bench.speed.clock import Clock, Quartiles, Timed, interleave
from bench.speed.make import TOPICS, measure_speed
from bench.speed.memory import KEPT, SUITE, WHOLE, difference, measure
from bench.speed.meta import passes
from bench.speed.published import Convolution, Counted
from bench.speed.record import Group, Line, Scope, line
from bench.speed.steps import WAYS, Steps, Way, has_dropout, trained_networks
from bench.speed.table import speed_table
from methods import METHODS

CPU = torch.device("cpu")
SCOPE = Scope("smoke", CPU, threads=1, rounds=3, seconds=0.0, quick=True)


class Drifting(Clock):
    """A clock under which what takes 1 s in the first operation takes 2 %, 4 %, … longer in each that follows."""

    def __init__(self) -> None:
        super().__init__(CPU, 1)
        self.at, self.slowness = 0.0, 1.0

    def now(self) -> float:
        return self.at

    def work(self, seconds: float) -> None:
        self.at += seconds * self.slowness
        self.slowness += 0.02


# --- the clock ------------------------------------------------------------------------------------------------


def test_operations_take_turns_and_every_other_round_runs_backwards() -> None:
    order: list[str] = []
    operations = {name: lambda number, name=name: order.append(f"{name}{number}") for name in "abc"}
    timed = interleave(operations, Clock(CPU, 1), 4, 1000)
    assert order == ["a0", "b0", "c0", "a1", "b1", "c1", "c2", "b2", "a2", "a3", "b3", "c3", "c4", "b4", "a4"]
    assert [len(seconds) for seconds in timed.seconds.values()] == [4, 4, 4]


def test_ratios_survive_a_machine_that_slows_down_to_half() -> None:
    clock = Drifting()
    timed = interleave({"one": lambda _: clock.work(1.0), "three": lambda _: clock.work(3.0)}, clock, 24, 1000)
    first, last = timed.seconds["one"][0], timed.seconds["one"][-1]
    assert last > 1.8 * first
    ratio = timed.ratio("three", "one")
    assert ratio is not None and ratio.median == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize(("seconds", "rounds"), [(0, 3), (45, 3), (85, 5), (1000, 6)])
def test_rounds_stop_when_the_time_is_spent_but_never_before_three(
    monkeypatch: pytest.MonkeyPatch, seconds: float, rounds: int
) -> None:
    clock = Drifting()
    monkeypatch.setattr(bench.speed.clock, "perf_counter", lambda: clock.at)

    def work(number: int) -> None:
        clock.at += 10

    timed = interleave({"one": work, "other": work}, clock, 6, seconds)
    assert len(timed.seconds["one"]) == rounds


def test_what_cannot_be_run_is_left_out_with_its_reason_but_a_base_must_work() -> None:
    def refuse(number: int) -> None:
        raise RuntimeError("no such\n  layout")

    timed = interleave({"base": lambda _: None, "other": refuse}, Clock(CPU, 1), 3, 0)
    found = line(timed, "other", "base")
    assert found == Line("other", notes=("Not available: RuntimeError: no such layout",))
    with pytest.raises(RuntimeError, match="no such"):
        interleave({"base": refuse}, Clock(CPU, 1), 3, 0)


def test_one_thread_of_a_cpu_is_timed_by_its_work_and_children_count() -> None:
    import subprocess
    import time

    clock = Clock(CPU, 1)
    assert clock.counts_cpu and not Clock(CPU, 2).counts_cpu and not Clock(torch.device("cuda"), 1).counts_cpu
    started = clock.now()
    time.sleep(0.3)
    assert clock.now() - started < 0.1
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    if sys.platform != "win32":
        assert 0.3 <= clock.now() - started < 2


def test_a_line_is_printed_by_the_image_and_its_rate_is_the_inverse() -> None:
    timed = Timed({"a": (2.0, 4.0, 6.0), "b": (1.0, 1.0, 2.0)}, {})
    assert timed.ratio("a", "b") == Quartiles(3.0, 2.5, 3.5, 3)  # of 2, 4 and 3: in pairs, not 4 / 1 of the medians
    found = line(timed, "a", "b", images=8)
    assert found.seconds == Quartiles(0.5, 0.375, 0.625, 3) and found.rate == 2
    assert found.ratio == Quartiles(3.0, 2.5, 3.5, 3)
    of_fewer = line(timed, "a", "b", images=8, base_images=2).ratio  # b's second made two images, a's eight
    assert of_fewer == Quartiles(0.75, 0.625, 0.875, 3)


# --- what is run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_the_switches_reach_every_parameter_a_method_trains(name: str) -> None:
    method = build(SCOPE.spec(SCOPE.cell(name)), CPU)
    switched = {id(p) for network in trained_networks(method) for p in network.parameters() if p.requires_grad}
    optimizers = [value for value in _held(method) if isinstance(value, torch.optim.Optimizer)]
    assert optimizers
    trained = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    assert trained == switched


def _held(owner: object) -> list[object]:
    mine = list(vars(owner).values())
    others = [o for o in mine if hasattr(o, "__dict__") and not isinstance(o, nn.Module | torch.optim.Optimizer)]
    return [*mine, *(value for other in others for value in vars(other).values())]


def test_a_step_is_computed_in_the_way_it_says() -> None:
    spec = SCOPE.spec(SCOPE.cell("pg2"))  # without dropout, whose masks depend on the layout
    plain, half, last = (Steps(spec, "stage 1", CPU, way) for way in (WAYS[0], WAYS[1], WAYS[2]))
    weights = [max(trained_networks(way.method)[0].parameters(), key=torch.Tensor.dim) for way in (plain, last)]
    assert [w.is_contiguous(memory_format=torch.channels_last) for w in weights] == [False, True]
    for way in (plain, half, last):
        way(0)
    apart = half.apart(plain), last.apart(plain)
    assert apart[0] is not None and apart[1] is not None
    assert 1e-5 < apart[0] < 0.1 and apart[1] < 1e-5


def test_compiled_steps_are_left_out_with_their_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, made = SCOPE.spec(SCOPE.cell("pix2pix")), []

    class Made(Steps):
        def __init__(self, spec: TrainSpec, stretch: str, device: torch.device, way: Way) -> None:
            made.append(way.name)
            super().__init__(spec, stretch, device, replace(way, compiled=False, precision="fp32"))

    monkeypatch.setattr(bench.speed.steps, "Steps", Made)
    for compiles, pays in ((False, True), (True, False), (True, True)):
        monkeypatch.setattr(bench.speed.steps, "bf16_pays", lambda device, pays=pays: pays)
        made.clear()
        lines = bench.speed.steps._in_all_ways(spec, "joint", replace(SCOPE, compiles=compiles))
        assert [line.name for line in lines] == [way.name for way in WAYS], "what is left out has a line too"
        left_out = {line.name: " ".join(line.notes) for line in lines if line.name not in made}
        assert set(left_out) == {
            way.name for way in WAYS if way.compiled and not (compiles and (pays or way.precision == "fp32"))
        }
        words = "--no-compile" if not compiles else "slower than fp32 here"
        assert all(words in reason for reason in left_out.values())


def test_networks_with_dropout_are_known() -> None:
    specs = {name: replace(SCOPE.spec(SCOPE.cell(name)), image_size=64) for name in METHODS}
    found = {name for name, spec in specs.items() if has_dropout(build(spec, CPU))}
    assert found == {"pix2pix", "patn", "xinggan"}


@pytest.mark.parametrize(("variant", "stretch", "floor"), [("", "meta", 5), ("msl", "multi-step loss", 8)])
def test_the_floor_of_a_meta_step_is_its_passes(variant: str, stretch: str, floor: int) -> None:
    steps = Steps(SCOPE.spec(SCOPE.cell("ours", variant)), stretch, CPU)
    made: list[int] = []
    generator = trained_networks(steps.method)[0]
    generator.register_forward_hook(lambda *_: made.append(1))
    steps(0)
    assert len(made) == passes(steps) == floor


def test_multiply_accumulates_of_a_step_are_counted_with_its_backward_pass() -> None:
    convolution = Convolution(8)
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        convolution(0)
    assert counter.get_total_flops() == 2 * convolution.macs
    counted = Counted(Steps(SCOPE.spec(SCOPE.cell("pix2pix")), "joint", CPU))
    counted(0)
    macs = counted.macs
    counted(1)
    assert counted.macs == macs > 0


def test_attention_in_parts_gives_the_images_and_gradients_of_whole_maps() -> None:
    spec = replace(SCOPE.spec(SCOPE.cell("xinggan")), image_size=132, batch=1, width=1 / 16, options={})
    parts, kept, whole = (measure(spec, way, "cpu", 1) for way in (SUITE, KEPT, WHOLE))  # 33² rows: two parts
    assert np.abs(parts.gradients).max() > 0
    assert difference(kept, parts) == 0 < difference(whole, parts) < 1e-4


# --- the table ------------------------------------------------------------------------------------------------

FACTS = {
    "preset": "smoke", "quick": False, "clock": "CPU seconds of one thread", "rounds": 3, "seconds": 1.0, "load": 0.1,
    "environment": {
        "processor": "A Processor", "threads": 1, "cores": 2, "torch": "2.9", "python": "3", "device": "cpu",
    },
    "commit": "c" * 12, "created": "2026-01-02T03:04:05+00:00", "command": "bench speed",
}  # fmt: skip


def test_a_row_has_its_spread_a_base_has_none_and_what_is_missing_says_why() -> None:
    base = Line("base", Quartiles(0.010, 0.008, 0.012, 5), Quartiles(1, 1, 1, 5))
    other = Line("other", Quartiles(0.5, 0.25, 0.75, 5), Quartiles(2.0, 1.5, 2.5, 5), apart=0.00031)
    table = speed_table([Group("g", "Heading", (base, other, Line("none", notes=("Not available: why",))))], FACTS)
    rows = [row.strip("|").split("|") for row in table.to_markdown().splitlines() if row.startswith("| ")]
    cells = {row[0].strip().rstrip(" ⁰¹²³⁴⁵⁶⁷⁸⁹"): [cell.strip() for cell in row[1:]] for row in rows}
    assert cells["base"][:2] == ["10.000 (8.000, 12.000)", "1.000"]
    assert cells["other"] == ["500.000 (250.000, 750.000)", "2.000 (1.500, 2.500)", "", "", "", "3e-04", "5"]
    assert cells["none"] == ["–", "", "", "", "", "", ""] and "Not available: why." in table.to_markdown()
    busy = speed_table([], {**FACTS, "load": 3.0, "quick": True}).caption
    assert "MACHINE WAS BUSY" in busy and "mean nothing" in busy and "BUSY" not in table.caption


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "speed", *arguments])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    main()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "mets"), "did you mean 'meta'?"),
        (("--methods", "pant"), "did you mean 'patn'?"),
        (("--preset", "smok"), "did you mean 'smoke'?"),
        (("--rounds", "2"), "--rounds must be at least 3"),
        (("--threads", "0"), "--threads must be at least 1"),
        (("--only", ","), "--only ',' names nothing"),
        (("--methods", ""), "--methods '' names nothing"),
        (("--seconds", "-1"), "--seconds must be a finite number from 0, not -1"),
        (("--seconds", "nan"), "--seconds must be a finite number from 0, not nan"),
        (("--quick", "--seconds", "inf"), "--seconds must be a finite number from 0, not inf"),
        (("--quick", "--rounds", "0"), "--rounds must be at least 3"),
        (("--authors", "nowhere"), "--authors nowhere holds no clone of the authors' code"),
        (("--quick", "--preset", "foo"), "unknown preset 'foo'"),
    ],
)
def test_a_wrong_request_ends_in_one_line_that_names_the_fix(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    with pytest.raises(SystemExit) as exit_of:
        run(monkeypatch, "--results", str(tmp_path), *arguments)
    said = capsys.readouterr()
    assert exit_of.value.code == 2 and words in said.err and not said.out
    assert not any(tmp_path.iterdir()), "something was measured before"


def test_what_a_run_measured_that_is_broken_off_is_kept_and_called_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one(scope: Scope) -> list[Group]:
        return [Group("one", "a heading", (Line("first", Quartiles.of([1.0])),))]

    def broken_off(scope: Scope) -> list[Group]:
        raise KeyboardInterrupt

    def files() -> set[str]:
        return {path.name for path in (tmp_path / "bench").glob("*.md")}

    monkeypatch.setattr(bench.speed.make, "TOPICS", {"one": one, "two": broken_off})
    with pytest.raises(KeyboardInterrupt):
        measure_speed(SCOPE, (), tmp_path)
    assert files() == {"speed-quick-unfinished.md"}
    kept = (tmp_path / "bench" / "speed-quick-unfinished.md").read_text()
    assert "first" in kept and "UNFINISHED" in kept
    monkeypatch.setattr(bench.speed.make, "TOPICS", {"one": one, "two": one})
    assert "UNFINISHED" not in measure_speed(SCOPE, (), tmp_path).caption
    assert files() == {"speed-quick.md"}


def test_a_signal_ends_with_75_and_says_where_what_was_measured_is_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def one(scope: Scope) -> list[Group]:
        return [Group("one", "a heading", (Line("first", Quartiles.of([1.0])),))]

    def stopped(scope: Scope) -> list[Group]:
        raise Stopped

    kept = tmp_path / "bench" / "speed-quick-unfinished.md"
    for topics, words in (
        ({"one": stopped, "two": one}, "interrupted before anything was measured; the same command begins again"),
        ({"one": one, "two": stopped}, f"what was measured is in {kept}, and the same command begins again"),
    ):
        monkeypatch.setattr(bench.speed.make, "TOPICS", topics)
        assert not kept.exists()
        with pytest.raises(SystemExit) as exit_of:
            run(monkeypatch, "--quick", "--device", "cpu", "--results", str(tmp_path))
        said = capsys.readouterr().err
        assert exit_of.value.code == 75 and words in said and "goes on" not in said
    assert kept.exists()


@pytest.mark.parametrize(
    "only",
    [
        *("startup,render,pack", "steps", "adapt,generate", "frechet,published"),
        pytest.param("", marks=pytest.mark.slow),
    ],
)
def test_the_command_measures_what_it_is_asked_for_and_writes_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], only: str
) -> None:
    chosen = ("--only", only) if only else ()
    methods = ("--methods", "pix2pix") if only else ()
    with pytest.raises(SystemExit) as exit_of:
        run(
            monkeypatch,
            "--quick",
            "--quiet",
            "--json",
            "--device",
            "cpu",
            "--results",
            str(tmp_path),
            *chosen,
            *methods,
        )
    assert not exit_of.value.code
    said = json.loads(capsys.readouterr().out)
    name = "-".join(("speed", *(only.split(",") if only else ()), *methods[1:], "quick"))
    name = (
        name if not only else "-".join(["speed", *(t for t in TOPICS if t in only.split(",")), *methods[1:], "quick"])
    )
    assert json.loads((tmp_path / "bench" / f"{name}.json").read_text()) == said
    assert said["title"] in (tmp_path / "bench" / f"{name}.md").read_text()
    assert said["facts"]["environment"]["processor"] and "mean nothing" in said["caption"]
    measured = 0
    for row in said["rows"]:
        assert row["method"]
        for key in ("ms", "ratio", "rate"):
            value = row["values"].get(key)
            if value is not None:
                assert value["number"] > 0 and value.get("low", 1) > 0
                measured += key == "ms"
        if row["values"].get("ms", 0) is None:
            assert any("Not available" in said["footnotes"][index - 1] for index in row["footnotes"])
    assert measured >= len(said["rows"]) / 2
