"""A toy search space without a length: chains of convolutions and poolings, such as `c8-p-c16`."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from nasbench_eval.spaces.base import Network, uninitialised

WIDTHS = (4, 8, 16)
Chain = tuple[int, ...]  # widths of convolutions; 0 is a pooling


@dataclass(frozen=True)
class OpenChains:
    """Chains of any length.

    Attributes:
        mean_length: of those that are drawn.
    """

    mean_length: float = 3.0

    @property
    def name(self) -> str:
        return "open_chains"

    def parse(self, text: str) -> Chain:
        if not re.fullmatch(r"(c\d{1,2}|p)(-(c\d{1,2}|p))*", text):
            raise ValueError(f"{text!r} is no chain such as c8-p-c16")
        chain = tuple(0 if part == "p" else int(part[1:]) for part in text.split("-"))
        if unknown := [width for width in chain if width and width not in WIDTHS]:
            raise ValueError(f"{text!r} has a convolution of {unknown[0]} channels; there are {WIDTHS}")
        return chain

    def format(self, arch: Chain) -> str:
        return "-".join(f"c{width}" if width else "p" for width in arch)

    def canonical(self, arch: Chain) -> Chain:
        """Two poolings that follow each other count as one; the networks differ, which is no matter here."""
        return tuple(width for i, width in enumerate(arch) if width or i == 0 or arch[i - 1])

    def sample(self, rng: np.random.Generator) -> Chain:
        length = int(rng.geometric(1 / self.mean_length))
        return tuple(int(width) for width in rng.choice((0, *WIDTHS), length))

    def mutate(self, arch: Chain, rng: np.random.Generator) -> Chain:
        """Another part in one place, or one part more at the end."""
        place = int(rng.integers(len(arch) + 1))
        others = [width for width in (0, *WIDTHS) if arch[place : place + 1] != (width,)]
        return (*arch[:place], int(rng.choice(others)), *arch[place + 1 :])

    def build(self, arch: Chain, *, num_classes: int) -> Network:
        return uninitialised(lambda: _Stack(arch, num_classes))


class _Stack(Network):
    """A stem, a chain and a classifier."""

    def __init__(self, chain: Chain, num_classes: int) -> None:
        super().__init__()
        width = WIDTHS[0]
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        blocks: list[nn.Module] = []
        for part in chain:
            if part:
                convolution = nn.Conv2d(width, part, 3, padding=1, bias=False)
                blocks.append(nn.Sequential(convolution, nn.BatchNorm2d(part), nn.ReLU()))
                width = part
            else:
                blocks.append(nn.AvgPool2d(3, stride=1, padding=1))
        self.cells = nn.ModuleList(blocks)
        self.classifier = nn.Linear(width, num_classes)

    def features(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.stem(x_BCHW)
        for cell in self.cells:
            x_BCHW = cell(x_BCHW)
        return x_BCHW

    def head(self, features_BChw: Tensor) -> Tensor:
        logits: Tensor = self.classifier(features_BChw.mean(dim=(2, 3)))
        return logits


@dataclass(frozen=True)
class Numbered:
    """Neither enumerated nor open: it can draw architectures, but not change them."""

    @property
    def name(self) -> str:
        return "numbered"

    def parse(self, text: str) -> int:
        return int(text)

    def format(self, arch: int) -> str:
        return str(arch)

    def canonical(self, arch: int) -> int:
        return arch

    def sample(self, rng: np.random.Generator) -> int:
        return int(rng.integers(10))

    def build(self, arch: int, *, num_classes: int) -> Network:
        return uninitialised(lambda: _Stack((4,), num_classes))
