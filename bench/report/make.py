"""Gathers tables, figures, pictures and records into a folder with one page."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from bench.data.pack import Pack
from bench.errors import DataError
from bench.files import read_json, write_bytes
from bench.generate import all_test_pairs, to_uint8
from bench.pose.joints import with_detected_joints
from bench.progress import SilentReporter
from bench.records import INTERVALS, Record, comparable, joints_of, read_records
from bench.report.folder import check_target, new_report
from bench.tables.table1 import BASELINES
from bench.trial import Trial
from bench.verify import Damaged, images_of, pack_of
from methods.pose import stick_figure

TABLES = ("table1", "table2", "table3", "table4", "claims", "difficulty", "joints")
GIVEN = ("Source", "Target pose", "Ground truth")
"""Rows of a character's sheet before those of the methods."""


USUAL = Trial()
"""Test characters of the training data, with exact joints."""


@dataclass(frozen=True)
class Report:
    """What was written, and which rows have no pictures, with the reason."""

    page: Path
    without_pictures: Mapping[str, str]
    damaged: tuple[str, ...]  # those of them whose pictures are in the store, but damaged


def make_report(
    results: Path, preset: str, store: Path, out: Path, folders: Sequence[Path] = (), trial: Trial = USUAL
) -> Report:
    """Write `out`/index.html with the tables, figures, records and, where the store holds them, pictures of a preset.

    Every picture of a character is one sheet: a row a method, a column a pose. `folders` hold data that are not in the
    store. All of it is of one trial. Raises UsageError for an `out` that holds anything but an earlier report, and
    DataError where there are no records.
    """
    target = out.resolve()  # "." has no name, and a link is not to be replaced
    check_target(target)
    folder = results / preset
    records, others = comparable(trial.scores_in(read_records(folder / "records")))
    records.sort(key=_order)
    if not records:
        raise DataError(
            f"{folder / 'records'} holds no records of this data with {trial.joints} joints; make them with "
            f"`bench table1 --preset {preset}{'' if trial.joints == 'exact' else f' --joints {trial.joints}'}`"
        )
    with new_report(target) as building:
        (building / "figures").mkdir()
        figures = sorted(trial.figures(results, preset).glob("*.png"))
        for figure in figures:
            shutil.copyfile(figure, building / "figures" / figure.name)
            if figure.with_suffix(".pdf").exists():
                shutil.copyfile(figure.with_suffix(".pdf"), building / "figures" / f"{figure.stem}.pdf")
        browser, without = _browser(records, store, building, folders)
        reasons = {name: str(error) for name, error in without.items()}
        page = _template().render(
            preset=preset,
            first=records[0],
            joints=joints_of(records[0]),
            # written by Table.to_html, which escapes what it is given
            tables=[Markup(path.read_text(encoding="utf-8")) for path in _tables(folder, trial.suffix)],
            figures=[{"name": f.stem, "title": _title(f.stem), "pdf": f.with_suffix(".pdf").exists()} for f in figures],
            browser=browser,
            # "<" could end the script element that holds it
            browser_json=Markup(json.dumps(browser, ensure_ascii=False).replace("<", "\\u003c")),
            records=records,
            without=reasons,
            others=others,
        )
        write_bytes(building / "index.html", page.encode())
    damaged = tuple(name for name, error in without.items() if isinstance(error, Damaged))
    return Report(out / "index.html", reasons, damaged)


def _order(record: Record) -> tuple[Any, ...]:
    """Methods as the paper lists them, others after, floors last."""
    names = [*BASELINES, "ours"]
    method = str(record.cell["method"])
    place = names.index(method) if method in names else len(names)
    return record.kind != "method", place, record.cell["variant"], record.cell["shots"], record.title


def _tables(folder: Path, suffix: str) -> list[Path]:
    return [path for name in TABLES if (path := folder / f"{name}{suffix}.html").exists()]


def _title(stem: str) -> str:
    """`figure06-methods` -> `Figure 6: methods`."""
    head, _, rest = stem.partition("-")
    number = head.removeprefix("figure")
    if rest and number.isdigit():
        return f"Figure {int(number)}: {rest.replace('-', ' ')}"
    return stem.replace("-", " ").capitalize()


def _template() -> Any:
    loader = PackageLoader("bench.report", "templates")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.get_template("report.html.jinja")


def _browser(
    records: Sequence[Record], store: Path, out: Path, folders: Sequence[Path]
) -> tuple[dict[str, Any] | None, dict[str, Exception]]:
    """Sheets of pictures by character with what the page must know of them, and the rows that have none with why."""
    drawn: list[tuple[Record, NDArray[np.uint8], dict[int, int]]] = []
    without: dict[str, Exception] = {}
    for record in records:
        if record.cell["method"] == "truth":
            continue  # the ground truth has its own row
        try:
            folder = images_of(record, store)
            where = {int(frame): i for i, frame in enumerate(read_json(folder / "frames.json"))}
            drawn.append((record, np.load(folder / "images.npy", mmap_mode="r"), where))
        except (DataError, OSError, ValueError) as error:
            without[_name(record)] = error
    if not drawn:
        return None, without
    pack = pack_of(drawn[0][0], store, folders)
    if drawn[0][0].joints != "exact":  # the poses that the rows were given
        with SilentReporter().task("") as task:
            pack = with_detected_joints(pack, store, task)
    characters = []
    for pairs in all_test_pairs(pack):
        name = pack.names[pack.character[pairs.source]]
        targets = [int(frame) for frame in pairs.targets]
        rows = [
            np.repeat(np.asarray(pack.rgb[[pairs.source]]), len(targets), axis=0),
            to_uint8(stick_figure(pack.keypoints_of(targets), pack.image_size)),
            np.asarray(pack.rgb[targets]),
            *(np.stack([images[where[frame]] for frame in targets]) for _, images, where in drawn),
        ]
        sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
        file = io.BytesIO()
        Image.fromarray(sheet).save(file, "PNG", optimize=True)
        write_bytes(out / "sheets" / f"{name}.png", file.getvalue())
        characters.append(
            {
                "name": name,
                "sheet": f"sheets/{name}.png",
                "poses": [_pose_name(pack, frame) for frame in targets],
                "scores": [{m: r.per_character[name][m] for m in INTERVALS if r.has(m)} for r, _, _ in drawn],
            }
        )
    rows_of = [*GIVEN, *(_name(record) for record, _, _ in drawn)]
    shown = [*(True for _ in GIVEN), *(record.kind == "method" for record, _, _ in drawn)]
    return {"size": pack.image_size, "rows": rows_of, "shown": shown, "characters": characters}, without


def _name(record: Record) -> str:
    return record.title if record.kind == "floor" else f"{record.title}, seed {record.cell['seed']}"


def _pose_name(pack: Pack, frame: int) -> str:
    from bench.data.layout import CLIPS, VIEWS

    if pack.view[frame] >= 0:
        return f"{VIEWS[pack.view[frame]]} view"
    return f"clip {CLIPS[pack.clip[frame]]}, frame {frame}"
