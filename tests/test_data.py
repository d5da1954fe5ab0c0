"""Data sets on disk: what is written is read back, a killed make goes on, and every fault is found."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.check import check
from bench.data.layout import (
    SPLITS,
    VIEWS,
    CharacterFrames,
    FrameInfo,
    decode,
    open_dataset,
    pixel_digest,
    read_character,
    write_character,
)
from bench.data.make import make_dataset
from bench.data.pack import Pack, build_pack, open_pack, pack_of, procedural_pack
from bench.data.pixels import on_white
from bench.data.recipe import Recipe, character_name, clip_times, render_character
from bench.data.show import contact_sheet, foreground_height
from bench.errors import DataError, UsageError
from bench.presets import PRESETS, DataSize

RECIPE = Recipe(32, train=4, validation=1, test=2, frames=8, generator_version="made in a test")


def painted(recipe: Recipe, seed: int) -> CharacterFrames:
    """A character of coloured noise with a visible outline; a pure function of its seed."""
    rng = np.random.Generator(np.random.PCG64(seed))
    size = recipe.image_size
    images = np.zeros((recipe.frames, size, size, 4), np.uint8)
    images[:, 4:-4, 8:-8] = rng.integers(0, 256, (recipe.frames, size - 8, size - 16, 4), np.uint8)
    images[:, 4:-4, 8:-8, 3] |= 1
    frames = []
    for index in range(recipe.frames):
        joints = rng.uniform(8, size - 8, (17, 3)).round(3)
        joints[:, 2] = rng.integers(1, 3, 17)
        view = VIEWS[index] if index < 4 else None
        clip = None if index < 4 else "AB"[(index - 4) // recipe.clip_frames]
        frames.append(FrameInfo(view, clip, 0.25 * index, joints.astype(np.float32)))
    return CharacterFrames(character_name(seed), tuple(frames), images, seed, {"hair": "bob"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(RECIPE, tmp_path_factory.mktemp("made"), workers=1, source=painted).folder


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> Path:
    """A copy a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "data"))


@pytest.fixture(scope="module")
def pack(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return build_pack(open_dataset(made), tmp_path_factory.mktemp("store") / "pack")


def rewrite(path: Path, changed: CharacterFrames) -> None:
    """Put other frames in a character's place behind the manifest's back."""
    write_character(path, changed)


def spoil_frame(path: Path, index: int, **changes: object) -> None:
    character = read_character(path)
    frames = list(character.frames)
    frames[index] = replace(frames[index], **changes)  # type: ignore[arg-type]
    rewrite(path, replace(character, frames=tuple(frames)))


def test_a_written_character_is_read_back_to_the_pixel(tmp_path: Path) -> None:
    character = painted(RECIPE, 3)
    entry = write_character(tmp_path / "c0000003.zip", character)
    again = read_character(tmp_path / "c0000003.zip")
    seen = character.images[..., 3] > 0
    assert (again.images[seen] == character.images[seen]).all()
    assert (again.images[~seen] == (255, 255, 255, 0)).all()
    assert pixel_digest(again.images) == pixel_digest(character.images) == entry.pixels
    for old, new in zip(character.frames, again.frames, strict=True):
        assert np.allclose(old.keypoints, new.keypoints, atol=1e-3)
        assert (old.view, old.clip, old.time) == (new.view, new.clip, new.time)
    assert (again.seed, again.tags) == (3, {"hair": "bob"})


def test_the_same_character_gives_the_same_bytes(tmp_path: Path) -> None:
    one = write_character(tmp_path / "a" / "c.zip", painted(RECIPE, 3))
    two = write_character(tmp_path / "b" / "c.zip", painted(RECIPE, 3))
    assert one.sha256 == two.sha256


def test_a_folder_is_read_like_a_zip(tmp_path: Path) -> None:
    write_character(tmp_path / "c0000003.zip", painted(RECIPE, 3))
    with zipfile.ZipFile(tmp_path / "c0000003.zip") as archive:
        archive.extractall(tmp_path)
    zipped, unpacked = read_character(tmp_path / "c0000003.zip"), read_character(tmp_path / "c0000003")
    assert (zipped.images == unpacked.images).all()


def test_compositing_on_white_mixes_by_alpha() -> None:
    pixels = np.array([[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 255, 128]], np.uint8)
    assert on_white(pixels).tolist() == [[10, 20, 30], [255, 255, 255], [127, 177, 255]]


def test_splits_are_disjoint_and_a_character_is_the_same_in_every_preset() -> None:
    recipes = [Recipe.of(preset.data) for preset in PRESETS.values()]
    for recipe in recipes:
        seeds = [set(recipe.seeds(part)) for part in SPLITS]
        assert not seeds[0] & seeds[1] | seeds[0] & seeds[2] | seeds[1] & seeds[2]
    smallest, largest = recipes[0], recipes[-1]
    for part in SPLITS:
        assert set(smallest.seeds(part)) <= set(largest.seeds(part))


def test_the_digest_changes_with_everything_that_makes_the_data() -> None:
    changes = [
        {"image_size": 64}, {"train": 5}, {"frames": 10}, {"seed": 1}, {"generator_version": "another"},
        {"edition": 2},
    ]  # fmt: skip
    digests = {RECIPE.digest} | {replace(RECIPE, **change).digest for change in changes}  # type: ignore[arg-type]
    assert len(digests) == 1 + len(changes)


def test_frames_that_do_not_divide_into_two_clips_are_refused() -> None:
    with pytest.raises(UsageError, match="even"):
        replace(RECIPE, frames=9)


def test_clip_times_are_one_in_each_stretch() -> None:
    times = clip_times(replace(RECIPE, frames=24), 5, "A")
    assert [int(t) for t in times] == list(range(10))
    assert times != clip_times(replace(RECIPE, frames=24), 5, "B")


def test_a_killed_make_goes_on_and_renders_no_character_twice(tmp_path: Path) -> None:
    rendered: list[int] = []

    def killed_at_the_third(recipe: Recipe, seed: int) -> CharacterFrames:
        if len(rendered) == 3:
            raise KeyboardInterrupt
        rendered.append(seed)
        return painted(recipe, seed)

    with pytest.raises(KeyboardInterrupt):
        make_dataset(RECIPE, tmp_path, workers=1, source=killed_at_the_third)
    folder = tmp_path / RECIPE.digest[:12]
    with pytest.raises(DataError, match="bench data make"):
        open_dataset(folder)
    assert len(list(folder.glob("characters/*.zip"))) == 3
    torn = sorted(folder.glob("characters/*.zip"))[1]
    torn.write_bytes(torn.read_bytes()[:-500])  # as a disk that lost power may leave it

    again: list[int] = []

    def counted(recipe: Recipe, seed: int) -> CharacterFrames:
        again.append(seed)
        return painted(recipe, seed)

    resumed = make_dataset(RECIPE, tmp_path, workers=1, source=counted)
    assert sorted(again) == sorted(set(RECIPE.all_seeds()) - {rendered[0], rendered[2]})
    assert check(resumed.folder) == []
    untouched = make_dataset(RECIPE, tmp_path / "other", workers=1, source=painted)
    assert resumed.pixel_digest == untouched.pixel_digest
    make_dataset(RECIPE, tmp_path, workers=1, source=killed_at_the_third)  # complete: nothing is rendered


def test_an_unwritable_frame_leaves_no_file(tmp_path: Path) -> None:
    broken = replace(painted(RECIPE, 0), frames=())  # fewer descriptions than images
    with pytest.raises(ValueError, match="zip"):
        write_character(tmp_path / "c.zip", broken)
    assert not list(tmp_path.iterdir())


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make_dataset(RECIPE, tmp_path, workers=1, source=painted, on_progress=lambda *at: seen.append(at))
    assert seen == [(n, 7) for n in range(8)]


def test_processes_make_the_same_data(made: Path, tmp_path: Path) -> None:
    parallel = make_dataset(RECIPE, tmp_path, workers=2, source=painted)
    assert parallel.pixel_digest == open_dataset(made).pixel_digest


def test_annotations_are_coco(made: Path) -> None:
    coco = json.loads((made / "annotations.json").read_text())
    assert len(coco["images"]) == len(coco["annotations"]) == 7 * 8
    first = coco["annotations"][0]
    assert len(first["keypoints"]) == 51 and first["num_keypoints"] == 17
    assert coco["categories"][0]["keypoints"][9] == "left_wrist"
    with zipfile.ZipFile(made / "characters" / "c0000000.zip") as archive:
        assert coco["images"][0]["file_name"] in archive.namelist()


def test_what_the_message_about_a_damaged_character_says_mends_it(tmp_path: Path) -> None:
    whole = make_dataset(RECIPE, tmp_path, workers=1, source=painted)
    path = whole.path_of("c0000001")
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(DataError, match=r"delete the file and manifest\.json and run `bench data make` again"):
        make_dataset(RECIPE, tmp_path, workers=1, source=painted).read("c0000001")
    path.unlink()
    (whole.folder / "manifest.json").unlink()
    assert make_dataset(RECIPE, tmp_path, workers=1, source=painted).pixel_digest == whole.pixel_digest
    assert check(whole.folder) == []


def test_good_data_have_no_faults(made: Path) -> None:
    assert check(made) == []


def test_check_finds_a_truncated_archive(dataset: Path) -> None:
    path = dataset / "characters" / "c0000001.zip"
    path.write_bytes(path.read_bytes()[:900])
    faults = check(dataset)
    assert any("c0000001.zip" in fault and "bytes where the manifest says" in fault for fault in faults)
    assert any("c0000001.zip" in fault and "unreadable" in fault for fault in faults)


def test_the_fix_that_check_names_mends_the_suites_own_data(tmp_path: Path) -> None:
    def make() -> Path:
        return make_dataset(Recipe(32, 1, 1, 1, 6), tmp_path, workers=1, source=painted).folder

    damaged = next((folder := make()).glob("characters/*.zip"))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert "delete the file and manifest.json and run `bench data make` again" in check(folder)[0]
    damaged.unlink()
    (folder / "manifest.json").unlink()
    assert check(make()) == []


def test_check_finds_a_flipped_byte_in_an_image(dataset: Path) -> None:
    path = dataset / "characters" / "c0000001.zip"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    faults = check(dataset)
    assert any("sha256" in fault for fault in faults)
    assert any(".webp" in fault for fault in faults)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.data())
def test_check_survives_any_damage(dataset: Path, data: st.DataObject) -> None:
    path = dataset / "characters" / "c0000001.zip"
    whole = path.read_bytes()
    content = bytearray(whole)
    at = data.draw(st.integers(0, len(whole) - 8))
    content[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8).filter(lambda b: b != whole[at : at + 8]))
    path.write_bytes(content)
    try:
        assert check(dataset)
    finally:
        path.write_bytes(whole)


def test_a_picture_of_a_million_columns_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 1_000_000, 8, 8, 6, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    with pytest.raises(ValueError, match="larger than"):
        decode(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT")


def test_check_finds_missing_and_stray_files(dataset: Path) -> None:
    (dataset / "characters" / "c0000000.zip").rename(dataset / "characters" / "stray.zip")
    faults = check(dataset)
    assert any("c0000000.zip: missing" in fault for fault in faults)
    assert any("stray.zip: not in manifest" in fault for fault in faults)


@pytest.mark.parametrize(
    ("joints", "fault"),
    [
        (np.full((17, 3), np.nan, np.float32), "not a number"),
        (np.full((17, 3), 99.0, np.float32), "none of 0, 1, 2"),
        (np.tile(np.float32([40, 8, 2]), (17, 1)), "outside the 32 px frame"),
        (np.zeros((17, 3), np.float32), "no joint is present"),
        (np.ones((16, 3), np.float32), "16 joints where COCO has 17"),
    ],
)
def test_check_finds_bad_joints(dataset: Path, joints: np.ndarray, fault: str) -> None:
    spoil_frame(dataset / "characters" / "c0000002.zip", 5, keypoints=joints)
    assert any("c0000002.zip/005.webp" in line and fault in line for line in check(dataset))


def test_check_finds_wrong_sizes_modes_and_counts(dataset: Path) -> None:
    folder = dataset / "characters"
    with zipfile.ZipFile(folder / "c0000003.zip") as archive:
        archive.extractall(folder)
    (folder / "c0000003.zip").unlink()
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["characters"]["c0000003"]["file"] = "characters/c0000003"
    manifest["characters"]["c0000003"]["frames"] = 9
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    Image.new("RGBA", (16, 32), "red").save(folder / "c0000003" / "000.webp", lossless=True)
    Image.new("L", (32, 32)).save(folder / "c0000003" / "001.webp", "PNG")
    Image.new("RGBA", (32, 32)).save(folder / "c0000003" / "008.webp", lossless=True)
    (folder / "c0000003" / "002.webp").write_bytes(b"not an image")
    faults = "\n".join(check(dataset))
    assert "000.webp: 16×32 px in data of 32 px" in faults
    assert "001.webp: unreadable or truncated image (mode L" in faults
    assert "002.webp: unreadable" in faults
    assert "image 008.webp has no joints" in faults
    assert "8 frames where the manifest says 9" in faults


def test_check_finds_a_character_in_two_splits(dataset: Path) -> None:
    split = json.loads((dataset / "split.json").read_text())
    split["test"].append(split["train"][0])
    (dataset / "split.json").write_text(json.dumps(split))
    assert any("c0000000 is in train and in test" in fault for fault in check(dataset))


def test_check_finds_a_test_character_under_another_name_in_training(dataset: Path) -> None:
    twin = replace(read_character(dataset / "characters" / "c0000000.zip"), name="c2000000")
    rewrite(dataset / "characters" / "c2000000.zip", twin)
    assert any("c0000000 (train) and c2000000 (test) look the same" in fault for fault in check(dataset))


def test_a_folder_without_a_data_set_is_told_every_command_that_makes_one(tmp_path: Path) -> None:
    (tmp_path / "akari").mkdir()  # pictures of one's own, say
    for said in (check(tmp_path), [refusal(tmp_path)]):
        assert len(said) == 1
        for command in ("bench data import", "bench data render", "bench data make"):
            assert f"`{command}`" in said[0]
        assert "delete" not in said[0]


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as raised:
        open_pack(folder)
    return str(raised.value)


@pytest.mark.parametrize(
    ("trace", "command"),
    [
        ({"manifest.json": '{"recipe": {"kind": "imported"}}'}, "bench data import"),
        ({"manifest.json": '{"recipe": {"kind": "avatars"}}'}, "bench data render"),
        ({"manifest.json": '{"recipe": {"kind": "procedural"}}'}, "bench data make"),
        ({"render.json": "{}"}, "bench data render"),
        ({"pixels.npy": ""}, "bench data import"),
        ({"characters": ""}, "bench data make"),
    ],
)
def test_half_a_data_set_is_told_the_command_that_began_it(tmp_path: Path, trace: dict[str, str], command: str) -> None:
    for name, text in trace.items():
        (tmp_path / name).write_text(text)
    assert check(tmp_path)[0].endswith(f"run `{command}`")
    assert refusal(tmp_path).endswith(f"run `{command}`")


def test_a_pack_of_the_store_names_the_data_set_to_check(tmp_path: Path) -> None:
    made = make_dataset(Recipe(32, 1, 1, 1, 6), tmp_path / "data", workers=1, source=painted)
    packed = pack_of(made, tmp_path).folder
    assert check(packed)[0].endswith(f"it is the pack of {made.folder.resolve()}: name that folder")


def test_a_pack_holds_the_frames_on_white(pack: Pack, made: Path) -> None:
    assert len(pack) == 7 * 8
    assert [len(pack.characters(part)) for part in SPLITS] == [4, 1, 2]
    for character, name in enumerate(pack.names):
        frames = pack.frames_of(character)
        stored = open_dataset(made).read(name)
        assert (pack.rgb[frames] == on_white(stored.images)).all()
        assert (pack.alpha[frames] == stored.images[..., 3]).all()
        assert pack.view[frames].tolist() == [0, 1, 2, 3, -1, -1, -1, -1]
        assert pack.clip[frames].tolist() == [-1, -1, -1, -1, 0, 0, 1, 1]
        assert np.allclose(pack.keypoints[frames], np.stack([f.keypoints for f in stored.frames]))


def test_images_are_in_minus_one_to_one(pack: Pack) -> None:
    images = pack.images([5, 3], "cpu")
    assert images.shape == (2, 3, 32, 32) and images.dtype == torch.float32
    assert images[:, :, 0, 0].eq(1).all()
    assert torch.equal(((images[1] + 1) * 127.5).round().byte(), torch.from_numpy(pack.rgb[3].copy()).permute(2, 0, 1))
    assert torch.equal(pack.foreground([3])[0, 0] * 255, torch.from_numpy(pack.alpha[3].astype(np.float32)))


def test_changing_a_batch_changes_no_file(pack: Pack) -> None:
    before = pack.images([0])
    pack.images([0]).zero_()
    pack.pixels[0] = 0  # copy-on-write: seen by this process alone
    assert torch.equal(open_pack(pack.folder).images([0]), before)


def test_a_resized_pack_scales_images_and_joints(pack: Pack, made: Path, tmp_path: Path) -> None:
    small = pack_of(open_dataset(made), tmp_path, image_size=16)
    means = np.asarray(pack_of(open_dataset(made), tmp_path).rgb[:1], float).reshape(1, 16, 2, 16, 2, 3).mean((2, 4))
    assert np.abs(small.rgb[:1] - means).max() <= 1
    assert np.allclose(small.keypoints[..., :2] * 2, pack.keypoints[..., :2])
    assert (small.keypoints[..., 2] == pack.keypoints[..., 2]).all()


def test_other_pixels_than_the_manifests_are_not_packed(dataset: Path, tmp_path: Path) -> None:
    rewrite(dataset / "characters" / "c0000000.zip", replace(painted(RECIPE, 9), name="c0000000"))
    with pytest.raises(DataError, match="bench data check"):
        build_pack(open_dataset(dataset), tmp_path / "pack")
    with pytest.raises(DataError, match="no data set that can be used"):
        open_pack(tmp_path / "pack")


def test_a_truncated_pack_is_refused(pack: Pack, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pack.folder, tmp_path / "pack"))
    with (folder / "pixels.npy").open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(DataError, match="not a whole pack"):
        open_pack(folder)


def test_a_contact_sheet_shows_frames_above_stick_figures(pack: Pack, tmp_path: Path) -> None:
    contact_sheet(pack, [0, 4], tmp_path / "sheet.png", dance_frames=2)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * 2 * 32, 6 * 32, 3)
    frame, figure = sheet[:32, :32], sheet[32:64, :32]
    assert (frame == pack.rgb[pack.frames_of(0)[0]]).all()
    assert (figure < 250).any() and (figure[0] == 255).all()


def test_foreground_height_is_a_fraction_of_the_frame(pack: Pack) -> None:
    assert foreground_height(pack, pack.frames_in("test")) == pytest.approx(24 / 32)


TINY = DataSize(48, train=1, validation=1, test=1, frames=8)


def test_the_renderer_makes_the_characters_of_a_preset(tmp_path: Path) -> None:
    pack = procedural_pack(TINY, tmp_path, workers=1)
    assert check(tmp_path / "data" / pack.digest[:12]) == []
    assert [len(pack.frames_of(character)) for character in range(3)] == [8, 8, 8]
    assert foreground_height(pack, pack.view_of(0, "front") + np.arange(4)).min() > 0.7
    for character in range(3):
        front, back, left, right = (pack.keypoints[pack.view_of(character, view)] for view in VIEWS)
        # joint 5 is the left shoulder, 6 the right: seen from the front, its left is on our right
        assert front[5, 0] > front[6, 0] and back[5, 0] < back[6, 0]
        assert back[0, 2] == 0 and front[0, 2] == 2  # no nose from behind
        assert left[3, 2] > 0 and left[4, 2] == 0  # its left side shows the left ear
        assert right[3, 2] == 0 and right[4, 2] > 0
    again = procedural_pack(TINY, tmp_path, workers=1, on_progress=lambda *at: pytest.fail("made again"))
    assert again.pixel_digest == pack.pixel_digest


def test_a_character_is_a_pure_function_of_its_seed() -> None:
    recipe = Recipe.of(TINY)
    first, again, other = (render_character(recipe, seed) for seed in (5, 5, 6))
    assert pixel_digest(first.images) == pixel_digest(again.images) != pixel_digest(other.images)
    assert json.dumps(first.tags) == json.dumps(again.tags)
