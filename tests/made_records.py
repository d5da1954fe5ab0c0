"""Records made in code, for tests of what is printed and drawn of them."""

from __future__ import annotations

from typing import Any

from bench.records import Record
from bench.render_table import Row, Table, cell_text

CHARACTERS = [f"character {i}" for i in range(12)]


def made_up(
    method: str = "patn",
    title: str = "PATN",
    quality: float = 0.8,
    spread: float = 0.001,
    **changed: Any,
) -> Record:
    """A record whose scores all follow from `quality`; `part__field=…` changes one field."""
    kind = "floor" if method in ("copy-source", "white", "nearest-pose", "truth") else "method"
    wobble = [spread * (i % 3 - 1) for i in range(len(CHARACTERS))]
    means = {
        "ssim": quality,
        "ssim_foreground": quality - 0.3,
        "l1_foreground": 1 - quality,
        "l1_background": (1 - quality) / 50,
    }
    value: dict[str, Any] = {
        "schema": 1,
        "key": f"key-{title}",
        "cell": {
            "method": method, "variant": "", "shots": 1, "adaptation": "default", "preset": "quick", "seed": 0,
            "data": "procedural", "protocol": "shift",
        },
        "title": title,
        "kind": kind,
        "build": {"options": {}, "width": 0.25, "batch": 4, "parameters": {"generator": 7}, "precision": "fp32"},
        "budget": {"pairs": 4000, "queries": 0, "warm_start_pairs": 0},
        "data": {
            "digest": "d" * 16, "pixels": "p" * 16, "image_size": 64, "characters": 12, "images": 324,
            "fid_images": 144,
        },
        "metrics": {
            **{name: {"mean": mean, "low": mean - 0.0123, "high": mean + 0.0123} for name, mean in means.items()},
            "fid": {"value": 100 * (1 - quality)},
            "kid": {"value": (1 - quality) / 10, "error": 0.0001},
        },
        "features": {"name": "inception", "sha256": "f" * 64, "dim": 2048, "n": 144},
        "per_character": {
            name: {metric: mean + wobble[i] for metric, mean in means.items()}
            for i, name in enumerate(CHARACTERS)
        },
        "finetune": None,
        "notes": [],
        "seconds": {"train": 100.4, "warm_start": 0.0, "tune": 0.0, "generate": 1.0, "score": 2.0},
        "environment": {"python": "3.11", "torch": "2.6", "processor": "CPU", "threads": 2, "device": "cpu"},
        "git": {"commit": "c" * 40, "dirty": False},
        "created": "2026-01-01T00:00:00+00:00",
        "command": "bench table1 --preset quick",
    }  # fmt: skip
    for name, new in changed.items():
        part, _, field = name.partition("__")
        if field:
            value[part] = {**value[part], field: new}
        else:
            value[part] = new
    return Record.from_dict(value)


SCHEDULE = {"lr": 0.003, "passes": 5, "chosen_on": "6 validation characters, lowest foreground L1", "curve": []}


def ours(title: str = "Ours (1-shot)", quality: float = 0.85, variant: str = "", **changed: Any) -> Record:
    return made_up("ours", title, quality, **{"cell__variant": variant, "finetune": SCHEDULE, **changed})


def everything() -> list[Record]:
    """All rows, handed over in an order that is not the paper's."""
    return [
        made_up("white", "White image", 0.95),
        ours("Ours (1-shot) (MSL)", 0.87, "msl"),
        made_up("pix2pix", "Pix2Pix", 0.83),
        made_up("truth", "Real vs real", 0.999),
        made_up("xinggan", "XingGAN", 0.79),
        ours(),
        made_up("nearest-pose", "Nearest training pose", 0.7),
        made_up("pg2", "PG2", 0.81),
        made_up("copy-source", "Copy of the source", 0.75),
        made_up("patn", "PATN", 0.8),
    ]


def row(table: Table, title: str) -> Row:
    return next(row for _, row in table.rows() if row.title == title)


def notes_of(table: Table, title: str) -> list[str]:
    return [table.footnotes[i] for i in row(table, title).footnotes]


def text(table: Table, title: str, column: str) -> str:
    """What a cell shows."""
    return cell_text(next(c for c in table.columns if c.key == column), row(table, title))
