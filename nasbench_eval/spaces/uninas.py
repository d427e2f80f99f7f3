"""UniNAS: one space for convolutional networks, transformers and what lies between.

Týbl & Neumann, "Universal Neural Architecture Space", arXiv 2510.06035.  A network has a stem, stages of
blocks, and a classifier; a block has two residual halves, and a half is any series-parallel graph of 20 kinds
of operations that keep the shape of what they are given.  The space is open.  `_uninas_text` says how an
architecture is written, `_uninas_graph` which operation may stand where.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.spaces import _uninas_counts as counting
from nasbench_eval.spaces import _uninas_graph as graph
from nasbench_eval.spaces import _uninas_moves as moves
from nasbench_eval.spaces._nested import Part
from nasbench_eval.spaces._uninas_graph import Architecture, Node, Place, Rules
from nasbench_eval.spaces._uninas_parts import parts
from nasbench_eval.spaces._uninas_text import Reader, written

if TYPE_CHECKING:
    from torch import nn

# Classes of the networks that budgets are about.
CLASSES = 1000
# Failed steps after which a candidate is the architecture itself.
_PATIENCE = 5
# Draws and edits in a row that may all be beyond a limit before there is said to be none within.
_MOST = 10_000
# How deep the known networks are nested.
_DEEPEST = 4


@dataclass(frozen=True)
class UniNAS:
    """The search space.  An architecture is JSON, or the name of a known network (see `_uninas_text`).

    Args:
        resolution: height and width of the images that the networks are made for, in pixels.  Tables of
            position biases have its size, and `max_flops` is about it.
        widths: channels of each stage, for samples and where a text names none; None takes the published
            (96, 192, 384, 768), or those of the known network.  Attention needs multiples of 32.
        depths: blocks of each stage, for samples and known networks.
        stem: channels of the stem's two convolutions, likewise.
        max_params: limit of the parameters that sampling and mutation keep to, with 1,000 classes; the
            published search has 30 million.  None sets none.
        max_flops: limit of the FLOPs, two a multiply-accumulate, of one image of that resolution.
        max_depth: how deep composite operations may be nested.
        max_nodes: how many operations a network may have.
        max_edits: a sample is made of blocks of known networks by up to so many edits.
        strict: softmax and mask in maps of attention alone; the authors have them anywhere.
        adds_zero: whether a mutation may make an empty half zero, as one half of convolutional blocks is.
            The authors' code does not, so that it never comes back to these.
    """

    # The data set that its networks are made for, which `nasbench-show` takes.
    judged_on: ClassVar[str] = "imagenet1k"

    resolution: int = 224
    widths: tuple[int, ...] | None = None
    depths: tuple[int, ...] = (2, 3, 5, 2)
    stem: tuple[int, int] = (32, 64)
    max_params: float | None = None
    max_flops: float | None = None
    max_depth: int = 4
    max_nodes: int = 400
    max_edits: int = 20
    strict: bool = True
    adds_zero: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.resolution <= 4096:
            raise ValueError(f"resolution is 1 to 4,096 pixels; got {self.resolution}")
        if self.max_edits < 0 or self.max_depth < _DEEPEST:
            raise ValueError(f"max_edits is at least 0, and max_depth {_DEEPEST}, as deep as EfficientNets")
        for name in ("max_params", "max_flops"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} is above 0; got {limit}")
        if len(self.depths) != 4 or min(self.depths) < 1:
            raise ValueError(f"depths are the blocks of four stages, at least 1; got {list(self.depths)}")
        if len(self.stem) != 2 or min(self.stem) < 1:
            raise ValueError(f"stem is two widths, at least 1; got {list(self.stem)}")
        if self.widths is not None and (
            len(self.widths) != 4 or any(w < 1 or w % graph.HEAD for w in self.widths)
        ):
            raise ValueError(f"widths are four multiples of {graph.HEAD}; got {list(self.widths)}")
        if (why := self.beyond(self.start)) is not None:
            raise ValueError(f"CoAtNet, where searches start by default, is beyond a limit: {why}")

    @property
    def name(self) -> str:
        return "uninas"

    @property
    def rules(self) -> Rules:
        """Which operations may stand where."""
        return Rules(self.strict, self.max_depth, self.max_nodes)

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.rules, self.depths, self.widths, self.stem)

    def parse(self, text: str) -> Architecture:
        """The architecture of a text: JSON of this package or of the authors', or a known network's name.

        Raises:
            ValueError: naming the way to what is wrong, and the rule that it breaks.
        """
        return self._reader.read(text)

    def format(self, arch: Architecture) -> str:
        """JSON, with letters for the blocks of known networks."""
        return written(arch)

    def canonical(self, arch: Architecture) -> Architecture:
        """The same network without `identity`, the branches of `add` in one order, equal heads as one.

        Only what certainly computes the same is the same; most pairs of equal networks stay apart.
        """
        blocks = tuple(
            tuple((graph.canonical(first), graph.canonical(second)) for first, second in stage)
            for stage in arch.blocks
        )
        return replace(arch, blocks=blocks)

    def build(self, arch: Architecture, *, num_classes: int) -> nn.Module:
        """The network, with weights of the authors' initialisation, which the text decides.

        It takes square images of any size; tables of position biases are of `resolution`.
        """
        from nasbench_eval.spaces._uninas_network import built

        return built(arch, num_classes, self.resolution, written(arch))

    def params(self, arch: Architecture, *, num_classes: int) -> int:
        """Trainable scalars of the network."""
        return counting.total(arch, self.resolution, num_classes).params

    def flops(self, arch: Architecture, *, resolution: int, num_classes: int) -> int:
        """Multiply-accumulates of convolutions, classifier and products inside attention, for one image."""
        if resolution < 1:
            raise ValueError(f"an image has a pixel at least; got {resolution}")
        return counting.total(arch, resolution, num_classes).macs

    def counts(self, arch: Architecture, *, resolution: int, num_classes: int) -> dict[str, float]:
        """What `nasbench-show` tells of sizes besides."""
        size = counting.total(arch, resolution, num_classes)
        return {
            "FLOPs, two a multiply-accumulate (the publication's)": 2 * size.macs,
            "FLOPs as the authors declare those of operations": size.declared,
            "operations, which max_nodes limits": _operations(arch),
        }

    def budgeted(self, arch: Architecture) -> float:
        """The number that `max_flops` limits."""
        return 2.0 * counting.total(arch, self.resolution, CLASSES).macs

    @property
    def start(self) -> Architecture:
        """CoAtNet; the publication does not say where its search starts."""
        return self._reader.known("coatnet")

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Blocks of residual networks, EfficientNets and transformers, after up to `max_edits` edits.

        The kind of each block is drawn uniformly, then the number of edits.  What is beyond a limit is drawn
        again.

        Raises:
            UsageError: if none of ten thousand draws is within.
        """
        widths = self.widths or graph.NETWORKS["coatnet"][1]
        kinds = list(graph.BLOCKS.values())
        for _ in range(_MOST):
            blocks = tuple(
                tuple(kinds[int(rng.integers(len(kinds)))] for _ in range(depth)) for depth in self.depths
            )
            arch = Architecture(blocks, widths, self.stem)
            if self.beyond(arch) is not None:
                continue
            for _ in range(int(rng.integers(self.max_edits + 1))):
                arch = self.mutate(arch, rng)
            return arch
        raise UsageError(f"{_MOST:,} draws gave no network of {self.name} within its limits; raise them")

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        """Another network within the limits, one operation more or less; from beyond one, no further out.

        Raises:
            UsageError: if none of ten thousand edits leads there.
        """
        here = self.canonical(arch)
        for _ in range(_MOST):
            other = self.candidate(arch, rng)
            if self.beyond(other, arch) is None and self.canonical(other) != here:
                return other
        raise UsageError(f"{_MOST:,} edits of a network of {self.name} kept to no limit; raise the limits")

    def candidate(self, arch: Architecture, rng: np.random.Generator, draws: int = 1) -> Architecture:
        """The network after so many steps of the published walk; each fails five times at most.

        Of a walk that fails nothing comes: it gives the network itself.
        """
        here = arch
        for _ in range(draws):
            left = self._left(here)
            for _ in range(_PATIENCE):
                stepped = moves.step(here, rng, self.rules, left, adds_zero=self.adds_zero)
                if stepped is not None and self.beyond(stepped, here) is None:
                    break
            else:
                return arch
            here = stepped
        return here

    def _left(self, arch: Architecture) -> moves.Fits:
        """Whether a node fits what an architecture leaves of the limits."""
        size = counting.total(arch, self.resolution, CLASSES)
        sides = counting.sides(self.resolution, len(arch.widths))

        def fits(node: Node, place: Place) -> bool:
            # In a map at the first stage four times as many entries are a lot, unless FLOPs are limited.
            if node.kind == "expand" and place.kind == "map" and place.stage == 0 and self.max_flops is None:
                return False
            side = sides[place.stage]
            extent = counting.Extent({"features": side, "map": side**2, "pool": 1}[place.kind], side)
            more = counting.of_node(node, place, extent)
            return (self.max_params is None or size.params + more.params <= self.max_params) and (
                self.max_flops is None or 2 * (size.macs + more.macs) <= self.max_flops
            )

        return fits

    def beyond(self, arch: Architecture, parent: Architecture | None = None) -> str | None:
        """Which limit an architecture is beyond, and is further beyond than its parent; None for none."""
        nodes = _operations(arch)
        if nodes > max(self.max_nodes, 0 if parent is None else _operations(parent)):
            return f"it has {nodes} operations, max_nodes={self.max_nodes}"
        if self.max_params is None and self.max_flops is None:
            return None
        size = counting.total(arch, self.resolution, CLASSES)
        before = None if parent is None else counting.total(parent, self.resolution, CLASSES)
        for what, found, limit, old in (
            ("parameters, max_params", size.params, self.max_params, before and before.params),
            ("FLOPs, max_flops", 2 * size.macs, self.max_flops, before and 2 * before.macs),
        ):
            if limit is not None and found > limit and (old is None or found > old):
                return f"it has {found:,} {what}={limit:,.0f}"
        return None

    def parts(self, arch: Architecture, before: Architecture | None = None) -> tuple[Part, ...]:
        """The blocks as nested operations, with what became of those of an earlier architecture.

        Raises:
            ValueError: if that has other numbers of blocks.
        """
        return parts(arch, before)

    def known_networks(self) -> Iterator[tuple[str, Architecture]]:
        """The known networks by name."""
        for name in graph.NETWORKS:
            yield name, self._reader.known(name)


def _operations(arch: Architecture) -> int:
    return sum(graph.nodes_in(body) for *_, body, _ in arch.halves())


SPACE = UniNAS
