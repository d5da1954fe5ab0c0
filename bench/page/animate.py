"""What the page does, without the page: from what a visitor chose to pictures, files and a caption."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bench.data.people import Framing, Person
from bench.data.recipe import SPLIT_SEEDS, character_name
from bench.errors import BenchError, UsageError
from bench.generate import to_uint8
from bench.pose import Detector
from bench.pose import detector as load_detector
from bench.progress import Task
from bench.transfer import Published, Transferred, read_motion, read_source, remarks, transfer, write_pictures
from bench.transfer.write import check_target, sheet
from methods.interface import FineTune
from methods.pose import stick_figure

U8 = NDArray[np.uint8]
SIDE = 384  # pixels that a picture is shown at, about
FINER = 2  # a character is looked at in so many times the model's pixels, to judge joints by
FADED = 0.45  # of the way to white, so that the stick figure stands out
KEPT_RESULTS = 8  # on the disk
LONGEST, MOST_PASSES, MOST_SHOTS = 240, 500, 20  # frames, passes and shots that the page offers


@dataclass(frozen=True)
class Character:
    """Whom to animate: a seed of the suite's own, or uploaded files."""

    seed: int | None = None
    pictures: tuple[Path, ...] = ()
    joints: tuple[Path, ...] = ()
    detector: str = ""


@dataclass(frozen=True)
class Motion:
    """How it moves: the seed of a dance, or an uploaded clip."""

    seed: int | None = None
    clip: Path | None = None
    frames: int = 48
    fps: float = 12.0


@dataclass(frozen=True)
class Seen:
    """A character as it was understood."""

    image: U8  # [H, W, 3]: each picture, faded, under the stick figure of its joints
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Played:
    """The files of an animated character, and what to say of it."""

    gif: Path
    mp4: Path | None  # None: no encoder is installed
    sheet: Path
    caption: str
    remarks: tuple[str, ...]


def look(published: Published, character: Character, scratch: Path) -> Seen:
    """The character under its joints, framed as the method will see it; `scratch` is a folder for copies."""
    size, framing = published.spec.image_size, published.framing
    finer = Framing(FINER * framing.height, FINER * framing.x, FINER * framing.y)
    people = _read(character, FINER * size, finer, scratch)
    pictures = np.stack([_overlaid(person) for person in people])
    return Seen(sheet(pictures, 4), tuple(_said(character, people)))


def animate(
    published: Published,
    character: Character,
    motion: Motion,
    shots: int,
    schedule: FineTune | None,
    poses: bool,
    scratch: Path,
    task: Task,
) -> Played:
    """Do what `bench transfer` does; the files are in a new folder of `scratch`. No shots: one a picture."""
    size = published.spec.image_size
    people = _read(character, size, published.framing, scratch)
    with _named_by_the_page(motion.clip):
        target = read_motion(str(motion.clip or f"dance:{_seed(motion.seed)}"), motion.frames, motion.fps)
        chosen = published.with_schedule(schedule)
        made = transfer(chosen, people, target, shots or len(people), task)
    images, scale = made.with_poses() if poses else made.images, max(1, round(SIDE / size))
    folder, stem = _new_result(scratch), Path(people[0].name).stem
    gif, mp4, contact = (folder / f"{stem}{suffix}" for suffix in (".gif", ".mp4", ".png"))
    for path in (gif, contact):
        write_pictures(images, path, motion.fps, scale)
    filmed = _has_encoder(mp4)
    if filmed:
        write_pictures(images, mp4, motion.fps, scale)
    caption = _caption(chosen, people, shots or len(people), made, scale)
    return Played(gif, mp4 if filmed else None, contact, caption, tuple(_said(character, people)))


def _new_result(scratch: Path) -> Path:
    """A folder for one result. Of those before it the newest stay, which somebody may be about to save."""
    made = sorted(scratch.glob("result-*"), key=lambda folder: folder.stat().st_mtime)
    for folder in made[:-KEPT_RESULTS]:
        shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=scratch, prefix="result-"))


def _has_encoder(path: Path) -> bool:
    try:
        check_target(path, force=True)
    except UsageError:
        return False
    return True


def _read(character: Character, size: int, framing: Framing, scratch: Path) -> list[Person]:
    if not character.pictures:
        return read_source([character_name(_seed(character.seed))], [], size, framing)
    finder = partial(_detector, character.detector) if character.detector else None
    with tempfile.TemporaryDirectory(dir=scratch) as folder, _named_by_the_page(Path(folder)):
        pictures = _side_by_side(character.pictures, character.joints, Path(folder))
        return read_source(pictures, [], size, framing, finder)


def _side_by_side(pictures: Sequence[Path], joints: Sequence[Path], folder: Path) -> list[str]:
    """Copies in one folder, each picture with its joints beside it: those of its name, of the others in order."""
    stems = [picture.stem for picture in pictures]
    if len(set(stems)) < len(stems):
        raise UsageError("two pictures have the same name; rename one of them")
    owners = {file.stem: file for file in joints if file.stem in stems}
    strangers = [file for file in joints if file.stem not in stems]
    alone = [stem for stem in stems if stem not in owners]
    if strangers and len(strangers) != len(alone):
        odd = strangers[0].name
        raise UsageError(f"--joints {odd} has no picture's name; rename it, or give joints for every picture")
    for stem, file in (owners | dict(zip(alone, strangers, strict=False))).items():
        shutil.copyfile(file, folder / f"{stem}.json")
    return [str(shutil.copyfile(picture, folder / picture.name)) for picture in pictures]


@cache
def _detector(name: str) -> Detector:
    from bench import weights
    from bench.pose.joints import DETECTOR, WEIGHTS

    if name == DETECTOR:  # a page asks no network: what is not here is for the command that the error names
        weights.resolve(WEIGHTS, fetch=False)
    return load_detector(name)


def _seed(value: int | None) -> int:
    if value is None or value < 0:
        raise UsageError("a seed is a whole number from 0")
    return value


@contextmanager
def _named_by_the_page(path: Path | None) -> Iterator[None]:
    """Errors of the suite without the place of an upload, and with the page's names for options: `--joints`: Joints."""
    try:
        yield
    except BenchError as error:
        text = str(error)
        if path is not None:
            text = text.replace(f"{path}/" if path.is_dir() else f"{path.parent}/", "")
        raise type(error)(re.sub(r"--([a-z]+)", lambda found: found[1].capitalize(), text)) from error


def _overlaid(person: Person) -> U8:
    """A picture at about SIDE pixels, faded, under the stick figure of its joints, drawn at that size."""
    size = person.image.shape[0]
    scale = max(1, round(SIDE / size))
    side = scale * size
    picture = np.asarray(Image.fromarray(person.image).resize((side, side), Image.Resampling.BICUBIC), np.float32)
    joints = person.keypoints * np.array([scale, scale, 1], np.float32)
    figure = to_uint8(stick_figure(torch.tensor(joints[None]), side))[0]
    bare = (figure == 255).all(-1, keepdims=True)
    return np.where(bare, picture + FADED * (255 - picture), figure).round().astype(np.uint8)


def _said(character: Character, people: Sequence[Person]) -> Iterator[str]:
    yield from remarks(people)
    if not character.pictures and _seed(character.seed) < SPLIT_SEEDS["validation"]:
        yield f"{people[0].name} is in the range of training characters: the model may have been trained on it"


def _caption(published: Published, people: Sequence[Person], shots: int, made: Transferred, scale: int) -> str:
    spec, schedule, size = published.spec, published.model.schedule, published.spec.image_size
    if schedule is None:
        tuned = "not fine-tuned"
    elif made.passes < schedule.passes:
        tuned = f"fine-tuning at rate {schedule.lr:g} diverged after pass {made.passes} of {schedule.passes}: its best"
    else:
        tuned = f"{schedule.passes} pass{'es' if schedule.passes > 1 else ''} at rate {schedule.lr:g}"
    given = people[0].name if len(people) == 1 else f"{len(people)} pictures"
    return (
        f"{published.about.get('title', spec.method)}, preset {spec.preset}, seed {spec.seed}. "
        f"From {given}, {shots} shot{'s' if shots > 1 else ''}, {tuned}: "
        f"adapted in {made.adapt_seconds:.1f} s, {len(made.images)} frames drawn in {made.draw_seconds:.1f} s "
        f"({published.model.device.type}). The model draws {size} × {size} px; shown {scale} times as large."
    )
