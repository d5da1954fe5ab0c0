"""Feature extractors for FID and KID, by name.

`inception` is FID's own network (2015-12-05) as pytorch-fid prepares its input; `danbooru-resnet*` are the
networks of RF5/danbooru-pretrained (Baas 2019), after global average pooling. A distance is comparable only
within one extractor, so a table uses one and names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from bench import weights
from bench.errors import unknown

Images = NDArray[np.uint8]  # [N, H, W, 3]
Features = NDArray[np.float32]  # [N, d]

BATCH = 8  # on a CPU larger batches gain nothing and cost memory


@dataclass(frozen=True)
class Danbooru:
    """One network of RF5/danbooru-pretrained: torchvision's ResNet, its tags and its input."""

    architecture: str
    tags: int
    size: int  # pixels; the side its input is resized to
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_SUBSET_MEAN, _SUBSET_STD = (0.5422, 0.5035, 0.4964), (0.4032, 0.3934, 0.3892)
DANBOORU = {
    "danbooru-resnet50": Danbooru("resnet50", 6000, 360, (0.7137, 0.6628, 0.6519), (0.2970, 0.3017, 0.2979)),
    "danbooru-resnet34": Danbooru("resnet34", 500, 256, _SUBSET_MEAN, _SUBSET_STD),
    "danbooru-resnet18": Danbooru("resnet18", 100, 256, _SUBSET_MEAN, _SUBSET_STD),
}
EXTRACTORS = ("danbooru-resnet50", "danbooru-resnet34", "danbooru-resnet18", "inception")
"""Names of extractors, the paper's kind first."""


class Extractor:
    """Maps images to features: `Extractor("inception")(images)` is float32 [N, d].

    The features of an image depend on that image alone (up to float32 rounding of the batched convolutions),
    and an image that occurs twice is passed through the network once. Raises UsageError for an unknown name
    and WeightsMissing where the weights cannot be had.
    """

    def __init__(self, name: str, device: str | torch.device = "cpu", fetch: bool = True) -> None:
        if name not in EXTRACTORS:
            raise unknown("feature extractor", name, EXTRACTORS)
        loaded = weights.load(name, fetch)
        network, self.dim = _network(name, loaded.state_dict)
        self.name = name
        self.sha256 = loaded.sha256  # of the weights' source file
        self.source = loaded.source
        self.device = torch.device(device)
        network = network.eval().requires_grad_(False).to(self.device)
        self._network = network.to(memory_format=torch.channels_last)

    def __call__(self, images: Images, known: MutableMapping[str, Features] | None = None) -> Features:
        """Features of uint8 RGB images [N, H, W, 3], N ≥ 1.

        `known` maps digests of images to their features [d]; what it holds is not computed again, and what is
        computed is added to it. It belongs to this extractor: `sha256` says which.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"expected uint8 [N, H, W, 3], not {images.dtype} {list(images.shape)}")
        found = known if known is not None else {}
        digests = [image_digest(image) for image in images]
        first = {digest: index for index, digest in reversed(list(enumerate(digests))) if digest not in found}
        order = sorted(first.values())
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            for index, feature in zip(chosen, self._features(images[chosen]), strict=True):
                found[digests[index]] = feature
        return np.stack([found[digest] for digest in digests])

    @torch.inference_mode()
    def _features(self, images: Images) -> Features:
        batch = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float().div(255)
        features: Tensor = self._network(batch)
        return features.float().cpu().numpy()


def image_digest(image: NDArray[np.uint8]) -> str:
    """A digest of an image's pixels and shape."""
    digest = hashlib.blake2b(str(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _network(name: str, state: Mapping[str, Tensor]) -> tuple[nn.Module, int]:
    """RGB in [0, 1] [B, 3, H, W] -> features [B, d], and d."""
    with torch.random.fork_rng(devices=[]):  # building draws initial weights; nobody's seed should notice
        if name in DANBOORU:
            return _danbooru(DANBOORU[name], state)
        return _inception(state), 2048


def _inception(state: Mapping[str, Tensor]) -> nn.Module:
    from pytorch_fid import inception
    from torch.nn.utils.fusion import fuse_conv_bn_eval
    from torchvision.models.inception import BasicConv2d

    # the graph's last layer, which FID does not use and not every source has
    classifier = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}

    def our_weights(*_: object, **__: object) -> dict[str, Tensor]:
        return {**state, **classifier}

    # pytorch-fid builds the graph and then downloads its weights; here it is handed ours, and checks the keys
    with mock.patch.object(inception, "load_state_dict_from_url", our_weights):
        network = inception.InceptionV3((3,)).eval()  # resizes to 299² and scales to [-1, 1] by itself
    # batch norm folded into its convolution saves a sixth of the time and moves features by less than 1e-5
    for block in network.modules():
        if isinstance(block, BasicConv2d):
            block.conv, block.bn = fuse_conv_bn_eval(block.conv, block.bn), nn.Identity()
    return nn.Sequential(_Apply(network, lambda outputs: outputs[0]), nn.Flatten())


def _danbooru(spec: Danbooru, state: Mapping[str, Tensor]) -> tuple[nn.Module, int]:
    body, tagger, dim = danbooru_tagger(spec)
    tagger.load_state_dict(state, strict=True)
    return nn.Sequential(_Normalised(spec), body, nn.AdaptiveAvgPool2d(1), nn.Flatten()), dim


def danbooru_tagger(spec: Danbooru) -> tuple[nn.Module, nn.Module, int]:
    """The convolutional body; the whole network as its authors saved it, body then tagging head; channels."""
    from torchvision import models

    resnet = getattr(models, spec.architecture)(weights=None)
    body = nn.Sequential(*list(resnet.children())[:-2])
    channels = resnet.fc.in_features
    head = nn.Sequential(
        nn.Identity(),  # the authors' concatenation of max and average pooling; it has no parameters
        nn.Flatten(),
        nn.BatchNorm1d(2 * channels),
        nn.Dropout(0.25),
        nn.Linear(2 * channels, 512),
        nn.ReLU(),
        nn.BatchNorm1d(512),
        nn.Dropout(0.5),
        nn.Linear(512, spec.tags),
    )
    return body, nn.Sequential(body, head), channels


class _Apply(nn.Module):
    """A module followed by a plain function."""

    def __init__(self, module: nn.Module, then: Callable[[list[Tensor]], Tensor]) -> None:
        super().__init__()
        self.module, self.then = module, then

    def forward(self, images: Tensor) -> Tensor:
        return self.then(self.module(images))


class _Normalised(nn.Module):
    """Resizes as torchvision does (bilinear, antialiased when shrinking) and normalises by channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, spec: Danbooru) -> None:
        super().__init__()
        self.size = spec.size
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        resized = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        return (resized - self.mean) / self.std
