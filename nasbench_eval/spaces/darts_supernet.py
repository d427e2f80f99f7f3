"""The DARTS supernet: a set of operations on each of the 14 edges of the normal and of the reduction cell.

Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019; Chen, Gong & Wang, "Neural
Architecture Search on ImageNet in Four GPU Hours: A Theoretically Inspired Perspective" (TE-NAS), ICLR 2021,
section 3.3: all operations of an edge are there at once, mixed with weights that a softmax makes of logits;
TE-NAS keeps the logits equal, and takes an operation away by setting its logit to −1000.  So the operations S
that an edge still has are averaged, and `none`, which adds zero, counts in |S|:

    edge(x) = 1 / |S| · Σ_{o ∈ S} o(x).

An edge without operations is not there.  It is an open space: 2^224 masks fit no number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.spaces import _darts_counts as counting
from nasbench_eval.spaces import _darts_genotype as genotypes
from nasbench_eval.spaces import _darts_masks as masks
from nasbench_eval.spaces._darts_genotype import CELLS, EDGES, INPUTS, NODES, OPERATIONS
from nasbench_eval.spaces._darts_masks import MalformedMask, Mask, mask_of
from nasbench_eval.spaces._darts_moves import sampled
from nasbench_eval.spaces._darts_skeleton import Skeleton
from nasbench_eval.spaces._graph import Graph, GraphEdge
from nasbench_eval.spaces.darts import DARTS, NODE_NAMES

if TYPE_CHECKING:
    from torch import nn

    from nasbench_eval.spaces._network import Network

# The weights' key where all masks share them.
_SHARED = "supernet"


@dataclass(frozen=True)
class DARTSSupernet:
    """The search space.

    Its networks are those of TE-NAS and TEG-NAS as they come: a normal and a reduction cell behind a stem of
    C = 1 channel.

    Args:
        channels: C of the first cell's nodes.
        layers: cells in a row (see `darts.DARTS`).
        stem_multiplier: how many times C the stem has.
        weights: `shared`: every mask draws its weights from one key, each tensor by its name, so that what
            two masks have in common has the same weights; `own`: from the mask's text.  Then a mask that is
            a genotype is that of the space `darts`, to the bit.
        masks: `all` sets of operations, or the `single` ones, which are genotypes.
    """

    channels: int = 1
    layers: int = 2
    stem_multiplier: int = 1
    weights: Literal["shared", "own"] = "shared"
    masks: Literal["all", "single"] = "all"
    judged_on: ClassVar[str] = "cifar10"
    # The names of the operations of an edge, and how many edges there are.
    operations: ClassVar[tuple[str, ...]] = OPERATIONS
    edges: ClassVar[int] = len(CELLS) * len(EDGES)
    # Edges, by number, of which two have to be left in the end: those into each node.
    groups: ClassVar[tuple[tuple[int, ...], ...]] = tuple(
        tuple(cell * len(EDGES) + edge for edge, (_, target) in enumerate(EDGES) if target == node)
        for cell in range(len(CELLS))
        for node in range(INPUTS, INPUTS + NODES)
    )

    def __post_init__(self) -> None:
        if min(self.channels, self.layers, self.stem_multiplier) < 1:
            raise ValueError("channels, layers and stem_multiplier are at least 1")

    @property
    def name(self) -> str:
        return "darts_supernet"

    @property
    def skeleton(self) -> Skeleton:
        """The row of cells of its networks."""
        return Skeleton("cifar", self.channels, self.layers, self.stem_multiplier)

    @property
    def genotypes(self) -> DARTS:
        """The space of the masks that are genotypes, in networks of the same size."""
        return DARTS("cifar", self.channels, self.layers, self.stem_multiplier)

    def parse(self, text: str) -> Mask:
        """The mask of a text in our form, or of a genotype as publications print it.

        Raises:
            ValueError: if it names none; the message names cell, node and rule.
        """
        mask = masks.read(text)
        if self.masks == "single" and mask.genotype is None:
            raise MalformedMask(
                "with masks=single a node has two edges of one operation each, as a genotype has"
            )
        return mask

    def format(self, arch: Mask) -> str:
        """Our text of a mask; that of a mask which is a genotype names the genotype as well."""
        return str(arch)

    def weight_key(self, arch: Mask) -> str:
        """What the weights of a mask are drawn from, beside the run's seed and a tensor's name."""
        return _SHARED if self.weights == "shared" else self.format(arch)

    def canonical(self, arch: Mask) -> Mask:
        """Of a genotype without `none` that which stands for it; other masks are told apart."""
        if arch.genotype is None or any(edge.operation == "none" for cell in arch.edges for edge in cell):
            return arch
        return mask_of(genotypes.canonical(arch.genotype))

    def build(self, arch: Mask, *, num_classes: int) -> Network:
        """DARTS's network around both cells, each edge of which averages its operations."""
        from nasbench_eval.spaces._darts_network import network, of_mask
        from nasbench_eval.spaces._network import uninitialised

        if self.weights == "own" and arch.genotype is not None:
            return self.genotypes.build(arch.genotype, num_classes=num_classes)
        return uninitialised(lambda: network(of_mask(arch), self.skeleton, num_classes))

    def build_cell(self, arch: Mask, *, num_classes: int) -> nn.Module:
        """The normal and the reduction cell in a row, without a stem, as TE-NAS counts linear regions in."""
        from nasbench_eval.spaces._darts_network import loose, of_mask
        from nasbench_eval.spaces._network import uninitialised

        if self.weights == "own" and arch.genotype is not None:
            return self.genotypes.build_cell(arch.genotype, num_classes=num_classes)
        return uninitialised(lambda: loose(of_mask(arch), self.channels, num_classes))

    def resized(self, *, channels: int | None, cells: int | None) -> DARTSSupernet:
        """The same masks in networks of another size (see `darts.DARTS.resized`)."""
        other = self.genotypes.resized(channels=channels, cells=cells).skeleton
        return replace(
            self, channels=other.channels, layers=other.layers, stem_multiplier=other.stem_multiplier
        )

    def params(self, arch: Mask, *, num_classes: int) -> int:
        """Trainable scalars, batch norm and classifier included."""
        return counting.params(arch.edges, self.skeleton, num_classes)

    def flops(self, arch: Mask, *, resolution: int, num_classes: int) -> int:
        """Multiply-accumulates of convolutions and classifier for one image.

        Raises:
            ValueError: if there is no image of that resolution.
        """
        return counting.macs(arch.edges, self.skeleton, resolution, num_classes)

    def has(self, arch: Mask) -> NDArray[np.bool_]:
        """Which operations each edge has, shape (28 edges, 8 operations), the normal cell's edges first."""
        return np.array([[name in names for name in OPERATIONS] for sets in arch.cells for names in sets])

    def one_hot(self, arch: Mask) -> NDArray[np.float64]:
        """1 for each operation that is there, shape (28 * 8,)."""
        return self.has(arch).astype(np.float64).ravel()

    def of(self, has_EO: NDArray[np.bool_]) -> Mask:
        """The mask with these operations on each edge; inverse of `has`."""
        sets = [tuple(name for name, there in zip(OPERATIONS, row, strict=True) if there) for row in has_EO]
        return Mask(tuple(sets[: len(EDGES)]), tuple(sets[len(EDGES) :]))

    @property
    def choices(self) -> tuple[int, ...]:
        """With `masks=single` how many alternatives each of a genotype's choices has; otherwise none."""
        return self.genotypes.choices if self.masks == "single" else ()

    def encode(self, arch: Mask) -> list[int]:
        """The choices of a mask that is a genotype, −1 where it shows none.  Raises ValueError."""
        if arch.genotype is None:
            raise ValueError(f"{arch} is no genotype")
        return self.genotypes.encode(arch.genotype)

    def decode(self, chosen: Sequence[int]) -> Mask:
        """The genotype of these choices, as a mask."""
        return mask_of(self.genotypes.decode(chosen))

    def sample(self, rng: np.random.Generator) -> Mask:
        """With `masks=all` a non-empty set on each edge, drawn uniformly; otherwise a genotype as DARTS's."""
        if self.masks == "single":
            return mask_of(sampled(rng))
        bits_E = rng.integers(1, 1 << len(OPERATIONS), size=self.edges)
        return self.of((bits_E[:, None] >> np.arange(len(OPERATIONS)) & 1) > 0)

    def mutate(self, arch: Mask, rng: np.random.Generator) -> Mask:
        """With `masks=all` one operation more or less on an edge; otherwise a genotype one edit away.

        The last operation of an edge stays, and an edge that is not there stays away.
        """
        if self.masks == "single":
            assert arch.genotype is not None, "with masks=single"
            return mask_of(self.genotypes.mutate(arch.genotype, rng))
        has_EO = self.has(arch)
        free_KX = np.argwhere(self._free(has_EO))
        if not len(free_KX):
            return arch  # it has no edge
        edge, operation = free_KX[rng.integers(len(free_KX))]
        has_EO[edge, operation] ^= True
        return self.of(has_EO)

    def neighbours(self, arch: Mask) -> list[Mask]:
        """The masks that one edit leads to."""
        if self.masks == "single":
            assert arch.genotype is not None, "with masks=single"
            return list(map(mask_of, self.genotypes.neighbours(arch.genotype)))
        found = []
        for edge, operation in np.argwhere(self._free(self.has(arch))):
            has_EO = self.has(arch)
            has_EO[edge, operation] ^= True
            found.append(self.of(has_EO))
        return found

    @staticmethod
    def _free(has_EO: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The operations that may come or go."""
        count_E1 = has_EO.sum(-1, keepdims=True)
        free: NDArray[np.bool_] = (count_E1 > 1) | (~has_EO & (count_E1 == 1))
        return free

    def live(self, arch: Mask) -> bool:
        """Whether every operation but `none` reads what is not always zero."""
        return all(_is_live(sets) for sets in arch.cells)

    def graphs(self, arch: Mask) -> tuple[Graph, ...]:
        """Both cells, for those who draw them."""
        return tuple(_graph(name, sets) for name, sets in zip(CELLS, arch.cells, strict=True))


def _is_live(sets: masks.Sets) -> bool:
    reached = set(range(INPUTS))
    for (source, node), names in zip(EDGES, sets, strict=True):
        if any(name != "none" for name in names):
            if source not in reached:
                return False
            reached.add(node)
    return True


def _graph(name: str, sets: masks.Sets) -> Graph:
    edges = [GraphEdge(s, t, names) for (s, t), names in zip(EDGES, sets, strict=True) if names]
    edges += [GraphEdge(node, INPUTS + NODES) for node in range(INPUTS, INPUTS + NODES)]
    return Graph(name, NODE_NAMES, tuple(edges))


SPACE = DARTSSupernet
