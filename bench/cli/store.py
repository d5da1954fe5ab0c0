"""`bench store`: see and free what the store holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.shared import DryRunOption, JsonOption, StoreOption, print_json

app = typer.Typer(no_args_is_help=True, help="See and free what the store holds.")


@app.command("ls")
def ls(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List finished, unfinished, failed and superseded stages with their sizes."""
    from bench.store import default_root, stored_stages, superseded

    root = store or default_root()
    old = {stage.folder for stage in superseded(root)}
    rows: list[dict[str, Any]] = [
        {"kind": s.kind, "label": s.label, "folder": str(s.folder), "mebibytes": round(s.size / 2**20, 2),
         "state": "superseded" if s.folder in old and s.state == "done" else s.state}
        for s in stored_stages(root)
    ]  # fmt: skip
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['state']:11} {row['kind']:9} {row['mebibytes']:>9.2f} MiB  {Path(row['folder']).name}")
    print(f"{len(rows)} stages, {sum(row['mebibytes'] for row in rows):.0f} MiB in {root}")


@app.command("gc")
def gc(
    everything: Annotated[bool, typer.Option("--all", help="Remove every stage, current ones too.")] = False,
    dry_run: DryRunOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove superseded and failed stages."""
    from bench.store import default_root, remove, stored_stages, superseded

    root = store or default_root()
    going = list(stored_stages(root)) if everything else superseded(root)
    gone = []
    for stage in going:
        if dry_run or remove(stage):
            gone.append(stage)
            said = "would remove" if dry_run else "removed"
        else:
            said = "in use, kept"
        if not as_json:
            print(f"{said} {stage.kind}/{stage.folder.name}")
    freed = sum(stage.size for stage in gone) / 2**20
    if as_json:
        print_json({"removed": [f"{s.kind}/{s.folder.name}" for s in gone], "mebibytes": freed, "dry_run": dry_run})
    else:
        print(f"{freed:.0f} MiB")
