"""Killed wherever it may be, a run goes on to the bits that it would have ended in."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch

import bench.train as loop
from bench.checkpoint import latest_checkpoint, load_state, save_checkpoint
from bench.conformance import changed
from bench.errors import Interrupted, NonFiniteLoss
from bench.files import read_json
from bench.progress import SilentReporter
from bench.spec import VARIANTS, TrainSpec
from bench.store import Stage, stored_stages
from bench.train import train
from methods.interface import Budget
from tests.broken_off import bench_run, every_state, processes, stored_pack
from tests.made_pack import made_pack

CPU = torch.device("cpu")
PATIENCE = 900  # seconds; a machine may be busy
BASELINES = ("patn", "pg2", "pix2pix", "xinggan", "dptn")
SIGNALS = (signal.SIGTERM, signal.SIGINT, *([signal.SIGUSR2] if hasattr(signal, "SIGUSR2") else []))
posix = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")


def spec(method: str, variant: str = "", **changes: Any) -> TrainSpec:
    """A tiny training: a few steps of every phase at 32 px and an eighth of the width."""
    options = {} if method not in VARIANTS else VARIANTS[method][variant]
    meta = method == "ours" and options.get("training") != "joint"
    budget = Budget(0 if meta else 8, 6 if meta else 0)
    tiny = TrainSpec(method, variant, options, "smoke", 32, 0.125, 2, 0, "fp32", "made-in-code", budget, {})
    return replace(tiny, **changes)


def trained(wanted: TrainSpec, folder: Path, warm: Path | None = None) -> dict[str, Any]:
    folder.mkdir(exist_ok=True, parents=True)
    with SilentReporter().task("") as task:
        return train(wanted, made_pack(), folder, CPU, task, warm, checkpoint_seconds=0.0)


def result(folder: Path) -> dict[str, Any]:
    """What a training ends in: every network, optimiser and buffer, and the log without its clock."""
    log = [
        {name: value for name, value in entry.items() if name != "seconds"} for entry in read_json(folder / "log.json")
    ]
    return {"model": load_state(folder / "model.pt"), "log": log}


def stopped_after_every_step(wanted: TrainSpec, folder: Path, number: int, warm: Path | None = None) -> int:
    """Train `wanted`, sending this process a signal in each step; how often it stopped."""
    real, stops = loop._batch, 0

    def interrupting(*arguments: Any) -> Any:
        os.kill(os.getpid(), number)
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_batch", interrupting)
        while True:
            try:
                trained(wanted, folder, warm)
                return stops
            except Interrupted as stop:
                assert stop.exit_code == 75
                stops += 1
                assert latest_checkpoint(folder)["step"] == stops, "a checkpoint at the next step boundary"


@pytest.mark.parametrize(
    ("method", "variant"),
    [*((name, "") for name in BASELINES), *(("ours", name) for name in VARIANTS["ours"])],
)
def test_a_method_stopped_after_every_step_ends_in_the_same_bits(tmp_path: Path, method: str, variant: str) -> None:
    wanted, number = spec(method, variant), SIGNALS[len(method + variant) % len(SIGNALS)]
    summary = trained(wanted, tmp_path / "whole")
    assert stopped_after_every_step(wanted, tmp_path / "stopped", number) == summary["steps"] >= 3
    assert changed(result(tmp_path / "whole"), result(tmp_path / "stopped")) == []


def test_meta_training_from_a_warm_start_resumes_from_its_own_checkpoint(tmp_path: Path) -> None:
    trained(spec("ours", options={"training": "joint"}, budget=Budget(4, 0)), tmp_path / "warm")
    wanted, warm = spec("ours", "msl"), tmp_path / "warm" / "model.pt"
    trained(wanted, tmp_path / "whole", warm)
    trained(wanted, tmp_path / "cold")
    assert stopped_after_every_step(wanted, tmp_path / "stopped", signal.SIGTERM, warm) == 3
    assert changed(result(tmp_path / "whole"), result(tmp_path / "stopped")) == []
    assert changed(result(tmp_path / "whole"), result(tmp_path / "cold")), "the warm start counts"


def test_whatever_the_disk_holds_at_a_kill_the_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    wanted = spec("tests.example_method:Plain")

    def stage(root: Path) -> Stage:
        return Stage(root, "train", "toy", {"seed": 0}, "code")

    def work(folder: Path) -> dict[str, Any]:
        return trained(wanted, folder)["losses"]

    with every_state(tmp_path / "store", tmp_path / "states") as states:
        whole = stage(tmp_path / "store").run(work)
    expected = result(stage(tmp_path / "store").folder)
    assert len(states) > 40
    steps = []
    for state in states:
        interrupted = stage(state)
        steps.append((latest_checkpoint(interrupted.folder) or {"step": 0})["step"])
        if interrupted.done:
            assert changed(result(interrupted.folder), expected) == [], "nothing half-written is taken for done"
        assert interrupted.run(work) == whole
        assert changed(result(interrupted.folder), expected) == []
        assert not list(interrupted.folder.glob(".*")), "half-written files are swept up"
    assert steps == sorted(steps), "what one checkpoint holds is never lost again, up to the done marker"
    assert set(steps) == {0, 1, 2, 3, 4}


def test_checkpoints_torn_one_after_the_other_never_cost_the_last_whole_one(tmp_path: Path) -> None:
    """A kill between a file and its digest leaves a torn one; the run then writes at earlier steps than that."""
    torn: list[Path] = []
    for step in (10, 9, 8, 7):
        save_checkpoint(tmp_path, step - 5, {"step": step - 5})
        found = latest_checkpoint(tmp_path)
        assert found is not None and found["step"] == step - 5
        torn.append(tmp_path / f"checkpoint-{step:08d}.pt")
        torn[-1].write_bytes(b"half")
    save_checkpoint(tmp_path, 6, {"step": 6})
    found = latest_checkpoint(tmp_path)
    assert found is not None and found["step"] == 6
    assert not any(path.exists() for path in torn)


def test_weights_that_are_not_finite_are_neither_kept_nor_called_a_model(tmp_path: Path) -> None:
    """A step whose losses are finite can still leave NaN, which the next would report a checkpoint too late."""
    save_checkpoint(tmp_path, 1, {"step": 1, "method": {"net": {"w": torch.ones(2)}}})
    for bad in (float("nan"), float("inf")):
        with pytest.raises(NonFiniteLoss, match=r"method\.net\.w.* not finite .*checkpoint-00000002") as raised:
            save_checkpoint(tmp_path, 2, {"step": 2, "method": {"net": {"w": torch.tensor([1, bad])}}})
        assert raised.value.exit_code == 7
    found = latest_checkpoint(tmp_path)
    assert found is not None and found["step"] == 1
    assert len(list(tmp_path.iterdir())) == 2


class Victim:
    """`bench run` in a process of its own, on the same store every time."""

    def __init__(self, folder: Path, steps: int, step_seconds: float) -> None:
        self.folder, self.steps, self.step_seconds = folder, steps, step_seconds
        self.arguments = ["--data", str(folder.parent / "pack"), "--store", str(folder / "store")]
        self.arguments += ["--results", str(folder / "results")]

    def start(self, *more: str, poison: int = -1) -> tuple[ForkServerProcess, Any]:
        began = processes.Event()
        # a run that nobody is to kill needs no checkpoints
        often = 0.0 if self.step_seconds or poison >= 0 else 60.0
        values = ([*self.arguments, *more], self.steps, self.step_seconds, often, began, poison)
        process = processes.Process(target=bench_run, args=values)
        process.start()
        return process, began

    def finish(self, *more: str, poison: int = -1) -> int:
        process, _ = self.start(*more, poison=poison)
        process.join(PATIENCE)
        assert process.exitcode is not None
        return process.exitcode

    def outcome(self) -> tuple[dict[str, Any], Any, Any]:
        (record,) = (self.folder / "results" / "smoke" / "records").glob("*.json")
        (stage,) = (stage for stage in stored_stages(self.folder / "store") if stage.kind == "train")
        found = read_json(record)
        return result(stage.folder), found["metrics"], found["per_character"]


def survive(tmp_path: Path, kills: int) -> dict[str, int]:
    """Kill and stop a `bench run` at random moments, compare what it ends in; how it ended each time."""
    chance, longest = random.Random(7), 0.12
    stored_pack(tmp_path / "pack")
    # with steps this slow, all the kills come before the last step
    steps, step_seconds = 25 * kills, 0.006
    assert steps * step_seconds > kills * longest
    calm = Victim(tmp_path / "calm", steps, 0.0)
    assert calm.finish() == 0
    victim, ends = Victim(tmp_path / "killed", steps, step_seconds), dict[str, int]()
    for kill in range(kills):
        number = signal.SIGKILL if kill % 2 else SIGNALS[kill // 2 % len(SIGNALS)]
        process, began = victim.start()
        assert began.wait(PATIENCE)
        time.sleep(chance.uniform(0, longest))
        os.kill(process.pid or 0, number)
        process.join(PATIENCE)
        assert process.exitcode == (-signal.SIGKILL if number == signal.SIGKILL else 75), signal.Signals(number).name
        ends[signal.Signals(number).name] = ends.get(signal.Signals(number).name, 0) + 1
    (stage,) = stored_stages(victim.folder / "store")
    step = (latest_checkpoint(stage.folder) or {"step": 0})["step"]
    assert stage.state == "unfinished" and step > 0
    victim.step_seconds = 0.0
    assert victim.finish() == 0
    (mine, *scores), (expected, *expected_scores) = victim.outcome(), calm.outcome()
    assert changed(mine, expected) == [] and scores == expected_scores
    return ends


@posix
def test_a_run_killed_at_random_moments_ends_in_the_same_bits_and_scores(tmp_path: Path) -> None:
    assert sum(survive(tmp_path, 5).values()) == 5


@posix
@pytest.mark.slow
def test_a_run_killed_two_dozen_times_ends_in_the_same_bits_and_scores(tmp_path: Path) -> None:
    assert survive(tmp_path, 24) == {"SIGKILL": 12, "SIGTERM": 4, "SIGINT": 4, "SIGUSR2": 4}


@posix
def test_a_nan_ends_with_7_and_is_tried_again_on_request_only(tmp_path: Path) -> None:
    stored_pack(tmp_path / "pack")
    victim = Victim(tmp_path / "nan", 6, 0.0)
    assert victim.finish(poison=4) == 7
    (stage,) = stored_stages(victim.folder / "store")
    failure = read_json(stage.folder / "failed.json")
    assert "example_method.Plain-smoke-s0: loss l1 is not finite at step 4 of train" in failure["message"]
    assert "NonFiniteLoss" in failure["traceback"] and stage.state == "failed"
    healthy = latest_checkpoint(stage.folder)
    assert healthy is not None and healthy["step"] == 4
    assert victim.finish() == 7, "reported from the store: nothing is poisoned in this run"
    assert read_json(stage.folder / "failed.json") == failure
    assert victim.finish("--retry") == 0
    calm = Victim(tmp_path / "calm", 6, 0.0)
    assert calm.finish() == 0
    assert changed(victim.outcome()[0], calm.outcome()[0]) == []


def test_a_copied_state_is_left_alone(tmp_path: Path) -> None:
    """The snapshots themselves: one for each touch, of the folder as it was."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with every_state(folder, tmp_path / "states") as states:
        (folder / "a").write_text("1")
        (folder / "a").replace(folder / "b")
    shutil.rmtree(folder)
    assert [sorted(path.name for path in state.iterdir()) for state in states] == [[], ["a"]]
