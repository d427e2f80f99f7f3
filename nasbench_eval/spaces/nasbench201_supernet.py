"""NAS-Bench-201's supernets: any non-empty set of the five operations on each of the six edges.

Chen, Gong & Wang, "Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically Inspired
Perspective" (TE-NAS), ICLR 2021, section 3.3: all operations of an edge are there at once, mixed with weights
that a softmax makes of logits; their code keeps the logits equal, and takes an operation away by setting its
logit to −1000.  So the operations S that an edge still has are averaged,

    edge(x) = 1 / |S| · Σ_{o ∈ S} o(x),

and `none`, which adds zero, counts in |S|.  A set of one operation on each edge is a cell of NAS-Bench-201.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

from nasbench_eval.spaces._graph import Graph
from nasbench_eval.spaces.nasbench201 import EDGES, OPERATIONS, Cell, NASBench201, graph_of, is_live
from nasbench_eval.wording import shown

if TYPE_CHECKING:
    from nasbench_eval.spaces._network import Network

# Non-empty sets of operations.
SETS = 2 ** len(OPERATIONS) - 1
SIZE = SETS ** len(EDGES)
# Their weights' key where all architectures share them.
_SHARED = "supernet"
_CELLS = NASBench201()


@dataclass(frozen=True)
class Mask:
    """The operations on each of the six edges, in the order of `EDGES` and of `OPERATIONS`."""

    operations: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        known = [_in_order(names) for names in self.operations]
        if len(known) != len(EDGES) or not all(known):
            got = shown(self.operations, 150)
            raise ValueError(f"a mask has {len(EDGES)} sets of operations out of {OPERATIONS}; got {got}")

    @property
    def cell(self) -> Cell | None:
        """The cell of NAS-Bench-201 that it is; None while an edge has several operations."""
        single = [names[0] for names in self.operations if len(names) == 1]
        return Cell(tuple(single)) if len(single) == len(EDGES) else None


def mask_of(cell: Cell) -> Mask:
    """The mask with a cell's operation alone on each edge."""
    return Mask(tuple((name,) for name in cell.operations))


def _in_order(names: Sequence[str]) -> bool:
    """Whether these are operations, at least one, none twice, in the order of `OPERATIONS`."""
    return len(names) > 0 and tuple(name for name in OPERATIONS if name in names) == tuple(names)


@lru_cache(maxsize=1)
def _sets() -> tuple[tuple[str, ...], ...]:
    """All sets, ordered by the number whose bits they are: `OPERATIONS[i]` is bit i."""
    return tuple(
        tuple(name for bit, name in enumerate(OPERATIONS) if number >> bit & 1)
        for number in range(1, SETS + 1)
    )


@lru_cache(maxsize=1)
def _digits() -> dict[tuple[str, ...], int]:
    return {names: digit for digit, names in enumerate(_sets())}


@dataclass(frozen=True)
class NASBench201Supernet:
    """The search space.

    With `masks=all` an index is a number of six digits to the base 31, the first edge's the most significant;
    a digit plus one has a bit for each operation.  The last index, 887,503,680, has all operations on all
    edges.  With `masks=single` the architectures are NAS-Bench-201's 15,625 cells, in its order.

    Args:
        channels: width C of the stem and first stage; the stages have C, 2C and 4C.
        cells_per_stage: cells N in each of the three stages.
        weights: `shared`: every architecture draws its weights from one key, each tensor by its name, so that
            what two architectures have in common has the same weights, as in the code of TE-NAS and TEG-NAS;
            `own`: from the architecture's text, as in other spaces, so that a mask of one operation on each
            edge is the cell of NAS-Bench-201 to the bit.
        masks: `all` sets of operations, or the `single` ones: one operation on each edge.
    """

    channels: int = 16
    cells_per_stage: int = 5
    weights: Literal["shared", "own"] = "shared"
    masks: Literal["all", "single"] = "all"
    # The space whose accuracies judge the architectures that have a name there.
    judged_as: ClassVar[str] = "nasbench201"

    def __post_init__(self) -> None:
        if self.channels < 1 or self.cells_per_stage < 1:
            raise ValueError("channels and cells_per_stage are at least 1")

    @property
    def name(self) -> str:
        return "nasbench201_supernet"

    def __len__(self) -> int:
        return SIZE if self.masks == "all" else len(_CELLS)

    def arch(self, index: int) -> Mask:
        """The mask at a position.  Raises IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name} has masks 0 to {len(self) - 1}; there is no mask {index}")
        if self.masks == "single":
            return mask_of(_CELLS.arch(index))
        powers = (SETS**place for place in reversed(range(len(EDGES))))
        return Mask(tuple(_sets()[index // power % SETS] for power in powers))

    def index(self, arch: Mask) -> int:
        """The position of a mask.  Raises ValueError for one that the space does not have."""
        if self.masks == "single":
            return _CELLS.index(self._single(arch))
        index = 0
        for names in arch.operations:
            index = index * SETS + _digits()[names]
        return index

    def _single(self, arch: Mask) -> Cell:
        if arch.cell is None:
            got = shown(self.format(arch), 150)
            raise ValueError(f"with masks=single an edge has one operation; got {got}")
        return arch.cell

    def parse(self, text: str) -> Mask:
        """The mask of a string such as `|op,op~0|+|op~0|op,op~1|+|op~0|op~1|op~2|`.  Raises ValueError."""
        tokens = [token for node in text.strip().split("+") for token in node.strip("|").split("|")]
        operations = tuple(tuple(token.split("~")[0].split(",")) for token in tokens)
        for operation in (name for names in operations for name in names):
            if operation not in OPERATIONS:
                place = f"{shown(operation, 30)} in {shown(text, 110)}"
                raise ValueError(f"{place} is no operation of NAS-Bench-201: {', '.join(OPERATIONS)}")
        if not all(map(_in_order, operations)):
            order = ", ".join(OPERATIONS)
            raise ValueError(
                f"{shown(text, 150)} has operations of an edge that are not in the order {order}"
            )
        if len(operations) != len(EDGES) or self.format(Mask(operations)) != text.strip():
            form = "|op,op~0|+|op~0|op,op~1|+|op~0|op~1|op~2|"
            raise ValueError(f"{shown(text, 150)} is not of the form {form}")
        mask = Mask(operations)
        if self.masks == "single":
            self._single(mask)
        return mask

    def format(self, arch: Mask) -> str:
        """NAS-Bench-201's own string, with several operations of an edge between commas."""
        a, b, c, d, e, f = (",".join(names) for names in arch.operations)
        return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"

    def weight_key(self, arch: Mask) -> str:
        """What the weights of an architecture are drawn from, beside the run's seed and a tensor's name."""
        return self.format(arch) if self.weights == "own" else _SHARED

    def resized(self, *, channels: int | None, cells: int | None) -> NASBench201Supernet:
        """The space with another width C and N cells a stage; None keeps its own."""
        return replace(
            self,
            channels=self.channels if channels is None else channels,
            cells_per_stage=self.cells_per_stage if cells is None else cells,
        )

    def live(self, arch: Mask) -> bool:
        """Whether every operation but `none` has a bearing on the output (see `nasbench201.is_live`)."""
        # An edge counts as `none` if it has nothing else; which other operation it has does not matter.
        return is_live(Cell(tuple(names[-1] for names in arch.operations)))

    def canonical(self, arch: Mask) -> Mask:
        """One representative for all masks isomorphic to this one.

        Of a mask of one operation on each edge that of its cell.  Others are told apart but for the order of
        the two inner nodes, where no operation leads from one to the other.
        """
        if arch.cell is not None:
            return mask_of(_CELLS.canonical(arch.cell))
        a, b, c, d, e, f = arch.operations
        return min(arch, Mask((b, a, c, d, f, e)), key=_place) if c == ("none",) else arch

    def neighbours(self, arch: Mask) -> list[Mask]:
        """The masks with one operation more or less; with `masks=single` those with another on one edge."""
        if self.masks == "single":
            return [mask_of(cell) for cell in _CELLS.neighbours(self._single(arch))]
        changed = []
        for edge, names in enumerate(arch.operations):
            before, after = arch.operations[:edge], arch.operations[edge + 1 :]
            for name in OPERATIONS:
                others = tuple(o for o in OPERATIONS if (o in names) != (o == name))
                if others:
                    changed.append(Mask((*before, others, *after)))
        return changed

    def graphs(self, arch: Mask) -> tuple[Graph, ...]:
        """The cell, for those who draw it."""
        return (graph_of(arch.operations),)

    def build(self, arch: Mask, *, num_classes: int) -> Network:
        """NAS-Bench-201's macro network around a cell whose edges have several operations."""
        # Only who builds needs PyTorch: names of masks do not wait for it.
        from nasbench_eval.spaces._nasbench201_network import MacroNetwork
        from nasbench_eval.spaces._network import uninitialised

        return uninitialised(
            lambda: MacroNetwork(
                arch.operations, EDGES, self.channels, self.cells_per_stage, num_classes, self._by_name
            )
        )

    def build_cell(self, arch: Mask, *, num_classes: int) -> Network:
        """The cell by itself, with the batch norm and ReLU that follow the last cell, and a classifier."""
        from nasbench_eval.spaces._nasbench201_network import CellNetwork
        from nasbench_eval.spaces._network import uninitialised

        return uninitialised(
            lambda: CellNetwork(arch.operations, EDGES, self.channels, num_classes, self._by_name)
        )

    @property
    def _by_name(self) -> bool:
        """Whether a single operation's tensors bear its name, as they do among others: to be shared."""
        return self.weights == "shared"


def _place(mask: Mask) -> tuple[int, ...]:
    return tuple(_digits()[names] for names in mask.operations)


SPACE = NASBench201Supernet
