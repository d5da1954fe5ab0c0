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


def check_method(
    method: Annotated[str, typer.Argument(help="A name of `bench methods`, or package.module:Class.")],
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "cpu",
    image_size: Annotated[int, typer.Option("--image-size", min=32, max=512, help="Pixels.")] = 64,
    as_json: JsonOption = False,
) -> None:
    """Check that a method keeps what the suite relies on; exit code 3 if it does not."""
    from bench.build import pick_device, use_all_cores
    from bench.conformance import check_method as findings
    from bench.spec import Cell

    Cell(method, "smoke").check()  # which names the nearest method there is
    use_all_cores()
    found = []
    for finding in findings(method, pick_device(device), image_size):
        found.append(finding)
        if not as_json:
            print(f"{'ok  ' if finding.holds else 'FAIL'} {finding.check}{f': {finding.fault}' * (not finding.holds)}")
    if as_json:
        print_json([vars(finding) for finding in found])
    if not all(finding.holds for finding in found):
        raise typer.Exit(3)


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
