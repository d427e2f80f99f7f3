"""NAS-Bench-Macro: 6,561 networks of eight layers in three stages, with three operations each.

Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021.  Where
an identity stands behind the first layer of a stage makes no difference, so that there are 3,969 networks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby, product
from typing import TYPE_CHECKING

from nasbench_eval.spaces import _mbconv as mbconv
from nasbench_eval.spaces._graph import Graph
from nasbench_eval.spaces._mbconv import Bottleneck, Convolution, Layer
from nasbench_eval.spaces._stage import Stage, StageBlock
from nasbench_eval.wording import shown

if TYPE_CHECKING:
    from nasbench_eval.spaces._network import Network

# What the digits of an architecture stand for.
OPERATIONS = ("identity", "E3K3", "E6K5")
# Layers of the three stages, the first of each with stride 2.
STAGES = (2, 3, 3)
LAYERS = sum(STAGES)
# Channels of the last 1x1 convolution, as a multiple of the stem's.
_HEAD = 40
# Expansion and kernel of the bottlenecks, by digit.
_BOTTLENECKS = {1: (3, 3), 2: (6, 5)}
_DIGITS = re.compile(f"[0-{len(OPERATIONS) - 1}]{{{LAYERS}}}")


@dataclass(frozen=True)
class Layers:
    """The operation of each of the eight layers, as numbers of `OPERATIONS`."""

    operations: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.operations) != LAYERS or not set(self.operations) <= set(range(len(OPERATIONS))):
            last = len(OPERATIONS) - 1
            raise ValueError(
                f"a network has {LAYERS} operations from 0 to {last}; got {shown(self.operations, 100)}"
            )

    @property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """The operations of each stage."""
        ends = [sum(STAGES[: stage + 1]) for stage in range(len(STAGES))]
        return tuple(self.operations[end - n : end] for end, n in zip(ends, STAGES, strict=True))


@dataclass(frozen=True)
class NASBenchMacro:
    """The search space.  An architecture is a text of eight digits, one a layer: `OPERATIONS` by number.

    Args:
        channels: width C of the stem; the stages have 2C, 4C and 8C, the last convolution 40C.  The benchmark
            trained C = 32.
    """

    channels: int = 32

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ValueError("channels is at least 1")

    @property
    def name(self) -> str:
        return "nasbench_macro"

    def __len__(self) -> int:
        size: int = len(OPERATIONS) ** LAYERS
        return size

    def arch(self, index: int) -> Layers:
        """The architecture whose digits are the index to the base 3.  Raises IndexError.

        The benchmark's file names architectures by their digits alone, and is in no order.
        """
        if not 0 <= index < len(self):
            raise IndexError(
                f"NAS-Bench-Macro has networks 0 to {len(self) - 1}; there is no network {index}"
            )
        base = len(OPERATIONS)
        return Layers(tuple(index // base**place % base for place in reversed(range(LAYERS))))

    def index(self, arch: Layers) -> int:
        """The digits of an architecture, read as a number to the base 3."""
        return int(self.format(arch), len(OPERATIONS))

    @property
    def choices(self) -> tuple[int, ...]:
        """How many operations each layer has to choose from, for searches that learn its digits."""
        return (len(OPERATIONS),) * LAYERS

    def parse(self, text: str) -> Layers:
        """The architecture of eight digits, such as `22212220`.  Raises ValueError."""
        digits = text.strip()
        if not _DIGITS.fullmatch(digits):
            raise ValueError(f"{shown(text, 60)} is no architecture of NAS-Bench-Macro: {_fault(digits)}")
        return Layers(tuple(map(int, digits)))

    def format(self, arch: Layers) -> str:
        """The eight digits."""
        return "".join(map(str, arch.operations))

    def resized(self, *, channels: int | None, cells: int | None) -> NASBenchMacro:
        """The space with another width C.

        How many layers a stage has is what an architecture says: `cells` makes no difference.
        """
        return NASBenchMacro(self.channels if channels is None else channels)

    def live(self, arch: Layers) -> bool:
        """True: layers stand in a row, so that each has a bearing on the output."""
        return True

    def canonical(self, arch: Layers) -> Layers:
        """The architecture whose identities stand last in their stages; that of a first layer stays.

        The first layer of a stage changes the width, so that its `identity` is a convolution.
        """
        # False comes before True, and equal keys keep their order.
        rows = [(first, *sorted(rest, key=lambda o: o == 0)) for first, *rest in arch.stages]
        return Layers(tuple(operation for row in rows for operation in row))

    def neighbours(self, arch: Layers) -> list[Layers]:
        """The 16 architectures with another operation in one layer."""
        old = arch.operations
        places = product(range(LAYERS), range(len(OPERATIONS)))
        return [Layers((*old[:place], new, *old[place + 1 :])) for place, new in places if new != old[place]]

    def graphs(self, arch: Layers) -> tuple[Graph, ...]:
        """The row of layers, for those who draw it: `E3K3 64 /2` puts out 64 channels with stride 2."""
        return (mbconv.row_graph([f"{layer}{' /2' * (layer.stride == 2)}" for layer in self._row(arch)]),)

    def stages(self, arch: Layers, *, resolution: int) -> tuple[Stage, ...]:
        """The layers of each stage, equal ones in a row as a block; identities are none."""
        mbconv.require(resolution)
        side, found = resolution, list[Stage]()
        for stage, row in enumerate(self._stages(arch)):
            side, width = mbconv.halved(side, 2), self._width(stage)
            kinds = groupby(str(layer).split()[0] for layer in row)
            blocks = (StageBlock(len(list(same)), width, kind, str(width)) for kind, same in kinds)
            found.append(Stage(side, tuple(blocks)))
        return tuple(found)

    def params(self, arch: Layers, *, num_classes: int) -> int:
        """Trainable scalars of the network, batch norm and classifier included."""
        return mbconv.params(self._row(arch), num_classes)

    def flops(self, arch: Layers, *, resolution: int, num_classes: int) -> int:
        """Multiply-accumulates of convolutions and classifier for one image.

        Raises:
            ValueError: if there is no image of that resolution.
        """
        return mbconv.counted(self._row(arch), resolution, num_classes).macs

    def build(self, arch: Layers, *, num_classes: int) -> Network:
        """The network: its `cells` are the layers, without identities, and the last 1x1 convolution.

        Since an identity has no module, all texts of a network have the same one.
        """
        from nasbench_eval.spaces._mbconv_network import RowNetwork
        from nasbench_eval.spaces._network import uninitialised

        return uninitialised(lambda: RowNetwork(self._row(arch), num_classes))

    def _row(self, arch: Layers) -> list[Layer]:
        """The stem, the layers that compute something, and the last convolution."""
        stages = [layer for stage in self._stages(arch) for layer in stage]
        last = self._width(len(STAGES) - 1)
        return [Convolution(3, 3, self.channels), *stages, Convolution(1, last, _HEAD * self.channels)]

    def _stages(self, arch: Layers) -> list[list[Layer]]:
        rows = []
        for stage, operations in enumerate(arch.stages):
            width, row = self._width(stage), list[Layer]()
            for place, operation in enumerate(operations):
                before, stride = (width // 2, 2) if place == 0 else (width, 1)
                if operation in _BOTTLENECKS:
                    expansion, kernel = _BOTTLENECKS[operation]
                    row.append(Bottleneck(kernel, before, expansion * before, width, stride))
                elif place == 0:
                    row.append(Convolution(1, before, width, stride, relu=False))
            rows.append(row)
        return rows

    def _width(self, stage: int) -> int:
        return self.channels << (stage + 1)


def _fault(text: str) -> str:
    """What is wrong with a text that is no architecture."""
    if len(text) != LAYERS:
        return f"it has {len(text)} characters; there are {LAYERS} digits, one a layer"
    place, digit = next((place, digit) for place, digit in enumerate(text) if digit not in "012")
    return f"layer {place} is {shown(digit)}; a layer is 0 (identity), 1 (E3K3) or 2 (E6K5)"


SPACE = NASBenchMacro
