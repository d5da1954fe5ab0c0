"""Figures about difficulty: scores on easy and hard pairs, and the pairs at either end of every measure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import bench.figures as figures
from bench.data.difficulty import LEVELS, TAGS, Difficulty, Tag, difficulty_of
from bench.data.pack import Pack
from bench.errors import SkippedError
from bench.illustrate.pictures import NotInStore
from bench.illustrate.studio import Made, Studio
from bench.image_scores import image_scores_of
from bench.records import Record
from bench.tables.difficulty import common_metrics, in_default_rows, rows_by_image, spans
from bench.tables.rows import RowName

EXAMPLES = 3  # pairs at either end
SHOWN_FLOORS = ("copy-source", "nearest-pose")


def by_difficulty(studio: Studio) -> Made:
    """The rows of Table 1, means over the seeds there are, and two floors on easy, medium and hard images."""
    records = [record for record in studio.records.values() if _shown(record)]
    if all(record.kind == "floor" for record in records):
        raise SkippedError("there is no record of a trained method")
    scores, missing = image_scores_of(records, studio.place.store)
    if not scores:
        raise NotInStore("the scores of single images are not in the store")
    pairs = difficulty_of(studio.exact)  # easy and hard are of the characters, not of a detector
    rows = rows_by_image(records, scores, pairs)
    tags = {tag.key: tag.title for tag in TAGS if pairs.cuts[tag.key] is not None}
    metrics = common_metrics(rows)
    leveled = [
        figures.Leveled(row.row.record, {(tag, m): spans(row, m, pairs, tag) for tag in tags for m in metrics})
        for row in rows
    ]
    paths = figures.scores_by_difficulty(leveled, tags, LEVELS, studio.folder / "difficulty")
    caption = "Scores on easy, medium and hard images by each measure; bars are 95 % intervals over test characters."
    return Made(paths, caption, [line.partition(":")[0] for line in missing])


def _shown(record: Record) -> bool:
    """The rows of Table 1 without fine-tuned baselines, which look like those that are not; of floors, pictures."""
    method = record.cell["method"]
    if record.kind == "floor":
        return method in SHOWN_FLOORS
    return in_default_rows(record) and (method == "ours" or not RowName.of(record).shots)


def examples(studio: Studio) -> Made:
    """The easiest and the hardest test pairs by every measure, one a character: what the measures mean."""
    pack = studio.exact
    pairs = difficulty_of(pack)
    tags = {}
    for tag in TAGS:
        if pairs.cuts[tag.key] is None:
            continue
        order = np.argsort(pairs.values[tag.key], kind="stable")  # NaN comes last
        known = [int(i) for i in order if np.isfinite(pairs.values[tag.key][i])]
        tags[tag.title] = _examples(pack, pairs, tag, known), _examples(pack, pairs, tag, known[::-1])
    count = min((len(part) for both in tags.values() for part in both), default=0)
    if not count:
        raise SkippedError("no measure of difficulty varies over these test pairs")
    even = {title: (easy[:count], hard[:count]) for title, (easy, hard) in tags.items()}
    paths = figures.difficulty_examples(even, studio.folder / "difficulty-examples")
    listed = "; ".join(f"{tag.title}: {tag.what}" for tag in TAGS if tag.title in tags)
    return Made(paths, f"The easiest and the hardest test pairs by each measure, one a character. {listed}.")


def _examples(pack: Pack, pairs: Difficulty, tag: Tag, order: Sequence[int]) -> list[figures.Example]:
    """The first pairs of `order`, at most one a character."""
    chosen: dict[str, int] = {}
    for index in order:
        chosen.setdefault(pairs.characters[index], index)
    return [
        figures.Example(
            np.asarray(pack.rgb[pairs.sources[i]]),
            np.asarray(pack.rgb[pairs.targets[i]]),
            f"{pairs.values[tag.key][i]:.{tag.digits}f}{tag.unit}",
        )
        for i in list(chosen.values())[:EXAMPLES]
    ]
