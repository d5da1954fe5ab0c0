"""The same request is the same work under the same name, whatever else the suite learns to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.cells import Workplace, stages
from bench.conformance import changed
from bench.data.batches import episode_batch, pair_batch
from bench.plan import Later, cells_of
from bench.presets import PRESETS
from bench.progress import SilentReporter
from bench.seeds import derive
from bench.source import method_modules, source_hash
from bench.spec import VARIANTS, Cell
from methods import METHODS
from tests.broken_off import stored_pack
from tests.made_pack import made_pack
from tests.test_resume import result, spec, trained

CPU = torch.device("cpu")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    import bench.cells

    monkeypatch.setattr(bench.cells, "extractor_identity", lambda name: {"name": "made up", "sha256": "0"})
    monkeypatch.setattr(bench.cells, "lpips_identity", lambda: None)
    monkeypatch.setattr(bench.cells, "perceptual_hashes", lambda names, report: dict.fromkeys(names, "0"))
    stored_pack(tmp_path / "pack")
    return Workplace(tmp_path / "store", tmp_path / "results", SilentReporter(), tmp_path / "pack")


def identities(place: Workplace) -> dict[str, tuple[Any, ...]]:
    """Every stage of Tables 1, 2 and 4: its key, what it is asked for, and the seed of its training."""
    found = {}
    for name in ("table1", "table2", "table4"):
        for cell in cells_of(name, Cell("ours", "smoke", device="cpu"), [0, 1], finetune=name != "table4"):
            if isinstance(cell, Later):
                continue
            plan = stages(cell, place)
            for stage in (plan.warm_start, plan.train, plan.tune, plan.generate, plan.score):
                if stage is not None:
                    seed = plan.spec and derive("train", plan.spec.seed)
                    found[f"{stage.kind}/{stage.label}/{cell.extra_pairs}"] = (stage.key, stage.identity, seed)
    return found


def test_a_new_method_and_a_new_variant_change_no_key_and_no_seed(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identities(place)
    assert len(before) > 60
    monkeypatch.setitem(METHODS, "aaa", "tests.example_method:Plain")
    monkeypatch.setitem(VARIANTS["ours"], "aaa", {"inner_steps": 2})
    monkeypatch.setitem(VARIANTS, "aaa", {"": {}, "wide": {"width": 2}})
    smoke = PRESETS["smoke"]
    wider = replace(smoke, widths={**smoke.widths, "aaa": 0.5}, options={**smoke.options, "aaa": {"lr": 1.0}})
    monkeypatch.setitem(PRESETS, "smoke", wider)
    assert identities(place) == before
    for name, variant in (("aaa", ""), ("ours", "aaa")):
        added = stages(Cell(name, "smoke", variant, device="cpu"), place).train
        assert added is not None and added.key not in {key for key, _, _ in before.values()}


def test_a_new_file_beside_the_methods_changes_no_source_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "extra_methods"
    package.mkdir()
    (package / "__init__.py").write_text('"""Methods."""\n')
    (package / "one.py").write_text("from extra_methods.shared import x\n")
    (package / "shared.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = source_hash(method_modules("extra_methods.one"))
    (package / "two.py").write_text("from extra_methods.shared import x\n")
    (package / "__init__.py").write_text('"""Methods."""\nMETHODS = ["one", "two"]\n')
    assert source_hash(method_modules("extra_methods.one")) == before
    # what it does import counts; hashes of files are kept for the life of a process
    (package / "shared2.py").write_text("x = 2\n")
    (package / "three.py").write_text("from extra_methods.shared2 import x\n")
    assert "extra_methods.shared2" in method_modules("extra_methods.three")


def test_the_seed_of_a_training_decides_every_bit_and_another_seed_another(tmp_path: Path) -> None:
    wanted = spec("ours", "msl")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(hash(name) % 1000)  # whatever was drawn before does not matter
        trained(replace(wanted, seed=seed), tmp_path / name)
    assert changed(result(tmp_path / "a"), result(tmp_path / "b")) == []
    assert changed(result(tmp_path / "a"), result(tmp_path / "c"))


def test_a_batch_is_a_function_of_seed_and_step_and_of_nothing_drawn_before() -> None:
    """So whoever reads the data, and however many of them, sees the same order."""
    pack = made_pack()
    batches = [pair_batch(pack, 5, step, 2, CPU) for step in range(6)]
    episodes = [episode_batch(pack, 5, step, 2, 4, CPU, "views") for step in range(6)]
    torch.manual_seed(99)
    for step in (3, 0, 5, 1, 4, 2):  # in any order, as several readers would
        for again, first in ((pair_batch(pack, 5, step, 2, CPU), batches[step]),
                             (episode_batch(pack, 5, step, 2, 4, CPU, "views"), episodes[step])):  # fmt: skip
            assert changed(vars(again), vars(first)) == []
    assert changed(vars(batches[0]), vars(batches[1]))
