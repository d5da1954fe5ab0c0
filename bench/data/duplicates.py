"""Pictures of one split that another has too: the same character under two names, or single frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bench.data.pixels import on_white

SIDE = 16  # pixels; near-duplicates are compared at this size
NEAR = 1.5  # mean difference, of 255, under which two front views show the same character
AT_ONCE = 4096  # frames compared with all others at a time

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Thumbnails:
    """A character's frames, small."""

    frames: U8  # [n, SIDE, SIDE, 3], on white
    front: int  # which of them is the front view


def thumbnail(image: U8) -> U8:
    """Block means `[SIDE, SIDE, 3]` on white of `[H, W, 4]`."""
    height, width = image.shape[:2]
    rows, columns = (np.arange(SIDE) * side // SIDE for side in (height, width))
    white = on_white(image).astype(np.float64)
    sums = np.add.reduceat(np.add.reduceat(white, rows, axis=0), columns, axis=1)
    area = np.outer(np.diff(np.append(rows, height)), np.diff(np.append(columns, width)))
    means: U8 = (sums / area[..., None]).astype(np.uint8)
    return means


def duplicate_faults(split: Mapping[str, Sequence[str]], seen: Mapping[str, Thumbnails]) -> Iterator[str]:
    """Characters of different splits whose front views are the same picture, and frames that are."""
    for first, second in combinations(split, 2):
        ones, others = (sorted(set(split[part]) & set(seen)) for part in (first, second))
        if not ones or not others:
            continue
        same = set()
        fronts = np.stack([seen[name].frames[seen[name].front] for name in others]).astype(np.int16)
        for name in ones:
            distance = np.abs(fronts - seen[name].frames[seen[name].front]).mean(axis=(1, 2, 3))
            for other in (others[index] for index in np.flatnonzero(distance < NEAR)):
                same.add((name, other))
                if other != name:
                    yield (
                        f"characters {name} ({first}) and {other} ({second}) look the same; "
                        "keep one of them, or put both into one split"
                    )
        for (name, other), count in sorted(_shared_frames(ones, others, seen).items()):
            if name != other and (name, other) not in same:
                yield (
                    f"{count} frames of {name} ({first}) are nearly frames of {other} ({second}); "
                    "remove them, or put both characters into one split"
                )


def _shared_frames(
    ones: Sequence[str], others: Sequence[str], seen: Mapping[str, Thumbnails]
) -> Counter[tuple[str, str]]:
    """How many frames of each pair of characters are nearly the same, by root mean square: stricter than the mean."""
    left, right = (
        np.concatenate([seen[name].frames.reshape(len(seen[name].frames), -1) for name in names]).astype(np.float32)
        for names in (ones, others)
    )
    owner_left, owner_right = (np.repeat(np.arange(len(n)), [len(seen[x].frames) for x in n]) for n in (ones, others))
    # around white, where most pixels are: what is left is small, and so is what rounding does to it
    left, right = left - 255, right - 255
    found: Counter[tuple[str, str]] = Counter()
    power = np.square(right).sum(1)
    for start in range(0, len(left), AT_ONCE):
        part = left[start : start + AT_ONCE]
        squared = (np.square(part).sum(1)[:, None] + power - 2 * part @ right.T) / left.shape[1]
        rows, columns = np.nonzero(squared < NEAR**2)
        hits, first_of = np.unique(rows, return_index=True)  # a frame counts once, however many it is like
        pairs = zip(owner_left[start + hits], owner_right[columns[first_of]], strict=True)
        found.update((ones[one], others[other]) for one, other in pairs)
    return found
