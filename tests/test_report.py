"""The report: whole, self-contained, escaped, and alive in a browser where there is one."""

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import bench.cells
import bench.metrics.features
import bench.predictions
import bench.run
from bench.cells import Workplace, data_pack
from bench.cli import app
from bench.data.pack import Pack
from bench.errors import DataError, Stopped, UsageError
from bench.predictions import expected_files, import_predictions
from bench.presets import preset
from bench.progress import SilentReporter
from bench.report import make_report
from bench.report.folder import new_report
from bench.run import run_cell
from bench.spec import Cell
from bench.tables import table1
from tests.test_run import MeanColours, spoil

TITLE = "<b>Mine</b> & co"
VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """Tags in balance, links, and the text outside scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.without_alt = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [given[name] or "" for name in ("src", "href") if name in given]
        self.without_alt += tag == "img" and not given.get("alt")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Workplace, Pack]:
    """A report of two floors and one imported row with a hostile name."""
    root = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        identity = {"name": MeanColours.name, "sha256": MeanColours.sha256}
        for module in (bench.cells, bench.predictions):
            patch.setattr(module, "extractor_identity", lambda name: identity)
        patch.setattr(bench.cells, "lpips_identity", lambda: None)
        patch.setattr(bench.metrics.features, "Extractor", MeanColours)
        place = Workplace(root / "store", root / "results", SilentReporter(), workers=1)
        pack = data_pack(preset("smoke"), place)
        records = [run_cell(Cell(name, "smoke", device="cpu"), place) for name in ("copy-source", "white")]
        grey = np.full((len(expected_files(pack)), 64, 64, 3), 99, np.uint8)
        records.append(
            import_predictions(TITLE, grey, pack, "smoke", place, "auto", "cpu", "</script><script>alert(1)")
        )
        table1(records).write(place.results / "smoke" / "table1")
        (place.results / "smoke" / "figures").mkdir()
        Image.new("RGB", (4, 4)).save(place.results / "smoke" / "figures" / "figure06-methods.png")
    report = make_report(place.results, "smoke", place.store, root / "out")
    assert not report.without_pictures
    return report.page, place, pack


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_the_page_is_balanced_and_every_link_leads_to_a_file_beside_it(made: tuple[Path, Workplace, Pack]) -> None:
    page = read(made[0])
    assert page.open == [] and page.without_alt == 0
    assert page.links
    for link in page.links:
        assert not re.match(r"[a-z]+:|//", link), f"{link} would leave the disk"
        assert link.startswith("#") or (made[0].parent / link).is_file()
    assert "Figure 6: methods" in page.text and "Table 1" in page.text


def test_a_hostile_title_is_text(made: tuple[Path, Workplace, Pack]) -> None:
    source = made[0].read_text(encoding="utf-8")
    assert TITLE in read(made[0]).text and TITLE not in source
    assert "</script><script>alert" not in source


def test_a_sheet_holds_a_row_a_method_and_a_column_a_pose(made: tuple[Path, Workplace, Pack]) -> None:
    page, _, pack = made
    sheet = np.asarray(Image.open(page.parent / "sheets" / "c2000000.png").convert("RGB"))
    source = int(pack.characters("test")[0])
    frames = pack.frames_of(source)
    assert sheet.shape == (6 * 64, 7 * 64, 3), "source, pose, truth, mine and two floors; seven poses"
    assert np.array_equal(sheet[:64, :64], pack.rgb[frames[0]])
    assert np.array_equal(sheet[2 * 64 : 3 * 64, 6 * 64 :], pack.rgb[frames[-1]]), "ground truth of the last pose"
    assert (sheet[3 * 64 : 4 * 64] == 99).all(), "methods come before floors"


def test_rows_without_pictures_are_named_and_the_rest_is_made(
    made: tuple[Path, Workplace, Pack], tmp_path: Path
) -> None:
    _, place, _ = made
    report = make_report(place.results, "smoke", tmp_path / "empty", tmp_path / "out")
    assert len(report.without_pictures) == 3
    assert "make them again with" in read(report.page).text
    with pytest.raises(DataError, match="no records"):
        make_report(tmp_path, "smoke", place.store, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("foreign", ["notes.md", "index.html", "report.json", "figures/mine.png"])
def test_a_folder_that_holds_anything_but_a_report_is_refused_before_any_work(tmp_path: Path, foreign: str) -> None:
    (tmp_path / foreign).parent.mkdir(exist_ok=True)
    (tmp_path / foreign).write_text('<!doctype html>{"files": ["report.json"]}')
    with pytest.raises(UsageError, match=r"holds .* of no report .* give --out a new or an empty folder") as refused:
        make_report(tmp_path / "no-records", "smoke", tmp_path / "store", tmp_path)
    assert refused.value.exit_code == 2
    assert list(everything(tmp_path)) == [foreign]


@pytest.mark.parametrize("marked", [True, False])
def test_a_report_replaces_an_earlier_one_alone(
    made: tuple[Path, Workplace, Pack], tmp_path: Path, marked: bool
) -> None:
    """Those of before there was a mark are known by what they hold."""
    page, place, _ = made
    out = tmp_path / "out"
    shutil.copytree(page.parent, out)
    if not marked:
        (out / "report.json").unlink()
    (out / ".DS_Store").touch()
    (out / "sheets" / "c2000000.png").write_text("old")
    make_report(place.results, "smoke", place.store, out)
    assert everything(out) == everything(page.parent)
    for name in ("notes.md", "sheets/notes.md", "sheets/notes"):
        shutil.rmtree(tmp_path)
        shutil.copytree(page.parent, out)
        if not marked:
            (out / "report.json").unlink()
        (out / name).mkdir() if name == "sheets/notes" else (out / name).write_text("mine")
        with pytest.raises(UsageError, match=f"holds {name}, which is of no report"):
            make_report(place.results, "smoke", place.store, out)
        assert (out / name).exists()


def test_a_report_goes_to_the_working_folder_and_through_a_link(
    made: tuple[Path, Workplace, Pack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, place, _ = made
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("here")
    monkeypatch.chdir(tmp_path / "here")
    make_report(place.results, "smoke", place.store, Path())
    assert everything(tmp_path / "here") == everything(page.parent)
    make_report(place.results, "smoke", place.store, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and everything(tmp_path / "here") == everything(page.parent)


@pytest.mark.parametrize("error", [OSError("disk"), Stopped()])
def test_the_report_before_stays_where_a_new_one_fails(
    made: tuple[Path, Workplace, Pack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    page, place, _ = made
    out = tmp_path / "out"
    shutil.copytree(page.parent, out)

    def fails(*_: object) -> None:
        raise error

    for name, broken in (("bench.report.make._template", fails), ("bench.report.folder._put", fails)):
        with monkeypatch.context() as patch, pytest.raises(type(error)):
            patch.setattr(name, broken)
            make_report(place.results, "smoke", place.store, out)
        assert everything(out) == everything(page.parent) and list(tmp_path.iterdir()) == [out]
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if target == out and path.name.count("old-") == 0:
            raise error  # between the old one's going aside and the new one's coming in
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(type(error)):
        make_report(place.results, "smoke", place.store, out)
    assert everything(out) == everything(page.parent) and list(tmp_path.iterdir()) == [out]


def test_what_came_to_the_place_of_a_report_while_it_was_made_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"holds notes\.md"), new_report(out):
        out.mkdir()
        (out / "notes.md").write_text("mine")
    assert everything(tmp_path) == {"out/notes.md": b"mine"}


def test_reports_made_at_once_do_not_share_a_folder(tmp_path: Path) -> None:
    """The last to be ready stays, whole."""
    out = tmp_path / "out"

    def make(number: int) -> None:
        for _ in range(20):
            with new_report(out) as building:
                assert not list(building.iterdir())
                for name in ("a", "b", "c"):
                    (building / name).write_text(str(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))
    assert list(tmp_path.iterdir()) == [out]
    assert len({(out / name).read_text() for name in ("a", "b", "c")}) == 1


def test_pictures_that_were_damaged_are_not_shown_and_the_rest_is(
    made: tuple[Path, Workplace, Pack], tmp_path: Path
) -> None:
    _, place, _ = made
    (file,) = (place.store / "generate").glob("white-*/images.npy")
    options = ["--preset", "smoke", "--store", str(place.store), "--results", str(place.results)]
    spoil(file, -5)
    try:
        done = CliRunner().invoke(app, ["report", *options, "--out", str(tmp_path / "out"), "-q"])
    finally:
        spoil(file, -5)
    assert isinstance(done.exception, DataError) and done.exception.exit_code == 3
    for words in ("'White image': ", f"{file} is damaged", f"delete the folder {file.parent} and run the same command"):
        assert words in str(done.exception)
    assert "1 rows without pictures" in read(tmp_path / "out" / "index.html").text
    with Image.open(tmp_path / "out" / "sheets" / "c2000000.png") as sheet:
        assert sheet.height == 5 * 64, "source, pose, truth, mine and the other floor"


@pytest.mark.skipif("BENCH_BROWSER" not in os.environ, reason="BENCH_BROWSER names no Chromium to open the report in")
def test_the_page_shows_its_pictures_in_a_browser(made: tuple[Path, Workplace, Pack]) -> None:
    """Needs `pip install playwright` too; its own browser is not wanted."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        flags = ["--no-sandbox", "--no-zygote", "--single-process"]
        window = engine.chromium.launch(executable_path=os.environ["BENCH_BROWSER"], args=flags)
        page = window.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(made[0].as_uri())
        assert page.locator(".picture").count() == 4, "the given three and the one method; floors wait to be chosen"
        page.locator("#pictures").press("ArrowRight")
        assert page.locator("#pose-name").inner_text() == "left view"
        page.locator("#pictures").press("ArrowDown")
        assert page.locator("#character").input_value() == "1"
        page.locator("input.row").first.uncheck()
        assert page.locator(".picture").count() == 3
        assert all(url.startswith("file:") for url in asked)
        window.close()
