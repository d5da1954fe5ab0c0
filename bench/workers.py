"""Work spread over processes; the results do not depend on how many.

This module imports nothing that brings numba: a worker imports it, and sets its one thread, before anything else.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from bench.errors import Interrupted

T = TypeVar("T")
R = TypeVar("R")


def in_processes(work: Callable[[T], R], tasks: Sequence[T], workers: int) -> Iterator[R]:
    """`work(task)` of every task, in the order in which they are done; with one worker here, in their order.

    `work` and the tasks must be picklable. An exception of a task ends the rest: what runs is finished, nothing more
    is started. Raises Interrupted where a worker was killed.
    """
    if workers == 1:
        yield from map(work, tasks)
        return
    # fork would copy the state of threads (numba's, torch's) that are not there in the copy
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin) as pool:
        waiting = [pool.submit(work, task) for task in tasks]
        try:
            for future in as_completed(waiting):
                yield future.result()
        except BrokenProcessPool:
            raise Interrupted(
                "a worker process was killed, perhaps for want of memory; the same command goes on, with --workers 1 "
                "in less memory"
            ) from None
        finally:
            for future in waiting:
                future.cancel()


def _begin() -> None:
    """In a worker, first of all."""
    os.environ["NUMBA_NUM_THREADS"] = "1"  # the processes already fill the cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of a terminal; the parent decides what it means
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent closes nothing that a worker waits for, so it would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker has one
    parent.join()
    os._exit(1)
