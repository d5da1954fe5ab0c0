"""A method of somebody's own with all that ranks could get wrong: mixed samples, noise, a sum for a mean."""

import os
import time
from pathlib import Path

import torch
from torch import nn

from methods import PairBatch, Progress, Setup
from tests.example_method import Plain


class Mixing(Plain):
    """Plain with batch normalisation, two kinds of dropout, noise by sample and for all, SGD, and an inner loop."""

    title = "Mixing"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        first, second, last = self.net[0], self.net[2], self.net[4]
        middle = [nn.BatchNorm2d(first.out_channels), nn.ReLU(), nn.Dropout(0.3), second, nn.Dropout2d(0.2)]
        self.net = nn.Sequential(first, *middle, nn.BatchNorm2d(second.out_channels), nn.ReLU(), last, nn.Tanh())
        self.optimiser = torch.optim.SGD(self.net.parameters(), 0.1, momentum=0.9)  # Adam cannot tell a sum from a mean

    def train_step(self, batch: PairBatch, progress: Progress) -> dict[str, torch.Tensor]:
        by_sample = torch.randn(len(batch.source), 3, 1, 1) + torch.rand_like(batch.source)
        by_sample = by_sample + torch.bernoulli(batch.source.clamp(0, 1)) + torch.empty_like(batch.source).normal_()
        for_all = torch.randn(3, 1, 1) * torch.rand(())
        fake = self.draw(batch.source + 0.1 * (by_sample + for_all), batch.source_keypoints, batch.target_keypoints)
        loss = (fake - batch.target).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

        fast = torch.zeros(len(batch.source), 1, requires_grad=True)  # an inner loop: one value a sample
        inner = torch.optim.SGD([fast], 0.5)
        ((fast - batch.target.mean((1, 2, 3))[:, None]) ** 2).sum().backward()
        inner.step()
        return {"l2": loss.detach(), "inner": fast.detach().square().mean()}


class Slow(Plain):
    """Plain that takes its time, and leaves the number of its process in a file when it has begun."""

    title = "Slow"

    def train_step(self, batch: PairBatch, progress: Progress) -> dict[str, torch.Tensor]:
        Path("begun").write_text(str(os.getpid()))
        time.sleep(1)
        return super().train_step(batch, progress)
