"""The folder a report goes to: never over what is no report, and the one before stays until the new one is whole."""

from __future__ import annotations

import contextlib
import errno
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.errors import UsageError
from bench.files import read_json, write_json
from bench.store import UNREADABLE

MARK = "report.json"
"""Says that a folder is a report, and what it consists of."""
MADE_BY = "bench report of anime-pose-bench"
PAGE = ("<!doctype html>", "<title>Few-shot anime pose transfer, preset ")
"""How the page of every report begins and what its head holds, by which those without a mark are known."""
LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""What file managers leave in any folder that is looked at."""
TAKEN = (errno.ENOTEMPTY, errno.EEXIST)
"""What renaming a folder to a name says where a full one bears it."""


def check_target(out: Path) -> None:
    """Raises UsageError for a folder that holds anything and is no earlier report, or that cannot be replaced."""
    if not out.exists():
        return
    if out.is_mount():
        raise UsageError(f"{out} is a mount point and cannot be replaced; give a folder in it, --out {out / 'report'}")
    _refuse_foreign(out, out)


@contextlib.contextmanager
def new_report(out: Path) -> Iterator[Path]:
    """An empty folder to build a report in, which is marked and put in the place of `out` at the end.

    It is this call's own, beside `out`, and goes on any failure. Raises UsageError, and leaves `out` as it is, where
    that has become something else than a report meanwhile.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        building.chmod(0o755)  # mkdtemp lets nobody else read it
        yield building
        write_json(building / MARK, {"made_by": MADE_BY, "files": sorted(_names(building))})
        _put(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _put(building: Path, out: Path) -> None:
    """Rename `building` to `out`; what is there is first renamed aside, and last deleted."""
    for number in itertools.count():
        aside = building.with_name(f"{building.name}.old-{number}")
        with contextlib.suppress(FileNotFoundError):
            out.rename(aside)
        try:
            if aside.exists():
                _refuse_foreign(aside, out)
            building.rename(out)
        except BaseException as error:
            if isinstance(error, OSError) and error.errno in TAKEN:  # another call has just put its own there
                shutil.rmtree(aside, ignore_errors=True)
                continue
            if aside.exists():
                aside.rename(out)
            raise
        shutil.rmtree(aside, ignore_errors=True)
        return


def _refuse_foreign(folder: Path, out: Path) -> None:
    """Raises UsageError, which speaks of `out`, for a folder that holds anything that no report wrote."""
    held = sorted(path.name for path in folder.iterdir())
    written = _written(folder) | LITTER if held else set()
    # looked through only where there is a report: it may be somebody's home
    foreign = sorted((_names(folder) if written > LITTER else set(held)) - written)
    if foreign:
        raise UsageError(
            f"{out} holds {foreign[0]}, which is of no report and would be deleted; "
            "give --out a new or an empty folder, or move away what is in this one"
        )


def _written(folder: Path) -> set[str]:
    """The names in a folder that the report there consists of; none where there is no report."""
    try:
        mark = read_json(folder / MARK)
        return {MARK, *mark["files"]} if mark["made_by"] == MADE_BY else set()
    except FileNotFoundError:
        pass  # of before there was a mark, or no report
    except UNREADABLE:
        return set()
    try:
        page = (folder / "index.html").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return set()
    if not (page.startswith(PAGE[0]) and PAGE[1] in page.partition("</head>")[0]):
        return set()
    patterns = ("figures", "figures/*.png", "figures/*.pdf", "sheets", "sheets/*.png")
    found = (path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern))
    return {"index.html", *found}


def _names(folder: Path) -> set[str]:
    """Everything below a folder, folders too."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
