"""Statements about `bench speed --authors`: the authors' own training step is what runs, and nothing of it stays."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torchvision

from bench.errors import UsageError
from bench.speed.authors import PACKAGES, REPOSITORIES, AuthorsSteps, modules_of
from bench.speed.beside import NO_CLONES, NO_VGG, THEIRS, authors, measure_authors
from bench.speed.make import measure_speed
from bench.speed.record import Group, Scope
from tests.made_clones import made_clones

CPU = torch.device("cpu")


@pytest.fixture
def clones(tmp_path: Path) -> Path:
    return made_clones(tmp_path / "clones")


def scope(clones: Path | None, *methods: str) -> Scope:
    return Scope("smoke", CPU, threads=1, rounds=3, seconds=0.0, quick=True, methods=methods, authors=clones)


def measured(clones: Path | None, *methods: str) -> dict[str, Group]:
    return {group.name: group for group in authors(scope(clones, *methods))}


def packages() -> set[str]:
    return {name for name in sys.modules if name.partition(".")[0] in PACKAGES}


@pytest.mark.parametrize("method", REPOSITORIES)
def test_a_step_is_the_published_one_and_leaves_no_module_behind(
    clones: Path, method: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = ModuleType("util")  # of the user's, say
    monkeypatch.setitem(sys.modules, "util", mine)
    before, path = packages(), list(sys.path)
    cuda, vgg19 = torch.Tensor.cuda, torchvision.models.vgg19
    steps = AuthorsSteps(method, clones, 32, 2, CPU)
    network = steps._model.netG
    first = [p.detach().clone() for p in network.parameters()]
    steps(0)
    assert all(not torch.equal(old, new) for old, new in zip(first, network.parameters(), strict=True))
    assert steps.parameters == sum(p.numel() for p in network.parameters())
    assert packages() == before and sys.modules["util"] is mine and sys.path == path
    assert torch.Tensor.cuda is cuda and torchvision.models.vgg19 is vgg19
    assert capsys.readouterr().out == "", "published models print their networks"


def test_pix2pix_has_a_level_for_each_halving(clones: Path) -> None:
    assert [AuthorsSteps("pix2pix", clones, size, 1, CPU)._model.netG.levels for size in (32, 64)] == [5, 6]


def test_each_clone_gets_its_own_modules_even_after_one_that_fails(clones: Path) -> None:
    with pytest.raises(ZeroDivisionError), modules_of(clones / "XingGAN"):
        import models.XingGAN

        assert models.XingGAN.__file__.startswith(str(clones / "XingGAN"))
        _ = 1 / 0
    with modules_of(clones / "Pose-Transfer"), pytest.raises(ModuleNotFoundError):
        import models.XingGAN
    assert not packages()


def test_every_step_stands_beside_the_authors_with_its_size(clones: Path) -> None:
    groups = measured(clones)
    assert list(groups) == [
        "authors' Pix2Pix",
        "authors' PATN",
        "authors' XingGAN",
        "XingGAN's memory and its authors'",
    ]
    for name, title in (("authors' Pix2Pix", "Pix2Pix"), ("authors' PATN", "PATN"), ("authors' XingGAN", "XingGAN")):
        theirs, ours = groups[name].lines
        assert (theirs.name, ours.name) == (THEIRS, title)
        assert theirs.ratio is not None and theirs.ratio.median == 1
        assert theirs.seconds is not None and ours.seconds is not None and ours.ratio is not None
        assert theirs.macs_rate and ours.macs_rate
        assert "parameters here" in ours.notes[0]
        assert (NO_VGG in ours.notes) == (title != "Pix2Pix"), "--quick has no perceptual network"
    # 2 pairs of 32 × 32 px through a 3 × 3 convolution of 39 channels to 3, and VGG19's first on both
    inputs, first = 39 * 3 * 9, 3 * 64 * 9
    macs = 2 * 32 * 32 * (2 * inputs + (2 + 1 + 1) * first) / 1e9
    assert f"{3 + inputs:,} in the authors' code" in groups["authors' PATN"].lines[1].notes[0]
    assert f"and {macs:.2f} billion" in groups["authors' PATN"].lines[1].notes[0]


def test_what_cannot_be_run_says_why_and_the_others_are_measured(clones: Path) -> None:
    shutil.rmtree(clones / "XingGAN")
    (clones / "Pose-Transfer" / "models" / "base_model.py").write_text("raise SystemError('too old')\n")
    groups = measured(clones)
    assert groups["authors' Pix2Pix"].lines[1].ratio is not None
    (patn,) = groups["authors' PATN"].lines
    assert patn.notes == ("Not available: SystemError: too old",)
    (xinggan,) = groups["authors' XingGAN"].lines
    assert "clone https://github.com/Ha0Tang/XingGAN there" in xinggan.notes[0]
    suite, theirs = groups["XingGAN's memory and its authors'"].lines
    assert suite.memory and theirs.memory is None and "clone https://github.com/Ha0Tang/XingGAN" in theirs.notes[0]


def test_a_step_that_raises_is_told_too(clones: Path) -> None:
    model = clones / "Pose-Transfer" / "models" / "PATN.py"
    model.write_text(model.read_text().replace("self.optimizers[0].step()", "raise ValueError('no step')"))
    theirs, ours = measured(clones, "patn")["authors' PATN"].lines
    assert theirs.notes == ("Not available: ValueError: no step",)
    assert ours.seconds is not None and ours.ratio is None


def test_without_clones_nothing_is_run(tmp_path: Path) -> None:
    (group,) = authors(scope(None))
    assert group.lines[0].notes == (NO_CLONES,)
    with pytest.raises(UsageError, match="holds no clone of the authors' code: clone into it https://"):
        measure_speed(scope(tmp_path), (), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_memory_of_the_authors_step_is_what_it_added(clones: Path) -> None:
    grown, seconds = measure_authors(clones, 32, "cpu", 1)
    assert seconds > 0 and (grown is None or grown > 0)
