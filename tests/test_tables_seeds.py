"""Statements about rows: which records are of one row, and several seeds of it as one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from bench.errors import DataError
from bench.metrics.bootstrap import paired_difference
from bench.records import Record
from bench.tables import budget, claims, table1
from bench.tables.claims import NOT_RUN
from bench.tables.compare import OPEN, YES, Gain, gain_of
from bench.tables.rows import RowName, pool
from tests.made_records import CHARACTERS, SCHEDULE, everything, made_up, notes_of, ours, row, text


def seeded(seed: int, quality: float, **changed: object) -> Record:
    return made_up(quality=quality, cell__seed=seed, key=f"key-{seed}", **changed)


def test_seeds_of_a_row_become_their_mean_and_their_spread_stands_apart() -> None:
    (found,) = pool([seeded(1, 0.82), seeded(0, 0.80)])
    assert found.seeds == (0, 1)
    assert found.record.centre("ssim") == pytest.approx(0.81)
    assert found.record.centre("fid") == pytest.approx(19)
    assert found.spread["ssim"] == pytest.approx(0.02 / math.sqrt(2))
    assert found.spread["fid"] == pytest.approx(2 / math.sqrt(2)), "FID has no interval, but seeds spread"
    name = CHARACTERS[2]
    both = [seeded(s, q).per_character[name]["ssim"] for s, q in ((0, 0.80), (1, 0.82))]
    assert found.record.per_character[name]["ssim"] == pytest.approx(sum(both) / 2)
    # the same wobble in both seeds: the noise of the test set is that of one
    alike = pool([seeded(0, 0.80), seeded(5, 0.80)])[0]
    assert found.record.half_width("ssim") == pytest.approx(alike.record.half_width("ssim"))


def test_noise_that_seeds_do_not_share_averages_out() -> None:
    def wobbling(seed: int, sign: int) -> Record:
        plain = seeded(seed, 0.8)
        scores = {n: {m: v + sign * (-1) ** i * 0.1 for m, v in plain.per_character[n].items()}
                  for i, n in enumerate(CHARACTERS)}  # fmt: skip
        return seeded(seed, 0.8, per_character=scores)

    def width(*records: Record) -> float:
        (found,) = pool(records)
        half = found.record.half_width("ssim")
        assert half is not None
        return half

    assert width(wobbling(0, 1), wobbling(1, -1)) < 0.1 * width(wobbling(0, 1), wobbling(1, 1))


def test_one_seed_is_handed_on_as_it_is() -> None:
    record = seeded(3, 0.8)
    (found,) = pool([record])
    assert found.record is record
    assert found.spread == {}


def test_a_row_twice_with_one_seed_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"'PATN' and seed 0.*key-0.*other"):
        pool([seeded(0, 0.8), made_up(quality=0.7, key="other")])


def test_one_measurement_under_two_titles_counts_once() -> None:
    (found,) = pool([ours("Ours (4-shot)", cell__shots=4), ours("w/o MSL", cell__shots=4)])
    assert found.seeds == (0,)
    unadapted = [ours(f"{n} shots asked for", 0.7, cell__shots=n, finetune=None) for n in (1, 4)]
    assert len(pool(unadapted)) == 1, "shots say nothing of a row that was not adapted"


def test_the_newest_of_two_unadapted_measurements_counts() -> None:
    old = ours("old", 0.6, cell__shots=1, finetune=None, created="2025-01-01T00:00:00+00:00")
    new = ours("new", 0.7, cell__shots=4, finetune=None)
    assert [found.title for found in (*pool([old, new]), *pool([new, old]))] == ["new", "new"]


def test_seeds_trained_with_different_settings_are_refused() -> None:
    for changed, named in ({"build__width": 0.5}, "width"), ({"budget__pairs": 8000}, "pairs"):
        with pytest.raises(DataError, match=f"seeds of 'PATN' differ in {named}"):
            pool([seeded(0, 0.8), seeded(1, 0.8, **changed)])
    fewer = dict(list(seeded(1, 0.8).per_character.items())[:-1])
    with pytest.raises(DataError, match="differ in test characters"):
        pool([seeded(0, 0.8), seeded(1, 0.8, per_character=fewer)])


def test_the_budget_at_equal_seconds_may_differ_between_seeds() -> None:
    def joint(seed: int, pairs: int) -> Record:
        title = "w/o ML (equal seconds)"
        return ours(title, 0.8, "wo-ml", cell__shots=4, cell__seed=seed, budget__pairs=pairs, key=str(seed))

    (found,) = pool([joint(0, 7000), joint(1, 7300)])
    assert found.name == RowName("ours", "wo-ml", 4, budget="seconds")


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (made_up(), RowName("patn")),
        (made_up(cell__adaptation="none", cell__shots=4), RowName("patn")),
        (made_up(cell__adaptation="tuned", finetune=SCHEDULE), RowName("patn", shots=1)),
        (ours(variant="msl", cell__shots=4), RowName("ours", "msl", 4)),
        (ours(cell__adaptation="paper"), RowName("ours", "", 1, schedule="paper")),
        (ours(cell__protocol="views"), RowName("ours", "", 1, protocol="views")),
        (ours("Ours (1-shot) w/o ML", variant="wo-ml"), RowName("ours", "wo-ml", 1, budget="samples")),
        (ours("w/o ML (equal queries)", variant="wo-ml"), RowName("ours", "wo-ml", 1, budget="queries")),
        (ours("w/o ML", variant="wo-ml", budget__pairs=800), RowName("ours", "wo-ml", 1, budget="800 pairs")),
    ],
)
def test_a_row_is_known_by_its_cell_and_not_by_its_title(record: Record, name: RowName) -> None:
    assert RowName.of(record) == name


def test_a_row_with_fewer_seeds_than_the_others_says_so() -> None:
    table = table1([seeded(0, 0.8), seeded(1, 0.82), ours()])
    assert "n=2 seeds (0, 1), in brackets their standard deviation" in table.caption
    assert "Seed 0 only" in notes_of(table, "Ours (1-shot)")
    assert text(table, "PATN", "ssim").endswith("[0.014]")
    assert text(table, "PATN", "fid") == "19.00 [1.41]"
    assert "[" not in text(table, "Ours (1-shot)", "ssim")
    assert table.facts["seeds"] == [0, 1]


def test_one_seed_is_said_to_be_one() -> None:
    assert "one seed (0)" in table1(everything()).caption


def test_a_table_of_several_seeds_names_the_commits_and_commands_of_all() -> None:
    later = seeded(1, 0.8, git__commit="e" * 40, command="bench table1 --seed 1")
    facts = table1([seeded(0, 0.8), later]).facts
    assert facts["commits"] == ["c" * 12, "e" * 12]
    assert facts["commands"] == ["bench table1 --preset quick", "bench table1 --seed 1"]


def test_every_seed_says_how_it_was_fine_tuned() -> None:
    other = ours(cell__seed=1, finetune={**SCHEDULE, "lr": 0.001, "passes": 1})
    (note,) = [n for n in notes_of(table1([ours(), other]), "Ours (1-shot)") if "Fine-tuned" in n]
    assert "learning rate 0.003, 5 passes (seed 0); learning rate 0.001, 1 pass (seed 1), chosen on" in note
    (note,) = [n for n in notes_of(table1([ours(), ours(cell__seed=1)]), "Ours (1-shot)") if "Fine-tuned" in n]
    assert "seed" not in note


def test_a_seed_that_is_missing_is_a_footnote_of_its_row() -> None:
    table = table1(everything(), missing={"PG2": "loss g_gan is not finite at step 7"})
    assert "A seed is missing: loss g_gan is not finite at step 7" in notes_of(table, "PG2")
    assert text(table, "PG2", "fid") == "19.00"


def test_json_gives_every_rows_difference_to_the_best() -> None:
    value = json.loads(table1(everything()).to_json())
    apart = {row["method"]: row.get("difference_to_best") for row in value["rows"]}
    found = apart["PATN"]["ssim"]
    assert found["best"] == "Ours (1-shot) (MSL)"
    assert found["mean"] == pytest.approx(0.07) and found["low"] <= found["mean"] <= found["high"]
    assert apart["PATN"]["l1_foreground"]["mean"] == pytest.approx(-0.07)
    assert set(apart["PATN"]) == {"ssim", "ssim_foreground", "l1_foreground", "l1_background"}
    assert apart["Ours (1-shot) (MSL)"] == {}
    assert apart["White image"] is None, "floors do not compete"


def test_a_difference_of_several_seeds_pairs_their_means_over_characters() -> None:
    patn = [seeded(0, 0.80, spread=0.02), seeded(1, 0.82, spread=0.01)]
    best = [ours(cell__seed=s, spread=0.03, quality=q) for s, q in ((0, 0.85), (1, 0.87))]
    better, worse = pool([*best, *patn])
    gain = gain_of(better, worse, "ssim")
    one, two = (
        np.mean([[r.per_character[c]["ssim"] for c in sorted(CHARACTERS)] for r in group], axis=0)
        for group in (best, patn)
    )
    expected = paired_difference(one, two, sorted(CHARACTERS))
    assert (gain.mean, gain.low, gain.high) == pytest.approx((expected.mean, expected.low, expected.high))
    assert gain.by_seed == pytest.approx((0.05, 0.05))
    assert gain_of(better, worse, "l1_foreground").mean == pytest.approx(0.05), "less error is better"


def test_rows_of_unequal_seeds_are_compared_on_those_they_share() -> None:
    one_seed, two_seeds = pool([seeded(0, 0.80), ours(quality=0.85), ours(cell__seed=1, quality=0.60)])
    assert gain_of(two_seeds, one_seed, "ssim").mean == pytest.approx(0.05), "seed 1 says nothing of this difference"


def test_seeds_that_disagree_are_named_beside_the_verdict() -> None:
    patn = [seeded(0, 0.80), seeded(1, 0.90)]
    table = claims([*patn, ours(quality=0.86), ours(cell__seed=1, quality=0.86)])
    assert row(table, "Ours (1-shot) beats PATN").values["ssim"].spread == pytest.approx(0.1 / math.sqrt(2))  # type: ignore[union-attr]
    assert any("disagree in the sign of Δ SSIM" in note for note in notes_of(table, "Ours (1-shot) beats PATN"))
    assert Gain(0.1, by_seed=(0.1, 0.2)).seeds_disagree is False
    clear = {"mean": 0.1, "low": 0.05, "high": 0.15}
    assert Gain(**clear, by_seed=(0.1, 0.2)).verdict == YES
    assert Gain(**clear, by_seed=(0.3, -0.1)).verdict == OPEN, "an interval over characters does not hold training"


def test_a_row_of_fewer_seeds_is_bold_where_it_is_best_on_the_seeds_it_shares() -> None:
    two_seeds = [ours(quality=0.80), ours(cell__seed=1, quality=0.90)]
    table = table1([*two_seeds, seeded(0, 0.82)])
    patn, best = row(table, "PATN"), row(table, "Ours (1-shot)")
    assert patn.values["ssim"].best and not best.values["ssim"].best, "seed 1 would pass for a gain of 0.03"  # type: ignore[union-attr]
    assert patn.values["fid"].best and not best.values["fid"].best  # type: ignore[union-attr]
    assert best.facts["difference_to_best"]["ssim"]["mean"] == pytest.approx(0.02)
    assert "cannot tell from it, on the seeds that both have" in table.caption
    costs = budget([*two_seeds, seeded(0, 0.82, seconds__train=500.0)])
    assert row(costs, "PATN").values["fid"].best, "slower, and better on the seed both have"  # type: ignore[union-attr]
    table = table1([ours(quality=0.86), ours(cell__seed=1, quality=0.60), seeded(0, 0.82)])
    assert not row(table, "PATN").values["ssim"].best, "a bad seed that it lacks does not make it best"  # type: ignore[union-attr]


def test_no_claim_takes_joint_training_on_any_number_of_pairs_for_equal_samples() -> None:
    full = ours("Ours (4-shot) (MSL)", 0.9, "msl", cell__shots=4)
    joint = {"title": "Ours (4-shot) w/o ML", "variant": "wo-ml", "cell__shots": 4}
    claim = "meta-learning, at equal samples"
    assert text(claims([full, ours(**joint)]), claim, "ssim_verdict") == YES  # type: ignore[arg-type]
    assert text(claims([full, ours(**joint, budget__pairs=800)]), claim, "ssim_verdict") == NOT_RUN  # type: ignore[arg-type]
