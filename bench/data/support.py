"""Test time: which frames are source, targets and FID sets, and the K support samples of a new character."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.layout import CLIPS, VIEWS
from bench.data.pack import Pack
from bench.data.shift import shift, shift_offsets
from bench.errors import UsageError
from methods.interface import Support

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class CharacterPairs:
    """The frames one character is tested on, as indices into the pack (METHODS §8, rows 34 and 35)."""

    source: int  # the front view
    targets: I64  # every other frame, in order
    fid_targets: I64  # frames of clip A: these are generated for FID
    fid_reference: I64  # frames of clip B: as many, never generated


def test_pairs(pack: Pack, split: str, character: int) -> CharacterPairs:
    """Source and target frames of a character; raises UsageError when it is not of `split`."""
    if pack.splits[character] != split:
        raise UsageError(f"character {pack.names[character]} is of {pack.splits[character]}, not of {split}")
    source = pack.view_of(character, "front")
    frames = pack.frames_of(character)
    return CharacterPairs(
        source=source,
        targets=frames[frames != source],
        fid_targets=frames[pack.clip[frames] == CLIPS.index("A")],
        fid_reference=frames[pack.clip[frames] == CLIPS.index("B")],
    )


def shifted_support(pack: Pack, source: int, shots: int, device: torch.device | str = "cpu") -> Support:
    """Protocol A: K support samples made from the one source frame by horizontal shifts (METHODS §8, row 24).

    The generator's input stays the unshifted source. What a shift pushes over the edge is lost; `shift_loss`
    says how much.
    """
    image, keypoints = pack.images([source], device), pack.keypoints_of([source], device)
    moved = [shift(image[0], keypoints[0], pixels) for pixels in shift_offsets(pack.image_size, shots)]
    return Support(
        source=image,
        source_keypoints=keypoints,
        images=torch.stack([picture for picture, _ in moved]),
        keypoints=torch.stack([points for _, points in moved]),
    )


def shift_loss(pack: Pack, source: int, shots: int) -> dict[int, float]:
    """Share of the source's foreground that each shift of protocol A pushes out of the frame."""
    columns = pack.alpha[source].sum(axis=0, dtype=np.int64)
    whole = max(int(columns.sum()), 1)
    lost = {}
    for pixels in shift_offsets(pack.image_size, shots):
        kept = columns[max(-pixels, 0) : max(pack.image_size - max(pixels, 0), 0)]
        lost[pixels] = 1.0 - int(kept.sum()) / whole
    return lost


def views_support(pack: Pack, character: int, shots: int, device: torch.device | str = "cpu") -> Support:
    """Protocol B: the first K of the front, back, left and right views; the source is the front view."""
    if not 1 <= shots <= len(VIEWS):
        raise UsageError(f"protocol 'views' has {len(VIEWS)} basic views, so shots is 1 to 4, not {shots}")
    frames = [pack.view_of(character, view) for view in VIEWS[:shots]]
    return Support(
        source=pack.images(frames[:1], device),
        source_keypoints=pack.keypoints_of(frames[:1], device),
        images=pack.images(frames, device),
        keypoints=pack.keypoints_of(frames, device),
    )
