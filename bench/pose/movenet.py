"""MoveNet Thunder, a single-person pose network, in plain torch.

Google's model card and its TensorFlow.js graph are the source: MobileNetV2 of width 1.75, a feature pyramid to a
quarter of the input, and four heads of CenterNet's kind (Zhou et al. 2019, "Objects as Points").
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, relu, relu6

from bench.pose.crop import around_foreground, cut_out
from bench.pose.detector import U8, Detection

MARGIN = 1.1  # side of the crop over that of the foreground; the network is trained on people that fill its input
BATCH = 8
SIDE = 256  # pixels of the input
GRID = SIDE // 4
JOINTS = 17

# MobileNetV2 at width 1.75: (channels out, blocks, stride of the first); each expands its input six times
STAGES = ((32, 1, 1), (40, 2, 2), (56, 3, 2), (112, 4, 2), (168, 3, 1), (280, 3, 2), (560, 1, 1))
STEM, TOP, HEAD = 56, 1280, 96
# blocks whose outputs the pyramid takes beside the top, coarse to fine: strides 16, 8 and 4
TAPS = (9, 5, 2)
PYRAMID = (64, 64, 32, 24)  # channels of the laterals: top, then the taps
SMOOTHING = 1.8  # pixels of the grid added to a distance before a score is divided by it


def _halved(x: Tensor) -> Tensor:
    """TensorFlow's SAME padding for 3×3 at stride 2 on an even side: all of it right and below."""
    return pad(x, (0, 1, 0, 1))


class Block(nn.Module):
    """MobileNetV2's inverted residual, batch normalisation folded in."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = nn.Conv2d(inputs, wide, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(wide, wide, 3, stride, padding=2 - stride, groups=wide)
        self.project = nn.Conv2d(wide, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else relu6(self.expand(x))
        if self.depthwise.stride[0] == 2:
            wide = _halved(wide)
        y: Tensor = self.project(relu6(self.depthwise(wide)))
        return x + y if self.residual else y


class Separable(nn.Module):
    """3×3 depthwise, 1×1, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.pointwise(self.depthwise(x)))


class Head(Separable):
    """A separable convolution and a 1×1 to what is predicted at every pixel of the grid."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, HEAD)
        self.out = nn.Conv2d(HEAD, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(super().forward(x))
        return y


class MoveNet(nn.Module):
    """Pictures [N, 3, 256, 256] in 0 … 255 -> joints [N, 17, 3]: x and y in its pixels, score in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM, 3, 2)
        blocks: list[Block] = []
        width = STEM
        for outputs, count, stride in STAGES:
            for index in range(count):
                blocks.append(Block(width, outputs, stride if index == 0 else 1, 6 if blocks else 1))
                width = outputs
        self.blocks = nn.ModuleList(blocks)
        self.top = nn.Conv2d(width, TOP, 1)
        tapped = (TOP, 112, 56, 40)
        self.laterals = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip(tapped, PYRAMID, strict=True))
        merged = (*PYRAMID[2:], PYRAMID[-1])
        self.merges = nn.ModuleList(Separable(i, o) for i, o in zip(PYRAMID[1:], merged, strict=True))
        outputs_of = {"center": 1, "heatmap": JOINTS, "regress": 2 * JOINTS, "offset": 2 * JOINTS}
        self.heads = nn.ModuleDict({name: Head(PYRAMID[-1], count) for name, count in outputs_of.items()})

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.features(pictures / 127.5 - 1)
        center, heat, regress, offset = (head(features) for head in self.heads.values())
        return decode(center.sigmoid(), heat.sigmoid(), regress, offset) * pictures.new_tensor([4.0, 4.0, 1.0])

    def features(self, x: Tensor) -> Tensor:
        """[N, 3, 256, 256] in [-1, 1] -> [N, 24, 64, 64]."""
        x = relu6(self.stem(_halved(x)))
        tapped = {}
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in TAPS:
                tapped[index] = x
        x = self.laterals[0](relu6(self.top(x)))
        for level, tap in enumerate(TAPS):
            finer = interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = self.merges[level](finer + self.laterals[level + 1](tapped[tap]))
        return x


def decode(center: Tensor, heat: Tensor, regress: Tensor, offset: Tensor) -> Tensor:
    """Joints [N, 17, 3] (x, y in pixels of the grid, score) of the one person nearest to the middle.

    center [N, 1, G, G] and heat [N, 17, G, G] in [0, 1]; regress and offset [N, 34, G, G], (y, x) of each joint.
    At the person's centre a joint's place is regressed; the peak of its heat map, weighted by nearness to that
    place, is the joint, and the offset there moves it below the pixel.
    """
    count, grid = len(center), center.shape[-1]
    axis = torch.arange(grid, device=center.device, dtype=center.dtype)
    middle = (axis - grid // 2).square()
    to_middle = (middle[:, None] + middle).sqrt() + SMOOTHING
    at = (center[:, 0] / to_middle).flatten(1).argmax(1)  # [N]
    place = regress.flatten(2).gather(2, at[:, None, None].expand(-1, 2 * JOINTS, 1)).view(count, JOINTS, 2)
    place = place + torch.stack([at // grid, at % grid], -1)[:, None]
    away = (axis[:, None] - place[..., None, None, 0]).square() + (axis - place[..., None, None, 1]).square()
    peak = (heat / (away.sqrt() + SMOOTHING)).flatten(2).argmax(2)  # [N, 17]
    score = heat.flatten(2).gather(2, peak[..., None])[..., 0]
    moves = offset.view(count, JOINTS, 2, -1).gather(3, peak[..., None, None].expand(-1, -1, 2, 1))[..., 0]
    return torch.stack([peak % grid + moves[..., 1], peak // grid + moves[..., 0], score], -1)


class MoveNetDetector:
    """MoveNet on a square around the foreground of each picture."""

    def __init__(self, network: MoveNet, name: str) -> None:
        self._network = network.eval()
        self.name = name

    @torch.no_grad()
    def detect(self, images: U8) -> Detection:
        """Joints of pictures on white, uint8 [N, H, W, 3]."""
        squares = [around_foreground(image, MARGIN) for image in images]
        found = [torch.zeros(0, JOINTS, 3)]
        for start in range(0, len(images), BATCH):
            part = zip(images[start : start + BATCH], squares[start : start + BATCH], strict=True)
            crops = np.stack([cut_out(image, square, SIDE) for image, square in part])
            found.append(self._network(torch.from_numpy(crops).permute(0, 3, 1, 2).float()))
        joints = torch.cat(found).numpy()
        scale = np.asarray([square.side / SIDE for square in squares], np.float32)[:, None, None]
        corner = np.asarray([(square.left, square.top) for square in squares], np.float32).reshape(-1, 1, 2)
        return Detection(joints[..., :2] * scale + corner, joints[..., 2])


def load() -> MoveNetDetector:
    """The detector with its weights; raises WeightsMissing where they cannot be had."""
    from bench import weights

    loaded = weights.load("movenet-thunder")
    network = MoveNet()
    network.load_state_dict(loaded.state_dict)
    return MoveNetDetector(network, f"MoveNet Thunder v4 ({loaded.sha256[:8]}), crop × {MARGIN}")
