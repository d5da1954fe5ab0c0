"""The paper's Table 3, the cost of every method, as a pure function of what `bench time` has measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import DataError
from bench.paper_numbers import TABLE1, TABLE3, TABLE3_NOTE
from bench.render_table import Block, Column, Row, Table, Value
from bench.tables.lines import Footnotes
from bench.timing_record import Measurement, Part, Timings, busy

HELD = "networks, those of perceptual terms too, optimisers, gradients, activations"
MEMORY = {
    "cuda": f"What torch's allocator had handed out at the peak of training steps, without the data: {HELD}",
    "cpu": "Growth of resident memory from before a method was built to the peak of its training steps, in a process "
    f"of its own: {HELD}",
}
PAIRS = "Of meta-training: queries"
SAMPLES = (
    "Pairs; of meta-training queries and what the inner steps adapt to, which the budgets of this suite count alike"
)
DATA = "Making the batch of a step, which is not part of the step"
PARAMETERS = "Trainable parameters of all networks, discriminators included"
MACS = "Multiply-accumulates of generating one image, of convolutions and matrix products"
OTHER_MACHINE = "As the paper prints it, of other data, on another machine, at 256 px"
MIXED = "Times of its parts, below, weighted by how many steps of its training each has"
ONE_PHASE = "Of meta-training alone, without a warm start"


def table3(timings: Timings) -> Table:
    """Table 3: the paper's rows in its order, then other methods; then parts of training that cost differently.

    The paper's own minutes stand in a column of their own. Nothing is bold: a fast method has not won anything.
    Raises DataError where nothing was measured.
    """
    if not timings.rows:
        raise DataError("no method was measured, so there is no Table 3")
    footnotes = Footnotes()
    columns = _columns(timings, footnotes)
    frames = int(timings.data["train_frames"])
    rows = sorted(timings.rows, key=_rank)  # stable: others keep their order
    blocks = [Block("methods", (*(_row(row, frames, footnotes) for row in rows), *_left_out(timings, footnotes)))]
    parts = tuple(_part_row(row, part, frames) for row in rows if len(row.parts) > 1 for part in row.parts)
    if parts:
        blocks.append(Block("parts", parts, "Parts of a training that cost differently, and their share of its pairs"))
    title = f"Table 3, preset {timings.preset}"
    return Table(title, columns, tuple(blocks), tuple(footnotes.texts), _facts(timings), _caption(timings))


def _rank(row: Measurement) -> int:
    order, name = list(TABLE1), f"{row.method} {row.variant}".strip()
    return order.index(name) if name in order else len(order)


def _columns(timings: Timings, footnotes: Footnotes) -> tuple[Column, ...]:
    shots, passes = timings.settings["shots"], timings.settings["passes"]
    device = str(timings.environment["device"]).split(":")[0]
    epoch = f"Each of the {timings.data['train_frames']} training frames once as target or query"
    schedule = (
        f"One character: {shots} support {'sample' if shots == 1 else 'samples'}, "
        f"{passes} {'pass' if passes == 1 else 'passes'}; empty where a method is used as trained"
    )
    images = f"One image, drawn {timings.settings['images_at_once']} at once"
    return (
        Column("step_seconds", "step", 3, "s, median"),
        Column("step_seconds_least", "least", 3, "s"),
        Column("step_seconds_most", "most", 3, "s"),
        Column("seconds_1000_pairs", "1 000 pairs", 1, "s", footnotes(PAIRS)),
        Column("seconds_1000_samples", "1 000 samples", 1, "s", footnotes(SAMPLES)),
        Column("epoch_minutes", "epoch", 2, "min", footnotes(epoch)),
        Column("data_ms", "data", 1, "ms", footnotes(DATA)),
        Column("finetune_seconds", "fine-tune", 2, "s", footnotes(schedule)),
        Column("image_ms", "generate", 1, "ms", footnotes(images)),
        Column("peak_mib", "memory", 0, "MiB", footnotes(*([MEMORY[device]] if device in MEMORY else []))),
        Column("parameters_million", "params", 2, "million", footnotes(PARAMETERS)),
        Column("macs_billion", "MACs", 2, "billion", footnotes(MACS)),
        Column("paper_epoch_minutes", "paper's epoch", 0, "min", footnotes(OTHER_MACHINE, TABLE3_NOTE)),
    )


def _row(row: Measurement, frames: int, footnotes: Footnotes) -> Row:
    values: dict[str, Value | None] = {
        "image_ms": Value(1000 * row.generate.median),
        "peak_mib": None if row.memory is None else Value(row.memory / 2**20),
        "parameters_million": Value(row.parameters / 1e6),
        "macs_billion": Value(row.macs / 1e9),
    }
    if row.adapt is not None:
        values["finetune_seconds"] = Value(row.adapt.median)
    if row.parts:
        values |= {
            "step_seconds": Value(row.step(lambda part: part.step.median)),
            "step_seconds_least": Value(row.step(lambda part: part.step.low)),
            "step_seconds_most": Value(row.step(lambda part: part.step.high)),
            "data_ms": Value(1000 * row.step(lambda part: part.data.median)),
            **_rates(row.seconds_a_pair, row.samples_a_pair, frames),
        }
    if (paper := _paper(row)) is not None:
        values["paper_epoch_minutes"] = Value(paper)
    notes = [*row.notes, *([MIXED] if len(row.parts) > 1 else [])]
    if any(part.samples > part.pairs for part in row.parts):
        notes.append(ONE_PHASE)
    return Row(row.title, values, footnotes(*notes))


def _rates(seconds_a_pair: float, samples_a_pair: float, frames: int) -> dict[str, Value | None]:
    return {
        "seconds_1000_pairs": Value(1000 * seconds_a_pair),
        "seconds_1000_samples": Value(1000 * seconds_a_pair / samples_a_pair),
        "epoch_minutes": Value(frames * seconds_a_pair / 60),
    }


def _part_row(row: Measurement, part: Part, frames: int) -> Row:
    values: dict[str, Value | None] = {
        "step_seconds": Value(part.step.median),
        "step_seconds_least": Value(part.step.low),
        "step_seconds_most": Value(part.step.high),
        "data_ms": Value(1000 * part.data.median),
        **_rates(part.step.median / part.pairs, part.samples / part.pairs, frames),
    }
    return Row(f"{row.title}: {part.name} ({100 * part.share:.0f} %)", values)


def _left_out(timings: Timings, footnotes: Footnotes) -> list[Row]:
    absent: Mapping[str, Value | None] = {"step_seconds": None}
    return [Row(title, absent, footnotes(f"Not measured: {reason}")) for title, reason in timings.missing.items()]


def _paper(row: Measurement) -> float | None:
    """The paper's minutes; it trained Ours for 4 shots without the multi-step loss."""
    if row.variant:
        return None
    return TABLE3.get("Ours (4-shot)" if row.method == "ours" else row.title)


def _facts(timings: Timings) -> dict[str, Any]:
    return {
        "preset": timings.preset,
        "data": dict(timings.data),
        "settings": dict(timings.settings),
        "environment": dict(timings.environment),
        "load": timings.load,
        "commit": timings.git["commit"][:12] + (" with changes" if timings.git["dirty"] else ""),
        "created": timings.created,
        "command": timings.command,
    }


def _caption(timings: Timings) -> str:
    where, settings, data = timings.environment, timings.settings, timings.data
    threads = f", {where['threads']} {'thread' if where['threads'] == 1 else 'threads'}"
    counts = {spread.count for row in timings.rows for spread in (*(part.step for part in row.parts), row.generate)}
    repetitions = " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
    facts = [
        f"{data['image_size']} px, networks and batches of preset {timings.preset}, {settings['precision']}, on "
        f"{where['processor']}{'' if str(where['device']).startswith('cuda') else threads}, torch {where['torch']}",
        f"Medians of {repetitions} repetitions after one to warm up, with the device synchronised; loading, logging "
        "and evaluation are not in them",
        f"Made by {timings.command} at commit {_facts(timings)['commit']}, {timings.created[:10]}",
    ]
    if timings.load is not None and busy(timings.load, where["cores"]):
        load = f"{timings.load:.1f} on {where['cores']} cores"
        facts.insert(0, f"THE MACHINE WAS BUSY (1-minute load {load} before the start): times are too long")
    return ". ".join(facts) + "."
