"""Pictures to files: a GIF, an MP4, a contact sheet, or a folder of frames. Never over what is there."""

from __future__ import annotations

import io
import math
import re
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.errors import UsageError
from bench.files import write_bytes

U8 = NDArray[np.uint8]
KINDS = (".gif", ".mp4", ".png")
SHEET_COLUMNS = 8
FRAME = re.compile(r"\d{4,}\.png")
"""What a folder of frames consists of."""


def check_target(path: Path, force: bool) -> None:
    """Raises UsageError for a target of an unknown kind, or one that is there already.

    With `force` that is replaced; but of folders only one of frames is, which holds nothing else.
    """
    if path.suffix and path.suffix.lower() not in KINDS:
        raise UsageError(f"--out {path}: give .gif, .mp4, .png (a contact sheet) or a folder for the frames")
    if path.exists() and not force and not (path.is_dir() and not any(path.iterdir())):
        raise UsageError(f"--out {path}: it is there already; --force replaces it")
    if path.is_dir() and (foreign := sorted(held.name for held in path.iterdir() if not FRAME.fullmatch(held.name))):
        raise UsageError(
            f"--out {path}: it holds {foreign[0]}, which is no frame and would be deleted; give a new or empty folder"
        )
    if path.suffix.lower() == ".mp4":
        _ffmpeg()


def write_pictures(images: U8, path: Path, fps: float, scale: int = 1) -> list[Path]:
    """Write uint8 [N, H, W, 3] as the kind that the suffix of `path` names; returns the files.

    `scale` repeats pixels. A GIF's frame lasts a whole number of hundredths of a second. Whatever goes wrong, what
    was there before is still there.
    """
    big = images.repeat(scale, 1).repeat(scale, 2) if scale > 1 else images
    match path.suffix.lower():
        case ".gif":
            write_bytes(path, _gif(big, fps))
        case ".mp4":
            _mp4(big, path, fps)
        case ".png":
            write_bytes(path, _png(sheet(big)))
        case _:
            return _folder(big, path)
    return [path]


def sheet(images: U8, columns: int = SHEET_COLUMNS) -> U8:
    """[N, H, W, 3] in rows of `columns`, white where the last row is short."""
    count, height, width, _ = images.shape
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    canvas = np.full((rows * columns, height, width, 3), 255, np.uint8)
    canvas[:count] = images
    tiled = canvas.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(tiled.reshape(rows * height, columns * width, 3))


def _png(image: U8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", optimize=True)
    return file.getvalue()


def _gif(images: U8, fps: float) -> bytes:
    # one palette for all frames: colours of their own would flicker
    step = max(1, len(images) // 16)
    palette = Image.fromarray(sheet(images[::step])).quantize(255, Image.Quantize.MEDIANCUT)
    frames = [Image.fromarray(image).quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    file = io.BytesIO()
    duration = 10 * max(2, round(100 / fps))  # milliseconds; players read anything under 20 as 100
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0, disposal=1)
    return file.getvalue()


def _ffmpeg() -> str:
    try:
        import imageio_ffmpeg
    except ModuleNotFoundError as error:
        raise UsageError("MP4 needs an encoder: pip install 'anime-pose-bench[video]', or write a .gif") from error
    found: str = imageio_ffmpeg.get_ffmpeg_exe()
    return found


def _mp4(images: U8, path: Path, fps: float) -> None:
    import subprocess

    height, width = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2  # H.264 halves the colour planes
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.mp4"
        command = [
            *(_ffmpeg(), "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"),
            *("-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-"),
            *("-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(made)),
        ]
        pixels = np.ascontiguousarray(images[:, :height, :width]).tobytes()
        done = subprocess.run(command, input=pixels, capture_output=True, check=False)
        if done.returncode:
            raise UsageError(f"the encoder failed: {done.stderr.decode(errors='replace').strip()[-300:]}")
        write_bytes(path, made.read_bytes())


def _folder(images: U8, path: Path) -> list[Path]:
    target = path.resolve()  # "." has no name to put another beside
    target.parent.mkdir(parents=True, exist_ok=True)
    names = [f"{number:04}.png" for number in range(len(images))]
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        building, before = Path(scratch) / "new", Path(scratch) / "old"
        for name, image in zip(names, images, strict=True):
            write_bytes(building / name, _png(image))
        try:
            if target.exists():
                target.rename(before)
            building.rename(target)
        except BaseException:
            if before.exists():
                before.rename(target)
            raise
    return [path / name for name in names]
