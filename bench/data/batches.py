"""Training batches: pure functions of (pack, seed, step), so a resumed run sees what it would have seen.

Orders are built from the raw output of numpy's Philox generator, whose stream, unlike that of numpy's
shuffles, is promised never to change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.layout import VIEWS
from bench.data.pack import Pack
from bench.data.shift import shift, shift_offsets
from bench.errors import UsageError
from bench.seeds import derive
from methods.interface import EpisodeBatch, PairBatch

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]


def _raw(count: int, *path: object) -> U64:
    """`count` random 64-bit numbers named by `path`."""
    return np.random.Philox(key=derive(*path)).random_raw(count)


def _below(raw: U64, limit: I64) -> I64:
    """Random integers in [0, limit); the bias of the modulo is under 2^-40 for any real data set."""
    return (raw % limit.astype(np.uint64)).astype(np.int64)


@dataclass(frozen=True)
class _Training:
    """The training frames as the samplers see them."""

    frames: I64  # [N], all training frames, by character
    character: I64  # [N], position of each one's character in the training split
    first: I64  # [C], position in `frames` of a character's first frame
    count: I64  # [C]
    views: I64  # [C, 4], frame of each basic view in `VIEWS` order; -1 where there is none


@lru_cache(maxsize=8)
def _training(pack: Pack) -> _Training:
    members = pack.characters("train")
    frames_of = [pack.frames_of(int(c)) for c in members]
    count = np.asarray([len(frames) for frames in frames_of], dtype=np.int64)
    if not len(count):
        raise UsageError("the data have no training characters")
    views = np.full((len(members), len(VIEWS)), -1, np.int64)
    for row, frames in enumerate(frames_of):
        for frame in frames:
            if pack.view[frame] >= 0:
                views[row, pack.view[frame]] = frame
    return _Training(
        frames=np.concatenate(frames_of),
        character=np.repeat(np.arange(len(members)), count),
        first=np.cumsum(count) - count,
        count=count,
        views=views,
    )


@lru_cache(maxsize=8)
def _pair_order(pack: Pack, seed: int, epoch: int) -> tuple[I64, I64]:
    """Source and target frames of an epoch, each `[N]`."""
    data = _training(pack)
    if data.count.min() < 2:
        raise UsageError("a training character has a single frame; pairs need two")
    order = np.argsort(_raw(len(data.frames), "pairs", seed, epoch, "order"), kind="stable")
    owner = data.character[order]
    # a step of 1 … count-1 frames round the character's frames never ends where it began
    step = 1 + _below(_raw(len(order), "pairs", seed, epoch, "source"), data.count[owner] - 1)
    source = data.first[owner] + (order - data.first[owner] + step) % data.count[owner]
    return data.frames[source], data.frames[order]


def pair_indices(pack: Pack, seed: int, step: int, batch: int) -> tuple[I64, I64]:
    """Source and target frames `[batch]` of a step.

    Every training frame is the target once an epoch, in shuffled order; its source is a uniformly random
    other frame of the same character (METHODS §1). A batch may reach from an epoch into the next.
    """
    size = len(_training(pack).frames)
    position = step * batch
    sources: list[int] = []
    targets: list[int] = []
    while len(sources) < batch:
        epoch, at = divmod(position + len(sources), size)
        source, target = _pair_order(pack, seed, epoch)
        taken = slice(at, at + batch - len(sources))
        sources.extend(source[taken].tolist())
        targets.extend(target[taken].tolist())
    return np.asarray(sources), np.asarray(targets)


def pair_batch(pack: Pack, seed: int, step: int, batch: int, device: torch.device | str = "cpu") -> PairBatch:
    """The pairs of training step `step`, a pure function of its arguments; see `pair_indices`."""
    source, target = pair_indices(pack, seed, step, batch)
    return PairBatch(
        source=pack.images(source, device),
        source_keypoints=pack.keypoints_of(source, device),
        target=pack.images(target, device),
        target_keypoints=pack.keypoints_of(target, device),
    )


@dataclass(frozen=True)
class _Epoch:
    """Frames of every episode of an epoch, `[steps, T]`."""

    source: I64
    query: I64
    character: I64  # position in the training split


def episode_steps(pack: Pack, tasks: int) -> int:
    """Steps an epoch of episodes has: the same for every epoch and seed."""
    data = _training(pack)
    if tasks > len(data.count):
        raise UsageError(f"a step of {tasks} tasks needs {tasks} training characters, not {len(data.count)}")
    return max(math.ceil(len(data.frames) / tasks), int(data.count.max()))


@lru_cache(maxsize=8)
def _episode_order(pack: Pack, seed: int, epoch: int, tasks: int) -> _Epoch:
    data = _training(pack)
    steps, characters = episode_steps(pack, tasks), len(data.count)
    # frames in random order, kept in groups by character: the queue each character takes its queries from
    shuffled = np.lexsort((_raw(len(data.frames), "episodes", seed, epoch, "order"), data.character))
    ties = _raw(steps * characters, "episodes", seed, epoch, "ties").reshape(steps, characters)
    used = np.zeros(characters, np.int64)
    chosen = np.empty((steps, tasks), np.int64)
    query = np.empty((steps, tasks), np.int64)
    for step in range(steps):
        # The characters with most queries left go first: that uses every frame once, with distinct characters
        # in each step, whenever any schedule can. When too few have any left (frame counts that do not
        # divide), others fill the step with a second query.
        row = np.lexsort((ties[step], used - data.count))[:tasks]
        chosen[step] = row
        query[step] = shuffled[data.first[row] + used[row] % data.count[row]]
        used[row] += 1
    query = data.frames[query]
    views = data.views[chosen]  # [steps, T, 4]
    usable = (views >= 0) & (views != query[..., None])
    if not usable.any(-1).all():
        raise UsageError("a training character has no basic view; episodes take their source from the views")
    # the usable view with the highest random number
    numbers = _raw(views.size, "episodes", seed, epoch, "source").reshape(views.shape) >> np.uint64(1)
    pick = np.where(usable, numbers.astype(np.int64), -1).argmax(-1)
    source = np.take_along_axis(views, pick[..., None], axis=-1)[..., 0]
    return _Epoch(source=source, query=query, character=chosen)


def episode_indices(pack: Pack, seed: int, step: int, tasks: int, support: int) -> tuple[I64, I64, I64]:
    """Frames of a step's sources `[T]`, supports `[T, K]` and queries `[T, 1]`.

    T distinct characters. The support is the first K of front, back, left, right; the source a random basic
    view; the query any frame but the source (METHODS §8, row 23). Every training frame is a query once an
    epoch
    (row 22), the basic views too: K of a character's queries are frames of its support set.
    """
    data = _training(pack)
    if not 1 <= support <= len(VIEWS):
        raise UsageError(f"training support is {support}; there are {len(VIEWS)} basic views, so take 1 to 4")
    views = data.views[:, :support]
    if (views < 0).any():
        name = pack.names[pack.characters("train")[int(np.argwhere(views < 0)[0, 0])]]
        raise UsageError(f"character {name} lacks one of the first {support} views; use a smaller support")
    epoch, at = divmod(step, episode_steps(pack, tasks))
    order = _episode_order(pack, seed, epoch, tasks)
    return order.source[at], views[order.character[at]], order.query[at][:, None]


def episode_batch(
    pack: Pack,
    seed: int,
    step: int,
    tasks: int,
    support: int,
    device: torch.device | str = "cpu",
    support_from: str = "views",
) -> EpisodeBatch:
    """The episodes of training step `step`, a pure function of its arguments; see `episode_indices`.

    `support_from` "views": the first K basic views, as §5.1 trains. "shift": K horizontal shifts of the source, as
    §5.5 makes the support set at test time.
    """
    shifted = support_from == "shift"
    source, supports, query = episode_indices(pack, seed, step, tasks, 1 if shifted else support)
    side = pack.image_size
    sources, keypoints = pack.images(source, device), pack.keypoints_of(source, device)
    if shifted:
        moved = [shift(sources, keypoints, pixels) for pixels in shift_offsets(side, support)]
        images, points = (torch.stack(parts, 1) for parts in zip(*moved, strict=True))
    else:
        images = pack.images(supports.ravel(), device).view(tasks, support, 3, side, side)
        points = pack.keypoints_of(supports, device)
    return EpisodeBatch(
        source=sources,
        source_keypoints=keypoints,
        support=images,
        support_keypoints=points,
        query=pack.images(query.ravel(), device).view(tasks, 1, 3, side, side),
        query_keypoints=pack.keypoints_of(query, device),
    )
