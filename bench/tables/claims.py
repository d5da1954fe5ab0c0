"""Does it reproduce? The paper's claims, each with the differences measured here and what they allow one to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.paper_numbers import TABLE1, TABLE2, TABLE4, Published
from bench.records import INTERVALS, Record, refuse_mixed
from bench.render_table import Block, Column, Row, Table, Value
from bench.tables.common import METRICS, Footnotes, difference, pool

YES, NO, OPEN, NOT_RUN = "yes", "no", "not distinguishable", "not run"
JUDGED = ("ssim_foreground", "l1_foreground", "ssim", "kid")
SCALE = {"kid": 1000.0}
PAPER_NOTE = (
    "The paper's own difference, positive where its numbers support its claim; other data and other features, and "
    "without intervals"
)
FID_NOTE = "FID has no interval here, so no verdict is drawn from it"


@dataclass(frozen=True)
class Wanted:
    """Which record: of Ours by default."""

    method: str = "ours"
    variant: str = ""
    shots: int = 1
    adapted: bool = True
    title: str = ""  # of rows that only their title tells apart

    def fits(self, record: Record) -> bool:
        cell = record.cell
        if (cell["method"], cell["variant"]) != (self.method, self.variant) or cell["protocol"] != "shift":
            return False
        if self.title and record.title != self.title:
            return False
        if self.method != "ours":  # the paper's baselines are not adapted
            return record.finetune is None
        if not self.adapted:
            return record.finetune is None
        return cell["shots"] == self.shots and cell["adaptation"] in ("default", "tuned")


@dataclass(frozen=True)
class Claim:
    """`better` is said to beat `worse`; the paper's two rows, where it prints them."""

    text: str
    better: Wanted
    worse: Wanted
    paper: tuple[Published, Published] | None  # better, worse


def _claims() -> list[tuple[str, list[Claim]]]:
    full = Wanted(variant="msl", shots=4)
    joint = {"variant": "wo-ml", "shots": 4}
    ours = TABLE4["Ours (MSL)"]
    shots = [
        Claim("1 shot beats none", Wanted(), Wanted(adapted=False), None),
        Claim("1 shot beats none (MSL)", Wanted(variant="msl"), Wanted(variant="msl", adapted=False), None),
    ]
    shots += [
        Claim(f"{more} shots beat {less}{note}", Wanted(variant=v, shots=more), Wanted(variant=v, shots=less), paper)
        for v, note in (("", ""), ("msl", " (MSL)"))
        for less, more in ((1, 4), (4, 10))
        for paper in [_pair(f"{more} {v}".strip(), f"{less} {v}".strip())]
    ]
    return [
        (
            "Ours beats the baselines (1-shot)",
            [
                Claim(f"Ours beats {TABLE1[name].title}", Wanted(), Wanted(name), (TABLE1["ours"], TABLE1[name]))
                for name in ("patn", "pg2", "pix2pix", "xinggan")
            ],
        ),
        (
            "The multi-step loss helps",
            [
                Claim(f"MSL helps at {n} shot{'s' * (n > 1)}", Wanted(variant="msl", shots=n), Wanted(shots=n), paper)
                for n, paper in ((1, _pair("1 msl", "1")), (4, _pair("4 msl", "4")))
            ],
        ),
        ("More shots help", shots),
        (
            "Each part helps (4-shot, MSL)",
            [
                Claim("fine-tuning", full, Wanted(variant="msl", adapted=False), (ours, TABLE4["w/o FT"])),
                Claim("fusion residual module", full, Wanted(variant="wo-frm", shots=4), (ours, TABLE4["w/o FRM"])),
                Claim("multi-step loss and K=2", full, Wanted(shots=4), (ours, TABLE4["w/o MSL"])),
                Claim("multi-step loss alone (both K=2)", full, Wanted(variant="k2", shots=4), None),
                *(
                    Claim(
                        f"meta-learning, at equal {what}",
                        full,
                        Wanted(**joint, title=f"w/o ML (equal {what})"),  # type: ignore[arg-type]
                        (ours, TABLE4["w/o ML"]),
                    )
                    for what in ("queries", "samples", "seconds")
                ),
            ],
        ),
    ]


def _pair(better: str, worse: str) -> tuple[Published, Published] | None:
    return (TABLE2[better], TABLE2[worse]) if better in TABLE2 and worse in TABLE2 else None


def claims(records: Sequence[Record]) -> Table:
    """Every claim with its differences: positive where the records support it.

    A verdict is "yes" where the 95 % interval of the difference (paired bootstrap over characters; KID: standard
    errors) lies above zero, "no" where it lies below, and "not distinguishable" where it holds zero. Several seeds
    are pooled. Raises DataError for records that cannot stand side by side.
    """
    refuse_mixed(records)
    pooled = [record for record in pool(records) if record.kind == "method"]

    def find(wanted: Wanted) -> Record | None:
        return next((record for record in pooled if wanted.fits(record)), None)

    footnotes = Footnotes()
    columns: list[Column] = []
    named = {metric.key: metric for metric in METRICS}
    for key in JUDGED:
        title = named[key].title.rstrip("↑↓") if key != "kid" else "KID ×10³"
        columns += [Column(key, f"Δ {title}", named[key].digits), Column(f"{key}_verdict", "supports it", 0)]
    columns += [
        Column("fid", "Δ FID", 2, "", footnotes(FID_NOTE)),
        Column("paper_fid", "paper's Δ FID", 2, "", footnotes(PAPER_NOTE)),
        Column("paper_ssim", "paper's Δ SSIM", 3, "", footnotes(PAPER_NOTE)),
    ]
    blocks = [
        Block(str(number), tuple(_row(claim, find, footnotes) for claim in group), heading)
        for number, (heading, group) in enumerate(_claims())
    ]
    first = records[0]
    features = first.features
    facts = {"preset": first.cell["preset"], "data_digest": first.data["digest"], "features": dict(features)}
    caption = (
        f"Differences on {first.data['images']} images of {first.data['characters']} unseen characters, "
        f"{first.data['image_size']} px; positive supports the claim. ± is half of a 95 % interval, paired over "
        "characters (KID: 1.96 standard errors). With so few characters and tests, one verdict in twenty is luck. "
        f"FID and KID: {features['name']} features, d={features['dim']}, N={features['n']}."
    )
    title = f"Does it reproduce? Preset {first.cell['preset']}"
    return Table(title, tuple(columns), tuple(blocks), tuple(footnotes.texts), facts, caption)


def _row(claim: Claim, find: Callable[[Wanted], Record | None], footnotes: Footnotes) -> Row:
    better, worse = find(claim.better), find(claim.worse)
    values: dict[str, Value | None] = {}
    for key in JUDGED:
        if better is None or worse is None:
            values[key], values[f"{key}_verdict"] = None, Value(0, text=NOT_RUN)
            continue
        gain = gain_of(better, worse, key)
        scale = SCALE.get(key, 1.0)
        values[key] = Value(scale * gain.mean, None if gain.half is None else scale * gain.half)
        values[f"{key}_verdict"] = Value(0, text=gain.verdict)
    if better is not None and worse is not None:
        values["fid"] = Value(worse.centre("fid") - better.centre("fid"))
    notes: tuple[str, ...] = ()
    if claim.paper is not None:
        wins, loses = claim.paper
        values["paper_fid"], values["paper_ssim"] = Value(loses.fid - wins.fid), Value(wins.ssim - loses.ssim)
        notes = (*wins.notes, *loses.notes)
    return Row(claim.text, values, footnotes(*notes))


@dataclass(frozen=True)
class Gain:
    """By how much one record is better than another, with its 95 % interval; None where there is none."""

    mean: float
    low: float | None
    high: float | None

    @property
    def half(self) -> float | None:
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def verdict(self) -> str:
        """What it allows one to say of the claim that it is positive."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return OPEN
        return YES if self.low > 0 else NO


def gain_of(better: Record, worse: Record, metric: str) -> Gain:
    """How far the difference of a metric speaks for `better`."""
    if metric in INTERVALS:
        lower_is_better = metric.startswith("l1")
        found = difference(worse, better, metric) if lower_is_better else difference(better, worse, metric)
        return Gain(found.mean, found.low, found.high) if found.characters > 1 else Gain(found.mean, None, None)
    mean, mine, theirs = (
        worse.centre(metric) - better.centre(metric),
        better.half_width(metric),
        worse.half_width(metric),
    )
    if mine is None or theirs is None:
        return Gain(mean, None, None)
    half = float(np.hypot(mine, theirs))
    return Gain(mean, mean - half, mean + half)
