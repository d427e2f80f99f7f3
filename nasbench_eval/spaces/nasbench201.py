"""NAS-Bench-201: 15,625 cells of four nodes and six edges with five operations each.

Dong & Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020
(cell and macro network: section 2.1, figure 1).  NATS-Bench calls it the topology space.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

from nasbench_eval.spaces._graph import Graph, GraphEdge
from nasbench_eval.wording import shown

if TYPE_CHECKING:
    from nasbench_eval.spaces._network import Network

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
# (source, target) of the six edges, in the order in which the benchmark's string lists them.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
# Ways in which tools write a cell as six numbers: the edges in their order, and the operations that the
# numbers 0 to 4 stand for.
ENCODINGS = {
    "benchmark": (EDGES, OPERATIONS),
    "naslib": (
        ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)),
        ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3"),
    ),
}
# The benchmark shuffled its list of cells once, with this seed, and numbers them by the outcome.
_ORDER_SEED = 88


@dataclass(frozen=True)
class Cell:
    """The operation on each of the six edges, in the order of `EDGES`."""

    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.operations) != len(EDGES) or not set(self.operations) <= set(OPERATIONS):
            got = shown(self.operations, 150)
            raise ValueError(f"a cell has {len(EDGES)} operations out of {OPERATIONS}; got {got}")


@lru_cache(maxsize=1)
def _cells() -> tuple[Cell, ...]:
    cells = [Cell(operations) for operations in product(OPERATIONS, repeat=len(EDGES))]
    random.Random(_ORDER_SEED).shuffle(cells)
    return tuple(cells)


@lru_cache(maxsize=1)
def _places() -> dict[Cell, int]:
    return {cell: place for place, cell in enumerate(_cells())}


def from_operations(operations: Sequence[str | int], encoding: str = "benchmark") -> Cell:
    """The cell of six operations, by name or by number, one for each edge.

    Args:
        operations: names as in `OPERATIONS`, or numbers, which mean other operations in each encoding.
        encoding: `benchmark`: edges in the order of the benchmark's string, (0,1) (0,2) (1,2) (0,3) (1,3)
            (2,3), and none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3 for 0 to 4.  `naslib`,
            for NASLib's op_indices: edges by their source, (0,1) (0,2) (0,3) (1,2) (1,3) (2,3), and
            skip_connect, none, nor_conv_3x3, nor_conv_1x1, avg_pool_3x3 for 0 to 4.

    Raises:
        ValueError: if there is no such encoding, or it is no cell.
    """
    if encoding not in ENCODINGS:
        raise ValueError(f"there is no encoding {shown(encoding)}; there are {', '.join(ENCODINGS)}")
    edges, names = ENCODINGS[encoding]
    numbers = range(len(names))
    named = [names[int(o)] if not isinstance(o, str) and o in numbers else o for o in operations]
    if len(named) != len(edges):
        raise ValueError(f"a cell has {len(edges)} operations, one for each edge; got {len(named)}")
    on = dict(zip(edges, named, strict=True))
    return Cell(tuple(on[edge] for edge in EDGES))  # type: ignore[misc]


def unique_string(cell: Cell) -> str:
    """NATS-Bench's name for the function a cell computes (its unique-string rule, zeros considered).

    A node is the sorted sum of its incoming edges; `none`, and any edge out of a zero node, is written
    `#`; `skip_connect` passes its source on; any other operation wraps it.  The zeros stay in the sum,
    so the rule tells some cells apart that compute the same: 6,466 classes, the published count.
    """
    nodes = ["0"]
    for target in (1, 2, 3):
        terms = []
        for (source, end), operation in zip(EDGES, cell.operations, strict=True):
            if end != target:
                continue
            if operation == "none" or nodes[source] == "#":
                terms.append("#")
            elif operation == "skip_connect":
                terms.append(nodes[source])
            else:
                terms.append(f"({nodes[source]})@{operation}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]


def is_live(cell: Cell) -> bool:
    """Whether every operation but `none` lies on a path from the cell's input to its output.

    9,445 of the 15,625 cells do, the empty one among them.  In the others some convolution, pooling or
    skip has no bearing on the output.
    """
    used = [edge for edge, operation in zip(EDGES, cell.operations, strict=True) if operation != "none"]
    reached, reaching = {0}, {3}
    for source, target in used:  # sources come before their targets
        reached |= {target} if source in reached else set()
    for source, target in sorted(used, reverse=True):
        reaching |= {source} if target in reaching else set()
    return all(source in reached and target in reaching for source, target in used)


def graph_of(operations: Sequence[tuple[str, ...]]) -> Graph:
    """The graph of the cell that has these operations on its six edges, one or several on each."""
    edges = (GraphEdge(*edge, names) for edge, names in zip(EDGES, operations, strict=True))
    return Graph("cell", ("in", "1", "2", "out"), tuple(edges))


def _convolutions(cell: Cell) -> tuple[int, int]:
    """How many 1x1 and 3x3 convolutions a cell has."""
    return cell.operations.count("nor_conv_1x1"), cell.operations.count("nor_conv_3x3")


@lru_cache(maxsize=1)
def _representatives() -> dict[str, Cell]:
    first: dict[str, Cell] = {}
    for cell in _cells():
        first.setdefault(unique_string(cell), cell)
    return first


@dataclass(frozen=True)
class NASBench201:
    """The search space.

    Args:
        channels: width C of the stem and first stage; the stages have C, 2C and 4C.
        cells_per_stage: cells N in each of the three stages.  The benchmark trained C = 16, N = 5.
    """

    channels: int = 16
    cells_per_stage: int = 5

    def __post_init__(self) -> None:
        if self.channels < 1 or self.cells_per_stage < 1:
            raise ValueError("channels and cells_per_stage are at least 1")

    @property
    def name(self) -> str:
        return "nasbench201"

    def __len__(self) -> int:
        return len(_cells())

    def arch(self, index: int) -> Cell:
        """The cell at a position in NAS-Bench-201's (and NATS-Bench's) own order.  Raises IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"NAS-Bench-201 has cells 0 to {len(self) - 1}; there is no cell {index}")
        return _cells()[index]

    def index(self, arch: Cell) -> int:
        """The position of a cell in the benchmark's order."""
        return _places()[arch]

    def parse(self, text: str) -> Cell:
        """The cell of a string such as `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.  Raises ValueError."""
        tokens = [token for node in text.strip().split("+") for token in node.strip("|").split("|")]
        operations = tuple(token.split("~")[0] for token in tokens)
        for operation in operations:
            if operation not in OPERATIONS:
                place = f"{shown(operation, 30)} in {shown(text, 110)}"
                raise ValueError(f"{place} is no operation of NAS-Bench-201: {', '.join(OPERATIONS)}")
        if len(operations) != len(EDGES) or self.format(Cell(operations)) != text.strip():
            raise ValueError(f"{shown(text, 150)} is not of the form |op~0|+|op~0|op~1|+|op~0|op~1|op~2|")
        return Cell(operations)

    def format(self, arch: Cell) -> str:
        """The benchmark's own string for a cell."""
        a, b, c, d, e, f = arch.operations
        return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"

    def resized(self, *, channels: int | None, cells: int | None) -> NASBench201:
        """The space with another width C and N cells a stage; None keeps its own."""
        return NASBench201(
            self.channels if channels is None else channels,
            self.cells_per_stage if cells is None else cells,
        )

    def live(self, arch: Cell) -> bool:
        """Whether every operation has a bearing on the output (see `is_live`)."""
        return is_live(arch)

    def canonical(self, arch: Cell) -> Cell:
        """The first cell in the benchmark's order with the same `unique_string`."""
        return _representatives()[unique_string(arch)]

    def neighbours(self, arch: Cell) -> list[Cell]:
        """The 24 cells with another operation on one edge."""
        before_after = [(arch.operations[:edge], arch.operations[edge + 1 :]) for edge in range(len(EDGES))]
        every = [Cell((*before, o, *after)) for before, after in before_after for o in OPERATIONS]
        return [cell for cell in every if cell != arch]

    def graphs(self, arch: Cell) -> tuple[Graph, ...]:
        """The cell, for those who draw it."""
        return (graph_of([(operation,) for operation in arch.operations]),)

    def params(self, arch: Cell, *, num_classes: int) -> int:
        """Trainable scalars of the network, batch norm and classifier included."""
        c, n = self.channels, self.cells_per_stage
        ones, threes = _convolutions(arch)
        count = 27 * c + 2 * c  # the stem, and its batch norm
        for stage, width in enumerate((c, 2 * c, 4 * c)):
            if stage:  # a reduction: two 3x3 convolutions with batch norm, and the 1x1 of the shortcut
                half = width // 2
                count += 9 * half * width + 9 * width * width + half * width + 2 * 2 * width
            count += n * ((ones + 9 * threes) * width * width + (ones + threes) * 2 * width)
        return count + 2 * 4 * c + 4 * c * num_classes + num_classes

    def flops(self, arch: Cell, *, resolution: int, num_classes: int) -> int:
        """Multiply-accumulates of convolutions and classifier for one image.

        Raises:
            ValueError: if the resolution cannot be halved twice, which the two reductions do.
        """
        if resolution < 4 or resolution % 4:
            raise ValueError(f"NAS-Bench-201 halves its images twice; {resolution} is no multiple of 4")
        c, n = self.channels, self.cells_per_stage
        ones, threes = _convolutions(arch)
        positions = resolution * resolution
        count = 27 * c * positions
        for stage, width in enumerate((c, 2 * c, 4 * c)):
            if stage:
                positions //= 4
                half = width // 2
                count += (9 * half * width + 9 * width * width + half * width) * positions
            count += n * (ones + 9 * threes) * width * width * positions
        return count + 4 * c * num_classes

    def build(self, arch: Cell, *, num_classes: int) -> Network:
        """The macro network of the paper around a cell: stem, 3 x N cells, two reductions, classifier."""
        # Only who builds needs PyTorch: names of cells do not wait for it.
        from nasbench_eval.spaces._nasbench201_network import MacroNetwork
        from nasbench_eval.spaces._network import uninitialised

        return uninitialised(
            lambda: MacroNetwork(arch.operations, EDGES, self.channels, self.cells_per_stage, num_classes)
        )

    def build_cell(self, arch: Cell, *, num_classes: int) -> Network:
        """The cell by itself, with the batch norm and ReLU that follow the last cell, and a classifier."""
        from nasbench_eval.spaces._nasbench201_network import CellNetwork
        from nasbench_eval.spaces._network import uninitialised

        return uninitialised(lambda: CellNetwork(arch.operations, EDGES, self.channels, num_classes))


SPACE = NASBench201
