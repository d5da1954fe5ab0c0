"""A hash of code that changes with what the code does and not with how it is explained."""

from pathlib import Path

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
            "methods/finetune.py",
        ),
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
