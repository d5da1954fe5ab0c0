"""A folder of avatars becomes a data set that every command takes; what cannot be used is named, not swallowed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli import main
from bench.data.avatars import dataset as module
from bench.data.avatars.dataset import Rendered, render_folder
from bench.data.avatars.render import MotionFile, Shots, casting
from bench.data.avatars.sources import AvatarFile, find_avatars, share_motions, split_of
from bench.data.avatars.vrm import read_vrm
from bench.data.check import check
from bench.data.layout import CLIPS, SPLITS, VIEWS, open_dataset
from bench.data.pack import open_pack
from bench.data.support import test_pairs as pairs_of
from bench.errors import DataError, UsageError
from bench.files import read_json
from tests.made_vrm import vrm, vrma

SHOTS = Shots(image_size=24, frames=8)
COLORS = {"red": (220, 40, 40), "green": (30, 160, 60), "blue": (40, 60, 220), "black": (20, 20, 20)}


@pytest.fixture
def avatars(tmp_path: Path) -> Path:
    """Four avatars in all dialects, one of them in a folder of its own."""
    folder = tmp_path / "avatars"
    (folder / "more").mkdir(parents=True)
    for number, (name, color) in enumerate(COLORS.items()):
        path = folder / ("more" if name == "black" else "") / f"{name}.vrm"
        path.write_bytes(vrm("1.0" if number % 2 else "0.x", color))
    return folder


def rendered(avatars: Path, out: Path, split: str = "50,0,50", shots: Shots = SHOTS) -> Rendered:
    return render_folder(avatars, None, out, shots, split, workers=1)


def test_the_data_set_has_what_commands_read(avatars: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    done = rendered(avatars, out)
    assert not done.skipped
    assert check(out) == []
    pack = open_pack(out)
    assert sorted(pack.names) == sorted(COLORS)
    assert len(pack) == 4 * SHOTS.frames
    assert pack.digest == open_dataset(out).digest
    for character in pack.characters("test"):
        pairs = pairs_of(pack, "test", int(character))
        assert pack.view[pairs.source] == VIEWS.index("front")
        assert len(pairs.fid_targets) == len(pairs.fid_reference) == SHOTS.clip_frames
    tags = dict(zip(pack.names, pack.tags, strict=True))["red"]
    assert (tags["title"], tags["author"], tags["licence"], tags["file"]) == ("Boxes", "A test", "CC0", "red.vrm")
    joints = pack.keypoints
    assert np.isfinite(joints).all()
    assert (joints[:, 5:, 2] > 0).all(), "every body joint is in the frame"


def test_a_repeated_call_renders_nothing_and_gives_the_same_data(
    avatars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = rendered(avatars, tmp_path / "data").pack.digest
    assert rendered(avatars, tmp_path / "other").pack.digest == digest, "the same anywhere"
    monkeypatch.setattr(module, "render_avatar", None)
    assert rendered(avatars, tmp_path / "data").pack.digest == digest


def test_a_killed_call_leaves_nothing_half_made_and_the_next_goes_on(
    avatars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = rendered(avatars, tmp_path / "whole").pack.digest, tmp_path / "data"
    draw, drawn = module.render_avatar, []

    def killed_at_the_third(name, *arguments):  # type: ignore[no-untyped-def]
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(name)
        return draw(name, *arguments)

    monkeypatch.setattr(module, "render_avatar", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        rendered(avatars, out)
    with pytest.raises(DataError):
        open_pack(out)
    damaged = out / "characters" / f"{drawn[0]}.zip"
    damaged.write_bytes(damaged.read_bytes()[:-50])

    def counted(name, *arguments):  # type: ignore[no-untyped-def]
        drawn.append(name)
        return draw(name, *arguments)

    monkeypatch.setattr(module, "render_avatar", counted)
    assert rendered(avatars, out).pack.digest == whole
    assert drawn[2:].count(drawn[0]) == 1, "the damaged one is made again"
    assert drawn[1] not in drawn[2:], "the whole one is not"
    assert check(out) == []


def test_a_kill_while_packing_is_mended_by_the_next_call(
    avatars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "data"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "build_pack", killed)
        rendered(avatars, out)
    with pytest.raises(DataError):
        open_pack(out)
    monkeypatch.setattr(module, "render_avatar", None)
    assert len(rendered(avatars, out).pack) == 4 * SHOTS.frames


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(avatars: Path, tmp_path: Path) -> None:
    (avatars / "cut.vrm").write_bytes((avatars / "red.vrm").read_bytes()[:-100])
    (avatars / "text.vrm").write_text("a text")
    (avatars / "footless.vrm").write_bytes(
        vrm(change=lambda d: d["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"].pop("leftFoot"))
    )
    (avatars / "twice.vrm").write_bytes((avatars / "red.vrm").read_bytes())
    out = tmp_path / "data"
    done = rendered(avatars, out)
    assert sorted(done.pack.names) == sorted(COLORS)
    assert set(done.skipped) == {"cut.vrm", "text.vrm", "footless.vrm", "twice.vrm"}
    assert "truncated" in done.skipped["cut.vrm"]
    assert "leftFoot" in done.skipped["footless.vrm"]
    assert "same file as red.vrm" in done.skipped["twice.vrm"], "it could land in another split"
    assert rendered(avatars, out).skipped == done.skipped, "a finished data set still says so"
    (avatars / "footless.vrm").write_bytes(vrm(color=(200, 200, 0)))
    mended = rendered(avatars, out)
    assert len(mended.pack.names) == 5
    assert check(out) == []


def test_other_options_or_other_files_are_not_overwritten(avatars: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    rendered(avatars, out)
    with pytest.raises(UsageError, match="another image_size"):
        rendered(avatars, out, shots=Shots(32, 8))
    with pytest.raises(UsageError, match="other files"):
        rendered(avatars, avatars)


def test_nothing_usable_is_an_error_that_lists_every_reason(tmp_path: Path) -> None:
    folder = tmp_path / "avatars"
    folder.mkdir()
    with pytest.raises(DataError, match="no avatar"):
        rendered(folder, tmp_path / "data")
    (folder / "a.vrm").write_text("a text")
    (folder / "b.vrm").write_bytes(b"")
    with pytest.raises(DataError, match=r"(?s)a\.vrm: not binary glTF.*b\.vrm: not binary glTF"):
        rendered(folder, tmp_path / "data")


def test_clips_come_from_different_motions_and_say_which(avatars: Path, tmp_path: Path) -> None:
    motions = tmp_path / "motions"
    motions.mkdir()
    for number in range(3):
        (motions / f"{number}.vrma").write_bytes(vrma(lambda d, n=number: d.update(asset={"version": "2.0", "n": n})))
    (motions / "broken.bvh").write_text("HIERARCHY")
    done = render_folder(avatars, motions, tmp_path / "data", SHOTS, "test", workers=1)
    assert set(done.skipped) == {"broken.bvh"}
    assert all(split == "test" for split in done.pack.splits)
    for tags in done.pack.tags:
        a, b = (set(tags["motions"][clip]) for clip in CLIPS)
        assert a and b and not a & b
    (motions / "only").mkdir()
    (motions / "only" / "broken.bvh").write_text("HIERARCHY")
    with pytest.raises(DataError, match=r"(?s)no motion.*broken\.bvh: truncated"):
        render_folder(avatars, motions / "only", tmp_path / "none", SHOTS, workers=1)


def made_motions(folder: Path, count: int) -> Path:
    """Clips of different content."""
    folder.mkdir()
    for number in range(count):
        content = vrma(lambda d, n=number: d.update(asset={"version": "2.0", "n": n}))
        (folder / f"{number}.vrma").write_bytes(content)
    return folder


def test_no_motion_is_in_two_splits_where_there_are_enough(avatars: Path, tmp_path: Path) -> None:
    out, motions = tmp_path / "data", made_motions(tmp_path / "motions", 4)
    done = render_folder(avatars, motions, out, SHOTS, "50,0,50", workers=1)
    assert done.notes == () and check(out) == []
    danced: dict[str, set[str]] = {"train": set(), "test": set()}
    for part, tags in zip(done.pack.splits, done.pack.tags, strict=True):
        danced[part].update(name for clip in CLIPS for name in tags["motions"][clip])
    assert danced["train"] and danced["test"] and not danced["train"] & danced["test"]
    recipe = read_json(out / "manifest.json")["recipe"]
    assert {part: set(names) for part, names in recipe["motions_of"].items()} == danced


def test_splits_that_must_share_a_motion_are_said_in_the_metadata_too(avatars: Path, tmp_path: Path) -> None:
    out, motions = tmp_path / "data", made_motions(tmp_path / "motions", 1)
    done = render_folder(avatars, motions, out, SHOTS, "50,0,50", workers=1)
    assert len(done.notes) == 1 and "train, test share it" in done.notes[0] and "at least 2 motions" in done.notes[0]
    assert read_json(out / "manifest.json")["recipe"]["notes"] == list(done.notes)
    assert render_folder(avatars, motions, out, SHOTS, "50,0,50", workers=1).notes == done.notes, "of a finished one"


def test_an_avatar_that_cannot_be_drawn_changes_no_rule(
    avatars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is left decides the split and so the motions, as if the faulty file had never been there."""
    motions = made_motions(tmp_path / "motions", 4)
    draw = module.render_avatar

    def not_blue(name, *arguments):  # type: ignore[no-untyped-def]
        if name == "blue":
            raise DataError("nothing of it can be seen")
        return draw(name, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "render_avatar", not_blue)
        with_it = render_folder(avatars, motions, tmp_path / "with", SHOTS, "50,0,50", workers=1)
    assert set(with_it.skipped) == {"blue.vrm"}
    (avatars / "blue.vrm").unlink()
    never = render_folder(avatars, motions, tmp_path / "never", SHOTS, "50,0,50", workers=1)
    assert with_it.pack.digest == never.pack.digest
    assert check(tmp_path / "with") == []


@given(st.integers(0, 12), st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 3)), st.integers(0, 3))
def test_motions_are_divided_among_splits_as_far_as_they_go(
    count: int, characters: tuple[int, int, int], seed: int
) -> None:
    motions = [MotionFile(Path(f"{i}.bvh"), f"{i}.bvh", f"hash {i}") for i in range(count)]
    split = {part: [f"{part} {i}" for i in range(n)] for part, n in zip(SPLITS, characters, strict=True)}
    held = [part for part in SPLITS if split[part]]
    shared, notes = share_motions(motions, split, seed)
    assert (shared, notes) == share_motions(motions[::-1], split, seed) or len(held) < 2
    given_out = [motion for part in held for motion in shared[part]]
    assert set(given_out) == set(motions) or not held
    if count == 0 or len(held) < 2:
        assert not notes
    elif count >= len(held):
        assert len(given_out) == count, "none is in two"
        assert min(len(shared[part]) for part in held) >= (2 if count >= 2 * len(held) else 1)
        assert bool(notes) == (count < 2 * len(held))
    else:
        assert len(notes) == 1 and "better" in notes[0]
        assert count == 1 or not set(shared["test"]) & {*shared["train"], *shared["validation"]}


def test_two_workers_make_the_bytes_that_one_makes(avatars: Path, tmp_path: Path) -> None:
    motions = made_motions(tmp_path / "motions", 2)
    for name in ("green", "black"):
        next(avatars.rglob(f"{name}.vrm")).unlink()
    folders = [tmp_path / "one", tmp_path / "two"]
    for workers, out in enumerate(folders, start=1):
        render_folder(avatars, motions, out, Shots(16, 6), "50,0,50", workers)
    files = [{p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} for out in folders]
    assert len(files[0]) > 8 and files[0] == files[1]


def test_the_fix_that_check_names_mends_a_rendered_set(avatars: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    digest = rendered(avatars, out).pack.digest
    damaged = out / "characters" / "red.zip"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    said = next(fault for fault in check(out) if "red.zip" in fault)
    assert "delete the file and manifest.json and run the same `bench data render` again" in said
    damaged.unlink()
    (out / "manifest.json").unlink()
    assert check(out)[0].endswith("run `bench data render`"), "half of one"
    assert rendered(avatars, out).pack.digest == digest
    assert check(out) == []


def test_a_single_motion_gives_each_clip_a_half_of_its_own() -> None:
    motion = MotionFile(Path("m.bvh"), "m.bvh", "abc")
    clips = casting([motion], SHOTS, "hash")
    assert [(s.start, s.end) for s in (*clips["A"], *clips["B"])] == [(0.0, 0.5), (0.5, 1.0)]


@given(
    st.integers(1, 30),
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)).filter(any),
    st.integers(0, 3),
)
def test_a_split_holds_every_character_once_and_serves_test_first(
    count: int, shares: tuple[int, int, int], seed: int
) -> None:
    avatars = [AvatarFile(Path(f"{i}.vrm"), f"{i}.vrm", f"hash {i}", f"c{i}") for i in range(count)]
    split = split_of(avatars, ",".join(map(str, shares)), seed)
    assert sorted(name for part in SPLITS for name in split[part]) == sorted(a.name for a in avatars)
    assert split == split_of(avatars[::-1], ",".join(map(str, shares)), seed)
    wanted = [part for part, share in zip(SPLITS, shares, strict=True) if share]
    assert not any(split[part] for part in SPLITS if part not in wanted)
    served = [part for part in ("test", "train", "validation") if part in wanted]
    assert all(split[part] for part in served[:count])


def test_files_of_one_name_become_different_characters(tmp_path: Path) -> None:
    for number, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "Über Hero!.vrm").write_bytes(bytes([number]))
    names = [avatar.name for avatar in find_avatars(tmp_path, {})]
    assert len(set(names)) == 2
    assert all(name.startswith("ber-Hero-") for name in names)


@pytest.mark.parametrize("split", ["tests", "80,20", "0,0,0", "a,b,c"])
def test_a_split_that_means_nothing_is_refused_before_anything_is_read(tmp_path: Path, split: str) -> None:
    with pytest.raises(UsageError, match="--split"):
        render_folder(tmp_path, None, tmp_path / "data", SHOTS, split)


def test_the_commands_end_in_the_documented_exit_codes(
    avatars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bench(*arguments: str) -> tuple[int, str, str]:
        # in this process: another one would spend its time importing torch
        monkeypatch.setattr(sys, "argv", ["bench", "data", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    monkeypatch.chdir(tmp_path)
    (avatars / "text.vrm").write_text("a text")
    options = ("--out", "data", "--size", "16", "--frames", "6", "--workers", "1", "--split", "test")
    code, out, err = bench("render", "--avatars", "avatars", *options, "--json", "--quiet")
    said = json.loads(out)
    assert code == 4, err
    assert said["frames"] == 24
    assert list(said["skipped"]) == ["text.vrm"]
    assert {c["licence"] for c in said["characters"]} == {"CC0", "VRM Public License 1.0"}
    code, out, _ = bench("render", "--avatars", "avatars", *options)
    assert code == 4
    assert "red: Boxes, by A test; licence: CC0" in out
    assert "skipped    text.vrm: not binary glTF" in out
    assert bench("check", "data")[0] == 0
    assert bench("render", "--avatars", "nowhere", *options)[0] == 2
    (tmp_path / "empty").mkdir()
    code, _, err = bench("render", "--avatars", "empty", "--out", "none")
    assert code == 3
    assert "no avatar" in err
    assert not (tmp_path / "none").exists()
    assert bench("export-vrm", "--seed", "1", "--out", "one.zip")[0] == 2
    assert bench("export-vrm", "--seed", "1", "--out", "one.vrm", "--json")[0] == 0
    assert read_vrm(tmp_path / "one.vrm").meta.licence_url.startswith("https://creativecommons.org/publicdomain/zero")
