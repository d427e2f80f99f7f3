"""The skeleton of DARTS's networks: which cells stand in a row, at which width, and what they are made from.

Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, section 3.2 and appendices A.2
and A.3.  The CIFAR network has 20 cells of 36 channels and a stem of three times as many; that of ImageNet
has 14 cells of 48 channels and a stem that halves its images three times.  Cells at one and two thirds of the
depth are reduction cells: they halve their maps and double the channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nasbench_eval.spaces._darts_genotype import INPUTS, NODES

Kind = Literal["cifar", "imagenet"]


@dataclass(frozen=True)
class CellSite:
    """A place in the row of cells.

    Attributes:
        width: channels of each of the cell's nodes.
        reduction: whether it halves its maps.
        width_before: channels that the cell before put out.
        width_two_before: channels that the cell before that one put out.
        halved_before: whether the cell before halved its maps, so that the other input is twice as large.
    """

    width: int
    reduction: bool
    width_before: int
    width_two_before: int
    halved_before: bool

    @property
    def width_out(self) -> int:
        """Channels that it puts out."""
        return NODES * self.width

    def stride(self, source: int) -> int:
        """Of an operation on a node: a reduction cell halves what its inputs bring."""
        return 2 if self.reduction and source < INPUTS else 1


@dataclass(frozen=True)
class Skeleton:
    """What stays the same in all networks of the space.

    Attributes:
        kind: `cifar` or `imagenet`.
        channels: C of the first cell's nodes.
        layers: cells in a row.
        stem_multiplier: how many times C the stem of the CIFAR network has.
    """

    kind: Kind
    channels: int
    layers: int
    stem_multiplier: int

    @property
    def stem_width(self) -> int:
        """Channels that the first cell reads."""
        return self.channels if self.kind == "imagenet" else self.stem_multiplier * self.channels

    @property
    def reductions(self) -> tuple[int, ...]:
        """Places of the reduction cells; of two cells the second one is, and one cell is none."""
        if self.layers < 3:
            return (1,) if self.layers == 2 else ()
        return self.layers // 3, 2 * self.layers // 3

    def sites(self) -> Iterator[CellSite]:
        """The places of all cells, from the first to the last."""
        width, before, two_before = self.channels, self.stem_width, self.stem_width
        halved = self.kind == "imagenet"
        for place in range(self.layers):
            reduction = place in self.reductions
            width *= 2 if reduction else 1
            site = CellSite(width, reduction, before, two_before, halved)
            yield site
            two_before, before, halved = before, site.width_out, reduction
