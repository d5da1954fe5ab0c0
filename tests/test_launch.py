"""Launchers: the same scores whoever does the work; what fails costs nobody else; what is stopped goes on."""

import errno
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

import bench.cells
import bench.launch.drive
import bench.launch.outcome
import bench.metrics.features
from bench.cells import Workplace, stages
from bench.checkpoint import load_state
from bench.errors import BenchError, DataError, DiskFull, Interrupted, NonFiniteLoss, UsageError
from bench.launch import commands, local, one_after_the_other, worker_environments
from bench.launch.drive import Finished, drive
from bench.launch.needs import Needs, needs_of
from bench.launch.outcome import Failure, Outcome, Row
from bench.launch.processes import LocalPool, allowed_cores
from bench.launch.slurm import Cluster, SlurmPool, base_cell, slurm
from bench.launch.worker import Ended
from bench.plan import Later, NotYet, PlannedStage, cells_of, plan
from bench.progress import SilentReporter, Task
from bench.records import Record
from bench.run import do_step, record_cell
from bench.spec import Cell
from tests import failing_methods
from tests.failing_methods import work_without_weights
from tests.test_run import PLAIN, MeanColours

WHITE = Cell("white", "smoke", device="cpu")
TWO = [{"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "1"}]


def failing(name: str) -> Cell:
    return replace(PLAIN, method=f"tests.failing_methods:{name}")


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds the smoke data and what was done one after the other."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def place(packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    identity = {"name": MeanColours.name, "sha256": MeanColours.sha256}
    monkeypatch.setattr(bench.cells, "extractor_identity", lambda name: identity)
    monkeypatch.setattr(bench.cells, "lpips_identity", lambda: None)
    monkeypatch.setattr(bench.metrics.features, "Extractor", MeanColours)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return Workplace(packs, tmp_path / "results", SilentReporter(), workers=1)


def fresh(place: Workplace, folder: Path) -> Workplace:
    """A work place with the same data and nothing done."""
    bench.cells.data_pack(PLAIN.check(), place)
    store = folder / "store"
    store.mkdir()
    for name in ("packs", "data"):
        if (place.store / name).exists():
            (store / name).symlink_to(place.store / name)
    return replace(place, store=store)


def scores(outcome: Outcome) -> dict[tuple[str, int], object]:
    return {(cell.method, cell.seed): (record.metrics, record.per_character) for cell, record in outcome.done}


class Here:
    """A pool that does stages in this process and writes down what it was given; `fails` are steps that fail."""

    def __init__(self, place: Workplace, whole_chains: bool = False, fails: Sequence[tuple[str, str]] = ()) -> None:
        self.whole_chains, self._place, self._fails = whole_chains, place, fails
        self.started: list[tuple[tuple[str, ...], str]] = []
        self._ended: list[Finished] = []

    def has_room(self) -> bool:
        return not self._ended

    def start(self, work: Sequence[PlannedStage]) -> None:
        self.started.append((tuple(stage.step for stage in work), work[0].stage.label))
        failure = None
        for stage in work:
            if (stage.cell.method, stage.step) in self._fails:
                failure = Failure("broken on purpose", 7)
                break
            do_step(stage.cell, stage.step, self._place)
        self._ended.append(Finished(tuple(stage.name for stage in work), failure))

    def wait(self, seconds: float) -> list[Finished]:
        ended, self._ended = self._ended, []
        return ended

    def stop(self, signals: Sequence[int]) -> None:
        raise AssertionError("nobody asked for it")


def test_two_workers_give_the_scores_of_one_process_and_a_failure_costs_only_its_cell(
    place: Workplace, tmp_path: Path
) -> None:
    cells = [failing("Dying"), failing("Broken"), PLAIN, WHITE, replace(PLAIN, seed=1), failing("Exiting")]
    alone = one_after_the_other([cells[2], WHITE, cells[4], cells[1]], place)
    elsewhere = fresh(place, tmp_path)
    with LocalPool(TWO, elsewhere, work_without_weights) as pool:
        together = drive(cells, elsewhere, pool)
    assert scores(together) == scores(alone) and len(together.done) == 3
    assert [row.failure is None for row in together.rows] == [False, False, True, True, True, False], "in order"
    dying, broken, leaving = (row.failure.message for row in together.rows if row.failure)
    assert "exit code 0" in leaving and "does the method call exit?" in leaving
    assert "signal 9" in dying and "fewer --jobs" in dying
    assert broken == "RuntimeError: no gradient today" == alone.rows[3].failure.message  # type: ignore[union-attr]
    keys = [{record.key for _, record in outcome.done} for outcome in (alone, together)]
    assert keys[0] == keys[1], "records are the same rows of the same code"
    assert all(record.environment["threads"] == 1 for _, record in together.done)


class Interrupter(SilentReporter):
    """Presses Ctrl-C when a training has made its first step."""

    @contextmanager
    def _watched(self, label: str) -> Iterator[Task]:
        class _Task:
            def update(self, done: int, total: int, note: str = "") -> None:
                if label.startswith("train") and done:
                    os.kill(os.getpid(), signal.SIGINT)

        yield _Task()

    def task(self, label: str) -> AbstractContextManager[Task]:
        return self._watched(label)


def test_ctrl_c_has_workers_write_checkpoints_and_the_same_call_ends_in_the_same_weights(
    place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, slow = fresh(place, tmp_path), failing("Slow")
    stage = stages(slow, elsewhere).train
    assert stage is not None
    monkeypatch.setenv("SLOW", "1")
    stopped = replace(elsewhere, report=Interrupter())
    with (
        pytest.raises(Interrupted, match="same command"),
        LocalPool(TWO[:1], stopped, work_without_weights) as pool,
    ):
        drive([slow], stopped, pool)
    assert list(stage.folder.glob("checkpoint-*.pt")) and not stage.done
    assert not (stage.folder / "failed.json").exists()
    monkeypatch.delenv("SLOW")
    do_step(slow, "train", elsewhere)
    assert same_weights(stage.folder, PLAIN, place), "a Slow one learns what a Plain one learns"


def same_weights(folder: Path, cell: Cell, place: Workplace) -> bool:
    do_step(cell, "train", place)
    other = stages(cell, place).train
    assert other is not None
    nets = [load_state(file / "model.pt")["method"]["net"] for file in (folder, other.folder)]
    return all(torch.equal(nets[0][name], nets[1][name]) for name in nets[1])


def test_stages_start_when_what_they_need_is_done_and_the_longest_path_first(place: Workplace, tmp_path: Path) -> None:
    elsewhere = fresh(place, tmp_path)
    pool = Here(elsewhere)
    outcome = drive([WHITE, PLAIN, replace(PLAIN, shots=2), replace(PLAIN, adaptation="none")], elsewhere, pool)
    assert len(outcome.done) == 4
    steps = [steps[0] for steps, _ in pool.started]
    assert steps[0] == "train", "the training has the most behind it"
    assert sorted(steps) == ["generate"] * 4 + ["score"] * 4 + ["train"], "the shared training is done once"


def test_a_job_takes_the_stages_that_only_wait_for_each_other(place: Workplace, tmp_path: Path) -> None:
    elsewhere = fresh(place, tmp_path)
    pool = Here(elsewhere, whole_chains=True)
    drive([PLAIN, WHITE], elsewhere, pool)
    assert sorted(steps for steps, _ in pool.started) == [("generate", "score"), ("train", "generate", "score")]


def test_a_failed_training_takes_its_rows_with_it_and_what_waits_for_it_is_given_up(
    place: Workplace, tmp_path: Path
) -> None:
    elsewhere = fresh(place, tmp_path)

    def never(_: Workplace) -> Cell:
        raise NotYet("not yet")

    later = Later("at equal seconds", 0, (PLAIN, PLAIN), never)
    pool = Here(elsewhere, fails=[(PLAIN.method, "train")])
    outcome = drive([PLAIN, WHITE, later], elsewhere, pool)
    assert [row.record is not None for row in outcome.rows] == [False, True, False]
    assert outcome.missing["Plain"] == "broken on purpose"
    assert "needs trainings that failed" in outcome.missing["at equal seconds"]


def test_a_cell_that_can_be_named_only_later_is_done_when_it_can(place: Workplace, tmp_path: Path) -> None:
    elsewhere = fresh(place, tmp_path)

    def name(where: Workplace) -> Cell:
        trained = stages(PLAIN, where).train
        if trained is None or not trained.done:
            raise NotYet("not yet")
        return replace(PLAIN, seed=1, label="second")

    outcome = drive([Later("second", 1, (PLAIN, PLAIN), name), PLAIN], elsewhere, Here(elsewhere))
    assert [record.title for _, record in outcome.done] == ["second", "Plain"]


def test_nothing_done_ends_with_the_first_failures_exit_code() -> None:
    diverged = Row("a", 0, failure=Failure.of(NonFiniteLoss("loss l1 is not finite")))
    with pytest.raises(Exception, match="not finite") as raised:
        Outcome((diverged, Row("b", 0, failure=Failure("x", 1)))).require_any()
    assert raised.value.exit_code == 7  # type: ignore[attr-defined]
    Outcome((diverged, Row("b", 0, WHITE, record=object()))).require_any()  # type: ignore[arg-type]


def test_workers_share_the_cores_and_a_user_who_set_threads_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.launch.processes.allowed_cores", lambda: 8)
    monkeypatch.setattr("bench.launch.processes.memory_bytes", lambda: 64 << 30)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert worker_environments("2", "cpu") == [{"OMP_NUM_THREADS": "4"}] * 2
    assert worker_environments("auto", "cpu") == [{"OMP_NUM_THREADS": "2"}] * 4
    assert worker_environments("1", "cpu") == [{}]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert worker_environments("2", "cpu") == [{"OMP_NUM_THREADS": "1"}] * 2
    monkeypatch.setattr("bench.launch.processes.memory_bytes", lambda: 3 << 30)
    assert worker_environments("auto", "cpu") == [{}], "one worker, for want of memory"


def test_a_gpu_job_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.launch.processes.pick_device", torch.device)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    found = worker_environments("auto", "cuda")
    assert [one["CUDA_VISIBLE_DEVICES"] for one in found] == ["2", "5"]
    with pytest.raises(UsageError, match="use --jobs 2"):
        worker_environments("3", "cuda")
    with pytest.raises(UsageError, match="cuda:1 is one"):
        worker_environments("2", "cuda:1")


@pytest.mark.parametrize("jobs", ["0", "-1", "two", ""])
def test_a_number_of_jobs_that_makes_no_sense_is_refused(jobs: str) -> None:
    with pytest.raises(UsageError, match="--jobs"):
        worker_environments(jobs, "cpu")
    with pytest.raises(UsageError, match=f"use --jobs {allowed_cores()}"):
        worker_environments(str(allowed_cores() + 1), "cpu")


def test_a_printed_command_names_exactly_its_cell(place: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    import json
    import shlex

    from bench.cli import app

    base = Cell("ours", "smoke", device="cpu", precision="fp32", seed=3)
    cells = [*cells_of("table1", base, [3])[3:], *cells_of("table4", base, [3]), replace(PLAIN, adaptation="tuned")]
    wanted = [cell for cell in cells if isinstance(cell, Cell)]
    printed = commands(cells, place)
    comments = [line for line in printed if line.startswith("#")]
    assert len(comments) == 1 and "w/o ML (equal seconds), seed 3" in comments[0] and "bench table4" in comments[0]
    lines = [line for line in printed if line not in comments]
    keys = []
    for line in lines:
        words = shlex.split(line)
        assert words[:2] == ["bench", "run"]
        app([*words[1:], "--dry-run", "--json"], standalone_mode=False)
        keys.append(json.loads(capsys.readouterr().out)["stages"][-1]["key"])
    assert set(keys) == {stages(cell, place).score.key for cell in wanted}
    assert all("--label" in line for line in lines if "wo-ml" in line), "rows keep their titles"


def test_printed_commands_give_the_same_scores_in_any_order(place: Workplace, tmp_path: Path) -> None:
    import shlex

    from bench.cli import app
    from bench.records import read_records

    cells = [PLAIN, WHITE]
    alone = one_after_the_other(cells, place)
    elsewhere = replace(fresh(place, tmp_path), results=tmp_path / "printed")
    for line in reversed(commands(cells, elsewhere)):
        app([*shlex.split(line)[1:], "--json"], standalone_mode=False)
    found = {record.key: record.metrics for record in read_records(elsewhere.results / "smoke" / "records")}
    assert found == {record.key: record.metrics for _, record in alone.done}


def test_jobs_of_a_cluster_give_the_same_scores(place: Workplace, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    cluster = Cluster("debug")
    cells = [base_cell(PLAIN, cluster), WHITE, base_cell(failing("Broken"), cluster)]
    outcome = slurm(cells, fresh(place, tmp_path), cluster)
    assert scores(outcome) == scores(one_after_the_other([PLAIN, WHITE], place))
    assert outcome.missing == {"Plain": "RuntimeError: no gradient today"}


@pytest.mark.slow
def test_a_preempted_job_is_queued_again_and_goes_on_from_its_checkpoint(
    place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitit = pytest.importorskip("submitit")
    monkeypatch.setenv("PREEMPTED", str(tmp_path / "preempted"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
    elsewhere, cell = fresh(place, tmp_path), failing("Preempted")
    pool = SlurmPool(submitit.AutoExecutor(tmp_path / "jobs", "local"), Cluster("local"), elsewhere, tmp_path)
    training = next(stage for stage in plan([cell], elsewhere) if stage.step == "train")
    pool.start([training])
    ended: list[Finished] = []
    while not ended:
        ended = pool.wait(0.1)
    assert ended == [Finished((training.name,))] and training.stage.done
    assert (tmp_path / "preempted").exists(), "it was stopped once"
    assert same_weights(training.stage.folder, PLAIN, place)


def test_a_cluster_is_asked_for_the_smallest_gpu_that_suffices() -> None:
    cluster = Cluster(partition="gpu", gpus={"h100": 80, "a100": 40, "t4": 16}, extra={"account": "lab"})
    asked = cluster.parameters(Needs(gpu_gib=24, hours=1.5, cores=8))
    assert asked["timeout_min"] == 90 and asked["cpus_per_task"] == 8 and asked["slurm_partition"] == "gpu"
    assert asked["slurm_additional_parameters"] == {"account": "lab", "gpus-per-node": "a100:1"}
    with pytest.raises(UsageError, match="needs 100 GiB"):
        cluster.parameters(Needs(gpu_gib=100))
    assert Cluster(gpus={}).parameters(Needs())["slurm_additional_parameters"] == {"gpus-per-node": "1"}
    with pytest.raises(UsageError, match="--precision bf16 or fp32"):
        base_cell(Cell("ours", "paper"), Cluster(gpus={}))


def test_a_method_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "tests.failing_methods:Slow"
    assert needs_of(name) == Needs()
    monkeypatch.setattr(failing_methods.Slow, "needs", {"hours": 3}, raising=False)
    assert needs_of(name) == Needs(hours=3)
    for wrong in ({"hour": 3}, {"hours": 0}, {"hours": "3"}, {"cores": True}, 3):
        monkeypatch.setattr(failing_methods.Slow, "needs", wrong, raising=False)
        with pytest.raises(UsageError, match="needs"):
            needs_of(name)


def test_a_record_says_where_its_training_was_done(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    do_step(PLAIN, "train", place)
    one_after_the_other([PLAIN], place)
    monkeypatch.setattr("bench.run.describe", lambda device: {"processor": "another machine"})
    assert record_cell(PLAIN, place).environment["processor"] != "another machine"


@pytest.mark.slow
def test_table_1_at_smoke_is_the_same_from_one_process_and_from_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("bench.launch.processes.allowed_cores", lambda: 2)  # wherever this runs
    cells = cells_of("table1", Cell("ours", "smoke", device="cpu"), [0])
    places = [Workplace(tmp_path / jobs, tmp_path / f"results{jobs}", SilentReporter()) for jobs in ("1", "2")]
    one, two = (local(cells, place, jobs) for place, jobs in zip(places, ("1", "2"), strict=True))
    assert len(one.done) == len(cells) == len(two.done)
    for (cell, first), (_, second) in zip(one.done, two.done, strict=True):
        tuned = [{**(record.finetune or {}), "seconds": None} for record in (first, second)]
        assert first.metrics == second.metrics and tuned[0] == tuned[1], cell


FULL = OSError(errno.ENOSPC, "No space left on device", "images.npy")


@pytest.mark.parametrize("error", [FULL, DiskFull("images.npy")])
def test_a_full_disk_ends_the_whole_list_and_no_other_cell_is_tried(
    place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A table would be written with holes where it had rows."""
    tried = []

    def full(cell: Cell, *_: object) -> None:
        tried.append(cell)
        raise error

    monkeypatch.setattr(bench.launch.outcome, "run_cell", full)
    with pytest.raises(BenchError, match=r"the disk is full: cannot write images\.npy") as raised:
        one_after_the_other([WHITE, PLAIN], place)
    assert raised.value.exit_code == 8 and tried == [WHITE]

    class Full(Here):
        stopped = False

        def start(self, work: Sequence[PlannedStage]) -> None:
            tried.append(work[0].cell)
            self._ended.append(Finished(tuple(stage.name for stage in work), Failure.of(error)))

        def stop(self, signals: Sequence[int]) -> None:
            self.stopped = True

    tried.clear()
    elsewhere = fresh(place, tmp_path)
    pool = Full(elsewhere)
    with pytest.raises(BenchError, match="the disk is full") as raised:
        drive([WHITE, PLAIN], elsewhere, pool)
    assert raised.value.exit_code == 8 and pool.stopped and len(tried) == 1


def deaf(pipe: Connection, place: Workplace) -> None:
    """A worker process whose signals are lost, as in an error that is raised meanwhile."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while pipe.recv() is not None:
        pipe.send(Ended(Failure("no room", 8)))


def test_a_worker_whose_signal_was_lost_ends_when_it_has_done_its_work(place: Workplace) -> None:
    planned = plan([WHITE], place)[:1]
    with LocalPool(TWO[:1], place, deaf) as pool:
        pool.start(planned)
        pool.stop([])
        assert not any(worker.process.is_alive() for worker in pool._workers)


@pytest.mark.parametrize("error", [RuntimeError("sbatch: QOSMaxSubmitJobPerUserLimit"), DataError("a damaged stage")])
def test_what_the_pool_does_not_take_and_what_cannot_be_recorded_costs_its_own_row(
    place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Choosy(Here):
        def start(self, work: Sequence[PlannedStage]) -> None:
            if work[0].cell.method == "white" and isinstance(error, RuntimeError):
                raise error
            super().start(work)

    def recorded(cell: Cell, place: Workplace) -> Record:
        if cell.method == "white":
            raise error
        return record_cell(cell, place)

    monkeypatch.setattr(bench.launch.drive, "record_cell", recorded)
    elsewhere = fresh(place, tmp_path)
    outcome = drive([WHITE, Cell("truth", "smoke", device="cpu")], elsewhere, Choosy(elsewhere))
    failure = outcome.rows[0].failure
    assert failure is not None and str(error) in failure.message and outcome.rows[1].record is not None


def test_jobs_do_not_go_on_without_whoever_started_them(place: Workplace, tmp_path: Path) -> None:
    stopped = []

    class Breaking(Here):
        def wait(self, seconds: float) -> list[Finished]:
            raise ConnectionError("the controller is gone")

        def stop(self, signals: Sequence[int]) -> None:
            stopped.append(1)

    elsewhere = fresh(place, tmp_path)
    with pytest.raises(ConnectionError):
        drive([WHITE], elsewhere, Breaking(elsewhere))
    assert stopped == [1]
