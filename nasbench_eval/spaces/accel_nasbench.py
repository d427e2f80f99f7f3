"""Accel-NASBench: seven blocks of mobile inverted bottlenecks on ImageNet, as in MnasNet and EfficientNet.

Ahmad et al., "Accel-NASBench: Sustainable Benchmarking for Accelerator-Aware NAS", DAC 2024.  There are some
10^11 networks, of which the benchmark trained 5,138, so that it is an open space.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasbench_eval.spaces import _mbconv as mbconv
from nasbench_eval.spaces._graph import Graph
from nasbench_eval.spaces._mbconv import Bottleneck, Convolution, Layer
from nasbench_eval.spaces._stage import Stage, StageBlock
from nasbench_eval.wording import shown

if TYPE_CHECKING:
    from nasbench_eval.spaces._network import Network

EXPANSIONS, KERNELS, SQUEEZES = (1, 4, 6), (3, 5), (0, 1)
# Channels and strides of the seven blocks, and the most layers that each has.
WIDTHS, STRIDES, DEPTHS = (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 2, 1, 2, 1), (3, 3, 3, 3, 3, 4, 3)
BLOCKS = len(WIDTHS)
# Channels of the first and the last convolution.
STEM, HEAD = 32, 1280
# Squeeze-and-excitation squeezes to this part of the channels that a layer takes in.
_SQUEEZE = 4
_BLOCK = re.compile(r"e([0-9]{1,9})k([0-9]{1,9})l([0-9]{1,9})s([0-9]{1,9})")
_FORM = "e6k3l1s0-e4k5l2s1-..., seven blocks"


@dataclass(frozen=True)
class Block:
    """Layers of the same kind in a row.

    Attributes:
        expansion: 1, 4 or 6; it multiplies the width that a layer takes in.
        kernel: of the depthwise convolutions: 3 or 5.
        layers: from 1 to 3, or to 4 in block 5.
        se: whether they have squeeze-and-excitation: 0 or 1.
    """

    expansion: int
    kernel: int
    layers: int
    se: int

    def __str__(self) -> str:
        return f"e{self.expansion}k{self.kernel}l{self.layers}s{self.se}"


@dataclass(frozen=True)
class Blocks:
    """An architecture: seven blocks, of which the first has the number 0."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        if len(self.blocks) != BLOCKS:
            raise ValueError(f"a network has {BLOCKS} blocks; got {len(self.blocks)}")
        for number, block in enumerate(self.blocks):
            given = (block.expansion, block.kernel, block.layers, block.se)
            for of, value, allowed in zip(_NAMES, given, alternatives(number), strict=True):
                if value not in allowed:
                    rule = f"{', '.join(map(str, allowed[:-1]))} or {allowed[-1]}"
                    raise ValueError(f"block {number} is {block}: {of} is {rule}, not {value}")


# What the numbers of a block mean, in their order.
_NAMES = ("the expansion e", "the kernel k", "the number of layers l", "squeeze-and-excitation s")


def alternatives(block: int) -> tuple[tuple[int, ...], ...]:
    """Expansions, kernels, numbers of layers and squeeze-and-excitation that a block can have."""
    return EXPANSIONS, KERNELS, tuple(range(1, DEPTHS[block] + 1)), SQUEEZES


def text_of_row(e: Sequence[int], k: Sequence[int], l: Sequence[int], se: Sequence[int]) -> str:  # noqa: E741
    """The text of an architecture from the benchmark's own columns.

    Args:
        e: expansions of the seven blocks, the columns e0 to e6.
        k: kernels.
        l: numbers of layers.
        se: whether there is squeeze-and-excitation.

    Raises:
        ValueError: if it is no architecture.
    """
    if {len(e), len(k), len(l), len(se)} != {BLOCKS}:
        raise ValueError(f"there are {BLOCKS} blocks; got {len(e)}, {len(k)}, {len(l)} and {len(se)} numbers")
    rows = zip(e, k, l, se, strict=True)
    return _written(Blocks(tuple(Block(*map(int, row)) for row in rows)))


def _written(arch: Blocks) -> str:
    return "-".join(map(str, arch.blocks))


@dataclass(frozen=True)
class AccelNASBench:
    """The search space.  An architecture is a text such as `e6k3l1s0-e4k5l2s1-...`, four numbers a block:
    expansion, kernel, layers, and whether there is squeeze-and-excitation.
    """

    # The data set that its networks are made for, which `nasbench-show` takes.
    judged_on: ClassVar[str] = "imagenet1k"

    @property
    def name(self) -> str:
        return "accel_nasbench"

    def parse(self, text: str) -> Blocks:
        """The architecture that a text names.  Raises ValueError, naming the block."""
        written = text.strip()
        if not written:
            raise ValueError(f"the text is empty; an architecture is {_FORM}")
        parts = written.split("-")
        if len(parts) != BLOCKS:
            raise ValueError(
                f"{shown(written, 100)} has {len(parts)} parts between hyphens; an architecture is {_FORM}"
            )
        blocks = []
        for number, part in enumerate(parts):
            if not (found := _BLOCK.fullmatch(part)):
                raise ValueError(f"block {number} is {shown(part, 40)}, and not of the form e6k3l1s0")
            blocks.append(Block(*map(int, found.groups())))
            if str(blocks[-1]) != part:
                raise ValueError(f"block {number} is {shown(part, 40)}; its numbers begin with no zero")
        return Blocks(tuple(blocks))

    def format(self, arch: Blocks) -> str:
        """The text: blocks joined by hyphens."""
        return _written(arch)

    def canonical(self, arch: Blocks) -> Blocks:
        """The architecture itself: all of them are different networks."""
        return arch

    def sample(self, rng: np.random.Generator) -> Blocks:
        """An architecture at random: each choice is drawn uniformly."""
        return self.decode(rng.integers(self.choices).tolist())

    def mutate(self, arch: Blocks, rng: np.random.Generator) -> Blocks:
        """Another architecture: one of the 28 choices, drawn uniformly, becomes another alternative."""
        chosen = self.encode(arch)
        place = int(rng.integers(len(chosen)))
        among = self.choices[place]
        chosen[place] = (chosen[place] + 1 + int(rng.integers(among - 1))) % among
        return self.decode(chosen)

    def neighbours(self, arch: Blocks) -> list[Blocks]:
        """The 43 architectures with another alternative for one choice."""
        old = self.encode(arch)
        return [
            self.decode([*old[:place], new, *old[place + 1 :]])
            for place, among in enumerate(self.choices)
            for new in range(among)
            if new != old[place]
        ]

    @property
    def choices(self) -> tuple[int, ...]:
        """How many alternatives each of the 28 choices has, four a block."""
        return tuple(len(values) for block in range(BLOCKS) for values in alternatives(block))

    def encode(self, arch: Blocks) -> list[int]:
        """The choices that an architecture consists of, as places among the alternatives."""
        return [
            values.index(value)
            for number, block in enumerate(arch.blocks)
            for values, value in zip(
                alternatives(number), (block.expansion, block.kernel, block.layers, block.se), strict=True
            )
        ]

    def decode(self, chosen: Sequence[int]) -> Blocks:
        """The architecture that consists of these choices; inverse of `encode`."""
        of = len(_NAMES)
        rows = [chosen[of * block : of * (block + 1)] for block in range(BLOCKS)]
        values = [
            [among[place] for among, place in zip(alternatives(block), row, strict=True)]
            for block, row in enumerate(rows)
        ]
        return Blocks(tuple(Block(*row) for row in values))

    def graphs(self, arch: Blocks) -> tuple[Graph, ...]:
        """The row of blocks, for those who draw it.

        `3x E6K5 SE` are three layers of expansion 6 and kernel 5 with squeeze-and-excitation.  Channels and
        strides are the same in all architectures.
        """
        told = (_shown(number, block) for number, block in enumerate(arch.blocks))
        blocks = (f"{each.layers}x {each.kind}" for each in told)
        return (mbconv.row_graph((f"K3 {STEM} /2", *blocks, f"K1 {HEAD}")),)

    def stages(self, arch: Blocks, *, resolution: int) -> tuple[Stage, ...]:
        """The blocks by the size of what they put out."""
        mbconv.require(resolution)
        side, found = mbconv.halved(resolution, 2), dict[int, list[StageBlock]]()
        for number, block in enumerate(arch.blocks):
            side = mbconv.halved(side, STRIDES[number])
            found.setdefault(side, []).append(_shown(number, block))
        return tuple(Stage(side, tuple(blocks)) for side, blocks in found.items())

    def params(self, arch: Blocks, *, num_classes: int) -> int:
        """Trainable scalars of the network, batch norm and classifier included."""
        return mbconv.params(_row(arch), num_classes)

    def flops(self, arch: Blocks, *, resolution: int, num_classes: int) -> int:
        """Multiply-accumulates of convolutions and classifier for one image.

        Raises:
            ValueError: if there is no image of that resolution.
        """
        return mbconv.counted(_row(arch), resolution, num_classes).macs

    def published_macs(self, arch: Blocks, resolution: int = 224, classes: int = 1000) -> int:
        """What the benchmark's table gives as MACs; it counts as the tool thop does.

        Besides `flops` these are four operations for each element of a batch norm, one for each element that
        is averaged over positions, and one for each such mean.

        Raises:
            ValueError: if there is no image of that resolution.
        """
        found = mbconv.counted(_row(arch), resolution, classes)
        return found.macs + 4 * found.normalised + found.pooled + found.means

    def counts(self, arch: Blocks, *, resolution: int, num_classes: int) -> dict[str, float]:
        """What `nasbench-show` tells of sizes besides."""
        return {
            "layers in the seven blocks": sum(block.layers for block in arch.blocks),
            "MACs as the benchmark's table counts them": self.published_macs(arch, resolution, num_classes),
        }

    def build(self, arch: Blocks, *, num_classes: int) -> Network:
        """The network: its `cells` are the layers of all blocks and the last 1x1 convolution."""
        from nasbench_eval.spaces._mbconv_network import RowNetwork
        from nasbench_eval.spaces._network import uninitialised

        return uninitialised(lambda: RowNetwork(_row(arch), num_classes))


def _shown(number: int, block: Block) -> StageBlock:
    kind = f"E{block.expansion}K{block.kernel}{' SE' * block.se}"
    return StageBlock(block.layers, WIDTHS[number], kind, str(WIDTHS[number]))


def _row(arch: Blocks) -> list[Layer]:
    """All layers of a network."""
    row, width = list[Layer]([Convolution(3, 3, STEM, 2)]), STEM
    for block, out, stride in zip(arch.blocks, WIDTHS, STRIDES, strict=True):
        for layer in range(block.layers):
            squeezed = block.se * (width // _SQUEEZE)
            first = stride if layer == 0 else 1
            row.append(Bottleneck(block.kernel, width, block.expansion * width, out, first, squeezed))
            width = out
    return [*row, Convolution(1, width, HEAD)]


SPACE = AccelNASBench
