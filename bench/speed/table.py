"""The table of `bench speed`, as a pure function of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.render_table import Block, Column, Row, Table, Value
from bench.speed.clock import Quartiles
from bench.speed.record import Group, Line
from bench.tables.lines import Footnotes
from bench.timing_record import busy

SPREAD = "Median (quartiles) over the rounds"
RATIO = "Of times in the same round, unless the heading says of what; a base has 1"
MACS = "Multiply-accumulates of convolutions and matrix products, backward pass included"
MEMORY = "Growth of resident memory (CPU) or of what torch's allocator handed out (GPU) up to the peak"


def speed_table(groups: Sequence[Group], facts: Mapping[str, Any], finished: bool = True) -> Table:
    """A block a group. `facts`: preset, clock, rounds, environment, load, commit, created, command."""
    footnotes = Footnotes()
    spread = footnotes(SPREAD)
    columns = (
        Column("ms", "time", 3, "ms", spread),
        Column("ratio", "ratio", 3, "", (*spread, *footnotes(RATIO))),
        Column("rate", "images", 1, "a second"),
        Column("macs", "MACs", 1, "billion a second", footnotes(MACS)),
        Column("mebibytes", "memory", 0, "MiB", footnotes(MEMORY)),
        Column("apart", "apart", 0),
        Column("rounds", "rounds", 0),
    )
    blocks = tuple(Block(g.name, tuple(_row(line, footnotes) for line in g.lines), g.heading) for g in groups)
    caption = ("" if finished else "UNFINISHED: what a run has measured so far. ") + _caption(facts)
    return Table("Speed", columns, blocks, tuple(footnotes.texts), facts, caption, first="Operation")


def _row(line: Line, footnotes: Footnotes) -> Row:
    values: dict[str, Value | None] = {}
    if line.seconds is not None or line.memory is None:
        values["ms"] = _value(line.seconds, 1000)
    if line.seconds is not None:
        values["rounds"] = Value(line.seconds.count)
    if line.ratio is not None:
        values["ratio"] = _value(line.ratio, 1)
    if line.rate is not None:
        values["rate"] = Value(line.rate)
    if line.macs_rate is not None:
        values["macs"] = Value(line.macs_rate / 1e9)
    if line.memory is not None:
        values["mebibytes"] = Value(line.memory / 2**20)
    if line.apart is not None:
        values["apart"] = Value(line.apart, text=f"{line.apart:.0e}")
    return Row(line.name, values, footnotes(*line.notes))


def _value(found: Quartiles | None, scale: float) -> Value | None:
    """Without bounds where there is no spread: a base's ratio, a single figure."""
    if found is None:
        return None
    bounds = (found.low * scale, found.high * scale) if found.low < found.high else None
    return Value(found.median * scale, bounds=bounds)


def _caption(facts: Mapping[str, Any]) -> str:
    where = facts["environment"]
    threads = "" if str(where["device"]).startswith("cuda") else f", {where['threads']} of {where['cores']} cores"
    said = [
        f"{facts['clock'][:1].upper()}{facts['clock'][1:]}, networks and batches of preset {facts['preset']}, on "
        f"{where['processor']}{threads}, torch {where['torch']}, Python {where['python']}",
        "Operations of a block run in turn, round by round, every other round backwards, after one round to warm up",
        f"Made by {facts['command']} at commit {facts['commit']}, {facts['created'][:10]}",
    ]
    if facts["quick"]:
        said.insert(0, "SIZES OF --quick: it shows that the benchmark works, and its numbers mean nothing")
    if facts["load"] is not None and busy(facts["load"], where["cores"]):
        load = f"{facts['load']:.1f} on {where['cores']} cores"
        said.insert(0, f"THE MACHINE WAS BUSY (1-minute load {load} before the start): trust ratios, not times")
    return ". ".join(said) + "."
