"""Training steps of the baselines' own code, out of clones of their repositories.

Nothing of that code is kept here: `bench speed --authors FOLDER` imports it, and so runs what lies there. A clone has
the name of its repository; what is called is the training step that is published (`optimize_parameters`), with the
options of METHODS §2, §4 and §5, on pictures of noise. For what has aged something stands in: `.cuda()` where there is
no GPU, a helper for plots that needs functions scikit-image has dropped, and VGG19's weights, which are random here: no
time depends on them.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torchvision
from torch import Tensor, nn

from bench.errors import UsageError

PACKAGES = ("models", "util", "losses", "options", "data")
"""Top-level packages of the repositories, which share these names: none may outlive its import."""
JOINTS = 18  # of OpenPose
VGG19 = torchvision.models.vgg19


@dataclass(frozen=True)
class Repository:
    """Where a baseline's code is published, and how its model is made, of (image size, batch, numbers of GPUs)."""

    name: str  # of the clone's folder
    owner: str
    build: Callable[[int, int, list[int]], Any]

    @property
    def address(self) -> str:
        return f"https://github.com/{self.owner}/{self.name}"


def _pix2pix(size: int, batch: int, gpus: list[int]) -> Any:
    networks = importlib.import_module("models.networks")
    levels = size.bit_length() - 1

    def unet(inputs: int, outputs: int, width: int, kind: str, norm: str, dropout: bool, *initial: Any) -> nn.Module:
        """`define_G`, whose U-Nets are for 128 and 256 px alone."""
        layer = networks.get_norm_layer(norm_type=norm)
        net = networks.UnetGenerator(inputs, outputs, levels, width, norm_layer=layer, use_dropout=dropout)
        return networks.init_net(net, *initial)  # type: ignore[no-any-return]

    options = SimpleNamespace(
        gpu_ids=gpus, isTrain=True, checkpoints_dir="", name="", preprocess="none", direction="AtoB",
        input_nc=6, output_nc=3, ngf=64, ndf=64, netG="unet_256", netD="basic", n_layers_D=3, norm="batch",
        no_dropout=False, init_type="normal", init_gain=0.02, gan_mode="vanilla", lr=2e-4, beta1=0.5, lambda_L1=100.0,
    )  # fmt: skip
    with mock.patch.object(networks, "define_G", unet):
        model = importlib.import_module("models.pix2pix_model").Pix2PixModel(options)
    condition, image = _noise(batch, 6, size), _noise(batch, 3, size)
    model.set_input({"A": condition, "B": image, "A_paths": "", "B_paths": ""})
    return model


def _transfer(module: str, generator: str, l1_weight: float) -> Callable[[int, int, list[int]], Any]:
    """PATN's training code, which XingGAN's is a copy of."""

    def build(size: int, batch: int, gpus: list[int]) -> Any:
        model = importlib.import_module(f"models.{module}").TransferModel()
        options = SimpleNamespace(
            gpu_ids=gpus, isTrain=True, continue_train=False, checkpoints_dir="", name="", batchSize=batch,
            fineSize=size, P_input_nc=3, BP_input_nc=JOINTS, ngf=64, ndf=64, norm="instance", init_type="normal",
            which_model_netG=generator, no_dropout=False, G_n_downsampling=2,
            which_model_netD="resnet", no_dropout_D=False, D_n_downsampling=2, n_layers_D=3, with_D_PB=1, with_D_PP=1,
            no_lsgan=False, pool_size=0, DG_ratio=1, lr=2e-4, beta1=0.5,
            L1_type="l1_plus_perL1", perceptual_layers=3, percep_is_l1=1,
            lambda_A=l1_weight, lambda_B=l1_weight, lambda_GAN=5.0,
            lr_policy="lambda", epoch_count=1, niter=500, niter_decay=200,
        )  # fmt: skip
        model.initialize(options)
        images = {name: _noise(batch, 3, size) for name in ("P1", "P2")}
        poses = {name: _noise(batch, JOINTS, size) for name in ("BP1", "BP2")}
        model.set_input({**images, **poses, "P1_path": [""], "P2_path": [""]})
        return model

    return build


REPOSITORIES: Mapping[str, Repository] = {
    "pix2pix": Repository("pytorch-CycleGAN-and-pix2pix", "junyanz", _pix2pix),
    "patn": Repository("Pose-Transfer", "tengteng95", _transfer("PATN", "PATN", 1.0)),
    "xinggan": Repository("XingGAN", "Ha0Tang", _transfer("XingGAN", "Xing", 50.0)),
}
"""By method. PG2 was published for TensorFlow 1, which no Python of today runs."""


class AuthorsSteps:
    """Training steps of one baseline's own code, at the published widths."""

    def __init__(self, method: str, clones: Path, size: int, batch: int, device: torch.device) -> None:
        repository = REPOSITORIES[method]
        folder = clones / repository.name
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no {folder}; clone {repository.address} there")
        self._device = device
        gpus = [device.index or 0] if device.type == "cuda" else []
        torch.manual_seed(0)
        with self._stand_ins(), modules_of(folder):
            self._model = repository.build(size, batch, gpus)

    def __call__(self, number: int) -> None:
        torch.manual_seed(number)
        with self._stand_ins():
            self._model.optimize_parameters()

    @property
    def parameters(self) -> int:
        """That its optimisers train."""
        return sum(p.numel() for o in self._model.optimizers for group in o.param_groups for p in group["params"])

    @contextlib.contextmanager
    def _stand_ins(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))  # prints every network
            stack.enter_context(warnings.catch_warnings(action="ignore"))
            stack.enter_context(mock.patch("torchvision.models.vgg19", lambda pretrained: VGG19(weights=None)))
            if self._device.type != "cuda":
                stack.enter_context(mock.patch.object(Tensor, "cuda", lambda x, *where: x))
                stack.enter_context(mock.patch.object(nn.Module, "cuda", lambda module, *where: module))
            yield


@contextlib.contextmanager
def modules_of(folder: Path) -> Iterator[None]:
    """`import models…` finds a clone's modules inside, and nothing of them is left in `sys.modules` after."""

    def taken() -> list[str]:
        return [name for name in sys.modules if name.partition(".")[0] in PACKAGES]

    before = {name: sys.modules.pop(name) for name in taken()}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        sys.modules["util.util"] = ModuleType("util.util")  # the helper for plots
        yield
    finally:
        sys.path.remove(str(folder))
        for name in taken():
            del sys.modules[name]
        sys.modules.update(before)


def check_clones(clones: Path) -> None:
    """Raises UsageError for a folder that holds no clone at all."""
    if not any((clones / repository.name).is_dir() for repository in REPOSITORIES.values()):
        addresses = ", ".join(repository.address for repository in REPOSITORIES.values())
        raise UsageError(f"--authors {clones} holds no clone of the authors' code: clone into it {addresses}")


def _noise(batch: int, channels: int, size: int) -> Tensor:
    return torch.rand(batch, channels, size, size) * 2 - 1
