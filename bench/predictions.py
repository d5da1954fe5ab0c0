"""Pictures made elsewhere, scored as one more row: what to draw, reading it, scoring it.

A closed system or a model of another kind needs no method here: it draws what `write_template` asks for.
"""

from __future__ import annotations

import csv
import hashlib
import io
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bench.build import pick_device
from bench.cells import Stages, Workplace, extractor_identity, record_path, score_stage
from bench.data.pack import Pack, link_pack
from bench.errors import DataError, UsageError
from bench.files import write_bytes, write_json
from bench.generate import all_test_pairs, store_images, to_uint8
from bench.records import Record, read_record, write_record
from bench.run import make_record, score_images
from bench.source import source_hash
from bench.spec import Cell
from bench.store import Stage
from methods.pose import stick_figure

MAX_SIDE = 4096  # pixels; a larger picture is refused before it is unpacked
MAX_FAULTS = 20  # printed; the rest is counted
CODE = ("bench.data.pixels", "bench.data.support")
"""What decides which frames are asked for and compared."""


def expected_files(pack: Pack) -> dict[str, int]:
    """`character/pose-NNN.png` -> frame of the pack, for every picture a row needs, in order."""
    return {
        f"{pack.names[pack.character[pairs.source]]}/pose-{number:03}.png": int(frame)
        for pairs in all_test_pairs(pack)
        for number, frame in enumerate(pairs.targets)
    }


def write_template(pack: Pack, folder: Path) -> int:
    """What to draw: sources, target poses as pictures and as keypoints, and the names of the files wanted.

    <folder>/<character>/source.png, source.json, pose-NNN.json (COCO 17 × [x, y, visibility]), pose-NNN.stick.png,
    and wanted.csv. Returns the number of pictures wanted; raises UsageError for a folder that holds anything.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name a new folder for the template")
    for pairs in all_test_pairs(pack):
        home = folder / pack.names[pack.character[pairs.source]]
        _write_png(home / "source.png", np.asarray(pack.rgb[pairs.source]))
        write_json(home / "source.json", pack.keypoints[pairs.source].tolist())
        sticks = to_uint8(stick_figure(pack.keypoints_of(pairs.targets), pack.image_size))
        for number, (frame, stick) in enumerate(zip(pairs.targets, sticks, strict=True)):
            write_json(home / f"pose-{number:03}.json", pack.keypoints[frame].tolist())
            _write_png(home / f"pose-{number:03}.stick.png", stick)
    wanted = expected_files(pack)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(
        [("file", "source", "pose"), *((n, f"{n.split('/')[0]}/source.png", f"{n[:-4]}.json") for n in wanted)]
    )
    write_bytes(folder / "wanted.csv", text.getvalue().encode())
    return len(wanted)


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    write_bytes(path, file.getvalue())


def read_predictions(folder: Path, pack: Pack, resize: bool = False) -> NDArray[np.uint8]:
    """The pictures of `folder`, uint8 [N, H, W, 3] in the order of `expected_files`; alpha is laid on white.

    `resize` brings other sizes to the data's by area averaging. Raises DataError with every fault: missing and
    unreadable files, wrong sizes, pictures nobody asked for.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; `bench import-predictions --template DIR` says what to put there")
    wanted, faults, images = expected_files(pack), [], []
    for name in wanted:
        try:
            images.append(_read_png(folder / name, pack.image_size, resize))
        except DataError as error:
            faults.append(f"{name}: {error}")
    # what the template itself wrote may lie beside the pictures
    ours = ("source.png",)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    strange = {n for n in found - set(wanted) if not n.endswith((".stick.png", *ours))}
    faults += [f"{name}: not asked for" for name in sorted(strange)]
    if faults:
        more = f"\n… and {len(faults) - MAX_FAULTS} more" if len(faults) > MAX_FAULTS else ""
        raise DataError(f"{len(faults)} faults in {folder}:\n" + "\n".join(faults[:MAX_FAULTS]) + more)
    return np.stack(images)


def _read_png(path: Path, size: int, resize: bool) -> NDArray[np.uint8]:
    if not path.is_file():
        raise DataError("missing")
    try:
        with Image.open(path) as opened:
            if max(opened.size) > MAX_SIDE:
                raise DataError(f"{opened.width} × {opened.height} px; at most {MAX_SIDE} a side")
            picture = opened.convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot be read ({error})") from error
    if picture.size != (size, size):
        if not resize:
            raise DataError(
                f"{picture.width} × {picture.height} px instead of {size} × {size}; --resize would scale it"
            )
        if picture.width != picture.height:
            raise DataError(f"{picture.width} × {picture.height} px is not square")
    white = Image.new("RGBA", picture.size, "white")
    flat = Image.alpha_composite(white, picture).convert("RGB")
    if flat.size != (size, size):
        flat = flat.resize((size, size), Image.Resampling.BOX)
    return np.asarray(flat)


def import_predictions(
    name: str,
    images: NDArray[np.uint8],
    pack: Pack,
    preset: str,
    place: Workplace,
    extractor: str,
    device: str,
    note: str,
    tested: Pack | None = None,
) -> Record:
    """Score pictures made elsewhere and write their record, `results/<preset>/records/imported_<name>….json`.

    They are of the test characters of `pack`, the data that methods are trained on, or of a second data set, `tested`.
    Raises UsageError, before anything is written, where the record of another title has that file.
    """
    slug = "".join(c if c.isalnum() else "_" for c in name).strip("_").lower()
    if not slug:
        raise UsageError(f"--name '{name}': give letters or digits")
    drawn_of = tested or pack
    cell = Cell(f"imported:{slug}", preset, label=name, device=device, extractor=extractor)
    identity = {"imported": hashlib.sha256(images.tobytes()).hexdigest(), "data": drawn_of.digest}
    drawn = Stage(place.store, "generate", f"imported-{slug}-{preset}", identity, source_hash(CODE))
    frames = list(expected_files(drawn_of).values())
    scored = score_stage(place.store, drawn, extractor_identity(extractor))
    plan = Stages(cell, None, None, None, drawn, scored, None, None, tested)
    path = record_path(plan, place.results)
    _refuse_taken_name(name, path)
    where = pick_device(device)
    made = drawn.run(lambda folder: store_images(folder, [images], frames))
    notes = ["Pictures made elsewhere; its training, its time and what it saw are not known here"]
    if tested is not None:
        link_pack(tested, place.store)  # for whoever looks at the record later
    summary = score_images(plan, drawn_of, where, place)
    record = make_record(
        cell, plan, pack, {"notes": notes + ([note] if note else [])}, None, made, summary, where, place
    )
    write_record(path, record)
    return record


def _refuse_taken_name(name: str, path: Path) -> None:
    """Names that differ in signs and case only, as "GPT 4+" and "gpt-4" do, are one file name."""
    with suppress(DataError):  # none is there, or none that can be read
        taken = read_record(path).title
        if taken != name:
            raise UsageError(
                f"--name '{name}': {path} holds '{taken}', which this would replace; give another --name, or remove "
                "that file first"
            )
