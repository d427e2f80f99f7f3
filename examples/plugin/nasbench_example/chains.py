"""Chains: cells of three operations, one after the other, 64 of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from torch import Tensor, nn

from nasbench_eval.spaces.base import Network, uninitialised

OPERATIONS = ("skip", "conv1x1", "conv3x3", "pool")
CHAINS = tuple(product(OPERATIONS, repeat=3))

Chain = tuple[str, ...]


@dataclass(frozen=True)
class Chains:
    """Texts are such as `conv3x3-pool-skip`; the order is that of `itertools.product`.

    Attributes:
        channels: width C of the stem and the first stage; the second has 2C.
        cells_per_stage: cells N in each of the two stages.
    """

    channels: int = 16
    cells_per_stage: int = 2

    @property
    def name(self) -> str:
        return "chains"

    def __len__(self) -> int:
        return len(CHAINS)

    def arch(self, index: int) -> Chain:
        if not 0 <= index < len(self):
            raise IndexError(f"there are chains 0 to {len(self) - 1}; there is no chain {index}")
        return CHAINS[index]

    def index(self, arch: Chain) -> int:
        return CHAINS.index(arch)

    def parse(self, text: str) -> Chain:
        chain = tuple(text.strip().split("-"))
        if chain not in CHAINS:
            raise ValueError(f"{text!r} is no chain of three of {', '.join(OPERATIONS)}")
        return chain

    def format(self, arch: Chain) -> str:
        return "-".join(arch)

    def build(self, arch: Chain, *, num_classes: int) -> Network:
        return uninitialised(lambda: Stack(arch, self.channels, self.cells_per_stage, num_classes))

    def resized(self, *, channels: int | None, cells: int | None) -> Chains:
        return Chains(
            self.channels if channels is None else channels,
            self.cells_per_stage if cells is None else cells,
        )

    def live(self, arch: Chain) -> bool:
        return True  # nothing in a chain can be cut off

    def canonical(self, arch: Chain) -> Chain:
        """A skip does nothing, wherever it stands: all of them go to the end."""
        return tuple(sorted(arch, key=lambda operation: operation == "skip"))

    def neighbours(self, arch: Chain) -> list[Chain]:
        """The nine chains with one other operation."""
        every = [(*arch[:i], o, *arch[i + 1 :]) for i in range(len(arch)) for o in OPERATIONS]
        return [chain for chain in every if chain != arch]


def _convolution(channels_in: int, channels_out: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    )


def _operation(name: str, channels: int) -> nn.Module:
    if name == "skip":
        return nn.Identity()
    if name == "pool":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return _convolution(channels, channels, int(name[-1]))


class Stack(Network):
    """Stem, N cells, a block that halves the resolution and doubles the width, N cells, classifier."""

    def __init__(self, chain: Chain, channels: int, cells: int, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        blocks: list[nn.Module] = []
        for width in (channels, 2 * channels):
            if width > channels:
                blocks.append(nn.Sequential(nn.AvgPool2d(2), _convolution(channels, width, 1)))
            blocks += [nn.Sequential(*(_operation(o, width) for o in chain)) for _ in range(cells)]
        self.cells = nn.ModuleList(blocks)
        self.last = nn.Sequential(nn.BatchNorm2d(2 * channels), nn.ReLU())
        self.classifier = nn.Linear(2 * channels, num_classes)

    def features(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.stem(x_BCHW)
        for cell in self.cells:
            x_BCHW = cell(x_BCHW)
        features: Tensor = self.last(x_BCHW)
        return features

    def head(self, features_BChw: Tensor) -> Tensor:
        logits: Tensor = self.classifier(features_BChw.mean(dim=(2, 3)))
        return logits
