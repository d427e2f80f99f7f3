"""An open search space with no more than has to be there, whose networks have a form of their own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


class _Net(nn.Module):
    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 1)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] < 3:
            raise RuntimeError("images have 3 pixels at least")
        x = self.stem(x) + torch.zeros(1, device="cpu")  # not where the weights are
        return self.fc(x.mean(dim=(2, 3)))


@dataclass(frozen=True)
class Letters:
    """Texts are such as `a=b`."""

    width: int = 8

    @property
    def name(self) -> str:
        return "letters"

    def parse(self, text: str) -> str:
        if "=" not in text:
            raise ValueError(f"{text!r} has no sign of equality")
        return text

    def format(self, arch: str) -> str:
        return arch

    def build(self, arch: str, *, num_classes: int) -> nn.Module:
        return _Net(self.width, num_classes)
