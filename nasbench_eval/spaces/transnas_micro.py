"""TransNAS-Bench-101, micro space: 4,096 cells of four nodes and six edges with four operations each.

Duan et al., "TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task Neural
Architecture Search", CVPR 2021 (cell and skeleton: section 3.1; tasks: section 3.2).  Each cell was trained
on seven tasks of Taskonomy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, ClassVar, get_args

from nasbench_eval.spaces import _transnas_counts as counts
from nasbench_eval.spaces.base import Graph, GraphEdge, Task
from nasbench_eval.wording import shown

if TYPE_CHECKING:
    from nasbench_eval.spaces._network import Network

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
# (source, target) of the six edges, in the order of a text's digits.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
# What stands before the cell in the benchmark's texts: the stem's width, and what each module changes.
SKELETON = "64-41414"
_COUNT = 4**6


@dataclass(frozen=True)
class Cell:
    """The operation on each of the six edges, by its digit, in the order of `EDGES`."""

    digits: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.digits) != len(EDGES) or not set(self.digits) <= set(range(len(OPERATIONS))):
            raise ValueError(f"a cell has {len(EDGES)} digits from 0 to 3; got {shown(self.digits, 150)}")

    @property
    def operations(self) -> tuple[str, ...]:
        """The names of the operations."""
        return tuple(OPERATIONS[digit] for digit in self.digits)


def _alive(cell: Cell) -> Iterator[bool]:
    """Of each edge, whether its operation lies on a path from the cell's input to its output."""
    used = [edge for edge, digit in zip(EDGES, cell.digits, strict=True) if digit]
    reached, reaching = {0}, {3}
    for source, target in used:  # sources come before their targets
        reached |= {target} if source in reached else set()
    for source, target in reversed(used):
        reaching |= {source} if target in reaching else set()
    return (edge in used and edge[0] in reached and edge[1] in reaching for edge in EDGES)


@dataclass(frozen=True)
class TransNASMicro:
    """The search space.

    Args:
        channels: width C of the stem.  Modules have 2C, 2C, 4C, 4C and 8C channels.
        cells_per_module: cells N in each of the five modules; the first carries what the module changes.  The
            benchmark trained C = 64, N = 2.
    """

    channels: int = 64
    cells_per_module: int = 2
    judged_on: ClassVar[str] = "class_scene"

    def __post_init__(self) -> None:
        if self.channels < 1 or self.cells_per_module < 1:
            raise ValueError("channels and cells_per_module are at least 1")

    @property
    def name(self) -> str:
        return "transnas_micro"

    def __len__(self) -> int:
        return _COUNT

    def arch(self, index: int) -> Cell:
        """The cell at a position in the benchmark's own order, that of the digits.  Raises IndexError."""
        if not 0 <= index < _COUNT:
            raise IndexError(
                f"TransNAS-Bench-101 has micro cells 0 to {_COUNT - 1}; there is no cell {index}"
            )
        return Cell(tuple(index >> 2 * place & 3 for place in range(5, -1, -1)))

    def index(self, arch: Cell) -> int:
        """The position of a cell in the benchmark's order."""
        return sum(digit << (2 * place) for place, digit in enumerate(reversed(arch.digits)))

    def parse(self, text: str) -> Cell:
        """The cell of a text such as `64-41414-1_02_333`, or of its end, `1_02_333`.  Raises ValueError.

        The digits are the operations on the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3: 0 none, 1 skip, 2 ReLU, 1x1
        convolution and batch norm, 3 the same with 3x3.
        """
        skeleton, dash, end = text.strip().rpartition("-")
        found = re.fullmatch(r"(.)_(..)_(...)", end)
        if found is None or (dash and not skeleton):
            raise ValueError(f"{shown(text, 150)} is not of the form {SKELETON}-a_bc_def")
        if dash and skeleton != SKELETON:
            place = f"{shown(skeleton, 30)} in {shown(text, 110)}"
            raise ValueError(f"{place} is no skeleton of micro cells: all of them stand in {SKELETON}")
        digits = "".join(found.groups())
        for digit in digits:
            if digit not in "0123":
                place = f"{shown(digit)} in {shown(text, 110)}"
                raise ValueError(f"{place} is no operation of a micro cell: the digits are 0 to 3")
        return Cell(tuple(map(int, digits)))

    def format(self, arch: Cell) -> str:
        """The benchmark's own text for a cell."""
        a, b, c, d, e, f = arch.digits
        return f"{SKELETON}-{a}_{b}{c}_{d}{e}{f}"

    def resized(self, *, channels: int | None, cells: int | None) -> TransNASMicro:
        """The space with another width C and N cells a module; None keeps its own."""
        return TransNASMicro(
            self.channels if channels is None else channels,
            self.cells_per_module if cells is None else cells,
        )

    def live(self, arch: Cell) -> bool:
        """Whether every operation but `none` lies on a path from the cell's input to its output."""
        return all(alive or not digit for alive, digit in zip(_alive(arch), arch.digits, strict=True))

    def canonical(self, arch: Cell) -> Cell:
        """The first cell of those that are equal to it once what is on no path from input to output is gone.

        The nodes 1 and 2 are alike where no edge leads from one to the other.  Skips stay what they are: two
        edges behind one skip share what they read, which is not the same as two layers of their own.
        """
        kept = [digit if alive else 0 for alive, digit in zip(_alive(arch), arch.digits, strict=True)]
        a, b, c, d, e, f = kept
        return Cell(tuple(kept) if c else min((a, b, c, d, e, f), (b, a, c, d, f, e)))

    def neighbours(self, arch: Cell) -> list[Cell]:
        """The 18 cells with another operation on one edge."""
        before_after = [(arch.digits[:edge], arch.digits[edge + 1 :]) for edge in range(len(EDGES))]
        every = product(before_after, range(len(OPERATIONS)))
        return [cell for (before, after), o in every if (cell := Cell((*before, o, *after))) != arch]

    @property
    def choices(self) -> tuple[int, ...]:
        """How many alternatives each choice has: the operations of six edges."""
        return (len(OPERATIONS),) * len(EDGES)

    def encode(self, arch: Cell) -> list[int]:
        """The choices that a cell shows: its digits."""
        return list(arch.digits)

    def decode(self, chosen: Sequence[int]) -> Cell:
        """The cell of these digits."""
        return Cell(tuple(chosen))

    def graphs(self, arch: Cell) -> tuple[Graph, ...]:
        """The cell, for those who draw it."""
        edges = (GraphEdge(*edge, (name,)) for edge, name in zip(EDGES, arch.operations, strict=True))
        return (Graph("cell", ("in", "1", "2", "out"), tuple(edges)),)

    def params(self, arch: Cell, *, num_classes: int) -> int:
        """Trainable scalars of the network that classifies, batch norm and classifier included."""
        return self.sizes("classification").params(arch, num_classes=num_classes)

    def flops(self, arch: Cell, *, resolution: int, num_classes: int) -> int:
        """Multiply-accumulates of convolutions and classifier for one image, of any size."""
        sizes = self.sizes("classification")
        return sizes.flops(arch, resolution=resolution, num_classes=num_classes)

    def build(self, arch: Cell, *, num_classes: int) -> Network:
        """The benchmark's encoder around a cell, and a classifier; its `task_head` makes the other heads."""
        # Only who builds needs PyTorch: names of cells do not wait for it.
        from nasbench_eval.spaces._network import uninitialised
        from nasbench_eval.spaces._transnas_network import EncoderNetwork

        digits, size = arch.digits, (self.channels, self.cells_per_module)
        return uninitialised(lambda: EncoderNetwork(digits, EDGES, *size, num_classes))

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the networks can do."""
        return get_args(Task)

    def sizes(self, task: Task) -> counts.TaskSizes:
        """The sizes of the networks with the head of a task."""
        return counts.TaskSizes(self.channels, self.cells_per_module, task)


SPACE = TransNASMicro
