"""What each picture is for: source and basic views, clips A and B, and which split.

All but the source are drawn and scored; only FID and KID keep the clips apart: drawn ones of A against real ones of B.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from bench.data.imports.faults import Faults, printable, read_json_of_anybody
from bench.data.imports.folder import Picture
from bench.data.imports.labels import Label
from bench.data.layout import SPLITS, VIEWS
from bench.errors import DataError, UsageError
from bench.seeds import derive

SHARES = (0.8, 0.1, 0.1)
FEWEST = {"train": 2, "validation": 2, "test": 3}  # pictures a character
FEWEST_SCORED = 3  # test pictures in each clip: KID needs as many


@dataclass(frozen=True)
class Role:
    """A picture and what it is."""

    picture: Picture
    view: str | None
    clip: str | None
    stands_in: bool = False  # the view is not what it shows: see `assign_roles`


@dataclass(frozen=True)
class Roles:
    """A character's pictures, basic views first, then clip A, then clip B."""

    pictures: tuple[Role, ...]
    front_by: str  # what named the front view: "pattern", "annotation", "file name" or "first"

    @property
    def stand_ins(self) -> dict[str, str]:
        """File by view, of pictures that stand in for a view."""
        return {str(role.view): role.picture.path.name for role in self.pictures if role.stands_in}


def assign_roles(
    pictures: Sequence[Picture], labels: Mapping[str, Label], pattern: str, fill_views: bool, faults: Faults
) -> Roles:
    """Views by annotation, else by file stem; the rest in halves, or as annotated.

    The front view is the one `pattern` matches, else one so annotated, else one of that name, else the first picture.
    With `fill_views` evenly spread other pictures stand in for views that are missing: training of Ours takes its
    sources from the views, and with one alone it has nothing to draw that from.
    """
    views: dict[str, Picture] = {}
    for view in VIEWS:
        annotated = [p for p in pictures if labels.get(p.key, Label()).view == view]
        named = [p for p in pictures if p.path.stem.casefold() == view and not labels.get(p.key, Label()).view]
        for extra in annotated[1:]:
            faults.add(
                f"annotated as {view}, as {annotated[0].path.name} is; a character has one {view} view", extra.key
            )
        if annotated or named:
            views[view] = (annotated or named)[0]
    matched = [p for p in pictures if pattern and fnmatch(p.path.name, pattern)]
    if pattern and len(matched) != 1:
        faults.add(f"{pictures[0].character}: {len(matched)} images match --source '{pattern}'; it must be one of each")
    front = matched[0] if matched else views.get("front", pictures[0])
    by = "first"
    if matched:
        by = "pattern"
    elif "front" in views:
        by = "annotation" if labels.get(front.key, Label()).view == "front" else "file name"
    views = {"front": front} | {view: p for view, p in views.items() if view != "front" and p != front}
    others = [p for p in pictures if p not in views.values()]
    missing = [view for view in VIEWS if view not in views] if fill_views else []
    stand_ins = dict(zip(missing, _spread(others, len(missing)), strict=False))
    roles = [
        Role(picture, view, None, view in stand_ins)
        for view in VIEWS
        if (picture := views.get(view) or stand_ins.get(view))
    ]
    return Roles((*roles, *_clips([p for p in others if p not in stand_ins.values()], labels)), by)


def _spread(pictures: Sequence[Picture], count: int) -> list[Picture]:
    """At most `count` evenly spread pictures."""
    count = min(count, len(pictures))
    return [pictures[(2 * index + 1) * len(pictures) // (2 * count)] for index in range(count)]


def _clips(pictures: Sequence[Picture], labels: Mapping[str, Label]) -> list[Role]:
    """Annotated clips as they are; the others' first half, the larger, is A: neighbours often show nearly the same."""
    clips = {p: labels.get(p.key, Label()).clip for p in pictures}
    unnamed = [p for p in pictures if clips[p] is None]
    for index, picture in enumerate(unnamed):
        clips[picture] = "A" if index < (len(unnamed) + 1) // 2 else "B"
    return [Role(p, None, clip) for clip in "AB" for p in pictures if clips[p] == clip]


def split_characters(names: Sequence[str], wanted: str, seed: int, faults: Faults) -> dict[str, list[str]]:
    """Characters by split: from a file, or seeded by shares such as "0.8,0.1,0.1".

    A character's place in the seeded order depends on its name and the seed alone. Raises UsageError for shares that
    make no sense.
    """
    if wanted and Path(wanted).suffix == ".json":
        return _split_from(Path(wanted), names, faults)
    shares = _shares(wanted)
    if len(names) < len(SPLITS):
        faults.add(f"{len(names)} characters; training, validation and test need one each, so bring at least 3")
        return {part: [] for part in SPLITS}
    order = sorted(names, key=lambda name: derive("split", seed, name))
    room = len(order) - 1
    test = min(max(1, round(shares[2] * len(order))), room - 1)
    validation = min(max(1, round(shares[1] * len(order))), room - test)
    train = len(order) - test - validation
    cut = {"train": order[:train], "validation": order[train : train + validation], "test": order[train + validation :]}
    return {part: sorted(members) for part, members in cut.items()}


def _shares(wanted: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(part) for part in wanted.split(",")) if wanted else SHARES
    except ValueError:
        shares = ()
    if len(shares) != 3 or not all(0 < share < 1 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        raise UsageError(
            f"--split '{wanted}': give a .json file, or shares of train, validation and test as 0.8,0.1,0.1"
        )
    return shares


def _split_from(path: Path, names: Sequence[str], faults: Faults) -> dict[str, list[str]]:
    split: dict[str, list[str]] = {part: [] for part in SPLITS}
    try:
        content = read_json_of_anybody(path)
    except DataError as error:
        faults.add(str(error))
        return split
    good = isinstance(content, dict) and all(
        isinstance(content.get(part), list) and all(isinstance(name, str) for name in content[part]) for part in SPLITS
    )
    if not good:
        faults.add(f'{path.name}: write {{"train": [names], "validation": [names], "test": [names]}}')
        return split
    placed: dict[str, str] = {}
    for part in SPLITS:
        for name in content[part]:
            if name in placed:
                faults.add(f"{path.name}: character {name} is in {placed[name]} and in {part}; remove it from one")
            elif name not in names:
                faults.add(f"{path.name}: character {name} has no folder; remove it or add the folder")
            else:
                split[part].append(name)
            placed.setdefault(name, part)
        if not content[part]:
            faults.add(f"{path.name}: no {part} characters; every split needs one")
    for name in names:
        if name not in placed:
            faults.add(f"{path.name}: character {printable(name)} is in no split; add it to one")
    return split


def size_faults(split: Mapping[str, Sequence[str]], roles: Mapping[str, Roles], faults: Faults) -> None:
    """Characters with too few pictures for their split, and test clips too small to be scored."""
    for part, members in split.items():
        for name in members:
            count = len(roles[name].pictures)
            if count < FEWEST[part]:
                faults.add(f"{name}: {count} images; a {part} character needs at least {FEWEST[part]}")
    for clip, purpose in (("A", "scored"), ("B", "the reference of FID and KID")):
        count = sum(role.clip == clip for name in split["test"] for role in roles[name].pictures)
        if split["test"] and count < FEWEST_SCORED:
            faults.add(
                f"the test characters have {count} images in clip {clip} ({purpose}); {FEWEST_SCORED} are needed: add "
                "images or put more characters into the test split"
            )
