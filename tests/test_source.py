"""A hash of code that changes with what the code does and not with how it is explained."""

from pathlib import Path

import pytest

import bench.source
from bench.cells import FLOOR_CODE, GENERATE_CODE, SCORE_CODE, TRAIN_CODE
from bench.source import SAME_RESULTS, _code_tokens, file_hash, method_modules, source_hash

ROOT = Path(__file__).parent.parent


def test_comments_docstrings_and_layout_do_not_count() -> None:
    terse = "def f(x):\n    return x + 1\n"
    wordy = '"""Module."""\n\n\ndef f(x):  # adds\n    """Add one."""\n\n    return (x\n        + 1)\n'
    assert _code_tokens(terse) != _code_tokens(wordy)  # the parentheses are code
    assert _code_tokens(terse) == _code_tokens(wordy.replace("(x\n        + 1)", "x + 1"))


def test_a_changed_number_a_changed_string_and_a_changed_block_count() -> None:
    base = 'def f(x):\n    y = "a"\n    if x:\n        y = 1\n    return y\n'
    hashes = {
        _code_tokens(text)
        for text in (
            base,
            base.replace("y = 1", "y = 2"),
            base.replace('"a"', '"b"'),
            base.replace("    return y", "        return y"),
        )
    }
    assert len(hashes) == 4


def test_a_method_depends_on_what_it_imports_and_not_on_its_neighbours() -> None:
    modules = method_modules("baselines.pix2pix")
    assert "methods.pose" in modules and "methods.interface" in modules
    assert not any(name.startswith(("baselines.pg2", "ours", "bench")) for name in modules)
    assert "methods" not in modules, "listing one more method must change no result"


def test_the_hash_is_of_the_set_of_modules() -> None:
    assert source_hash(["bench.seeds", "bench.files"]) == source_hash(["bench.files", "bench.seeds"])
    assert source_hash(["bench.seeds"]) != source_hash(["bench.files"])


def test_code_that_is_said_to_give_the_same_results_is_the_code_that_is_there() -> None:
    files = (
        *(
            "bench/build.py",
            "bench/train.py",
            "bench/generate.py",
            "bench/score.py",
            "bench/metrics/lpips.py",
            "bench/pose/joints.py",
            "methods/finetune.py",
        ),
        *("bench/seeds.py", "bench/data/pixels.py"),
        *(f"bench/ranks/{name}.py" for name in ("step", "noise", "statistics")),
        *("bench/data/recipe.py", "bench/data/avatars/export.py"),
        *(
            "ours/method.py",
            "methods/pose.py",
            "methods/pose_gan.py",
            "methods/pose_gan_networks.py",
            "methods/recompute.py",
        ),
        *(f"baselines/{name}.py" for name in ("dptn", "pg2", "pix2pix", "xinggan")),
    )
    assert set(SAME_RESULTS) == {file_hash(ROOT / file) for file in files}


@pytest.mark.parametrize("module", ["bench/seeds.py", "bench/data/pixels.py", "bench/ranks/noise.py"])
def test_another_seed_or_scale_of_pixels_makes_another_key(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, names = (ROOT / module).resolve(), (TRAIN_CODE, GENERATE_CODE, FLOOR_CODE, SCORE_CODE)
    before = [source_hash(code) for code in names]
    monkeypatch.setattr(
        bench.source, "file_hash", lambda path: "changed" if path.resolve() == file else file_hash(path)
    )
    changed = [old != source_hash(code) for old, code in zip(before, names, strict=True)]
    assert changed == ([True] * 4 if "ranks" not in module else [True, False, False, False])


def written(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("method", "files"),
    [
        ("m1", {"m1.py": "from beside1 import SCALE", "beside1.py": "SCALE = 1"}),
        ("m2", {"m2.py": "import beside2", "beside2.py": "from deep2.er import SCALE", "deep2/er.py": "SCALE = 1"}),
        ("p3.m", {"p3/m.py": "from .consts import SCALE", "p3/consts.py": "SCALE = 1"}),
        ("p4.a.m", {"p4/a/m.py": "from ..consts import SCALE", "p4/consts.py": "SCALE = 1"}),
        ("p5.m", {"p5/m.py": "from . import consts", "p5/consts.py": "SCALE = 1"}),
        ("p6.m", {"p6/m.py": "from p6 import SCALE", "p6/__init__.py": "SCALE = 1"}),
        ("p7.a.m", {"p7/a/m.py": "from . import b", "p7/a/b.py": "", "p7/__init__.py": "SCALE = 1"}),
        ("p8", {"p8/__init__.py": "from .consts import SCALE", "p8/consts.py": "SCALE = 1"}),
        ("m9", {"m9.py": "def f():\n    from beside9 import SCALE", "beside9.py": "SCALE = 1"}),
    ],
)
def test_a_method_of_ones_own_is_all_of_its_files(
    method: str, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, {name: f"{text}\n" for name, text in files.items()})
    monkeypatch.syspath_prepend(str(tmp_path))
    before = source_hash(method_modules(method))
    (scale,) = (name for name, text in files.items() if "SCALE = 1" in text)
    (tmp_path / scale).write_text("SCALE = 2\n")
    bench.source.file_hash.cache_clear()
    assert source_hash(method_modules(method)) != before


def test_what_is_installed_or_pythons_own_is_no_part_of_a_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports = (
        "import json, torch.nn, bench.train, not_there, built_in_c\nfrom numpy import random\nfrom methods import pose"
    )
    written(tmp_path, {"alone.py": imports + "\n", "built_in_c.so": "", "site-packages/installed.py": "X = 1\n"})
    written(tmp_path, {"alone.py": imports + "\nimport installed\n"})
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = method_modules("alone")
    assert "alone" in found and "methods.pose" in found
    assert all(name == "alone" or name.startswith("methods.") for name in found), found
