"""The training loop, one for all methods. It owns data order, seeds, the clock, the log and checkpoints.

Data order and random numbers are pure functions of (seed, phase, step), so a run that is killed at any step and
started again ends in the same bits as one that was not.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from bench.build import autocast, build
from bench.checkpoint import clear_checkpoints, latest_checkpoint, load_state, save_checkpoint, save_state
from bench.data.batches import episode_batch, pair_batch
from bench.data.pack import Pack
from bench.errors import BenchError, Interrupted, NonFiniteLoss, RankFailed
from bench.files import write_json
from bench.gradients import gradient_norms
from bench.progress import Task
from bench.ranks.group import first_rank, on_any_rank, world_size
from bench.ranks.step import shared
from bench.seeds import derive
from bench.spec import TrainSpec
from methods.interface import EpisodeBatch, Method, PairBatch, Phase, Progress

LOG_POINTS = 200  # log entries a phase; losses in each are means of the steps since the last, gradient norms its own
NO_LOSSES = ("phase", "step", "seconds", "gradient_norms")
"""What a log entry holds beside losses."""
CHECKPOINT_SECONDS = 60.0


@contextmanager
def stop_requested() -> Iterator[list[int]]:
    """Collects SIGTERM, SIGINT and SIGUSR2 in a list instead of dying of them. Main thread only.

    Whoever heard one raises Interrupted. One that nobody heard, since something else went wrong meanwhile, is sent
    again at the end, to whoever handled it before.
    """
    received: list[int] = []
    wanted = [signal.SIGTERM, signal.SIGINT] + ([signal.SIGUSR2] if hasattr(signal, "SIGUSR2") else [])
    wanted = [
        number for number in wanted if signal.getsignal(number) != signal.SIG_IGN
    ]  # whoever ignores one, means it
    try:
        previous = {number: signal.signal(number, lambda n, _: received.append(n)) for number in wanted}
    except ValueError:  # not the main thread: whoever owns it decides
        yield received
        return
    try:
        yield received
    except Interrupted:
        received.clear()
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def _batch(pack: Pack, phase: Phase, seed: int, step: int, device: torch.device) -> PairBatch | EpisodeBatch:
    if phase.data == "pairs":
        return pair_batch(pack, seed, step, phase.batch, device)
    return episode_batch(pack, seed, step, phase.batch, phase.support, device, phase.support_from)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def train(
    spec: TrainSpec,
    pack: Pack,
    folder: Path,
    device: torch.device,
    task: Task,
    warm_start: Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> dict[str, Any]:
    """Train `spec` in `folder`, going on from its last checkpoint; writes `model.pt` and `log.json`.

    Returns the summary: seconds in training steps, steps, samples, last losses, parameter counts, notes.
    Raises Interrupted after a signal (a checkpoint is written first) and NonFiniteLoss for a NaN or infinite
    loss (the last healthy checkpoint stays).
    """
    seed = derive("train", spec.seed)
    torch.manual_seed(derive(seed, "initialise"))
    method = build(spec, device)
    if warm_start is not None:
        method.warm_start(load_state(warm_start, device)["method"])  # type: ignore[attr-defined]
    phases = list(method.phases())
    total = sum(phase.steps for phase in phases)
    log: list[dict[str, Any]] = []
    done, seconds = 0, 0.0
    checkpoint = latest_checkpoint(folder, device)
    if checkpoint is not None:
        method.load_state_dict(checkpoint["method"])
        done, seconds, log = checkpoint["step"], checkpoint["seconds"], checkpoint["log"]
    running: dict[str, torch.Tensor] = checkpoint["running"] if checkpoint else {}
    pending: int = checkpoint["pending"] if checkpoint else 0
    train_step = shared(method, phases, done)

    def state() -> dict[str, Any]:
        return {
            "step": done,
            "seconds": seconds,
            "log": log,
            "running": running,
            "pending": pending,
            "method": method.state_dict(),
        }

    def save() -> None:
        try:
            save_checkpoint(folder, done, state())
        except BenchError as error:
            if world_size() == 1:
                raise
            raise RankFailed(str(error)) from error  # the others know nothing of it, and train on

    def stop_if_asked(signals: list[int]) -> None:
        if on_any_rank(bool(signals)):
            where = "there"
            if first_rank():
                try:
                    save_checkpoint(folder, done, state())
                except BenchError as error:
                    where = f"the checkpoint before, since none could be written ({error})"
            raise Interrupted(f"stopped at step {done} of {total}; the same command goes on from {where}")

    first, saved_at = 0, time.monotonic()
    with stop_requested() as signals:
        for phase in phases:
            interval = max(1, phase.steps // LOG_POINTS)
            for step in range(max(0, done - first), phase.steps):
                batch = _batch(pack, phase, derive(seed, phase.name), step, device)
                torch.manual_seed(derive(seed, phase.name, step))
                _synchronise(device)
                started = time.perf_counter()
                entry_due = pending + 1 >= interval or step == phase.steps - 1
                norms: dict[str, float | None] = {}
                with autocast(device, spec.precision), gradient_norms(method, norms) if entry_due else nullcontext():
                    losses = train_step(batch, Progress(phase, step))
                _synchronise(device)
                seconds += time.perf_counter() - started
                values = _on_host(losses)
                _refuse_non_finite(values, spec, phase, step)
                for name, value in values.items():
                    running[name] = running[name] + value if name in running else value
                pending, done = pending + 1, done + 1
                if entry_due:
                    means = {name: float(value) / pending for name, value in running.items()}
                    entry = {"phase": phase.name, "step": step + 1, "seconds": seconds, **means}
                    log.append({**entry, "gradient_norms": norms})
                    running, pending = {}, 0
                    note = " ".join(f"{name} {value:.3g}" for name, value in list(means.items())[:3])
                    task.update(done, total, note)
                else:
                    task.update(done, total)
                stop_if_asked(signals)
                if first_rank() and time.monotonic() - saved_at > checkpoint_seconds:
                    save()
                    saved_at = time.monotonic()
            first += phase.steps
        stop_if_asked(signals)  # one that came while the last checkpoint was written
    if first_rank():
        save_state(folder / "model.pt", {"method": method.state_dict()})
        write_json(folder / "log.json", log)
        clear_checkpoints(folder)
    return _summary(method, phases, seconds, log)


def _on_host(losses: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The losses as float32 numbers on the CPU; together, since a GPU is waited for each time."""
    together = torch.stack([value.detach().float().reshape(()) for value in losses.values()]).cpu()
    return dict(zip(losses, (value.clone() for value in together), strict=True))


def _refuse_non_finite(losses: dict[str, torch.Tensor], spec: TrainSpec, phase: Phase, step: int) -> None:
    bad = [name for name, value in losses.items() if not bool(torch.isfinite(value))]
    if bad:
        raise NonFiniteLoss(
            f"{spec.label}: loss {', '.join(bad)} is not finite at step {step} of {phase.name}; "
            "the last healthy checkpoint is kept. Try --precision fp32 or a smaller learning rate"
        )


def _summary(method: Method, phases: list[Phase], seconds: float, log: list[dict[str, Any]]) -> dict[str, Any]:
    parameters: dict[str, int] = {}
    for probe in method.probes():
        parameters[probe.name] = sum(p.numel() for p in probe.module.parameters())
    return {
        "seconds": seconds,
        "steps": sum(phase.steps for phase in phases),
        "phases": [
            {"name": p.name, "data": p.data, "batch": p.batch, "steps": p.steps, "samples": p.samples} for p in phases
        ],
        "losses": {k: v for k, v in (log[-1] if log else {}).items() if k not in NO_LOSSES},
        "parameters": parameters,
        "notes": list(method.notes()),
    }
