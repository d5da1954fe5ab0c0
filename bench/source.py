"""A hash of the code that determines a result, so that a result made by other code is named as stale.

Comments, docstrings and layout do not count: editing them keeps every stored result valid.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import sys
import tokenize
from collections.abc import Iterable
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

METHOD_PACKAGES = ("methods", "ours", "baselines")
INSTALLED = {"site-packages", "dist-packages"}

NOTHING = ""

SAME_RESULTS: dict[str, str] = {
    # Each of these gives the same bits as before to whatever went well before; compared over smoke cells of every
    # kind, weights, images and scores. bench/train.py: ranks can share a step (tests/test_ranks.py), and a signal
    # during the last checkpoint is not lost; losses come to the CPU together, and the log
    # has gradient norms; none is lost where a checkpoint cannot be written
    "4a832a113c264b8ac1c454d2bbda2498077d425ec7fcf8a6352004d7189ae527": (
        "27cc69c0ce93f5d84ea2f893e79f94aade61502c314b273086084c8efa02520a"
    ),
    # bench/build.py: whatever somebody's own module raises is said in one line; OMP_NUM_THREADS may be a list; GPUs
    # round as told
    "1ca6b82c3e8c856587599ed656c34fb80cfe4c0bab4a0270185aac0025c61dbf": (
        "8224ac711e3c1c6befdaae6f44aec02d46ed5532657701eb55a12b19dc1389f4"
    ),
    # bench/generate.py: what is no number is refused instead of drawn black, and images of another kind or size;
    # a full disk is told from other errors
    "ae04a1493d2685a830874abfe0b7b7c7480153b4cd91253925dba78439d262aa": (
        "21d2a702cae857ee59b2049b6aa9a6ea862d9b845df4a13de7d91747f4012635"
    ),
    # methods/finetune.py: a weight that is no number after the last pass is noticed too, and what does not change from
    # pass to pass is computed once; for which each method prepares its samples
    "3b1e847d946cd1c4aee56877b6229c3e411a8fc8f75dafd0da9a080e454f77d2": (
        "b19e473e781f44b7f29f526d33fa8f273ce1791b22ccf947ad55c79e18f8af9a"
    ),
    "1539691ab07e45a192738b3033d13f18a531bd95133643f1c370544a2e1e72e1": (
        "dd4d8e88973f61db38d0f872b371f4a5de551c3a8af7a20f4259cd8a37eda905"
    ),
    "dbae64298c1dab836e46a2bd19c9e024f176a4ceef450703f77731a2bb840587": (
        "97ca61acf431d7d245249b11e1db8deef8979c1e348c87b43843a4a5d22b5a21"
    ),
    "a9763b3204822e41301828ca0d9c3c607f459712d449a7b63790c51a5366d1c2": (
        "af5cafc83ef1dd5818be492397bece34beb113e6fa9f0fc7bb64f88d752aad0f"
    ),
    "becb62086125546be40a5ddb16a7fae4293379186b71f9b57d6c4ae3e0729494": (
        "79dd929101c7332e546bd8e1ca98ec984757bba31f2545d57247077fabd56274"
    ),
    "e117f4efc8384731cb4df34723675bdfbdaaa0ab3aefaebdf66f82ea55e79e2b": (
        "673b97bafeb71c45e97520a376fc74f1911bbde2f7d3b0f29f7ffe044d3d35f1"
    ),
    # methods/pose.py: what is the same in every step is sent to the device once
    "50b113a88b9343568b0946eaf407bf92ffbedabd37217e9202bf27df7c193c9a": (
        "30e3025ffde976bb646f9b4d5fe19526b1dec9ac42e389abeb71bfce917b9e79"
    ),
    # XingGAN's generator, its and PATN's discriminators: images above 128 px take less memory
    "06ad711838f59895e4c1b72d572ace005feff85be3a6bc869cd7bcd31e7745f9": (
        "194be858a7fcb7f3cfb15fce4280d8dd13a48360d904972f34e214920a6edc10"
    ),
    "1c5d42077e91e7555abc053e2f6d08aa8b92fa0bbc678270ee7926270c0cc8e8": (
        "61603b7aa4642135d7e5ba63a2c9eedc4cc6a3a356ab43e319f1fd7135085fce"
    ),
    # methods/recompute.py, which does that
    "4a4f690cd8b2a108473d60be826f9618af5dc0bbd87a1cf1ae59547f436c1e9d": NOTHING,
    # Part of the keys only since these versions, by which all that is kept was made: bench/seeds.py,
    # bench/data/pixels.py, bench/ranks/step.py, noise.py, statistics.py
    "7ec83d6e9ffb056d2c763720b6d450e1dd78e48be006eca8f00a43ce2365e68c": NOTHING,
    "9430c555a24ac1968eb579082c118d7acb155c1a264fc41a4d98c9095a74ae04": NOTHING,
    "e0c7c7bb5eae330cedf813eb3527f2a11e11eda5f17b8f224bddf04ee8d9509d": NOTHING,
    "9f3c20ca380dd8d151340d79d5445bff0456b7b185357e87852849265a1c8d5d": NOTHING,
    "9e1640672f84890349b4e328ccff8b210069b23c028f49145cbf1c7169f9a9e5": NOTHING,
    # bench/metrics/lpips.py: images of another kind, size or number are refused
    "05345f26b86429e5e6a046da70adcd4980221019b0ab61a5e2e8b75ac33ad318": (
        "0e2f7df9944e7a6852bfbb58ab49b0ca96019a137b87a68b2bcd315dcb3be943"
    ),
    # bench/score.py, bench/pose/joints.py: what is kept for other rows is compared with its digest, and made anew
    "22f6c9abc27214ac52f2e084a179c1bd438b834f866f0717e4b19d09e45f2ff2": (
        "e89c7169a8fea6142b93383938d523d69ec6c3f46dc72bc609ad1c83a6ce8847"
    ),
    "e9c547f937dec345cb9c51d6e8406f76237b95f4cf446d8e7573be152c70b7ad": (
        "225ecadd757597c4cbed804f6d0f88a003b23f0cd5cc07904b1c3d3cace187b9"
    ),
    # bench/data/recipe.py since characters come in editions: edition 1 is the same to the pixel
    # (tests/test_edition2.py)
    "8241313a01d796a691f3bb2e1839a71e274c0e2b738fc806c3dd820b069a2975": (
        "c852035f855fa873d9813f95c716830cbcb3fe3aab507332bd3650307866b7d7"
    ),
    # bench/data/avatars/export.py since it writes characters of both editions: it draws no data
    "d58a1de952edd2ea8fac94260bfd2f167498e0afdc6481a72a2cf97c4fb93d50": (
        "5736e91018c30cb011b650a9bf8f7d49faaaf2e9f06a055c7bb28c0cf2c72a87"
    ),
}
"""Hash of code -> hash of earlier code that gives the same results, by which those are kept; NOTHING where that
file was part of no key."""


def _code_tokens(text: str) -> str:
    """The program text without comments, docstrings and layout."""
    kept: list[str] = []
    at_statement_start = True
    pending: str | None = None  # a string that is a whole statement so far
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL):
            continue
        if pending is not None and token.type != tokenize.NEWLINE:
            kept.append(pending)
        if pending is not None:
            pending = None
            if token.type == tokenize.NEWLINE:
                at_statement_start = True
                continue
        if token.type == tokenize.STRING and at_statement_start:
            pending, at_statement_start = token.string, False
        elif token.type in (tokenize.INDENT, tokenize.DEDENT):
            kept.append("{" if token.type == tokenize.INDENT else "}")
        elif token.type == tokenize.NEWLINE:
            kept.append(";")
            at_statement_start = True
        else:
            kept.append(token.string)
            at_statement_start = False
    return " ".join(kept)


def _spec_of(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ModuleNotFoundError, ValueError):  # the latter: a module made by hand, such as __main__
        return None


def _module_file(module: str) -> Path | None:
    """Where a module's Python source is; None for one that has none."""
    spec = _spec_of(module)
    if spec is None or not spec.has_location or Path(str(spec.origin)).suffix != ".py":
        return None
    return Path(str(spec.origin))


@cache
def _imports(file: Path, package: str) -> frozenset[str]:
    """Dotted names a file of `package` imports, both `a.b` and `a.b.c` for `from a.b import c`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from ..c import d` in a.b: c is beside a.b
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def method_modules(module: str) -> list[str]:
    """`module` and every module that it imports, directly or not, but for this suite's harness and installed packages.

    Of the suite's own methods' packages the `__init__` files do not count: listing one more method there changes no
    result. Those of others do: theirs may hold anything.
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        top = name.split(".")[0]
        if name in seen or not _somebodys_own(top):
            continue
        file = _module_file(name)
        if file is None or (file.name == "__init__.py" and name != module and top in METHOD_PACKAGES):
            continue
        seen.add(name)
        parts = name.split(".")
        waiting.extend(".".join(parts[:count]) for count in range(1, len(parts)))  # importing it runs those first
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        waiting.extend(_imports(file, package))
    return sorted(seen)


@cache
def _somebodys_own(top: str) -> bool:
    """Whether a top-level package or module is code that somebody works on here: neither Python's nor installed."""
    if top in METHOD_PACKAGES:
        return True
    if not top or top == "bench" or top in sys.stdlib_module_names:
        return False
    spec = _spec_of(top)
    if spec is None:
        return False
    places = [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.has_location else [])]
    return bool(places) and not any(INSTALLED & set(Path(str(place)).parts) for place in places)


@cache
def file_hash(file: Path) -> str:
    """The hash of a file's code alone, whatever has the same results."""
    return hashlib.sha256(_code_tokens(file.read_text(encoding="utf-8")).encode()).hexdigest()


def source_hash(modules: Iterable[str]) -> str:
    """One hash over the code of the named modules."""
    digest = hashlib.sha256()
    for module in sorted(modules):
        file = _module_file(module)
        if file is None:
            raise ModuleNotFoundError(f"no source for module {module}")
        code = SAME_RESULTS.get(file_hash(file), file_hash(file))
        if code != NOTHING:
            digest.update(f"{module}:{code}\n".encode())
    return digest.hexdigest()[:16]
