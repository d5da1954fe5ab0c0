"""Commands about methods: which there are, and how large."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.shared import JsonOption, PresetOption, print_json


def methods(as_json: JsonOption = False) -> None:
    """List the built-in methods."""
    from bench.build import method_class
    from methods import METHODS

    rows = [
        {"name": name, "title": cls.title, "paper": cls.reference, "few_shot": cls.few_shot, "class": path}
        for name, path in METHODS.items()
        for cls in [method_class(name)]
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['name']:10} {row['title']:10} {row['paper']:28} {row['class']}")
    print("A method of your own: --method package.module:Class (see README, 'Add a method').")


def inspect(
    method: Annotated[str, typer.Argument(help="A name of `bench methods`, or package.module:Class.")],
    preset: PresetOption = "paper",
    as_json: JsonOption = False,
) -> None:
    """Print each network with its parameters, multiply-accumulates and output shape."""
    from bench.inspect import inspect as inspect_method
    from bench.spec import Cell

    Cell(method, preset).check()
    reports = inspect_method(method, preset)
    if as_json:
        print_json([vars(report) for report in reports])
        return
    for report in reports:
        shape = "×".join(str(side) for side in report.output)
        print(f"{report.name:22} {report.parameters:>13,} parameters {report.macs / 1e9:>10.3f} GMACs   {shape}")
