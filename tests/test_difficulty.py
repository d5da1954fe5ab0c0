"""Statements about what makes a pair hard, and about scores on easy and hard ones."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.cli import main
from bench.data.difficulty import (
    TAGS,
    Difficulty,
    cuts_of,
    difficulty_of,
    hidden_joints,
    levels_of,
    pose_distance,
    self_occlusion,
    texture_complexity,
    view_change,
)
from bench.data.layout import VIEWS
from bench.data.pack import Pack
from bench.errors import DataError
from bench.figures import Example, Leveled, difficulty_examples, scores_by_difficulty
from bench.files import write_json
from bench.image_scores import ImageScores, image_scores_of
from bench.metrics.bootstrap import Interval
from bench.records import Record, write_record
from bench.tables.difficulty import difficulty, gap, in_default_rows, rows_by_image
from tests.made_pack import made_pack
from tests.made_records import made_up, notes_of, ours, row

F32 = NDArray[np.float32]
BY_KEY = {tag.key: tag for tag in TAGS}


def standing(size: float = 64) -> F32:
    """A COCO pose with arms and legs spread."""
    x = [0, -1, 1, -2, 2, 5, -5, 12, -12, 20, -20, 4, -4, 8, -8, 12, -12]
    y = [5, 4, 4, 5, 5, 12, 12, 18, 18, 24, 24, 30, 30, 42, 42, 56, 56]
    return np.stack([np.array(x) * size / 64 + size / 2, np.array(y) * size / 64, np.full(17, 2)], 1).astype(np.float32)


def without(pose: F32, *joints: int) -> F32:
    changed = pose.copy()
    changed[list(joints)] = 0
    return changed


@given(
    degrees=st.floats(0, 180), lean=st.floats(-60, 60), scale=st.floats(0.3, 3), place=st.floats(-50, 50),
    side=st.sampled_from([-1, 1]),
)  # fmt: skip
def test_the_view_change_is_how_far_a_body_is_turned(
    degrees: float, lean: float, scale: float, place: float, side: int
) -> None:
    """To either side, wherever it stands, however large it is and however it leans."""
    source, tilt = standing().astype(np.float64), np.radians(lean)
    turned = source.copy()
    turned[:, 0] = 32 + (source[:, 0] - 32) * np.cos(np.radians(side * degrees))
    rotation = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    turned[:, :2] = scale * turned[:, :2] @ rotation.T + place
    assert view_change(source, turned) == pytest.approx(degrees, abs=0.01)


def test_a_view_change_that_cannot_be_told_is_not_a_number() -> None:
    front, back = standing(), standing()
    back[:, 0] = 64 - back[:, 0]
    assert view_change(front, back) == 180
    assert np.isnan(view_change(front, without(front, 5)))
    assert np.isnan(view_change(without(front, 12), front))
    assert np.isnan(view_change(back, front)), "a source from behind is no front view"


def test_the_pose_distance_is_the_mean_way_of_body_joints_in_heights() -> None:
    source = standing()
    target = source.copy()
    target[9, 0] += 6
    target[10, 0] -= 6
    height = 56 - 4
    assert pose_distance(source, target) == pytest.approx(2 * 6 / 12 / height)
    assert pose_distance(standing(256), target * [4, 4, 1]) == pytest.approx(pose_distance(source, target), rel=1e-5)
    assert pose_distance(source, source + [7, -3, 0]) == pytest.approx(0, abs=1e-7), "moving as a whole costs nothing"
    assert pose_distance(source, without(target, 0, 1, 2)) == pytest.approx(pose_distance(source, target))
    assert np.isnan(pose_distance(source, without(target, *range(5, 12))))


def test_hidden_joints_are_a_share_of_those_that_are_there() -> None:
    pose = without(standing(), 0, 1, 2, 3, 4)
    pose[[7, 9, 15], 2] = 1
    assert hidden_joints(pose) == pytest.approx(3 / 12)
    assert np.isnan(hidden_joints(np.zeros((17, 3))))


def test_a_pose_whose_limbs_lie_over_each_other_is_self_occluded() -> None:
    open_pose = standing()
    assert self_occlusion(open_pose) < 0.2
    assert self_occlusion(standing(256)) == pytest.approx(self_occlusion(open_pose), abs=0.01), "at any image size"
    sideways = open_pose.copy()
    sideways[:, 0] = 32 + (open_pose[:, 0] - 32) * 0.02
    assert self_occlusion(sideways) > self_occlusion(open_pose) + 0.25
    crossed = open_pose.copy()
    crossed[[7, 9]], crossed[[8, 10]] = open_pose[[8, 10]], open_pose[[7, 9]]
    assert self_occlusion(crossed) > self_occlusion(open_pose)
    missing = open_pose.copy()
    missing[:, 2] = 0
    assert self_occlusion(missing) == 0


def test_texture_is_what_changes_inside_the_character() -> None:
    noise = np.random.default_rng(0).integers(0, 200, (32, 32, 3), dtype=np.uint8)
    alpha = np.zeros((32, 32), np.uint8)
    alpha[8:24, 8:24] = 255
    plain = np.full((32, 32, 3), 255, np.uint8)
    plain[8:24, 8:24] = 10
    plain[9:23, 9:23] = 90
    assert texture_complexity(plain, alpha) == 0, "a drawn outline is no texture"
    stripes = plain.copy()
    stripes[8:24:2, 8:24] = 141
    stripes[9:24:2, 8:24] = 90
    assert texture_complexity(stripes, alpha) == pytest.approx(0.5 * 51 / 255)
    assert texture_complexity(noise, alpha) > texture_complexity(stripes, alpha)
    assert texture_complexity(noise, np.zeros_like(alpha)) == 0


def test_terciles_are_thirds_and_fixed_cuts_stay_where_they_are() -> None:
    values = np.append(np.random.default_rng(0).random(30), np.nan)
    levels = levels_of(values, cuts_of(BY_KEY["overlap"], values))
    assert [int((levels == level).sum()) for level in (-1, 0, 1, 2)] == [1, 10, 10, 10]
    assert values[levels == 0].max() < values[levels == 1].min() < values[levels == 2].min()
    degrees = np.array([0.0, 20.0, 21.0, 60.0, 61.0, 180.0])
    assert levels_of(degrees, cuts_of(BY_KEY["view_change"], degrees)).tolist() == [0, 0, 1, 1, 2, 2]
    assert cuts_of(BY_KEY["overlap"], np.full(5, 0.3)) is None
    assert levels_of(np.full(5, 0.3), None).tolist() == [-1] * 5


def test_the_pairs_of_a_pack_have_measures_and_basic_views_are_exact() -> None:
    pack = made_pack()
    pairs = difficulty_of(pack)
    assert len(pairs.targets) == 2 * 7 and set(pairs.characters) == {"c4", "c5"}
    assert [VIEWS[pack.view[frame]] for frame in pairs.sources] == ["front"] * 14
    seen = {VIEWS[pack.view[t]]: v for t, v in zip(pairs.targets, pairs.values["view_change"], strict=True)
            if pack.view[t] >= 0}  # fmt: skip
    assert seen == {"back": 180, "left": 90, "right": 90}
    dance = pack.view[pairs.targets] < 0
    assert np.isnan(pairs.values["view_change"][dance]).all(), "joints on one line have no width"
    assert (pairs.levels("view_change")[dance] == -1).all()
    assert pairs.cuts["texture"] is None, "plain bars"


def made_pairs() -> Difficulty:
    """12 characters with an easy, a medium and a hard pair each; textures by character; no hidden joints."""
    count = 36
    level = np.arange(count) % 3
    values = {tag.key: level.astype(float) for tag in TAGS}
    values |= {"view_change": 45.0 * level, "texture": np.arange(count) // 3 / 1.0, "hidden_joints": np.zeros(count)}
    names = tuple(f"character {i // 3}" for i in range(count))
    return Difficulty(np.repeat(np.arange(0, 48, 4), 3), np.arange(48)[np.arange(48) % 4 > 0], names, values)


def made_scores(pairs: Difficulty, easy: float, drop: float, seed: int = 0) -> ImageScores:
    """Scores that fall by `drop` a level, with an offset a character that is far larger; in an order of its own."""
    rng = np.random.default_rng(seed)
    offset = np.linspace(-0.3, 0.3, 12)[np.arange(36) // 3]
    score = easy - drop * (np.arange(36) % 3) + offset
    order = rng.permutation(36)
    columns = {"ssim_foreground": score, "l1_foreground": 1 - score, "lpips": (1 - score) / 2}
    return {"frame": pairs.targets[order].astype(float), **{key: column[order] for key, column in columns.items()}}


def test_what_characters_share_does_not_widen_the_gap_between_hard_and_easy() -> None:
    pairs = made_pairs()
    values = (0.7 - 0.1 * (np.arange(36) % 3) + np.linspace(-0.3, 0.3, 12)[np.arange(36) // 3])[None]
    within = gap(values, pairs.characters, pairs.levels("overlap"))
    assert within is not None and within.bounds is not None
    assert within.number == pytest.approx(-0.2) and within.bounds == pytest.approx((-0.2, -0.2))
    between = gap(values, pairs.characters, pairs.levels("texture"))
    assert between is not None and between.bounds is not None
    assert between.bounds[1] - between.bounds[0] > 0.1, "here hard images are of other characters than easy ones"
    assert gap(values, pairs.characters, np.zeros(36, np.int64)) is None


def made_table(*records: Record, **scores: ImageScores) -> Any:
    pairs = made_pairs()
    by_key = {record.key: scores[record.key.removeprefix("key-").lower()] for record in records}
    return difficulty(rows_by_image(records, by_key, pairs), pairs)


def test_the_table_has_the_means_of_every_level_by_every_measure_that_varies() -> None:
    pairs = made_pairs()
    table = made_table(
        made_up("patn", "PATN"), ours("Ours"), patn=made_scores(pairs, 0.7, 0.1), ours=made_scores(pairs, 0.75, 0.15, 1)
    )
    assert [block.name for block in table.blocks] == ["view_change", "pose_distance", "overlap", "texture"]
    assert "hides (the same for all pairs, so left out)" in table.caption
    first = {row.title: row.values for row in table.blocks[0].rows}
    for level, patn, mine in (("easy", 0.7, 0.75), ("medium", 0.6, 0.6), ("hard", 0.5, 0.45)):
        assert first["PATN"][f"ssim_foreground_{level}"].number == pytest.approx(patn)
        assert first["Ours"][f"l1_foreground_{level}"].number == pytest.approx(1 - mine)
    best = {t: [first[t][f"ssim_foreground_{level}"].best for level in ("easy", "medium", "hard")] for t in first}
    assert best == {"PATN": [False, True, True], "Ours": [True, True, False]}, "paired by image, and a tie is a tie"
    assert first["Ours"]["ssim_foreground_gap"].number == pytest.approx(-0.3)
    assert table.blocks[0].heading == "View change: easy ≤ 20°, hard > 60°"
    assert "12 / 12 / 12 of 12 / 12 / 12 characters" in table.caption
    assert [line.title for line in table.blocks[0].rows] == ["PATN", "Ours"]
    assert "| PATN" in table.to_markdown() and json.loads(table.to_json())["facts"]["difficulty"]["texture"]["relative"]


def test_seeds_are_averaged_and_a_seed_that_is_not_there_is_said() -> None:
    pairs = made_pairs()
    seeds = [made_up("patn", "PATN", cell__seed=seed, key=f"key-s{seed}") for seed in (0, 1)]
    both = made_table(*seeds, s0=made_scores(pairs, 0.7, 0.1), s1=made_scores(pairs, 0.8, 0.15))
    easy, gap_ = (row(both, "PATN").values[f"ssim_foreground_{column}"] for column in ("easy", "gap"))
    assert easy is not None and easy.number == pytest.approx(0.75)
    assert gap_ is not None and gap_.spread == pytest.approx(0.1 / np.sqrt(2)) and "of differences" in both.caption
    other = ours("Ours", cell__seed=1, key="key-mine")
    one = difficulty(
        rows_by_image(
            [*seeds, other], {"key-s0": made_scores(pairs, 0.7, 0.1), "key-mine": made_scores(pairs, 0.7, 0.1)}, pairs
        ),
        pairs,
        ["PATN, seed 1: gone"],
    )
    assert "Seed 0 only" in notes_of(one, "PATN")
    assert "Not in the store: PATN, seed 1: gone" in one.caption and one.facts["missing"] == ["PATN, seed 1: gone"]


def test_scores_of_other_frames_are_refused() -> None:
    pairs = made_pairs()
    scores = made_scores(pairs, 0.7, 0.1)
    with pytest.raises(DataError, match="36 of the test images have no scores"):
        rows_by_image([made_up()], {"key-PATN": {**scores, "frame": scores["frame"] + 100}}, pairs)
    with pytest.raises(DataError, match="no scores of single images"):
        rows_by_image([made_up()], {}, pairs)


def test_the_rows_of_table_1_are_the_default() -> None:
    shown = [made_up(), ours(), ours(variant="msl"), made_up("white", "White image"), made_up("mine:One", "One")]
    assert all(map(in_default_rows, shown))
    hidden = [ours(cell__shots=4), ours(finetune=None), ours(variant="wo-ml"), made_up("truth", "Real vs real")]
    assert not any(map(in_default_rows, hidden))


def put(store: Path, record: Record, scores: ImageScores, pack: Pack) -> Path:
    """A finished score stage of `record`."""
    folder = store / "score" / record.key
    names = [name for name in scores if name != "frame"]
    lines = [",".join(["character", "frame", *names])]
    for index, frame in enumerate(scores["frame"]):
        numbers = [f"{scores[name][index]:.6f}" for name in names]
        lines.append(",".join([pack.names[pack.character[int(frame)]], str(int(frame)), *numbers]))
    folder.mkdir(parents=True)
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    write_json(folder / "done.json", {"key": record.key, "summary": {}})
    return folder


def test_scores_of_images_are_read_from_the_store_and_what_is_not_there_is_named(tmp_path: Path) -> None:
    pack = made_pack()
    frames = difficulty_of(pack).targets.astype(float)
    scores = {"frame": frames, "ssim_foreground": np.linspace(0.1, 0.9, len(frames))}
    here, gone, cut, empty = (made_up(title=title) for title in ("Here", "Gone", "Cut", "Empty"))
    put(tmp_path, here, scores, pack)
    damaged = put(tmp_path, cut, scores, pack) / "images.csv"
    damaged.write_text(damaged.read_text()[:-12])
    (put(tmp_path, empty, scores, pack) / "images.csv").write_text("")
    found, missing = image_scores_of([here, gone, cut, empty], tmp_path)
    assert list(found) == ["key-Here"]
    np.testing.assert_allclose(found["key-Here"]["ssim_foreground"], scores["ssim_foreground"], atol=1e-6)
    assert [line.partition(",")[0] for line in missing] == ["Gone", "Cut", "Empty"]
    assert "Gone, seed 0: not in" in missing[0] and "make them with: bench table1" in missing[0]
    assert "damaged" in missing[1] and "damaged" in missing[2]


def write_pack(pack: Pack, folder: Path) -> None:
    folder.mkdir(parents=True)
    np.save(folder / "pixels.npy", pack.pixels)
    np.save(folder / "keypoints.npy", pack.keypoints)
    np.save(folder / "index.npy", np.stack([pack.character, pack.view, pack.clip], 1).astype(np.int32))
    about = {"schema": 1, "digest": pack.digest, "pixel_digest": pack.pixel_digest, "image_size": pack.image_size}
    write_json(folder / "pack.json", about | {"names": pack.names, "splits": pack.splits, "tags": pack.tags})


def test_the_command_prints_what_the_store_has_and_ends_in_documented_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bench(*arguments: str) -> tuple[int, str, str]:
        options = ("--data", "data", "--store", "store", "--results", "results")
        monkeypatch.setattr(sys, "argv", ["bench", *arguments, *options])
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    monkeypatch.chdir(tmp_path)
    pack = made_pack()
    write_pack(pack, tmp_path / "data")
    pairs = difficulty_of(pack)
    count = len(pairs.targets)
    for title, method in (("PATN", "patn"), ("PG2", "pg2")):
        record = made_up(method, title, data__digest=pack.digest)
        write_record(tmp_path / "results" / "quick" / "records" / f"{method}.json", record)
        assert bench("difficulty")[0] == (3 if title == "PATN" else 4)
        scores = {"frame": pairs.targets.astype(float), "ssim_foreground": np.linspace(0, 1, count),
                  "l1_foreground": np.linspace(1, 0, count)}  # fmt: skip
        code, _, err = bench("difficulty")
        assert f"{title}, seed 0: not in store; make them with: bench table1" in err or code == 3
        put(tmp_path / "store", record, scores, pack)
    code, out, err = bench("difficulty", "--json")
    assert code == 0, err
    table = json.loads(out)
    assert {line["method"] for line in table["rows"]} == {"PATN", "PG2"} and table["facts"]["missing"] == []
    back = pairs.values["view_change"] == 180
    shown = next(line for line in table["rows"] if line["block"] == "view_change")["values"]["ssim_foreground_hard"]
    hard = pairs.levels("view_change") == 2
    assert shown["number"] == pytest.approx(np.linspace(0, 1, count)[hard].mean()) and (hard >= back).all()
    written = sorted(path.suffix for path in (tmp_path / "results" / "quick").glob("difficulty.*"))
    assert written == [".csv", ".html", ".json", ".md", ".tex"]


def test_statistics_say_how_difficulty_is_spread_over_the_test_pairs(tmp_path: Path) -> None:
    from bench.data.stats import as_text, stats

    pack = made_pack(frames=12)
    joints = np.tile(standing(32), (len(pack), 1, 1))
    joints[:, 9, 1] -= np.arange(len(pack)) % 12
    write_pack(replace(pack, keypoints=joints), tmp_path / "data")
    found = stats(tmp_path / "data")
    distance = found.difficulty["pose_distance"]
    assert distance.pairs == {"easy": 8, "medium": 8, "hard": 6, "unknown": 0} and distance.relative
    assert distance.spread[0] == pytest.approx(pose_distance(joints[0], joints[1]), rel=1e-5)
    assert found.difficulty["view_change"].spread[4] == 180 and not found.difficulty["view_change"].relative
    assert found.difficulty["texture"].cuts is None
    text = as_text(found)
    assert "Pose distance" in text and "terciles of these pairs" in text and "the same everywhere" in text
    write_pack(replace(pack, splits=("train",) * len(pack.splits)), tmp_path / "training")
    assert stats(tmp_path / "training").difficulty == {}
    assert "No test pairs" in as_text(stats(tmp_path / "training"))


def test_scores_by_difficulty_are_drawn_for_the_measures_that_vary(tmp_path: Path) -> None:
    span = Interval(0.5, 0.4, 0.6, 12)
    scores = {
        (tag, "ssim_foreground"): [span, None, replace(span, mean=0.3, low=0.31)] for tag in ("overlap", "texture")
    }
    rows = [Leveled(made_up(), scores), Leveled(made_up("white", "White image"), scores)]
    tags = {"overlap": "Limb overlap", "texture": "Texture"}
    paths = scores_by_difficulty(rows, tags, ("easy", "medium", "hard"), tmp_path / "figure")
    assert [path.name for path in paths] == ["figure.png", "figure.pdf"]
    again = scores_by_difficulty(rows, tags, ("easy", "medium", "hard"), tmp_path / "again")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    with pytest.raises(DataError, match="need a row"):
        scores_by_difficulty([], tags, ("easy", "medium", "hard"), tmp_path / "none")


def test_examples_need_as_many_easy_as_hard_pairs(tmp_path: Path) -> None:
    def example(grey: int) -> Example:
        return Example(np.full((32, 32, 3), grey, np.uint8), np.full((32, 32, 3), grey + 20, np.uint8), f"{grey}")

    paths = difficulty_examples({"View change": ([example(0)], [example(100)])}, tmp_path / "examples")
    assert all(path.stat().st_size > 1000 for path in paths)
    with pytest.raises(DataError, match="equally many"):
        difficulty_examples({"View change": ([example(0)], [])}, tmp_path / "none")
    with pytest.raises(DataError, match="equally many"):
        difficulty_examples({}, tmp_path / "none")
