"""A bundle of records, tables and figures in one zip that says how to check it."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bench.errors import DataError, UsageError
from bench.files import read_json, write_bytes
from bench.records import Record, read_record
from bench.verify import images_of, pack_of

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold: the same content gives the same bytes
WRITTEN = (".md", ".tex", ".csv", ".json", ".png", ".pdf", ".html")
README = """\
Records, tables and figures of anime-pose-bench, preset {preset}.

records/   one JSON file a scored row: scores, intervals, scores per character, settings, data digest, hashes of the
           weights used, hardware, library versions, seconds, commit and command
tables, figures   what `bench` printed from these records
{images}SHA256SUMS   `sha256sum --check SHA256SUMS` checks every file

To print the verdicts again: put records/ under results/{preset}/ of a clone and run `bench claims --preset {preset}`.
To recompute the scores: run the command that a record names, then `bench verify`.

Rows, by record:
{rows}
"""


def export(
    results: Path,
    preset: str,
    out: Path,
    store: Path | None = None,
    force: bool = False,
    folders: Sequence[Path] = (),
) -> list[str]:
    """Write the bundle of a preset to `out` and return the names in it.

    With a `store`, also the images of every record as PNG, in a folder of the record's file name; `folders` hold data
    that are not in it. Raises UsageError for a file that is there already unless `force`, and DataError where there is
    nothing to export or images are missing.
    """
    if out.exists() and not force:
        raise UsageError(f"{out} is there already; --force replaces it")
    if out.suffix != ".zip":
        raise UsageError(f"--out {out}: give a name that ends in .zip")
    folder = results / preset
    records = {path.stem: read_record(path) for path in sorted((folder / "records").glob("*.json"))}
    if not records:
        raise DataError(f"{folder / 'records'} holds no records; make them with `bench table1`")
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in WRITTEN and path.is_file() and not _is_report(path.relative_to(folder))
    }
    if store is not None:
        for name, record in records.items():
            files |= _pictures(name, record, store, folders)
    said = "images/    what every row drew, by record, character and frame\n" if store is not None else ""
    rows = "\n".join(
        f"{name}: {r.title} (seed {r.cell['seed']}{r.trial}), made by: {r.command}" for name, r in records.items()
    )
    files["README.txt"] = README.format(preset=preset, images=said, rows=rows).encode()
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    files["SHA256SUMS"] = sums.encode()
    write_bytes(out, _zip(files))
    return sorted(files)


def _is_report(path: Path) -> bool:
    """Whether a file is of a static report, `report`, `report-…` or one being built, which holds copies of all else."""
    return path.parts[0].removeprefix(".").startswith("report")


def _pictures(name: str, record: Record, store: Path, folders: Sequence[Path]) -> Mapping[str, bytes]:
    """PNGs of a record by their path in the bundle; `name` is of its file, since two records may have one title."""
    folder, pack = images_of(record, store), pack_of(record, store, folders)
    images, frames = np.load(folder / "images.npy", mmap_mode="r"), read_json(folder / "frames.json")
    found = {}
    for image, frame in zip(images, frames, strict=True):
        file = io.BytesIO()
        Image.fromarray(np.asarray(image)).save(file, "PNG")
        found[f"images/{name}/{pack.names[pack.character[frame]]}/{frame:05}.png"] = file.getvalue()
    return found


def _zip(files: Mapping[str, bytes]) -> bytes:
    """Sorted, without dates: the same files give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as bundle:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, files[name])
    return packed.getvalue()


__all__: Sequence[str] = ("export",)
