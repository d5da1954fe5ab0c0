"""Scores by how hard a pair is: every row on the easy, the medium and the hard images by each measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.difficulty import LEVELS, TAGS, Difficulty, Tag
from bench.errors import DataError
from bench.image_scores import ImageScores, at_frames
from bench.metrics.bootstrap import Interval, interval, paired_difference
from bench.records import Record
from bench.render_table import Block, Column, Row, Table, Value
from bench.tables.assemble import facts_of, origin_of, scored_set, seed_note, seeds_sentence
from bench.tables.lines import Footnotes
from bench.tables.metrics import BY_KEY
from bench.tables.rows import Pooled, RowName, pool
from bench.tables.table1 import METHODS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
SCORES = ("ssim_foreground", "l1_foreground", "lpips")
GAP_NOTE = (
    "Mean of the hard images less mean of the easy ones; in parentheses its 95 % interval, which draws characters. The "
    "± of two levels do not tell whether they differ: their images are of the same characters"
)


@dataclass(frozen=True)
class ByImage:
    """A row with the scores of its images, means over its seeds, in the order of the pairs."""

    row: Pooled  # of the seeds whose scores are there
    scores: Mapping[str, F64]  # [N] by metric of SCORES
    by_seed: Mapping[str, F64]  # [seeds, N]


def in_default_rows(record: Record) -> bool:
    """Whether a record is printed unless all are asked for: Table 1, further methods at one shot, floors."""
    cell = record.cell
    if cell["method"] == "truth":
        return False  # its images are the truth
    if cell["method"] != "ours":
        return bool(cell["shots"] == 1)
    return RowName.of(record) in {slot.name for slot in METHODS}


def rows_by_image(records: Sequence[Record], scores: Mapping[str, ImageScores], pairs: Difficulty) -> list[ByImage]:
    """The rows of `records`, seeds together, of which any seed has `scores` (by record key): methods first.

    Raises DataError as `pool` does, where no row has scores, and for scores of other frames.
    """
    found = []
    for pooled in pool(records):
        kept = [member for member in pooled.members if member.key in scores]
        if not kept:
            continue
        row = pooled.of_seeds([int(member.cell["seed"]) for member in kept]) if pooled.trained else pooled
        by_seed = {
            metric: np.stack([at_frames(scores[member.key], metric, pairs.targets) for member in row.members])
            for metric in SCORES
            if all(metric in scores[member.key] for member in row.members)
        }
        found.append(ByImage(row, {metric: values.mean(0) for metric, values in by_seed.items()}, by_seed))
    if not found:
        raise DataError("the store has no scores of single images of any row; make them with `bench table1`")
    return sorted(found, key=_place)


def _place(row: ByImage) -> tuple[bool, int]:
    """Table 1 in its order, other methods, floors."""
    order = [slot.name for slot in METHODS]
    return not row.row.trained, order.index(row.row.name) if row.row.name in order else len(order)


def common_metrics(rows: Sequence[ByImage]) -> list[str]:
    return [metric for metric in SCORES if all(metric in row.scores for row in rows)]


def spans(row: ByImage, metric: str, pairs: Difficulty, tag: str) -> list[Interval | None]:
    """The mean of a metric at each level with its interval over characters; None where a level has no image."""
    levels = pairs.levels(tag)
    return [_span(row.scores[metric], pairs, levels == level) for level in range(len(LEVELS))]


def _span(values: F64, pairs: Difficulty, chosen: NDArray[np.bool_]) -> Interval | None:
    return interval(values[chosen], _owners(pairs, chosen)) if chosen.any() else None


def _owners(pairs: Difficulty, chosen: NDArray[np.bool_]) -> list[str]:
    return [name for name, inside in zip(pairs.characters, chosen, strict=True) if inside]


def gap(by_seed: F64, characters: Sequence[str], levels: I64, samples: int = 2000, seed: int = 0) -> Value | None:
    """Mean over seeds [seeds, N] of the hardest level less the easiest, with its interval and its spread over seeds.

    None where one of the levels is empty. The interval is a bootstrap over characters of the mean over seeds.

    A character is drawn with its images of both. Draws in which a level has no image are left out; without an
    interval where the characters are fewer than two.
    """
    easy, hard = levels == 0, levels == len(LEVELS) - 1
    if not easy.any() or not hard.any():
        return None
    values, names = by_seed.mean(0), sorted(set(characters))
    owner = np.array([names.index(name) for name in characters])
    parts = (easy, hard)
    sums = [np.bincount(owner[part], values[part], len(names)) for part in parts]
    sizes = [np.bincount(owner[part], minlength=len(names)) for part in parts]
    gaps = by_seed[:, hard].mean(1) - by_seed[:, easy].mean(1)
    mean, spread = float(gaps.mean()), float(gaps.std(ddof=1)) if len(gaps) > 1 else None
    if len(names) < 2:
        return Value(mean, spread=spread)
    drawn = np.random.default_rng(seed).integers(len(names), size=(samples, len(names)))
    counts = [size[drawn].sum(1) for size in sizes]
    both = (counts[0] > 0) & (counts[1] > 0)
    means = [total[drawn].sum(1)[both] / count[both] for total, count in zip(sums, counts, strict=True)]
    low, high = np.quantile(means[1] - means[0], (0.025, 0.975))
    return Value(mean, spread=spread, bounds=(float(low), float(high)))


def difficulty(rows: Sequence[ByImage], pairs: Difficulty, missing: Sequence[str] = ()) -> Table:
    """A block a measure, a column a score and level; `missing` says which rows are not in the store.

    Bold is the best method of a column and what a bootstrap over characters, paired by image, cannot tell from it.
    Raises DataError where no measure varies.
    """
    metrics, footnotes = common_metrics(rows), Footnotes()
    facts = facts_of([row.row for row in rows])
    columns = []
    for metric in (BY_KEY[key] for key in metrics):
        columns += [Column(f"{metric.key}_{level}", metric.heading, metric.digits, level) for level in LEVELS]
        title = f"Δ {metric.title}"
        columns.append(Column(f"{metric.key}_gap", title, metric.digits, "hard − easy", footnotes(GAP_NOTE)))
    varying = [tag for tag in TAGS if pairs.cuts[tag.key] is not None]
    if not varying:
        raise DataError("no measure of difficulty varies over these test pairs, so there is nothing to compare")
    blocks = []
    for tag in varying:
        best = {key for metric in metrics for key in _best(rows, metric, pairs, tag.key)}
        printed = [_row(row, metrics, pairs, tag.key, best, footnotes, facts["seeds"]) for row in rows]
        blocks.append(Block(tag.key, tuple(printed), _heading(tag, pairs)))
    facts |= {
        "difficulty": {tag.key: _description(tag, pairs) for tag in TAGS},
        "missing": list(missing),
    }
    return Table(
        f"Scores by difficulty, preset {facts['preset']}",
        tuple(columns), tuple(blocks), tuple(footnotes.texts), facts, _caption(facts, pairs),
    )  # fmt: skip


def _row(
    row: ByImage,
    metrics: Sequence[str],
    pairs: Difficulty,
    tag: str,
    best: set[tuple[str, str]],
    footnotes: Footnotes,
    seeds: Sequence[int],
) -> Row:
    values: dict[str, Value | None] = {}
    levels = pairs.levels(tag)
    for metric in metrics:
        for level, span in zip(LEVELS, spans(row, metric, pairs, tag), strict=True):
            column = f"{metric}_{level}"
            if span is None:
                values[column] = None
                continue
            half = (span.high - span.low) / 2 if span.characters > 1 else None
            values[column] = Value(span.mean, half, (row.row.record.key, column) in best)
        values[f"{metric}_gap"] = gap(row.by_seed[metric], pairs.characters, levels)
    return Row(row.row.title, values, footnotes(*seed_note(row.row, seeds)), row.row.record.key)


def _best(rows: Sequence[ByImage], metric: str, pairs: Difficulty, tag: str) -> Iterator[tuple[str, str]]:
    """(record key, column) of the best trained row at each level and of those tied with it; one alone won nothing."""
    competing, levels = [row for row in rows if row.row.trained], pairs.levels(tag)
    for number, level in enumerate(LEVELS):
        chosen = levels == number
        if len(competing) < 2 or not chosen.any():
            continue
        first = max(competing, key=lambda row: BY_KEY[metric].sign * float(row.scores[metric][chosen].mean()))
        for row in competing:
            apart = paired_difference(first.scores[metric][chosen], row.scores[metric][chosen], _owners(pairs, chosen))
            if row is first or (apart.mean == 0 if apart.characters < 2 else not apart.excludes_zero):
                yield row.row.record.key, f"{metric}_{level}"


def _description(tag: Tag, pairs: Difficulty) -> dict[str, Any]:
    """A measure for JSON: what it is, its cuts, and how many images and characters each level has."""
    levels, cuts = pairs.levels(tag.key), pairs.cuts[tag.key]
    return {
        "what": tag.what,
        "cuts": None if cuts is None else list(cuts),
        "relative": tag.cuts is None,
        "images": {level: int((levels == number).sum()) for number, level in enumerate(LEVELS)},
        "characters": {level: len(set(_owners(pairs, levels == number))) for number, level in enumerate(LEVELS)},
        "unknown": int(np.isnan(pairs.values[tag.key]).sum()),
    }


def _heading(tag: Tag, pairs: Difficulty) -> str:
    cuts = pairs.cuts[tag.key]
    assert cuts is not None  # a measure that does not vary has no block
    low, high = (f"{cut:.{tag.digits}f}{tag.unit}" for cut in cuts)
    return f"{tag.title}: easy ≤ {low}, hard > {high}"


def _caption(facts: Mapping[str, Any], pairs: Difficulty) -> str:
    measured = "; ".join(f"{tag.title}: {tag.what} ({_counted(tag, facts)})" for tag in TAGS)
    terciles = ", ".join(tag.title for tag in TAGS if tag.cuts is None)
    lost = f" Not in the store: {'; '.join(facts['missing'])}." if facts["missing"] else ""
    return (
        f"{scored_set(facts)}; {_of_seeds(facts['seeds'])}. {measured}. In parentheses: easy / medium / hard images. "
        f"The levels of {terciles} are terciles of these images, so relative to the data set. ± is half of a 95 % "
        "interval (bootstrap over characters). Bold: the best method of a column, and those that a bootstrap over "
        f"characters, paired by image, cannot tell from it.{lost} {origin_of(facts)}"
    )


def _counted(tag: Tag, facts: Mapping[str, Any]) -> str:
    about = facts["difficulty"][tag.key]
    if about["cuts"] is None:
        return "the same for all pairs, so left out"
    images, people = (" / ".join(str(n) for n in about[part].values()) for part in ("images", "characters"))
    unknown = f", {about['unknown']} unknown" if about["unknown"] else ""
    return f"{images} of {people} characters{unknown}"


def _of_seeds(seeds: Sequence[int]) -> str:
    """Only differences have their spread: twelve columns with it would fit no page."""
    return seeds_sentence(seeds).replace("in brackets", "in brackets, of differences,")
