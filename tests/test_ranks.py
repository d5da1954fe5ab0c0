"""Ranks: a method trained by several processes is the method one process trains, and stops and resumes as it does."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

import bench.ranks.jobs
import bench.train as loop
from bench.build import build
from bench.checkpoint import load_state
from bench.conformance import changed
from bench.data.batches import episode_batch, pair_batch
from bench.errors import BenchError, DiskFull, Interrupted, NonFiniteLoss, RankFailed, UsageError
from bench.launch.outcome import Failure
from bench.progress import SilentReporter
from bench.ranks.group import rank, world_size
from bench.ranks.jobs import train_together
from bench.ranks.noise import SharedNoise
from bench.ranks.statistics import SharedStatistics
from bench.ranks.step import shared
from bench.seeds import derive
from bench.store import would_fail_again
from bench.train import train
from methods.interface import Budget, Progress
from tests.example_method import Plain
from tests.made_pack import made_pack
from tests.made_ranks import CASES, CPU, Case, after_steps, all_methods, apart, on_ranks

EXACT = 1e-6  # in float64, of a tensor's norm, after two steps of each phase
ROOT = Path(__file__).parent.parent


def loop_budget() -> Budget:
    return Budget(pairs=8, queries=8)


def trained(folder: Path, case: Case, **changes: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    with SilentReporter().task("") as task:
        return train(case.spec(**changes), made_pack(train=4), folder, CPU, task, checkpoint_seconds=0.0)


# --- what runs on every rank; the checks are in the tests below ---------------------------------------------


def everything(folder: Path) -> dict[str, Any]:
    """All that two ranks are asked, in one go: starting processes is what takes the time."""
    return {
        "methods": all_methods(exact=True),
        "noise": noise(),
        "statistics": statistics(),
        "stopped": stopped(folder),
        "nan": poisoned(folder),
        **{f"refused {name}": refused(change) for name, change in REFUSED.items()},
    }


def noise() -> dict[str, Tensor]:
    """Dropout and other noise of a batch of four, put together from the ranks' rows, and one draw for all."""
    own = torch.ones(4 // world_size(), 3, 5, 5)
    torch.manual_seed(3)
    with SharedNoise(len(own), episodes=False) if world_size() > 1 else nullcontext():
        drawn = {
            "dropout": nn.functional.dropout(own, 0.3),
            "dropout2d": nn.functional.dropout2d(own, 0.5),
            "channels last": nn.functional.dropout(own.to(memory_format=torch.channels_last), 0.3),
            "normal": torch.randn(len(own), 7),
            "like": torch.rand_like(own),
            "bernoulli": torch.bernoulli(own * 0.4),
            "for all": torch.randn(7, 2),
        }
    if world_size() == 1:
        return drawn
    whole = {}
    for name, value in drawn.items():
        parts = [torch.empty_like(value) for _ in range(world_size())]
        dist.all_gather(parts, value)
        whole[name] = parts[0] if name == "for all" else torch.cat(parts)
        assert name != "for all" or torch.equal(parts[0], parts[-1])
    return whole


def statistics() -> dict[str, Tensor]:
    """Outputs' checksum, gradients and running statistics of BatchNorm on a batch of four, of two samples a row."""
    torch.manual_seed(4)
    whole, norm = torch.randn(8, 3, 5, 5, dtype=torch.float64) + 2, nn.BatchNorm2d(3, dtype=torch.float64)
    own = whole.view(4, 2, 3, 5, 5).chunk(world_size())[rank()].flatten(0, 1).requires_grad_()
    with SharedStatistics(len(own) // 2, episodes=False) if world_size() > 1 else nullcontext():
        (norm(own) * own.detach()).pow(3).mean().backward()
    sums = [norm.weight.grad, norm.bias.grad, own.grad.pow(2).sum()[None]]
    for value, share in zip(sums, (world_size(), world_size(), world_size() ** 2), strict=True):
        if world_size() > 1:
            dist.all_reduce(value)
        value /= share
    assert norm.running_mean is not None and norm.running_var is not None
    names = ("weight", "bias", "input", "running mean", "running variance")
    return dict(zip(names, [*sums, norm.running_mean, norm.running_var], strict=True))


def stopped(folder: Path) -> list[str]:
    """Train, with a signal for the last rank alone at every fourth step; what was said and left behind."""
    real, steps, said = loop.pair_batch, [0], list[str]()

    def interrupting(*arguments: Any) -> Any:
        steps[0] += 1
        if steps[0] % 4 == 0 and rank() == world_size() - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    loop.pair_batch = interrupting
    try:
        while True:
            try:
                trained(folder / "stopped", CASES["somebody's own"], batch=4)
                return said
            except Interrupted as stop:
                said.append(str(stop))
                dist.barrier()  # processes that start again do so after all have ended
    finally:
        loop.pair_batch = real


def poisoned(folder: Path) -> str:
    """What each rank raises when one of them has a loss that is not a number."""
    real = Plain.train_step

    def step(self: Plain, batch: Any, progress: Progress) -> dict[str, Tensor]:
        losses = real(self, batch, progress)
        return {"l1": losses["l1"] * float("nan")} if progress.step == 2 and rank() == 1 else losses

    Plain.train_step = step  # type: ignore[method-assign]
    try:
        trained(folder / "nan", Case("tests.example_method:Plain"))
        return ""
    except NonFiniteLoss as error:
        return str(error)
    finally:
        Plain.train_step = real  # type: ignore[method-assign]


def _odd_batch() -> None:
    spec = CASES["patn"].spec(batch=world_size() + 1)
    method = build(spec, CPU)
    shared(method, method.phases(), 0)


def _other_checkpoint() -> None:
    shared(build(CASES["patn"].spec(), CPU), [], done=rank())


def _step_of(case: str, method: type[Plain] | None, change: Callable[[Any, Any], None]) -> None:
    """A shared step of a method whose `train_step` does something more with its batch first."""
    built = build(CASES[case].spec(), CPU)
    real = built.train_step

    def step(batch: Any, progress: Progress) -> dict[str, Tensor]:
        change(built, batch)
        return real(batch, progress)

    built.train_step = step  # type: ignore[method-assign]
    phase = next(iter(built.phases()))
    pack = made_pack(train=4)
    batch: Any = (
        pair_batch(pack, 0, 0, phase.batch)
        if phase.data == "pairs"
        else episode_batch(pack, 0, 0, phase.batch, phase.support)
    )
    shared(built, [phase], 0)(batch, Progress(phase, 0))


def _own_state(built: Any, batch: Any) -> None:
    next(iter(built.net.parameters())).data += 0.1 * rank()


def _fakes_and_reals(built: Any, batch: Any) -> None:
    nn.functional.dropout(torch.cat([batch.source, batch.target]), 0.5)


def _noise_in_tasks(built: Any, batch: Any) -> None:
    nn.functional.dropout(batch.support[0], 0.5)


def _statistics_in_tasks(built: Any, batch: Any) -> None:
    nn.functional.batch_norm(batch.support[0], None, None, training=True)


def _shuffled(built: Any, batch: Any) -> None:
    torch.randperm(len(batch.source))


REFUSED: dict[str, Callable[[], None]] = {
    "a batch that does not divide": _odd_batch,
    "different checkpoints": _other_checkpoint,
    "state changed by a rank": lambda: _step_of("somebody's own", Plain, _own_state),
    "noise of two kinds of samples": lambda: _step_of("patn", None, _fakes_and_reals),
    "noise in episodes": lambda: _step_of("ours, meta", None, _noise_in_tasks),
    "statistics in episodes": lambda: _step_of("ours, meta", None, _statistics_in_tasks),
    "a shuffled batch": lambda: _step_of("patn", None, _shuffled),
}


def refused(work: Callable[[], None]) -> str:
    try:
        work()
    except BenchError as error:
        return f"{error.exit_code}: {error}"
    return ""


# --- tests --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict[str, Any]]:
    """`everything`, of two ranks."""
    return on_ranks(2, everything, folder, folder)


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_train_what_one_process_trains(case: str, two: list[dict[str, Any]]) -> None:
    distance, where = apart(after_steps(CASES[case], exact=True), two[0]["methods"][case])
    assert distance < EXACT, where


@pytest.mark.slow
def test_four_ranks_train_what_one_process_trains(tmp_path: Path) -> None:
    four = on_ranks(4, all_methods, tmp_path, True)[0]
    for name, case in CASES.items():
        distance, where = apart(after_steps(case, exact=True), four[name])
        assert distance < EXACT, f"{name}: {where}"


@pytest.mark.slow
def test_in_float32_ranks_differ_by_no_more_than_rounding(tmp_path: Path) -> None:
    two = on_ranks(2, all_methods, tmp_path, False)[0]
    for name, case in CASES.items():
        alone = after_steps(case, exact=False)
        for loss in (key for key in alone if ".0." in key and key in two[name] and not alone[key].dim()):
            # a gradient through a dozen norms is rounded to 3e-5 of its size, and what has been adapted has been moved
            # by several; where kernels add in another order that shows
            adapted = loss.startswith("meta.") and not loss.endswith("inner_first")
            tolerance = 1e-2 if adapted else 1e-5
            assert torch.allclose(alone[loss], two[name][loss], rtol=tolerance, atol=1e-6), f"{name}: {loss}"


def test_noise_is_a_samples_own_whichever_rank_draws_it(two: list[dict[str, Any]]) -> None:
    alone = noise()
    assert alone.keys() == two[0]["noise"].keys()
    for name, value in alone.items():
        assert torch.equal(value, two[0]["noise"][name]), name
    assert not torch.equal(alone["dropout"][:2], alone["dropout"][2:]), "or else drawing alike on ranks would pass"


def test_batch_statistics_and_their_gradients_are_those_of_the_whole_batch(two: list[dict[str, Any]]) -> None:
    for name, value in statistics().items():
        torch.testing.assert_close(two[0]["statistics"][name], value, rtol=1e-12, atol=1e-12, msg=name)
    assert torch.equal(two[0]["statistics"]["running mean"], two[1]["statistics"]["running mean"])


def test_a_signal_to_one_rank_stops_all_at_one_step_and_they_resume_to_the_same_bits(
    folder: Path, two: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert (
        two[0]["stopped"]
        == two[1]["stopped"]
        == [f"stopped at step {n} of 12; the same command goes on from there" for n in (4, 8, 12)]
    )
    # the newest stays until whoever asked for the training has marked it done
    assert [path.name for path in (folder / "stopped").glob("checkpoint-*.pt")] == ["checkpoint-00000012.pt"]
    trained(tmp_path / "alone", CASES["somebody's own"], batch=4)
    one, other = (load_state(where / "model.pt")["method"] for where in (tmp_path / "alone", folder / "stopped"))
    for name, value in one["net"].items():
        torch.testing.assert_close(other["net"][name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_a_loss_that_is_no_number_on_one_rank_ends_all(folder: Path, two: list[dict[str, Any]]) -> None:
    assert two[0]["nan"] == two[1]["nan"] and "l1 is not finite at step 2 of train" in two[0]["nan"]
    assert (folder / "nan" / "checkpoint-00000002.pt").exists() and not (folder / "nan" / "model.pt").exists()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a batch that does not divide", "2: PATN: 2 ranks cannot share a batch of 3 (phase joint) equally"),
        ("different checkpoints", "1: ranks see different checkpoints"),
        ("state changed by a rank", "1: Mixing: after a shared step the ranks differ in net.0.weight"),
        ("noise of two kinds of samples", "2: aten::bernoulli_ draws [4, 3, 32, 32] random numbers"),
        ("noise in episodes", "in a step of 2 tasks a rank"),
        ("statistics in episodes", "2: batch normalisation in a step of episodes"),
        ("a shuffled batch", "2: aten::randperm draws [2] random numbers"),
    ],
)
def test_what_ranks_cannot_share_is_refused_by_all_of_them(what: str, words: str, two: list[dict[str, Any]]) -> None:
    assert two[0][f"refused {what}"] == two[1][f"refused {what}"]
    assert words in two[0][f"refused {what}"]


@pytest.mark.parametrize("case", CASES)
def test_one_process_trains_as_the_plain_loop_does(case: str, tmp_path: Path) -> None:
    """The loop without its clock, log, checkpoints and ranks: the same bits, so stored results stay valid."""
    spec = CASES[case].spec(budget=loop_budget(), batch=4)
    seed, pack = derive("train", spec.seed), made_pack(train=4)
    torch.manual_seed(derive(seed, "initialise"))
    method = build(spec, CPU)
    for phase in method.phases():
        for step in range(phase.steps):
            named = derive(seed, phase.name)
            batch: Any = (
                pair_batch(pack, named, step, phase.batch)
                if phase.data == "pairs"
                else episode_batch(pack, named, step, phase.batch, phase.support, CPU, phase.support_from)
            )
            torch.manual_seed(derive(seed, phase.name, step))
            method.train_step(batch, Progress(phase, step))
    trained(tmp_path / "run", CASES[case], budget=loop_budget(), batch=4)
    assert not changed(load_state(tmp_path / "run" / "model.pt")["method"], method.state_dict())


# --- the whole command --------------------------------------------------------------------------------------


def torchrun(ranks: int, cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command = [*launch, "-m", "tests.bench_without_weights", *arguments, "--device", "cpu", "--preset", "smoke"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=environment, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_torchrun_trains_stops_at_a_signal_resumes_and_scores(tmp_path: Path) -> None:
    run = ("run", "--method", "tests.mixing_method:Slow", "--json")
    begun = tmp_path / "begun"
    for whom in ("a rank", "torchrun"):
        begun.unlink(missing_ok=True)
        launched = torchrun(2, tmp_path, *run)
        while not (begun.exists() and begun.read_text()):
            assert launched.poll() is None, launched.communicate()[1]
            time.sleep(0.05)
        os.kill(int(begun.read_text()) if whom == "a rank" else launched.pid, signal.SIGTERM)
        said = launched.communicate(timeout=600)[1]
        assert said.count("the same command goes on from there") == 1, said
        assert whom == "torchrun" or "exitcode  : 75" in said, said  # torchrun tells only of what it did not end
        assert launched.returncode != 0 and list(tmp_path.glob(".store/train/*/checkpoint-*.pt"))

    resumed = torchrun(2, tmp_path, *run)
    printed, said = resumed.communicate(timeout=600)
    assert resumed.returncode == 0, said
    record = json.loads(printed)  # once, by the first rank
    assert any("trained by 2 ranks" in note for note in record["notes"])

    alone = torchrun(1, tmp_path, *run, "--store", "alone", "--results", "alone")
    assert alone.wait(timeout=600) == 0, alone.communicate()[1]
    (one,), (two,) = (list(tmp_path.glob(f"{store}/train/*/model.pt")) for store in ("alone", ".store"))
    assert one.parent.name == two.parent.name, "how many ranks trained it is not part of what a training is"
    for name, value in load_state(one)["method"]["net"].items():
        torch.testing.assert_close(load_state(two)["method"]["net"][name], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.slow
def test_torchrun_with_a_batch_that_does_not_divide_ends_in_one_line(tmp_path: Path) -> None:
    run = torchrun(3, tmp_path, "run", "--method", "tests.example_method:Plain")
    said = run.communicate(timeout=600)[1]
    assert run.returncode != 0 and said.count("3 ranks cannot share a batch of 8") == 1 and "exitcode  : 2" in said, (
        said
    )
    assert said.count("Traceback") <= 1, f"torchrun's own and no other: {said}"


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [
        (RuntimeError("[gloo] Connection reset by peer"), RankFailed, "a rank failed or is gone (RuntimeError: [gloo]"),
        (DiskFull("checkpoint"), RankFailed, "the disk is full"),
        (UsageError("3 ranks cannot share a batch of 8"), RankFailed, "cannot share"),
        (NonFiniteLoss("loss l1 is not finite"), NonFiniteLoss, "not finite"),
        (Interrupted("stopped at step 3"), Interrupted, "stopped"),
    ],
)
def test_what_one_rank_may_have_met_alone_ends_the_command_and_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BenchError, expected: type[BenchError], said: str
) -> None:
    """The others would wait in that training for ever, and this one for them in the next."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(bench.ranks.jobs, "world_size", lambda: 2)
    monkeypatch.setattr(bench.ranks.jobs, "_tell", lambda job: None)
    monkeypatch.setattr(bench.ranks.jobs, "train", fail)
    pack, case = made_pack(train=4), next(iter(CASES.values()))
    with pytest.raises(expected, match=re.escape(said)) as raised, SilentReporter().task("") as task:
        train_together(case.spec(), pack, tmp_path, CPU, task, None)
    assert raised.value.exit_code == getattr(error, "exit_code", 1)
    assert Failure.of(raised.value).stops_all == (expected is RankFailed)
    assert would_fail_again(raised.value) == (expected is NonFiniteLoss)
