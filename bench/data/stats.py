"""What a data set holds: characters, frames, views, foreground, joints that show, difficulty, tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.difficulty import F64, LEVELS, TAGS, Tag, cuts_of, levels_of, measures, texture_complexity
from bench.data.layout import CLIPS, COCO_JOINTS, SPLITS, VIEWS, open_dataset
from bench.data.pack import open_pack
from bench.data.pixels import on_white

MOST_VALUES = 8  # of a tag that are listed; a tag of more is a measure or a name, and its count says enough


@dataclass(frozen=True)
class PartStats:
    """One split."""

    characters: int
    frames: int
    frames_per_character: tuple[int, int]  # fewest, most
    views: dict[str, int]  # frames by basic view
    clips: dict[str, int]  # frames by dance clip
    foreground_height: float  # mean, a fraction of the frame
    foreground_area: float  # mean of alpha


@dataclass(frozen=True)
class TagStats:
    """One measure of `data.difficulty` over the test pairs."""

    title: str
    unit: str
    digits: int
    spread: tuple[float, float, float, float, float]  # least, first decile, median, last decile, most
    cuts: tuple[float, float] | None  # the largest easy and medium value; None: it does not vary
    relative: bool  # whether these are terciles of these pairs
    pairs: dict[str, int]  # by level, and those of which it is unknown


@dataclass(frozen=True)
class Stats:
    """A whole data set."""

    digest: str
    image_size: int
    splits: dict[str, PartStats]
    joints: dict[str, tuple[float, float, float]]  # share of frames where one is visible, hidden, absent
    tags: dict[str, dict[str, int]]  # characters by value; lists and dictionaries are left out
    stand_ins: int  # characters in which another frame stands in for a basic view
    difficulty: dict[str, TagStats]  # of the test pairs; empty where there are none

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Character:
    split: str
    rgb: NDArray[np.uint8]  # [n, H, W, 3], on white
    alpha: NDArray[np.uint8]  # [n, H, W]
    keypoints: NDArray[np.float32]  # [n, 17, 3]
    views: list[str | None]
    clips: list[str | None]
    tags: Mapping[str, Any]


def stats(folder: Path) -> Stats:
    """Of a pack or, where there is none, of the data set in `folder`; raises DataError."""
    if (folder / "pack.json").exists():
        pack = open_pack(folder)
        return _stats(pack.digest, pack.image_size, _of_pack(folder))
    dataset = open_dataset(folder)
    return _stats(dataset.digest, dataset.image_size, _of_dataset(folder))


def _of_pack(folder: Path) -> Iterator[_Character]:
    pack = open_pack(folder)
    for index, split in enumerate(pack.splits):
        frames = pack.frames_of(index)
        views = [VIEWS[v] if v >= 0 else None for v in pack.view[frames]]
        clips = [CLIPS[c] if c >= 0 else None for c in pack.clip[frames]]
        pixels = pack.pixels[frames]
        yield _Character(
            split, pixels[..., :3], pixels[..., 3], pack.keypoints[frames], views, clips, pack.tags[index]
        )  # fmt: skip


def _of_dataset(folder: Path) -> Iterator[_Character]:
    dataset = open_dataset(folder)
    for split, names in dataset.split.items():
        for name in names:
            read = dataset.read(name)
            keypoints = np.stack([frame.keypoints for frame in read.frames])
            views, clips = [f.view for f in read.frames], [f.clip for f in read.frames]
            yield _Character(
                split, on_white(read.images), read.images[..., 3], keypoints, views, clips, read.tags
            )  # fmt: skip


def _stats(digest: str, size: int, characters: Iterator[_Character]) -> Stats:
    counts: dict[str, list[int]] = {part: [] for part in SPLITS}
    views: dict[str, Counter[str]] = {part: Counter() for part in SPLITS}
    clips: dict[str, Counter[str]] = {part: Counter() for part in SPLITS}
    heights: dict[str, list[float]] = {part: [] for part in SPLITS}
    areas: dict[str, list[float]] = {part: [] for part in SPLITS}
    shown = np.zeros((len(COCO_JOINTS), 3))
    tags: dict[str, Counter[str]] = {}
    stand_ins = 0
    hard: dict[str, list[F64]] = {tag.key: [] for tag in TAGS}
    for one in characters:
        counts[one.split].append(len(one.alpha))
        views[one.split].update(view for view in one.views if view)
        clips[one.split].update(clip for clip in one.clips if clip)
        rows = np.max(one.alpha, axis=2) > 127
        extent = np.where(rows.max(1), size - rows[:, ::-1].argmax(1) - rows.argmax(1), 0)
        heights[one.split] += (extent / size).tolist()
        areas[one.split] += (one.alpha.mean((1, 2)) / 255).tolist()
        for column, visibility in enumerate((2, 1, 0)):
            shown[:, column] += (one.keypoints[..., 2] == visibility).sum(0)
        for key, value in one.tags.items():
            if isinstance(value, str | bool | int):
                tags.setdefault(key, Counter())[str(value)] += 1
        stand_ins += "stand_in_views" in one.tags
        if one.split == "test" and "front" in one.views:
            for key, values in _measures(one).items():
                hard[key].append(values)
    parts = {
        part: PartStats(
            characters=len(counts[part]),
            frames=sum(counts[part]),
            frames_per_character=(min(counts[part]), max(counts[part])),
            views={view: views[part][view] for view in VIEWS},
            clips={clip: clips[part][clip] for clip in CLIPS},
            foreground_height=float(np.mean(heights[part])),
            foreground_area=float(np.mean(areas[part])),
        )
        for part in SPLITS
        if counts[part]
    }
    shares = shown / max(shown[0].sum(), 1)
    return Stats(
        digest=digest,
        image_size=size,
        splits=parts,
        joints={
            name: (float(row[0]), float(row[1]), float(row[2])) for name, row in zip(COCO_JOINTS, shares, strict=True)
        },
        tags={key: dict(values.most_common()) for key, values in sorted(tags.items())},
        stand_ins=stand_ins,
        difficulty={
            tag.key: _tag_stats(tag, np.concatenate(hard[tag.key]))
            for tag in TAGS
            if any(np.isfinite(column).any() for column in hard[tag.key])
        },
    )


def _measures(one: _Character) -> dict[str, F64]:
    """Of every frame but the source, drawn from it."""
    source = one.views.index("front")
    targets = [index for index in range(len(one.views)) if index != source]
    texture = texture_complexity(one.rgb[source], one.alpha[source])
    return measures(one.keypoints[source], one.keypoints[targets], [one.views[i] for i in targets], texture)


def _tag_stats(tag: Tag, values: F64) -> TagStats:
    cuts, known = cuts_of(tag, values), values[np.isfinite(values)]
    levels = levels_of(values, cuts)
    counts = {level: int((levels == number).sum()) for number, level in enumerate(LEVELS)}
    least, low, middle, high, most = (float(value) for value in np.quantile(known, (0, 0.1, 0.5, 0.9, 1)))
    return TagStats(
        tag.title, tag.unit, tag.digits, (least, low, middle, high, most), cuts, tag.cuts is None,
        counts | {"unknown": len(values) - len(known)},
    )  # fmt: skip


def as_text(stats: Stats) -> str:
    """For a terminal."""
    lines = [f"digest {stats.digest}, {stats.image_size} px", ""]
    lines.append(
        f"{'split':12}{'characters':>10}{'frames':>8}{'each':>9}"
        f"{'front/back/left/right':>23}{'clip A/B':>12}{'height':>8}{'area':>7}"
    )
    for name, part in stats.splits.items():
        fewest, most = part.frames_per_character
        each = str(fewest) if fewest == most else f"{fewest}–{most}"
        lines.append(
            f"{name:12}{part.characters:10}{part.frames:8}{each:>9}{'/'.join(map(str, part.views.values())):>23}"
            f"{'/'.join(map(str, part.clips.values())):>12}{part.foreground_height:8.2f}{part.foreground_area:7.2f}"
        )
    if stats.stand_ins:
        lines.append(f"In {stats.stand_ins} characters another frame stands in for a basic view.")
    lines += ["", f"{'joint':16}{'visible':>8}{'hidden':>8}{'absent':>8}"]
    lines += [
        f"{name:16}{seen:8.2f}{hidden:8.2f}{absent:8.2f}" for name, (seen, hidden, absent) in stats.joints.items()
    ]
    lines += ["", *_difficulty_lines(stats.difficulty), ""]
    for key, values in stats.tags.items():
        listed = ", ".join(f"{value} {count}" for value, count in values.items())
        lines.append(f"{key:16}{listed if len(values) <= MOST_VALUES else f'{len(values)} values'}")
    return "\n".join(lines).rstrip()


def _difficulty_lines(difficulty: Mapping[str, TagStats]) -> Iterator[str]:
    """A line a measure: how it is spread over the test pairs, and where easy and medium end."""
    if not difficulty:
        yield "No test pairs, so nothing is said of difficulty."
        return
    yield (
        f"{'test pairs':16}{'least':>8}{'10 %':>8}{'median':>8}{'90 %':>8}{'most':>8}{'easy ≤':>10}{'medium ≤':>10}"
        f"{'easy/medium/hard':>18}"
    )
    for tag in difficulty.values():

        def number(value: float, tag: TagStats = tag) -> str:
            return f"{value:.{tag.digits}f}{tag.unit}"

        cuts = "".join(f"{number(cut):>10}" for cut in tag.cuts) if tag.cuts else f"{'the same everywhere':>20}"
        counts = "/".join(str(tag.pairs[level]) for level in LEVELS) if tag.cuts else ""
        unknown = f", {tag.pairs['unknown']} unknown" if tag.pairs["unknown"] else ""
        yield f"{tag.title:16}{''.join(f'{number(value):>8}' for value in tag.spread)}{cuts}{counts:>18}{unknown}"
    relative = ", ".join(tag.title for tag in difficulty.values() if tag.relative)
    yield f"{relative}: easy, medium and hard are terciles of these pairs, so relative to this data set."
