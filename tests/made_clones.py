"""Clones of made-up repositories, with the names, packages and habits of the baselines' published code."""

from __future__ import annotations

from pathlib import Path

NETWORKS = """
import functools
from torch import nn


def get_norm_layer(norm_type):
    return functools.partial(nn.BatchNorm2d, affine=True)


class UnetGenerator(nn.Module):
    def __init__(self, inputs, outputs, levels, width, norm_layer, use_dropout):
        super().__init__()
        self.levels = levels
        self.net = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x):
        return self.net(x)


def init_net(net, init_type, init_gain, gpu_ids):
    assert init_type == "normal" and gpu_ids == []
    return net


def define_G(*options):
    raise NotImplementedError("64 px")
"""

PIX2PIX = """
import torch
from . import networks
from models.networks import init_net


class Pix2PixModel:
    def __init__(self, opt):
        self.netG = networks.define_G(
            opt.input_nc, opt.output_nc, opt.ngf, opt.netG, opt.norm, not opt.no_dropout, opt.init_type, opt.init_gain,
            opt.gpu_ids,
        )
        self.optimizers = [torch.optim.Adam(self.netG.parameters(), lr=opt.lr)]

    def set_input(self, input):
        self.real_A, self.real_B = input["A"], input["B"]

    def optimize_parameters(self):
        self.optimizers[0].zero_grad()
        (self.netG(self.real_A) - self.real_B).abs().mean().backward()
        self.optimizers[0].step()
"""

TRANSFER = """
import torch
import torchvision.models as models
import util.util as util
from torch import nn
from util.image_pool import ImagePool
from .base_model import BaseModel


class TransferModel(BaseModel):
    generator = "GENERATOR"

    def initialize(self, opt):
        assert opt.which_model_netG == self.generator
        self.pool = ImagePool(opt.pool_size)
        features = models.vgg19(pretrained=True).features[:2]
        self.features = torch.nn.DataParallel(features, device_ids=opt.gpu_ids).cuda()
        self.netG = nn.Conv2d(3 + 2 * opt.BP_input_nc, 3, 3, padding=1)
        self.optimizers = [torch.optim.Adam(self.netG.parameters(), lr=opt.lr)]
        print(self.netG)

    def set_input(self, input):
        self.input = torch.cat([input["P1"], input["BP1"], input["BP2"]], 1)
        self.image = input["P2"]

    def optimize_parameters(self):
        mean = torch.zeros(3).resize(1, 3, 1, 1).cuda()
        self.optimizers[0].zero_grad()
        (self.features(self.netG(self.input) - mean) - self.features(self.image)).abs().mean().backward()
        self.optimizers[0].step()
"""

FILES = {
    "pytorch-CycleGAN-and-pix2pix": {"models/networks.py": NETWORKS, "models/pix2pix_model.py": PIX2PIX},
    **{
        repository: {
            f"models/{repository.removeprefix('Pose-Transfer') or 'PATN'}.py": TRANSFER.replace("GENERATOR", generator),
            "models/base_model.py": "from torch import nn\n\n\nclass BaseModel(nn.Module):\n    pass\n",
            "util/util.py": "from skimage.draw import circle\n",  # gone since scikit-image 0.19
            "util/image_pool.py": "class ImagePool:\n    def __init__(self, size):\n        assert size == 0\n",
        }
        for repository, generator in (("Pose-Transfer", "PATN"), ("XingGAN", "Xing"))
    },
}


def made_clones(folder: Path) -> Path:
    """All three of them, in a folder."""
    for repository, files in FILES.items():
        for name, text in files.items():
            path = folder / repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder
