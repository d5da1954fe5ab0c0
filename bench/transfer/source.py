"""The character to animate: pictures with joints, framed as the method's training characters stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bench.data.layout import LARGEST_SIDE, UNREADABLE
from bench.data.people import Framing, Person, frame_person
from bench.data.pixels import on_white
from bench.data.shift import shift, shift_offsets
from bench.errors import DataError, UsageError
from bench.pose import Detector
from bench.transfer.motion import read_keypoints
from methods.interface import Support

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Load = Callable[[], Detector]
MIN_JOINTS = 6  # of a picture, below which what was found is no body


def read_source(
    sources: Sequence[str],
    joints: Sequence[Path],
    size: int,
    framing: Framing,
    detector: Load | None = None,
) -> list[Person]:
    """The pictures of one character, the first of them the source the method draws from.

    A source is an image file (transparent or white background) or the name of one of the suite's own characters,
    `c2000000`. The joints of an image are those of the file in `joints` at its place, or of the `.json` of the same
    name beside it, or those of the detector, which is loaded when it is needed first. Raises UsageError and DataError
    that say what is missing.
    """
    if len(joints) > len(sources):
        raise UsageError(f"{len(joints)} --joints for {len(sources)} --source; give one for each picture, in order")
    people = []
    for number, source in enumerate(sources):
        if _is_character(source):
            people.append(_rendered(source, size, framing))
            continue
        given = joints[number] if number < len(joints) else None
        people.append(_picture(Path(source), given, size, framing, detector))
    return people


def remarks(people: Sequence[Person]) -> list[str]:
    """What will spoil the result and is no fault: a line a picture."""
    return [
        f"{person.name}: its background is not white; remove it, or the method will draw it too"
        for person in people
        if not person.white_background
    ]


def _is_character(source: str) -> bool:
    return source[:1] == "c" and source[1:].isdigit() and not Path(source).exists()


def _rendered(name: str, size: int, framing: Framing) -> Person:
    """The front view of a procedural character."""
    from bench.data.recipe import Recipe, render_character

    frames = render_character(Recipe(4 * size, 1, 0, 0, 6), int(name[1:]))
    return frame_person(name, on_white(frames.images[0]), frames.frames[0].keypoints, size, framing)


def _picture(path: Path, joints: Path | None, size: int, framing: Framing, detector: Load | None) -> Person:
    if not path.is_file():
        raise UsageError(f"--source {path}: no such file; give an image, or c2000000 for one of the suite's characters")
    try:
        with Image.open(path) as opened:
            if max(opened.size) > LARGEST_SIDE:
                raise DataError(f"{path}: {opened.width}×{opened.height} px is larger than {LARGEST_SIDE}")
            pixels = on_white(np.asarray(opened.convert("RGBA")))
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read as an image ({error})") from error
    beside = path.with_suffix(".json")
    found = joints or (beside if beside.is_file() else None)
    if found is not None:
        points = read_keypoints(found)[0]
    elif detector is not None:
        points = detector().detect(pixels[None]).keypoints(pixels.shape[1], pixels.shape[0])[0]
        if (points[:, 2] > 0).sum() < MIN_JOINTS:
            raise DataError(f"{path}: the detector finds no character in it; give its joints with --joints")
    else:
        raise UsageError(
            f"--source {path}: its joints are not known; write 17 × (x, y, visibility) to {beside.name} beside it, "
            "name such a file with --joints, or let one be found with --detector movenet"
        )
    try:
        return frame_person(path.name, pixels, points, size, framing)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def support_of(people: Sequence[Person], shots: int, device: torch.device) -> Support:
    """K support samples: the pictures themselves, then horizontal shifts of each in turn until there are K.

    Raises UsageError for fewer shots than pictures.
    """
    if shots < len(people):
        raise UsageError(f"--shots {shots} for {len(people)} pictures; leave it out or give at least {len(people)}")
    size = people[0].image.shape[0]
    images = [_tensor(person.image, device) for person in people]
    keypoints = [torch.tensor(person.keypoints, device=device) for person in people]
    rounds = -(-shots // len(people))  # of shifts, the first of which is none
    samples = [
        shift(image, points, pixels)
        for pixels in shift_offsets(size, rounds)
        for image, points in zip(images, keypoints, strict=True)
    ][:shots]
    return Support(
        images[0][None],
        keypoints[0][None],
        torch.stack([image for image, _ in samples]),
        torch.stack([points for _, points in samples]),
    )


def _tensor(image: U8, device: torch.device) -> torch.Tensor:
    return torch.tensor(image, device=device).permute(2, 0, 1).float().div(127.5).sub(1)
