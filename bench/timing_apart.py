"""`bench time`: every method measured in a process of its own, then `timing.json` and Table 3."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bench.build import method_class, pick_device, pick_precision, use_all_cores
from bench.cells import Workplace, data_pack
from bench.environment import command_line, describe, git_state
from bench.errors import BenchError, SkippedError, UsageError
from bench.files import write_json
from bench.generate import BATCH
from bench.plan import BASELINES
from bench.presets import preset
from bench.run import row_title
from bench.spec import Cell
from bench.timing import MINIMUM, Job, measure
from bench.timing_record import SCHEMA, Measurement, Timings, busy
from methods import METHODS

PLAIN = "plain"  # the variant of Ours without a name, on the command line


def cells_to_time(base: Cell, methods: Sequence[str], variants: Sequence[str]) -> list[Cell]:
    """A cell a row: `methods` (none: all built-in ones, in the paper's order), Ours once for each of `variants`.

    Raises UsageError for a method or variant there is not, and for variants where Ours is not asked for.
    """
    further = [name for name in METHODS if name not in (*BASELINES, "ours")]
    wanted = dict.fromkeys(methods or (*BASELINES, "ours", *further))
    if variants and "ours" not in wanted:
        raise UsageError("--variants are of ours; add it to --methods")
    found = []
    for method in wanted:
        of_method = (variants or (PLAIN, "msl")) if method == "ours" else (PLAIN,)
        for variant in dict.fromkeys(of_method):
            chosen = "" if variant == PLAIN else variant
            found.append(replace(base, method=method, variant=chosen, adaptation="default"))
            found[-1].check()
            if found[-1].is_floor:
                raise UsageError(f"'{method}' is a floor, which is not trained; leave it out of --methods")
            method_class(method)
    return found


def jobs_of(
    cells: Sequence[Cell],
    place: Workplace,
    repetitions: int = 20,
    seconds: float = 20.0,
    lr: float | None = None,
    passes: int = 10,
    finetune: bool = False,
) -> list[Job]:
    """The work of each cell. `lr` None: the smallest that the preset tries for the method, which diverges last.

    Raises UsageError for numbers that make no sense.
    """
    if repetitions < MINIMUM:
        raise UsageError(f"--repetitions must be at least {MINIMUM}, not {repetitions}")
    if not seconds >= 0:  # nor NaN, which no comparison holds for
        raise UsageError(f"--seconds must be a number from 0, not {seconds:g}")
    if passes < 1 or not (lr is None or lr > 0):
        raise UsageError("--passes must be at least 1, and --lr above 0")

    def rate(cell: Cell) -> float:
        return min(preset(cell.preset).tuning_rates(cell.method)) if lr is None else lr

    return [Job(cell, place.store, place.data, repetitions, seconds, rate(cell), passes, finetune) for cell in cells]


def planned(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """What `time_methods` would measure: title, width, batch (None: the published one), fine-tuned or not, seconds."""
    found = []
    for job in jobs:
        size, method = preset(job.cell.preset), job.cell.method
        found.append(
            {
                "title": row_title(job.cell),
                "width": size.widths.get(method, size.default_width),
                "batch": size.batches.get(method, size.default_batch),
                "finetuned": method_class(method).few_shot or job.finetune,
                "repetitions": job.repetitions,
                "seconds": job.seconds,
            }
        )
    return found


def time_methods(jobs: Sequence[Job], place: Workplace) -> Timings:
    """Measure every job, one after the other; writes `<results>/<preset>/timing.json` and `table3` beside it.

    One whose process fails is left out, with the reason. Raises SkippedError when nothing is left.
    """
    from bench.timing_table import table3

    use_all_cores()
    first = jobs[0]
    device, size = pick_device(first.cell.device), preset(first.cell.preset)
    load, cores = load_average(), os.cpu_count() or 1
    if busy(load, cores):
        place.report.line(
            f"WARNING: the machine is busy (1-minute load {load:.1f} on {cores} cores), so times will be too long"
        )
    pack = data_pack(size, place)
    rows, missing = [], dict[str, str]()
    for job in jobs:
        title = row_title(job.cell)
        with place.report.task(f"time {title}"):
            try:
                rows.append(in_fresh_process(job))
            except _Failed as error:
                place.report.line(f"SKIPPED: {title}: {error}")
                missing[title] = str(error)
    if not rows:
        raise SkippedError(f"nothing was measured: {'; '.join(f'{name}: {why}' for name, why in missing.items())}")
    timings = Timings(
        schema=SCHEMA,
        preset=first.cell.preset,
        data={
            "name": "procedural" if place.data is None else place.data.name,
            "digest": pack.digest,
            "image_size": pack.image_size,
            "train_frames": len(pack.frames_in("train")),
        },
        settings={
            "seed": first.cell.seed,
            "shots": first.cell.shots,
            "passes": first.passes,
            "lr": first.lr,
            "finetune": first.finetune,
            "repetitions": first.repetitions,
            "seconds": first.seconds,
            "precision": pick_precision(first.cell.precision, device),
            "images_at_once": BATCH,
        },
        environment=describe(str(device)),
        load=load,
        git=git_state(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command_line(),
        rows=tuple(rows),
        missing=missing,
    )
    folder = place.results / timings.preset
    write_json(folder / "timing.json", timings.to_dict())
    table3(timings).write(folder / "table3")
    return timings


class _Failed(Exception):
    """One method could not be measured; the others can."""


def in_fresh_process(job: Job) -> Measurement:
    """`measure(job)` in a new interpreter, so that no method's memory is another's.

    A BenchError is raised as it is; anything else, and the death of the process, as _Failed.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(measure, job).result()
    except BenchError:
        raise
    except BrokenProcessPool:
        raise _Failed("its process died, as it does when memory runs out") from None
    except Exception as error:  # a method of anybody's may raise anything
        reason = " ".join(str(error).split())[:200]
        raise _Failed(f"{type(error).__name__}: {reason}") from error


def load_average() -> float | None:
    """Of the last minute; None on a system that keeps none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
