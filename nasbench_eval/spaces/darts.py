"""The DARTS space: a normal and a reduction cell of four nodes, each the sum of two of eight operations.

Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, section 2.1 and appendix A.1.
It has some 10^18 genotypes, so that it is an open space.  Two cells' texts name a genotype; `_darts_genotype`
says how, and reads the text that publications print as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.spaces import _darts_counts as counting
from nasbench_eval.spaces import _darts_genotype as genotypes
from nasbench_eval.spaces import _darts_moves as moves
from nasbench_eval.spaces._darts_genotype import CELLS, INPUTS, NODES, Cell, Genotype
from nasbench_eval.spaces._darts_moves import Mutation, candidate, neighbours, sampled
from nasbench_eval.spaces._darts_skeleton import Kind, Skeleton
from nasbench_eval.spaces._graph import Graph, GraphEdge

if TYPE_CHECKING:
    from nasbench_eval.spaces._network import Network

# Channels and cells of the paper's networks.
SIZES: dict[Kind, tuple[int, int]] = {"cifar": (36, 20), "imagenet": (48, 14)}
_DATASETS: dict[Kind, str] = {"cifar": "cifar10", "imagenet": "imagenet1k"}
# What the nodes of a cell are called in drawings.
NODE_NAMES = ("in -2", "in -1", "2", "3", "4", "5", "out")


@dataclass(frozen=True)
class DARTS:
    """The search space.

    Args:
        network: `cifar`, whose stem keeps the size of images, or `imagenet`, whose stem halves it thrice.
        channels: C of the first cell's nodes; None takes the paper's: 36 for `cifar`, 48 for `imagenet`.
        layers: cells in a row; None takes the paper's: 20 and 14.  Those after one and two thirds are
            reduction cells; of two cells the second is, as in TE-NAS's and TEG-NAS's thin networks.
        stem_multiplier: how many times C the stem of `cifar` has; TE-NAS and TEG-NAS take 1 in thin networks.
        auxiliary: whether the network has an auxiliary head, for training.  No score and no count sees it.
        mutation: what an edit may lead to: `distinct` keeps the two sources of a node apart and brings no
            `none`; `teg` may do both, as the code of TEG-NAS.
    """

    network: Kind = "cifar"
    channels: int | None = None
    layers: int | None = None
    stem_multiplier: int = 3
    auxiliary: bool = False
    mutation: Mutation = "distinct"

    def __post_init__(self) -> None:
        skeleton = self.skeleton
        if min(skeleton.channels, skeleton.layers, self.stem_multiplier) < 1:
            raise ValueError("channels, layers and stem_multiplier are at least 1")
        if self.network == "imagenet" and skeleton.channels % 2:
            raise ValueError("the stem of network=imagenet has C/2 channels first, so that channels is even")
        if self.auxiliary and skeleton.layers < 3:
            raise ValueError(
                "an auxiliary head needs layers=3 at least: it follows the second reduction cell"
            )

    @property
    def name(self) -> str:
        return "darts"

    @property
    def skeleton(self) -> Skeleton:
        """The row of cells of its networks."""
        channels, layers = SIZES[self.network]
        return Skeleton(
            self.network,
            channels if self.channels is None else self.channels,
            layers if self.layers is None else self.layers,
            self.stem_multiplier,
        )

    @property
    def judged_on(self) -> str:
        """The data set that its networks are made for, which `nasbench-show` takes."""
        return _DATASETS[self.network]

    def parse(self, text: str) -> Genotype:
        """The genotype of a text in our form, or in that of publications, `Genotype(normal=...)`.

        Raises:
            ValueError: if it names none; the message names cell, node and rule.
        """
        return genotypes.read(text)

    def format(self, arch: Genotype) -> str:
        """Our text of a genotype."""
        return str(arch)

    def published(self, arch: Genotype) -> str:
        """The text of a genotype as publications print it, which their training code takes."""
        return genotypes.published(arch)

    def canonical(self, arch: Genotype) -> Genotype:
        """One genotype for all that differ in the order of edges and nodes, or in what `none` reads."""
        return genotypes.canonical(arch)

    def build(self, arch: Genotype, *, num_classes: int) -> Network:
        """The network; its `cells` are DARTS's cells.

        A cell's input, where a proxy asks for one, is the output of the cell before it.
        """
        from nasbench_eval.spaces._darts_network import network, of_genotype
        from nasbench_eval.spaces._network import uninitialised

        return uninitialised(lambda: network(of_genotype(arch), self.skeleton, num_classes, self.auxiliary))

    def build_cell(self, arch: Genotype, *, num_classes: int) -> Network:
        """The normal and the reduction cell in a row, without a stem, as TE-NAS counts linear regions in.

        The maps that it takes are both inputs of the normal cell.
        """
        from nasbench_eval.spaces._darts_network import loose, of_genotype
        from nasbench_eval.spaces._network import uninitialised

        return uninitialised(lambda: loose(of_genotype(arch), self.skeleton.channels, num_classes))

    def resized(self, *, channels: int | None, cells: int | None) -> DARTS:
        """The same genotypes in networks of another width C, and with N normal cells between reductions.

        With N = 0 it is the thin network of TE-NAS and TEG-NAS: a normal and a reduction cell behind a stem
        of C channels, which keeps the size of images.
        """
        channels = self.channels if channels is None else channels
        if cells == 0:
            return DARTS("cifar", channels, 2, 1, mutation=self.mutation)
        return replace(self, channels=channels, layers=self.layers if cells is None else 3 * cells + 2)

    def params(self, arch: Genotype, *, num_classes: int) -> int:
        """Trainable scalars, batch norm and classifier included, the auxiliary head left out."""
        return counting.params(arch.edges, self.skeleton, num_classes)

    def flops(self, arch: Genotype, *, resolution: int, num_classes: int) -> int:
        """Multiply-accumulates of convolutions and classifier for one image, the auxiliary head left out.

        Raises:
            ValueError: if there is no image of that resolution.
        """
        return counting.macs(arch.edges, self.skeleton, resolution, num_classes)

    def sample(self, rng: np.random.Generator) -> Genotype:
        """What DARTS derives from weights drawn uniformly: distinct sources of a node, no `none`."""
        return sampled(rng)

    def mutate(self, arch: Genotype, rng: np.random.Generator) -> Genotype:
        """Another genotype, one edit away (see `_darts_moves.candidate`)."""
        here = self.canonical(arch)
        while True:
            other = candidate(arch, rng, self.mutation)
            if self.canonical(other) != here:
                return other

    def neighbours(self, arch: Genotype) -> list[Genotype]:
        """The genotypes that one edit leads to."""
        here = self.canonical(arch)
        return [other for other in neighbours(arch, self.mutation) if self.canonical(other) != here]

    @property
    def choices(self) -> tuple[int, ...]:
        """How many alternatives each of a genotype's choices has (see `_darts_moves.choices`)."""
        return moves.choices(self._operations)

    def encode(self, arch: Genotype) -> list[int]:
        """The choices that a genotype consists of, −1 where it shows none.

        Raises:
            ValueError: if a node reads the same node twice, or an operation is `none` with
                `mutation=distinct`.
        """
        return moves.encoded(arch, self._operations)

    def decode(self, chosen: Sequence[int]) -> Genotype:
        """The genotype of these choices."""
        return moves.decoded(chosen, self._operations)

    @property
    def _operations(self) -> int:
        """How many operations an edge may have: all of them, or all but `none`."""
        return len(genotypes.OPERATIONS) - (self.mutation == "distinct")

    def one_hot(self, arch: Genotype) -> NDArray[np.float64]:
        """How often each operation stands on each edge of both cells; shape (2 * 14 * 8,)."""
        found = np.zeros((len(CELLS), len(genotypes.EDGES), len(genotypes.OPERATIONS)))
        for cell, nodes in enumerate(arch.cells):
            for node, edges in enumerate(nodes, INPUTS):
                for edge in edges:
                    place = genotypes.EDGES.index((edge.source, node))
                    found[cell, place, genotypes.OPERATIONS.index(edge.operation)] += 1
        return found.ravel()

    def live(self, arch: Genotype) -> bool:
        """Whether every operation but `none` reads what is not always zero."""
        return all(map(_is_live, arch.cells))

    def graphs(self, arch: Genotype) -> tuple[Graph, ...]:
        """Both cells, for those who draw them."""
        return tuple(
            Graph(name, NODE_NAMES, tuple(_drawn(cell))) for name, cell in zip(CELLS, arch.cells, strict=True)
        )


def _is_live(cell: Cell) -> bool:
    reached = genotypes.reached(cell)
    return all(edge.operation == "none" or edge.source in reached for node in cell for edge in node)


def _drawn(cell: Cell) -> Iterator[GraphEdge]:
    for node, edges in enumerate(cell, INPUTS):
        yield from (GraphEdge(edge.source, node, (edge.operation,)) for edge in edges)
    yield from (GraphEdge(node, INPUTS + NODES) for node in range(INPUTS, INPUTS + NODES))


SPACE = DARTS
