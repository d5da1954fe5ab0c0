"""Does it reproduce? The paper's claims, each with the differences measured here and what they let one say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.paper_numbers import NOT_COMPARABLE, TABLE1, TABLE2, TABLE4, Published
from bench.records import Record
from bench.render_table import Block, Column, Row, Table, Value
from bench.tables.assemble import facts_of, features_of, origin_of, scored_set, seed_note, seeds_sentence, setting
from bench.tables.compare import gain_of
from bench.tables.lines import Footnotes
from bench.tables.metrics import BY_KEY, scored
from bench.tables.rows import JOINT, Pooled, RowName, by_name, pool
from bench.tables.table1 import BASELINES
from bench.tables.table4 import FULL

NOT_RUN = "not run"
JUDGED = ("ssim_foreground", "l1_foreground", "lpips", "ssim", "kid")
FID_NOTE = "FID has no interval here, so no verdict is drawn from it"
KID_NOTE = (
    "Its interval is 1.96 standard errors of both rows, as if they were independent, "
    "and treats images of one character as independent"
)
PAPER_NOTE = "The row that the claim calls better, then the other one"
ONE_CHARACTER = "One test character gives no interval"


@dataclass(frozen=True)
class Claim:
    """`better` is said to beat `worse`; the paper's two rows in that order, where it prints them."""

    text: str
    better: RowName
    worse: RowName
    paper: tuple[Published, Published] | None = None


def _ours(shots: int, variant: str = "", budget: str = "") -> RowName:
    return RowName("ours", variant, shots, budget=budget)


def _over_fewer_shots(more: int, less: int, variant: str) -> Claim:
    names = f"{more} {variant}".strip(), f"{less} {variant}".strip()
    paper = (TABLE2[names[0]], TABLE2[names[1]]) if all(name in TABLE2 for name in names) else None
    what = f"{less} shot{'s' * (less > 1)}" if less else "no fine-tuning"
    text = f"{more} shot{'s' * (more > 1)} beat{'s' * (more == 1)} {what}{' (MSL)' if variant else ''}"
    return Claim(text, _ours(more, variant), _ours(less, variant), paper)


def _over_ablation(text: str, ablated: RowName, paper: str = "") -> Claim:
    return Claim(text, FULL, ablated, (TABLE4["Ours (MSL)"], TABLE4[paper]) if paper else None)


def _against(name: str, shots: int, variant: str = "") -> Claim:
    """Ours (1-shot) against a baseline as the paper uses it, or with the same fine-tuning."""
    ours = TABLE1[f"ours {variant}".strip()]
    text = f"{ours.title} beats {TABLE1[name].title}{', fine-tuned' if shots else ''}"
    return Claim(text, _ours(1, variant), RowName(name, shots=shots), None if shots else (ours, TABLE1[name]))


CLAIMS: Mapping[str, Sequence[Claim]] = {
    "Ours beats the baselines": [_against(name, 0, variant) for variant in ("", "msl") for name in BASELINES],
    "With the same fine-tuning (not a claim of the paper)": [_against(name, 1) for name in BASELINES],
    "The multi-step loss helps": [
        Claim("MSL helps at 1 shot", _ours(1, "msl"), _ours(1), (TABLE2["1 msl"], TABLE2["1"])),
        Claim("MSL helps at 4 shots", _ours(4, "msl"), _ours(4), (TABLE2["4 msl"], TABLE2["4"])),
        Claim("MSL helps at 4 shots, both at K=2", FULL, _ours(4, "k2")),
    ],
    "More shots help": [
        _over_fewer_shots(more, less, variant) for variant in ("", "msl") for less, more in ((0, 1), (1, 4), (4, 10))
    ],
    "Each part of Ours (MSL) helps (4-shot)": [
        _over_ablation("meta-learning, at equal samples", _ours(4, JOINT, "samples"), "w/o ML"),
        _over_ablation("meta-learning, at equal seconds", _ours(4, JOINT, "seconds"), "w/o ML"),
        _over_ablation("meta-learning, at equal queries", _ours(4, JOINT, "queries"), "w/o ML"),
        _over_ablation("fine-tuning", _ours(0, "msl"), "w/o FT"),
        _over_ablation("fusion residual module", _ours(4, "wo-frm"), "w/o FRM"),
        _over_ablation("multi-step loss, with its K=2", _ours(4), "w/o MSL"),
    ],
}


def claims(records: Sequence[Record]) -> Table:
    """Every claim with its differences: positive where the records support it.

    A verdict is "yes" where the 95 % interval of the difference (paired bootstrap over characters; KID: standard
    errors) lies above zero, "no" where it lies below, "not distinguishable" where it holds zero or the seeds, each
    alone, disagree in the sign, and "not run" where a record is missing. Several seeds are pooled. Raises DataError
    for records that cannot stand side by side.
    """
    rows = pool(records)
    found, footnotes = by_name(rows), Footnotes()
    used = {name for group in CLAIMS.values() for claim in group for name in (claim.better, claim.worse)}
    shown = [row for row in rows if row.name in used] or rows
    facts = facts_of(shown)
    measured = {metric.key for metric in scored(row.record for row in shown)}
    judged = [key for key in JUDGED if key in measured]
    columns = _columns(judged, footnotes)
    blocks = [
        Block(str(number), tuple(_row(claim, found, judged, footnotes, facts["seeds"]) for claim in group), heading)
        for number, (heading, group) in enumerate(CLAIMS.items())
    ]
    caption = (
        f"Differences on {scored_set(facts)}; {seeds_sentence(facts['seeds'])}. Positive supports the claim. In "
        "parentheses the 95 % interval, paired over characters. Yes: it lies above zero; no: below; not "
        "distinguishable: it holds zero, or seeds disagree in the sign. One interval in twenty misses by chance. "
        f"{features_of(facts)} {origin_of(facts)}"
    )
    title = f"Does it reproduce? P{setting(facts).removeprefix('p')}"
    return Table(title, columns, tuple(blocks), tuple(footnotes.texts), facts, caption, "Claim")


def _columns(judged: Sequence[str], footnotes: Footnotes) -> tuple[Column, ...]:
    columns: list[Column] = []
    for key in judged:
        metric = BY_KEY[key]
        notes = footnotes(KID_NOTE) if key == "kid" else ()
        columns += [
            Column(key, metric.gain_heading, metric.digits, "", notes),
            Column(f"{key}_verdict", metric.title, 0, "verdict"),
        ]
    paper = footnotes(PAPER_NOTE, NOT_COMPARABLE)
    return (
        *columns,
        Column("fid", BY_KEY["fid"].gain_heading, 2, "no interval", footnotes(FID_NOTE)),
        Column("paper_fid", "paper's FID↓", 2, "", paper),
        Column("paper_ssim", "paper's SSIM↑", 3, "", paper),
    )


def _row(
    claim: Claim,
    found: Mapping[RowName, Pooled],
    judged: Sequence[str],
    footnotes: Footnotes,
    everyone: Sequence[int],
) -> Row:
    better, worse = found.get(claim.better), found.get(claim.worse)
    values: dict[str, Value | None] = {}
    notes: list[str] = []
    if better is None or worse is None:
        values = dict.fromkeys((*judged, "fid")) | {f"{key}_verdict": Value(0, text=NOT_RUN) for key in judged}
    else:
        for key in judged:
            gain, metric = gain_of(better, worse, key), BY_KEY[key]
            values[key] = gain.value(metric.scale)
            values[f"{key}_verdict"] = Value(0, text=gain.verdict)
            if gain.seeds_disagree:
                notes.append(f"Its seeds, each alone, disagree in the sign of Δ {metric.title}")
            if gain.low is None:
                notes.append(ONE_CHARACTER)
        values["fid"] = gain_of(better, worse, "fid").value()
        fewer = [row for row in (better, worse) if seed_note(row, everyone)]
        notes += [f"{row.title}: {note}" for row in fewer for note in seed_note(row, everyone)]
    if claim.paper is not None:
        wins, loses = claim.paper
        values["paper_fid"] = Value(loses.fid - wins.fid, text=f"{wins.fid:.2f} vs {loses.fid:.2f}")
        values["paper_ssim"] = Value(wins.ssim - loses.ssim, text=f"{wins.ssim:.3f} vs {loses.ssim:.3f}")
        notes += [*wins.notes, *loses.notes]
    return Row(claim.text, values, footnotes(*notes))
