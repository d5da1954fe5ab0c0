"""Work in several processes gives what it gives in one, and leaves none behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.errors import DataError, Interrupted
from bench.workers import in_processes


def square(number: int) -> int:
    return number * number


def fail_at_two(number: int) -> int:
    if number == 2:
        raise DataError("two is bad")
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def environment(name: str) -> str:
    return os.environ[name]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_once_and_an_error_ends_the_rest(workers: int) -> None:
    assert sorted(in_processes(square, range(5), workers)) == [0, 1, 4, 9, 16]
    with pytest.raises(DataError, match="two is bad"):
        list(in_processes(fail_at_two, range(4), workers))


def test_workers_have_one_thread_each_and_a_killed_one_is_one_line_that_says_what_to_do() -> None:
    assert set(in_processes(environment, ["NUMBA_NUM_THREADS"] * 2, 2)) == {"1"}
    with pytest.raises(Interrupted, match=r"worker process was killed.*--workers 1"):
        list(in_processes(die, range(2), 2))


SLEEPERS = """
import os, sys, time
from pathlib import Path
from bench.workers import in_processes

def sleep(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(120)

if __name__ == "__main__":
    list(in_processes(sleep, [sys.argv[1]] * 2, 2))
"""


def running(pid: int) -> bool:
    """Whether there is such a process; one that has ended and that nobody has asked after does not run."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes under /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_command_leaves_no_worker_behind(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "sleepers.py").write_text(SLEEPERS)
    pids = tmp_path / "pids"
    pids.mkdir()
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "sleepers.py"), str(pids)], env=here)
    try:
        patience = time.monotonic() + 60
        while len(list(pids.iterdir())) < 2 and time.monotonic() < patience:
            time.sleep(0.05)
        workers = [int(path.name) for path in pids.iterdir()]
        assert len(workers) == 2 and all(map(running, workers))
    finally:
        parent.send_signal(how)
        parent.wait()
    patience = time.monotonic() + 60
    while any(map(running, workers)) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not any(map(running, workers))
