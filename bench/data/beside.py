"""Two data sets side by side: methods trained on one, tested on the test characters of the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.data.pack import Pack
from bench.errors import DataError


def refuse_known(training: Pack, tested: Pack) -> None:
    """Raises DataError for a test character that bears the name of one that training or tuning sees."""
    seen = {name for name, split in zip(training.names, training.splits, strict=True) if split != "test"}
    known = sorted(seen & {tested.names[character] for character in tested.characters("test")})
    if known:
        more = f" and {len(known) - 3} more" if len(known) > 3 else ""
        raise DataError(
            f"test characters {', '.join(known[:3])}{more} of {tested.folder.name} are of {training.folder.name}'s "
            "training or validation too; leave them out of one of the two, or rename those that are others"
        )


def beside(tested: Pack, training: Pack) -> Pack:
    """`tested`, its frames under the numbers they had, and after them the training characters of `training`.

    What is no test character in `tested` belongs to no split. Pixels are copied: as much memory as both take.
    """
    chosen = training.characters("train")
    frames = training.frames_in("train")
    number = np.full(len(training.names), -1, np.int32)
    number[chosen] = np.arange(len(tested.names), len(tested.names) + len(chosen), dtype=np.int32)
    return replace(
        tested,
        names=(*tested.names, *(training.names[character] for character in chosen)),
        splits=(*("test" if split == "test" else "" for split in tested.splits), *["train"] * len(chosen)),
        tags=(*tested.tags, *(training.tags[character] for character in chosen)),
        pixels=np.concatenate([tested.pixels, training.pixels[frames]]),
        keypoints=np.concatenate([tested.keypoints, training.keypoints[frames]]),
        character=np.concatenate([tested.character, number[training.character[frames]]]),
        view=np.concatenate([tested.view, training.view[frames]]),
        clip=np.concatenate([tested.clip, training.clip[frames]]),
        _resident={},
    )
