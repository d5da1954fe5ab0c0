"""`bench difficulty`: where rows do well and where they fail, by how hard a pair is."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.shared import Judged, with_options
from bench.errors import SkippedError, UsageError


@with_options
def difficulty(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Rows of Tables 2 and 4 too; default: those of Table 1.")
    ] = False,
    options: Judged,
) -> None:
    """Scores on easy, medium and hard images by view, pose, occlusion and texture; runs nothing.

    Exit code 4 where the store lacks the scores of single images of some row, 3 where it lacks all.
    """
    from bench.data.difficulty import difficulty_of
    from bench.image_scores import image_scores_of
    from bench.records import comparable, read_records
    from bench.tables.difficulty import difficulty as table_of
    from bench.tables.difficulty import in_default_rows, rows_by_image
    from bench.verify import pack_of

    folder, place, trial = options.results / options.preset, options.workplace(), options.trial()
    records, others = comparable(trial.scores_in(read_records(folder / "records")))
    wanted = [r for r in records if r.cell["method"] != "truth" and (everything or in_default_rows(r))]
    if not wanted:
        raise UsageError(f"{folder / 'records'} holds no records of such rows; make them with `bench table1`")
    scores, missing = image_scores_of(wanted, place.store)
    pairs = difficulty_of(pack_of(wanted[0], place.store, options.folders()))
    table = table_of(rows_by_image(wanted, scores, pairs), pairs, missing)
    table.write(folder / f"difficulty{trial.suffix}")
    if options.as_json:
        print(table.to_json())
    else:
        table.print()
    if missing:
        raise SkippedError("\n  ".join(["done, but the scores of single images of these are not there:", *missing]))
    if others:
        raise SkippedError(f"left out, of other data, features or joints: {', '.join(others)}; run them again")
