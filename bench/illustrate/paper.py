"""The paper's figures 1 and 4 to 11, each fetched from the store and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import bench.figures as figures
from bench.data.difficulty import self_occlusion, texture_complexity
from bench.data.pack import Pack
from bench.data.shift import shift_offsets
from bench.data.support import CharacterPairs
from bench.errors import SkippedError
from bench.figures.sheet import U8
from bench.generate import support_set, to_uint8
from bench.illustrate.pictures import (
    NotInStore,
    aligned_maps,
    draw_poses,
    image_scores,
    poses_of,
    spread_pairs,
    spread_targets,
    stick_figures,
)
from bench.illustrate.studio import Made, Studio
from bench.plan import SHOTS, sweep_cells, table1_cells, table4_cells
from bench.run import row_title
from bench.spec import Cell

GRID_ROWS = 6
TEASER_CHARACTERS, TEASER_POSES = 3, 6
GALLERY_CHARACTERS, GALLERY_POSES = 12, 3
PEOPLE, PEOPLE_POSES = 4, 2
PLACES = 7  # of the pose that moves across the canvas
CHOSEN = "Characters are evenly spread over the test set, target poses over their dance; nobody chose them."


def _image(pack: Pack, frame: int) -> U8:
    return np.asarray(pack.rgb[frame])


def _targets(pack: Pack, count: int) -> list[tuple[CharacterPairs, int]]:
    """At most `count` target frames, each another moment of the dance: one a test character, or more of few of them."""
    chosen, found = spread_pairs(pack, count), []
    each = count // len(chosen)
    for number, pairs in enumerate(chosen):
        frames = spread_targets(pairs, len(pairs.fid_targets))
        places = (3 * moment + 1 for moment in range(number * each, (number + 1) * each))
        found += [(pairs, frame) for frame in dict.fromkeys(frames[place % len(frames)] for place in places)]
    return found


def teaser(studio: Studio) -> Made:
    """Fig. 1: source characters, each animated into a row of poses by Ours."""
    pack, cell = studio.pack, studio.ours()
    pictures = studio.pictures(cell)
    animations = []
    for pairs in spread_pairs(pack, TEASER_CHARACTERS):
        targets = spread_targets(pairs, TEASER_POSES)
        outputs = [pictures[target] for target in targets]
        animations.append(figures.Animation(_image(pack, pairs.source), list(poses_of(pack, targets)), outputs))
    paths = figures.teaser(animations, studio.folder / "figure01-teaser")
    return Made(paths, f"Unseen characters in new poses by {row_title(cell)}, each from its one source image. {CHOSEN}")


def feature_maps(studio: Studio) -> Made:
    """Fig. 4: the aligned maps of the fusion residual blocks while the target pose moves across the canvas."""
    pack, cell = studio.pack, studio.ours()
    size, model = pack.image_size, studio.model(cell)
    pairs, keypoints = _narrowest(pack)
    offsets = _reach(keypoints, size)
    support = support_set(pack, pairs, cell.shots, cell.protocol, model.device)
    moved = keypoints[None].repeat(len(offsets), 1, 1)
    moved[:, :, 0] += torch.tensor(offsets, dtype=moved.dtype)[:, None]
    transfer = model.adapt(support, pack.names[pack.character[pairs.source]])
    with aligned_maps() as found:
        outputs = draw_poses(transfer, support, moved.to(model.device))
    maps = {f"aligned map {number + 1}": block.numpy() for number, block in enumerate(found)}
    paths = figures.feature_maps(
        _image(pack, pairs.source), list(stick_figures(moved, size)), maps, list(outputs), offsets,
        studio.folder / "figure04-feature-maps",
    )  # fmt: skip
    slopes = ", ".join(f"{figures.follows(block, offsets, size):.2f} px" for block in maps.values())
    return Made(
        paths,
        f"The aligned texture maps of both fusion residual blocks of {row_title(cell)} (mean absolute activation over "
        f"channels) while the target pose moves sideways. For each pixel that the pose moves, the centre of the maps "
        f"moves by {slopes}.",
    )


def _narrowest(pack: Pack) -> tuple[CharacterPairs, torch.Tensor]:
    """The dance pose [17, 3] of a test character in the middle of the set that leaves most room at its sides."""
    everyone = spread_pairs(pack, len(pack.characters("test")))
    pairs = everyone[len(everyone) // 2]
    poses = pack.keypoints_of(pairs.fid_targets if len(pairs.fid_targets) else pairs.targets)
    rooms = [_room(pose, pack.image_size) for pose in poses]
    return pairs, poses[int(np.argmax(rooms))]


def _room(pose: torch.Tensor, size: int) -> float:
    """Pixels that a pose can move to both sides before a joint comes nearer to the border than a 32nd of it."""
    x = pose[pose[:, 2] > 0, 0]
    if not len(x):
        return -1.0  # a detector found nothing
    return float(min(x.min(), size - x.max())) - size / 32


def _reach(pose: torch.Tensor, size: int) -> list[int]:
    """Horizontal shifts in pixels, evenly spaced from as far left to as far right as the pose can go, 0 among them."""
    step = max(1, int(_room(pose, size) // (PLACES // 2)))
    return [step * place for place in range(-(PLACES // 2), PLACES // 2 + 1)]


def support_samples(studio: Studio) -> Made:
    """Fig. 5: the source of a character and its K = 4 shifted samples with their stick figures."""
    pack, shots = studio.pack, 4
    everyone = spread_pairs(pack, len(pack.characters("test")))
    pairs = everyone[len(everyone) // 2]
    support = support_set(pack, pairs, shots, "shift", torch.device("cpu"))
    paths = figures.support_set(
        _image(pack, pairs.source),
        poses_of(pack, [pairs.source])[0],
        list(to_uint8(support.images)),
        list(stick_figures(support.keypoints, pack.image_size)),
        shift_offsets(pack.image_size, shots),
        studio.folder / "figure05-support-set",
    )
    return Made(paths, f"A source image and its support set (K = {shots}), made from it by horizontal shifts.")


def compared(studio: Studio) -> list[Cell]:
    """What Figs. 6 and 7 show: the baselines, further methods that have a record, and Ours with the multi-step loss."""
    baselines = [cell for cell in table1_cells(studio.base) if cell.method != "ours"]
    return [*baselines, *studio.further_methods(), studio.ours()]


def grid(studio: Studio, cells: Sequence[Cell], path_stem: Path) -> tuple[list[Path], list[str]]:
    """A row a character and pose, a column a cell; the last cell must be there."""
    pack = studio.pack
    pictures, missing = studio.drawn(cells, required=cells[-1])
    rows = [
        figures.GridRow(
            source=_image(pack, pairs.source),
            target_pose=poses_of(pack, [target])[0],
            outputs={title: found[target] for title, found in pictures.items()},
            truth=_image(pack, target),
        )
        for pairs, target in _targets(pack, GRID_ROWS)
    ]
    return figures.comparison_grid(rows, path_stem), missing


def methods(studio: Studio) -> Made:
    """Fig. 6: every method on the same characters and poses."""
    paths, missing = grid(studio, compared(studio), studio.folder / "figure06-methods")
    return Made(paths, f"All methods on unseen characters. {CHOSEN}", missing)


def people(studio: Studio) -> Made:
    """Fig. 7: pictures that a user brought, in poses of the test set, by every method."""
    if studio.people_folder is None:
        raise SkippedError("give a folder with images and their COCO annotations.json as --people DIR")
    pack, chosen = studio.pack, studio.people[:PEOPLE]
    cells = compared(studio)
    targets = [target for _, target in _targets(pack, len(chosen) * PEOPLE_POSES)]
    poses = [pack.keypoints_of([targets[i % len(targets)]]) for i in range(len(chosen) * PEOPLE_POSES)]
    outputs: list[dict[str, U8]] = [{} for _ in poses]
    missing = []
    for cell in cells:
        try:
            model = studio.model(cell)
        except NotInStore:
            if cell == cells[-1]:
                raise
            missing.append(row_title(cell))
            continue
        for number, person in enumerate(chosen):
            support = person.support(cell.shots, model.device)
            transfer = model.adapt(support, person.name)
            for i in range(number * PEOPLE_POSES, (number + 1) * PEOPLE_POSES):
                outputs[i][row_title(cell)] = draw_poses(transfer, support, poses[i].to(model.device))[0]
    rows = [
        figures.GridRow(
            chosen[i // PEOPLE_POSES].image, stick_figures(pose, pack.image_size)[0], outputs[i], truth=None
        )
        for i, pose in enumerate(poses)
    ]
    names = ", ".join(person.name for person in chosen)
    paths = figures.comparison_grid(rows, studio.folder / "figure07-people")
    return Made(paths, f"Methods trained on anime characters alone, on other pictures ({names}).", missing)


def shots(studio: Studio) -> Made:
    """Fig. 8: Ours unadapted and with 1, 4 and 10 shots, without and with the multi-step loss."""
    pack, missing = studio.pack, []
    groups = []
    for variant in ("", "msl"):
        cells = sweep_cells(studio.ours(variant), SHOTS)
        group = {}
        for count, cell in zip((0, *SHOTS), cells, strict=True):
            try:
                group[count] = studio.pictures(cell)
            except NotInStore:
                missing.append(row_title(cell))
        groups.append(group)
    plain, msl = groups
    if len(plain) + len(msl) < 2:
        raise NotInStore(f"{', '.join(missing)} have drawn nothing yet")
    rows = [
        figures.ShotsRow(
            source=_image(pack, pairs.source),
            target_pose=poses_of(pack, [target])[0],
            plain={count: found[target] for count, found in plain.items()},
            msl={count: found[target] for count, found in msl.items()},
            truth=_image(pack, target),
        )
        for pairs, target in _targets(pack, GRID_ROWS)
    ]
    paths = figures.shots_grid(rows, studio.folder / "figure08-shots")
    return Made(paths, f"Ours by number of support samples. {CHOSEN}", missing)


def ablations(studio: Studio) -> Made:
    """Fig. 9: Ours without its parts, 4-shot, with the rows that unconfound the paper's."""
    cells = [cell for cell in table4_cells(studio.base) if isinstance(cell, Cell)]
    paths, missing = grid(studio, cells, studio.folder / "figure09-ablations")
    return Made(paths, f"Ours without its parts, 4-shot. {CHOSEN}", missing)


def gallery(studio: Studio) -> Made:
    """Fig. 10: many characters at 10 shots, and the people that a user brought."""
    pack, cell = studio.pack, studio.ours(shots=10)
    pictures = studio.pictures(cell)
    animations = []
    for pairs in spread_pairs(pack, GALLERY_CHARACTERS):
        targets = spread_targets(pairs, GALLERY_POSES)
        outputs = [pictures[target] for target in targets]
        animations.append(figures.Animation(_image(pack, pairs.source), list(poses_of(pack, targets)), outputs))
    if studio.people_folder is not None:
        model = studio.model(cell)
        poses = pack.keypoints_of(spread_targets(spread_pairs(pack, 1)[0], len(animations[0].poses)))
        for person in studio.people[:PEOPLE]:
            support = person.support(cell.shots, model.device)
            transfer = model.adapt(support, person.name)
            outputs = list(draw_poses(transfer, support, poses.to(model.device)))
            drawn_poses = list(stick_figures(poses, pack.image_size))
            animations.append(figures.Animation(person.image, drawn_poses, outputs))
    paths = figures.gallery(animations, studio.folder / "figure10-gallery")
    return Made(paths, f"Further results of {row_title(cell)}. {CHOSEN}")


def failures(studio: Studio) -> Made:
    """Fig. 11: the images of Ours with the lowest foreground SSIM, one a character, and how difficult they are."""
    pack, cell = studio.pack, studio.ours()
    pictures, scores = studio.pictures(cell), image_scores(cell, studio.place)
    frames, ssim = scores["frame"].astype(int), scores["ssim_foreground"]
    pairs_of = {int(pack.character[pairs.source]): pairs for pairs in spread_pairs(pack, len(pack.names))}
    owners = pack.character[frames]
    textures = {
        owner: texture_complexity(_image(pack, pairs.source), np.asarray(pack.alpha[pairs.source]))
        for owner, pairs in pairs_of.items()
    }
    texture = np.array([textures[int(owner)] for owner in owners])
    occlusion = np.array([self_occlusion(studio.exact.keypoints[frame]) for frame in frames])
    _, firsts = np.unique(owners[order := np.argsort(ssim, kind="stable")], return_index=True)
    worst = order[np.sort(firsts)][:GRID_ROWS]
    cases = [
        figures.Failure(
            source=_image(pack, pairs_of[int(owners[i])].source),
            target_pose=poses_of(pack, [int(frames[i])])[0],
            output=pictures[int(frames[i])],
            truth=_image(pack, int(frames[i])),
            ssim=float(ssim[i]),
            occlusion=float(occlusion[i]),
            texture=float(texture[i]),
            occlusion_rank=float(np.mean(occlusion < occlusion[i])),
            texture_rank=float(np.mean(texture < texture[i])),
        )
        for i in worst
    ]
    title = row_title(cell)
    paths = figures.failure_cases(cases, title, studio.folder / "figure11-failures")
    if len(ssim) >= 3:
        paths += figures.difficulty(
            ssim, occlusion, texture, [int(i) for i in worst], title, studio.folder / "figure11-difficulty"
        )
    return Made(paths, f"The images of {title} with the lowest fg-SSIM, the worst one of a character each.")
