"""A hash of the code that determines a result, so that a result made by other code is named as stale.

Comments, docstrings and layout do not count: editing them keeps every stored result valid.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import tokenize
from collections.abc import Iterable
from functools import cache
from pathlib import Path

METHOD_PACKAGES = ("methods", "ours", "baselines")

SAME_RESULTS: dict[str, str] = {
    # bench/train.py since ranks can share a step: one process takes the same steps to the same bits
    # (tests/test_ranks.py), so what it has trained before is not stale
    "50239dab4307eab4dcdf83465f6bffd88b2c54fb1192f2847ad75d0ec02d872a": (
        "27cc69c0ce93f5d84ea2f893e79f94aade61502c314b273086084c8efa02520a"
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
"""Hash of code -> hash of earlier code that gives the same results, by which those are kept."""


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


def _module_file(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin in (None, "built-in", "frozen"):
        return None
    return Path(str(spec.origin))


@cache
def _imports(file: Path) -> frozenset[str]:
    """Dotted names a file imports, both `a.b` and `a.b.c` for `from a.b import c`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def method_modules(module: str) -> list[str]:
    """`module` and every module of its own package or of `methods` that it imports, directly or not.

    Package `__init__` files do not count: listing one more method there changes no result.
    """
    own = module.split(".")[0]
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or name.split(".")[0] not in {own, *METHOD_PACKAGES}:
            continue
        file = _module_file(name)
        if file is None or (file.name == "__init__.py" and name != module):
            continue
        seen.add(name)
        waiting.extend(_imports(file))
    return sorted(seen)


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
        code = file_hash(file)
        digest.update(f"{module}:{SAME_RESULTS.get(code, code)}\n".encode())
    return digest.hexdigest()[:16]
