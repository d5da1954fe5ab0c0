"""The paper's Table 3, the cost of every method, as a pure function of what `bench time` has measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.paper_numbers import TABLE1, TABLE3, TABLE3_NOTE
from bench.render_table import Block, Column, Row, Table, Value
from bench.timing_record import Measurement, Part, Timings, busy

MEMORY = {
    "cuda": "What torch's allocator handed out at the peak of training steps, above what the data took: networks, "
    "optimisers, gradients, activations",
    "cpu": "Growth of the process's resident memory from before the method was built to the peak of its training "
    "steps: networks, optimisers, gradients, activations; each method in a fresh process",
}
SAMPLES = (
    "Counts what each inner step of meta-training adapts to as a sample too, as the budgets of this suite do; for a "
    "method without inner steps pairs and samples are the same"
)
MIXED = "Times of its parts, below, weighted by how many steps of its training each has"
ONE_PHASE = "Of meta-training alone, without a warm start"


class _Footnotes:
    """Numbers footnotes in the order of first use; the same text gets the same number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, *notes: str) -> tuple[int, ...]:
        found = []
        for note in notes:
            text = note[:1].upper() + note[1:].rstrip(".")
            if text not in self.texts:
                self.texts.append(text)
            found.append(self.texts.index(text))
        return tuple(sorted(set(found)))


def table3(timings: Timings) -> Table:
    """Table 3: the paper's rows in its order, then other methods; then parts of training that cost differently.

    The paper's own minutes stand in a column of their own. Nothing is bold: a fast method has not won anything.
    """
    footnotes = _Footnotes()
    columns = _columns(timings, footnotes)
    frames = int(timings.data["train_frames"])
    rows = sorted(timings.rows, key=_rank)  # stable: others keep their order
    blocks = [Block("methods", (*(_row(row, frames, footnotes) for row in rows), *_left_out(timings, footnotes)))]
    parts = tuple(_part_row(row, part, frames) for row in rows if len(row.parts) > 1 for part in row.parts)
    if parts:
        blocks.append(Block("parts", parts, "Parts of a training that cost differently"))
    title = f"Table 3, preset {timings.preset}"
    return Table(title, columns, tuple(blocks), tuple(footnotes.texts), _facts(timings), _caption(timings))


def _rank(row: Measurement) -> int:
    order, name = list(TABLE1), f"{row.method} {row.variant}".strip()
    return order.index(name) if name in order else len(order)


def _columns(timings: Timings, footnotes: _Footnotes) -> tuple[Column, ...]:
    settings, frames = timings.settings, timings.data["train_frames"]
    shots, passes = settings["shots"], settings["passes"]
    device = str(timings.environment["device"]).split(":")[0]
    schedule = f"s a character, {shots} shot{'s' * (shots > 1)} × {passes} pass{'es' * (passes > 1)}"
    return (
        Column("step", "step", 3, "s, median"),
        Column("step_low", "step", 3, "s, least"),
        Column("step_high", "step", 3, "s, most"),
        Column("pairs", "1 000 pairs", 1, "s, of Ours: queries"),
        Column("samples", "1 000 samples", 1, "s, support too", footnotes(SAMPLES)),
        Column("epoch", "epoch", 2, f"minutes, {frames} pairs"),
        Column("data", "data", 1, "ms a step"),
        Column("adapt", "fine-tuning", 2, schedule),
        Column("generate", "generation", 1, "ms an image"),
        Column("memory", "peak memory", 0, "MiB", footnotes(*([MEMORY[device]] if device in MEMORY else []))),
        Column("parameters", "parameters", 2, "million, all networks"),
        Column("macs", "MACs", 2, "10⁹, an image"),
        Column("paper_epoch", "paper's epoch", 0, "minutes, elsewhere", footnotes(TABLE3_NOTE)),
    )


def _row(row: Measurement, frames: int, footnotes: _Footnotes) -> Row:
    values: dict[str, Value | None] = {
        "generate": Value(1000 * row.generate.median),
        "memory": None if row.memory is None else Value(row.memory / 2**20),
        "parameters": Value(row.parameters / 1e6),
        "macs": Value(row.macs / 1e9),
    }
    if row.adapt is not None:
        values["adapt"] = Value(row.adapt.median)
    if row.parts:
        values |= {
            "step": Value(row.step(lambda part: part.step.median)),
            "step_low": Value(row.step(lambda part: part.step.low)),
            "step_high": Value(row.step(lambda part: part.step.high)),
            "data": Value(1000 * row.step(lambda part: part.data.median)),
            **_rates(row.seconds_a_pair, row.samples_a_pair, frames),
        }
    if (paper := _paper(row)) is not None:
        values["paper_epoch"] = Value(paper)
    notes = [*row.notes, *([MIXED] if len(row.parts) > 1 else [])]
    if any(part.samples > part.pairs for part in row.parts):
        notes.append(ONE_PHASE)
    return Row(row.title, values, footnotes(*notes))


def _rates(seconds_a_pair: float, samples_a_pair: float, frames: int) -> dict[str, Value | None]:
    return {
        "pairs": Value(1000 * seconds_a_pair),
        "samples": Value(1000 * seconds_a_pair / samples_a_pair),
        "epoch": Value(frames * seconds_a_pair / 60),
    }


def _part_row(row: Measurement, part: Part, frames: int) -> Row:
    values: dict[str, Value | None] = {
        "step": Value(part.step.median),
        "step_low": Value(part.step.low),
        "step_high": Value(part.step.high),
        "data": Value(1000 * part.data.median),
        **_rates(part.step.median / part.pairs, part.samples / part.pairs, frames),
    }
    return Row(f"{row.title}: {part.name}, {100 * part.share:.0f} % of its pairs", values)


def _left_out(timings: Timings, footnotes: _Footnotes) -> list[Row]:
    absent: Mapping[str, Value | None] = {"step": None}
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
    threads = "" if str(where["device"]).startswith("cuda") else f", {where['threads']} threads"
    counts = [spread.count for row in timings.rows for spread in (*(p.step for p in row.parts), row.generate)]
    facts = [
        f"{data['image_size']} px, networks and batches of preset {timings.preset}, {settings['precision']}, on "
        f"{where['processor']}{threads}, torch {where['torch']}",
        "Medians of "
        + (f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}")
        + " repetitions after one to warm up, the device synchronised; loading, logging and evaluation are not in "
        "them. Making a batch is timed apart (data)",
        f"An epoch uses each of the {data['train_frames']} training frames once as target or query",
        f"Images are generated {settings['images_at_once']} at once",
        f"Made by {timings.command} at commit {_facts(timings)['commit']}, {timings.created[:10]}",
    ]
    if timings.load is not None and busy(timings.load, where["cores"]):
        load = f"{timings.load:.1f} on {where['cores']} cores"
        facts.insert(0, f"THE MACHINE WAS BUSY (1-minute load {load} before the start): times are too long")
    return ". ".join(facts) + "."
