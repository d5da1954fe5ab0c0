"""The command line: quick help, and errors that end in one line, a fix and a documented exit code."""

import errno
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.cli import main
from bench.cli.shared import check_folder
from bench.errors import Stopped, UsageError
from bench.records import write_record
from tests.made_records import everything, made_up


def bench(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parent.parent
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from bench.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, str(root), *arguments], capture_output=True, text=True, cwd=cwd
    )


def test_help_imports_no_torch_and_lists_the_commands() -> None:
    program = "import sys; from bench import cli; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
    done = bench("--help")
    assert done.returncode == 0
    for command in ("table1", "run", "ablate", "sweep", "methods", "inspect", "plan", "store", "data"):
        assert command in done.stdout


def test_a_trained_model_is_read_without_matplotlib() -> None:
    needs = "bench.illustrate.pictures, bench.transfer.make, bench.page.serve"
    program = f"import sys, {needs}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0, "bench transfer and page would wait for it"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "--method", "pant"), 2, "did you mean 'patn'?"),
        (("run", "--method", "ours", "--preset", "quik"), 2, "did you mean 'quick'?"),
        (("run", "--method", "ours", "--shots", "0"), 2, "--shots must be at least 1"),
        (("run", "--method", "ours", "--variant", "mls"), 2, "did you mean 'msl'?"),
        (("run", "--method", "pix2pix", "--msl"), 2, "no variant 'msl'"),
        (("run", "--method", "ours", "--adapt", "lr=x"), 2, "lr=0.01,passes=5"),
        (("run", "--method", "ours", "--adapt", "lr=nan,passes=5"), 2, "lr=0.01,passes=5"),
        (("run", "--method", "ours", "--adapt", "lr=inf,passes=5"), 2, "lr=0.01,passes=5"),
        (("run", "--method", "ours", "--data", "nowhere"), 2, "no such folder; make one with `bench data import`"),
        (("table1", "--data", "."), 2, "--data .: no data set that can be used is there; make one with"),
        (("run", "--method", "no_such_module:Class", "--preset", "smoke"), 2, "cannot import"),
        (("run", "--method", "ours", "--device", "cuda", "--preset", "smoke"), 6, "use --device cpu"),
        (("sweep", "--shots", "1,x"), 2, "whole numbers"),
        (("plan", "table9"), 2, "unknown table 'table9'"),
        (("data", "check", "nowhere"), 2, "no such folder"),
        (("check-method", "pix2px"), 2, "did you mean 'pix2pix'?"),
    ],
)
def test_wrong_input_ends_in_one_line_that_names_the_fix(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    import torch

    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("this machine has the GPU that the test asks for in vain")
    done = bench(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, "one line, no traceback"
    assert not any(tmp_path.iterdir()), "nothing is left behind"


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """Exit code and stderr of a command in this process, which has torch already; on stdout nothing."""
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as exit_of:
        main()
    said = capsys.readouterr()
    assert not said.out and "Traceback" not in said.err
    return exit_of.value.code, said.err


@pytest.mark.parametrize(
    "command",
    [
        *(("run", "--method", "ours", "--preset", "smoke"), ("table1", "--preset", "smoke"), ("plan", "table1")),
        *(("time",), ("speed", "--quick"), ("figures",), ("verify",), ("export",), ("data", "make"), ("report",)),
    ],
)
def test_a_place_that_is_no_folder_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "a-file"
    file.touch()
    (tmp_path / "nowhere").symlink_to("gone")
    options = ["--results"] if "speed" in command else ["--results", "--store"]
    for option in options:
        for place in (
            file,
            file / "below",
            tmp_path / "nowhere",
            *([Path("/proc/x")] if Path("/proc/self").exists() else []),
        ):
            code, said = refusal(monkeypatch, capsys, *command, option, str(place))
            assert code == 2 and f"{option} {place}: " in said and "name a folder" in said
            assert len(said.splitlines()) == 1
    if "speed" not in command:
        monkeypatch.setenv("BENCH_STORE", str(file))
        code, said = refusal(monkeypatch, capsys, *command)
        assert code == 2 and f"BENCH_STORE {file}: " in said
    assert {path.name for path in tmp_path.iterdir()} == {"a-file", "nowhere"}, "looking leaves no trace"


def test_a_results_folder_that_takes_no_files_is_refused_where_it_is_written_and_not_where_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    with pytest.raises(UsageError, match=f"--results {tmp_path}: nothing can be written in .*Permission denied"):
        check_folder("--results", tmp_path)
    check_folder("--results", tmp_path, written=False)
    with pytest.raises(UsageError, match="nothing can be written"):
        check_folder("--results", tmp_path / "new", written=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--method", "ours", "--workers", "0"), "--workers"),
        (("table1", "--workers", "-3"), "--workers"),
        (("data", "render", "--avatars", ".", "--out", "x", "--workers", "0"), "--workers"),
        (("time", "--methods", ","), "--methods ',' names nothing"),
        (("time", "--variants", ""), "--variants '' names nothing"),
        (("time", "--seconds", "nan", "--preset", "smoke"), "--seconds must be a number from 0, not nan"),
        (("time", "--lr", "nan", "--preset", "smoke"), "--lr above 0"),
        (("table1", "--also", ",", "--preset", "smoke"), "--also ',' names nothing"),
        (("figures", "--only", " , ", "--preset", "smoke"), "--only ' , ' names nothing"),
        (("plan", "table1", "--gpus", ",", "--preset", "smoke"), "--gpus ',': give whole numbers"),
    ],
)
def test_a_value_that_means_nothing_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = refusal(monkeypatch, capsys, *arguments)
    assert code == 2 and words in said and not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", [("plan", "table1"), ("run", "--method", "ours", "--dry-run")])
def test_a_plan_that_a_signal_stops_promises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    def stopped(*_: object) -> None:
        raise Stopped

    monkeypatch.setattr("bench.plan.plan", stopped)
    monkeypatch.chdir(tmp_path)
    code, said = refusal(monkeypatch, capsys, *command, "--preset", "smoke")
    assert code == 75 and said == "bench: interrupted before the plan was made; nothing has been run\n"


def test_a_file_that_the_system_refuses_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path / "quick" / "records" / "patn.json", made_up())
    (tmp_path / "quick" / "budget.md").mkdir()
    code, said = refusal(monkeypatch, capsys, "budget", "--results", str(tmp_path), "--store", str(tmp_path / "store"))
    assert code == 1
    assert f"{tmp_path / 'quick' / 'budget.md'}: Is a directory" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "a.json"), "bench: a.json: Permission denied\n"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a", None, "b"), "bench: a -> b: No such file\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a.json"), "bench: the disk is full: cannot write a.json."),
        (OSError(errno.EIO, "Input/output error"), None),
        (ConnectionResetError("gone"), None),
    ],
)
def test_only_what_is_of_a_file_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError, said: str | None
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr("bench.cli.app", fails)
    if said is None:
        with pytest.raises(type(error)):
            main()
        return
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == (8 if error.errno == errno.ENOSPC else 1)
    assert end.value.__context__ is error, "for who calls `main` from Python"
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_table_is_shown_where_its_signs_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    for number, record in enumerate(everything()):
        write_record(tmp_path / "quick" / "records" / f"{number}.json", record)
    shown = {}
    for name in ("stdout", "stderr"):
        shown[name] = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(sys, name, shown[name])
    monkeypatch.setattr(sys, "argv", ["bench", "claims", "--results", str(tmp_path), "--store", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    shown["stdout"].seek(0)
    assert "? fg-SSIM" in shown["stdout"].read(), "for Δ"
    assert "Δ fg-SSIM" in (tmp_path / "quick" / "claims.md").read_text(encoding="utf-8"), "files are in UTF-8"


def test_methods_are_listed_with_their_papers() -> None:
    done = bench("methods", "--json")
    assert done.returncode == 0
    names = [row["name"] for row in json.loads(done.stdout)]
    assert names == ["ours", "pix2pix", "pg2", "patn", "xinggan", "dptn"]


def test_an_empty_store_is_listed_as_empty(tmp_path: Path) -> None:
    done = bench("store", "ls", "--store", str(tmp_path / "none"))
    assert done.returncode == 0 and "0 stages" in done.stdout


def test_a_toml_file_equals_flags_and_flags_go_before_it(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('method = "ours"\nshots = 4\nmsl = true\npreset = "smoke"\ndry-run = true\njson = true\n')
    store = ("--store", str(tmp_path / "store"))
    flags = ("--method", "ours", "--msl", "--preset", "smoke", "--dry-run", "--json", *store)
    from_file = bench("run", "--file", str(file), *store)
    assert from_file.returncode == 0, from_file.stderr
    assert from_file.stdout == bench("run", *flags, "--shots", "4").stdout
    overridden = bench("run", "--file", str(file), "--shots", "10", *store)
    assert overridden.stdout == bench("run", *flags, "--shots", "10").stdout != from_file.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('methdo = "ours"', "did you mean 'method'?"),
        ("shots = [1, 4]", "single value"),
        ("shots = ", "Invalid value"),
        ('method = "ours"\nseed = "x"', "--seed"),
    ],
)
def test_a_wrong_toml_file_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    done = bench("run", "--file", str(file))
    assert done.returncode == 2 and words in done.stderr
