"""The README's example of a method of one's own: a small convolutional network, trained with L1."""

from typing import Any

import torch
from torch import nn

from methods import PairBatch, Phase, Probe, Progress, Setup, Support
from methods.pose import stick_figure


class Plain:
    """Three convolutions on [source, target stick figure]."""

    title, reference, perceptual_nets, few_shot = "Plain", "this README", (), False

    def __init__(self, setup: Setup) -> None:
        self.setup, width = setup, max(8, round(64 * setup.width))
        layers = [nn.Conv2d(6, width, 5, padding=2), nn.ReLU(), nn.Conv2d(width, width, 5, padding=2)]
        layers += [nn.ReLU(), nn.Conv2d(width, 3, 5, padding=2), nn.Tanh()]
        self.net = nn.Sequential(*layers).to(setup.device)
        self.optimiser = torch.optim.Adam(self.net.parameters(), 1e-3)

    def phases(self) -> list[Phase]:
        return [Phase("train", "pairs", self.setup.batch or 4, self.setup.budget.pairs)]

    def draw(self, source: torch.Tensor, _: torch.Tensor, target_keypoints: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat([source, stick_figure(target_keypoints, self.setup.image_size)], 1)).float()

    def train_step(self, batch: PairBatch, progress: Progress) -> dict[str, torch.Tensor]:
        fake = self.draw(batch.source, batch.source_keypoints, batch.target_keypoints)
        loss = (fake - batch.target).abs().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"l1": loss.detach()}

    def adapt(self, support: Support, finetune: Any, on_pass: Any = None) -> Any:
        return self.draw

    def probes(self) -> list[Probe]:
        size = self.setup.image_size
        return [Probe("generator", self.net, (torch.zeros(1, 6, size, size, device=self.setup.device),))]

    def notes(self) -> list[str]:
        return []

    def state_dict(self) -> dict[str, Any]:
        return {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
