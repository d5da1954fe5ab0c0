"""What the store says of a record beside its scores: by which method, with which options, on what budget.

It is read from the stages behind the record, score → generate → tune, train → warm start. Of one that is gone nothing
is said. Seconds are left alone: who recomputes a record takes others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.build import method_class
from bench.errors import DataError, UsageError
from bench.files import read_json
from bench.records import Record
from bench.spec import DETECTED, EXACT, FLOORS, PAPER_FINETUNE, parse_adaptation
from bench.store import UNREADABLE, Stage
from bench.trial import slug
from methods import METHODS

TRAINED = {
    "cell.method": "method",
    "cell.seed": "seed",
    "build.options": "options",
    "build.width": "width",
    "build.batch": "batch",
    "build.precision": "precision",
    "build.perceptual": "perceptual",
    "data.image_size": "image_size",
}
"""Fields of a record by their names in the identity of its training."""
UNTRAINED: Mapping[str, Any] = {
    "build.options": {},
    **{f"budget.{name}": 0 for name in ("pairs", "queries", "warm_start_pairs")},
    "finetune": None,
}
"""Fields of a floor and of pictures made elsewhere."""
UNSAID: Mapping[str, Any] = {"cell.joints": EXACT, "data.trained_on.digest": None}
"""What it means that a record lacks a field. Any other it lacks because an earlier version did not write it."""
IMPORTED = "imported:"
"""What the method of pictures made elsewhere begins with."""


@dataclass(frozen=True)
class Kept:
    """A finished stage as it was written down."""

    label: str
    source: str
    identity: Mapping[str, Any]
    summary: Mapping[str, Any]


def kept_stage(store: Path, kind: str, key: str, label: str = "") -> Kept | None:
    """The finished stage of that key, whatever code the suite has now.

    Two rows with the same work have one key: then the one whose label begins with `label`, if it is there.
    """
    found = []
    for file in sorted((store / kind).glob("*/done.json")):
        try:
            done = read_json(file)
            if done["key"] == key:
                stage = read_json(file.with_name("stage.json"))
                identity, summary = dict(stage["identity"]), dict(done["summary"])
                found.append(Kept(str(stage["label"]), str(stage["source"]), identity, summary))
        except UNREADABLE:
            continue  # half a file of a killed machine; the stage counts as not there
    return max(found, key=lambda kept: kept.label.startswith(label), default=None)


def disagreements(record: Record, store: Path) -> Iterator[tuple[str, Any, Any]]:
    """Each field that a record and its stages do not agree on, with the record's value and the store's.

    Raises DataError where what a stage wrote down is damaged.
    """
    try:
        told = _told(record, store)
    except UNREADABLE as error:
        raise DataError(f"'{record.title}': a stage of it in {store} is damaged ({error!r})") from error
    written = json.loads(json.dumps(record.to_dict()))  # lists for tuples, as in the store
    for field, value in told.items():
        recorded: Any = written
        for name in field.split("."):
            if not isinstance(recorded, dict) or name not in recorded:
                recorded = UNSAID.get(field, value)
                break
            recorded = recorded[name]
        if _but_seconds(recorded) != _but_seconds(value):
            yield field, recorded, value


def _but_seconds(value: Any) -> Any:
    return {name: part for name, part in value.items() if name != "seconds"} if isinstance(value, dict) else value


def _told(record: Record, store: Path) -> dict[str, Any]:
    """Fields of the record as its stages have them."""
    row = _label(record)
    scored = kept_stage(store, "score", record.key, row)
    if scored is None:
        return {}
    drawn = kept_stage(store, "generate", scored.identity["generate"], row)
    if drawn is None:
        return {}
    identity = drawn.identity
    told: dict[str, Any] = {"kind": "floor" if "floor" in identity else "method"}
    told |= {"cell.joints": DETECTED if "joints" in identity else EXACT, "data.joints": identity.get("joints")}
    if "train" not in identity:
        told |= {**UNTRAINED, "data.digest": identity.get("test_data", identity["data"])}
        return told | _untrained_method(record, identity)
    told |= {f"cell.{name}": identity[name] for name in ("shots", "protocol")}
    told |= _adapted(record, identity["adaptation"], store)
    trained = kept_stage(store, "train", identity["train"], _training_label(record))
    if trained is None:
        return told
    told |= _trained(trained, identity.get("test_data"), store)
    return told | {"build.options": {**told["build.options"], **identity.get("options", {})}}


def _label(record: Record) -> str:
    """What the labels of the stages of a row begin with (bench/cells.py)."""
    cell = record.cell
    if cell["method"] in FLOORS or cell["method"].startswith(IMPORTED):
        return f"{cell['method'].replace(':', '-')}-{cell['preset']}"
    return f"{_training_label(record)}-{cell['shots']}shot-{slug(cell['adaptation'])}"


def _training_label(record: Record) -> str:
    cell = record.cell
    name = cell["method"].replace(":", ".")
    return "-".join(part for part in (name, cell["variant"], cell["preset"], f"s{cell['seed']}") if part)


def _untrained_method(record: Record, identity: Mapping[str, Any]) -> dict[str, Any]:
    """By the identity of the pictures of a floor, or of those made elsewhere."""
    if "floor" in identity:
        return {"cell.method": identity["floor"]}
    # under which name pictures were imported is no part of their stage
    return {} if record.cell["method"].startswith(IMPORTED) else {"cell.method": IMPORTED}


def _adapted(record: Record, adaptation: Any, store: Path) -> dict[str, Any]:
    """By the adaptation in the identity of the pictures: null, a schedule, or the key of the stage that chose one."""
    told: dict[str, Any] = {}
    if not isinstance(adaptation, str):
        told = {"finetune": adaptation}
    elif tuned := kept_stage(store, "tune", adaptation):
        told = {"finetune": tuned.summary}
    if adaptation is None:
        name = "none"
    else:
        name = "tuned" if isinstance(adaptation, str) else "lr={lr},passes={passes}".format(**adaptation)
    return told if name in _names(record) else {**told, "cell.adaptation": name}


def _names(record: Record) -> tuple[str, ...]:
    """What the adaptation of a record may be in other words: none, tuned or a schedule."""
    method = record.cell["method"]
    try:
        wanted = parse_adaptation(record.cell["adaptation"])
    except UsageError:
        return ()
    if wanted == "default":
        if method not in METHODS:
            return "none", "tuned"  # its own code knows whether it is few-shot, and is not run for this
        return ("tuned",) if method_class(method).few_shot else ("none",)
    if wanted == "paper":
        wanted = PAPER_FINETUNE
    return (wanted if isinstance(wanted, str) else f"lr={wanted.lr},passes={wanted.passes}",)


def _trained(trained: Kept, tested: str | None, store: Path) -> dict[str, Any]:
    """Fields that a training knows; `tested` is the digest of the second data set, where there is one."""
    identity, summary = trained.identity, trained.summary
    told = {field: identity[name] for field, name in TRAINED.items() if name in identity}
    told |= {f"budget.{name}": number for name, number in identity["budget"].items()}
    told |= {"build.parameters": summary.get("parameters", {})}
    told["data.digest"] = tested or identity["data"]
    told |= {"data.trained_on.digest": identity["data"]} if tested else {"data.trained_on": None}
    # method-[variant-]preset-seed
    named = trained.label.removeprefix(f"{identity['method'].replace(':', '.')}-").removesuffix(f"-s{identity['seed']}")
    told["cell.variant"], _, told["cell.preset"] = named.rpartition("-")
    phases = summary.get("phases", [])
    if (warm := identity["warm_start"]) is None:
        return told | {"budget.phases": phases}
    if before := kept_stage(store, "train", Stage(store, "train", "", warm, trained.source).key):
        told["budget.phases"] = [*before.summary.get("phases", []), *phases]
    return told
