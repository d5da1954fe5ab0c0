"""Curves of one training or one fine-tuning: losses against time, scores against passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import DataError
from bench.figures.style import COLOURS, MARKERS, WIDTH, colour, integer_ticks, new_figure, save, styled
from bench.records import Record

SMOOTHED = 40  # a loss is drawn as moving means over a 40th of its entries, the entries themselves faintly behind


@styled
def training_curves(
    logs: Mapping[str, Sequence[Mapping[str, Any]]], path_stem: Path, quantity: str = "loss"
) -> list[Path]:
    """Every loss of every method against seconds in training steps, a panel a method.

    `logs` has the entries of `log.json` by title: phase, step, seconds (running on over the phases) and losses, or
    whatever else the `quantity` is called.
    A dotted line is where a phase ends. Losses of different methods are weighted differently and cannot be
    compared by height. Raises DataError if there is nothing to draw.
    """
    drawn = {title: log for title, log in logs.items() if log}
    if not drawn:
        raise DataError("no training log to draw")
    columns = min(3, len(drawn))
    lines = -(-len(drawn) // columns)
    figure = new_figure(WIDTH * columns / 3, 1.9 * lines + 0.5)
    names = list(dict.fromkeys(name for log in drawn.values() for entry in log for name in _losses(entry)))
    handles = {}
    for number, (title, log) in enumerate(drawn.items()):
        axes = figure.add_subplot(lines, columns, number + 1)
        lowest, highest = np.inf, 0.0
        for index, name in enumerate(names):
            if not any(entry.get(name) for entry in log):  # a term that is switched off is logged as zeros
                continue
            style = "-" if index < len(COLOURS) else "--"
            for _, phase in groupby((e for e in log if name in e), key=lambda entry: entry["phase"]):
                entries = list(phase)
                seconds = np.array([entry["seconds"] for entry in entries])
                values = np.array([entry[name] for entry in entries])
                mean = moving_mean(values, max(1, len(log) // SMOOTHED))
                axes.plot(seconds, values, "-", color=colour(index), alpha=0.22, linewidth=0.6)
                (handles[name],) = axes.plot(seconds, mean, style, color=colour(index))
                lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
        for before, after in pairwise(log):
            if before["phase"] != after["phase"]:
                axes.axvline(before["seconds"], color="0.4", linestyle=":", linewidth=0.9)
        if 0 < 8 * lowest < highest:  # a logarithmic axis of less than a decade is hard to read
            axes.set_yscale("log")
        axes.set_title(title)
        if number + columns >= len(drawn):
            axes.set_xlabel("seconds in training steps")
        if number % columns == 0:
            axes.set_ylabel(quantity)
    # a loss has one colour in every panel, so one legend serves them all
    shown = [name for name in names if name in handles]
    figure.legend(
        [handles[name] for name in shown], [loss_name(name) for name in shown], loc="outside lower center",
        ncols=2 * columns,
    )  # fmt: skip
    return save(figure, path_stem)


def moving_mean(values: np.ndarray[Any, Any], window: int) -> np.ndarray[Any, Any]:
    """Means over `window` neighbours, fewer at both ends; as many as there are values."""
    sums = np.convolve(values, np.ones(window), mode="same")
    counts = np.convolve(np.ones(len(values)), np.ones(window), mode="same")
    mean: np.ndarray[Any, Any] = (sums / counts)[: len(values)]
    return mean


def loss_name(name: str) -> str:
    """A logged name in words: `g_l1` is "G: L1"."""
    owner, _, rest = name.partition("_")
    words = {"l1": "L1", "gan": "GAN", "kl": "KL"}.get(rest, rest.replace("_", " "))
    return f"{owner.upper()}: {words}" if owner in ("g", "d") and rest else name.replace("_", " ")


def _losses(entry: Mapping[str, Any]) -> list[str]:
    return [name for name in entry if name not in ("phase", "step", "seconds", "gradient_norms")]


@styled
def tuning_curve(record: Record, path_stem: Path) -> list[Path]:
    """Foreground L1 and SSIM on validation characters against fine-tuning passes, a line a learning rate.

    The ring marks the schedule that was chosen. Raises DataError for a record without such a curve.
    """
    schedule = record.finetune
    if not schedule or not schedule.get("curve"):
        raise DataError(f"'{record.title}' has no fine-tuning curve: its schedule was not tuned")
    curve = schedule["curve"]
    rates = sorted({point["lr"] for point in curve})
    figure = new_figure(WIDTH, 2.7)
    for axes, metric, label in zip(
        figure.subplots(1, 2), ("l1_foreground", "ssim_foreground"), ("fg-L1 ↓", "fg-SSIM ↑"), strict=True
    ):
        for index, rate in enumerate(rates):
            points = sorted((point["passes"], point[metric]) for point in curve if point["lr"] == rate)
            axes.plot(
                *zip(*points, strict=True), marker=MARKERS[index % len(MARKERS)], color=colour(index),
                label=f"learning rate {rate:g}",
            )  # fmt: skip
        for point in curve:
            if (point["lr"], point["passes"]) == (schedule["lr"], schedule["passes"]):
                axes.plot(
                    point["passes"], point[metric], "o", markersize=10, markerfacecolor="none",
                    markeredgecolor="black", markeredgewidth=1.2, label="chosen",
                )  # fmt: skip
        axes.set_xscale("symlog", linthresh=1, linscale=0.5)  # from no pass at all to many
        integer_ticks(axes, sorted({point["passes"] for point in curve}))
        axes.set_xlabel("passes over the support set")
        axes.set_ylabel(label)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle(
        f"Fine-tuning of {record.title}, chosen on {schedule.get('chosen_on', 'validation')}", fontsize="medium"
    )
    return save(figure, path_stem)
