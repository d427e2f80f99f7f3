"""NAS-Bench-101: 423,624 cells, directed acyclic graphs of up to seven vertices and nine edges.

Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019 (cells and macro
network: section 2.1; hash of isomorphic cells: section 2.1 and supplement S1).

Vertex 0 is the cell's input and the last vertex its output; those between carry an operation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from numbers import Number
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nasbench_eval.spaces import _nasbench101_order as order
from nasbench_eval.spaces._graph import Graph, GraphEdge
from nasbench_eval.spaces._nasbench101_channels import vertex_channels
from nasbench_eval.wording import shown

if TYPE_CHECKING:
    from nasbench_eval.spaces._network import Network

# In the order in which the benchmark's hash numbers them.
OPERATIONS = ("conv3x3", "conv1x1", "maxpool3x3")
MAX_VERTICES, MAX_EDGES = 7, 9
# Of each operation how many weights it has for each pair of channels.
_KERNELS = {"conv3x3": 9, "conv1x1": 1, "maxpool3x3": 0}
# Twice as long as the text of any cell.
_LONGEST = 200
_HASH = re.compile(r"[0-9a-f]{32}")
_TEXT = re.compile(r"\|(?:[^|~]*(?:~[0-9]+)+\|)+", re.ASCII)

Edge = tuple[int, int]
_NO_PATH = "no path leads from its input to its output"
_GOES_BACK = (
    "the edge {} to {} goes back: edges lead from lower vertices to higher, so that there is no cycle"
)


class MalformedCell(ValueError):
    """A graph that is no cell of NAS-Bench-101; the message names the graph and the rule."""


def _malformed(graph: str, rule: str) -> MalformedCell:
    return MalformedCell(f"{shown(graph, 150)} is no cell of NAS-Bench-101: {rule}")


@dataclass(frozen=True)
class Cell:
    """A pruned cell.

    Attributes:
        operations: of the vertices 1 to V − 2.
        edges: (source, target) with source < target, by target and source.

    Raises:
        MalformedCell: if it breaks a rule of the benchmark, or has a vertex on no path from input to output.
    """

    operations: tuple[str, ...]
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        # One form for each graph: equality is that of labelled graphs, whatever order the edges came in.
        object.__setattr__(self, "edges", tuple(sorted(set(self.edges), key=lambda edge: edge[::-1])))
        if rule := _broken_rule(self.operations, self.edges):
            raise _malformed(_text(self.operations, self.edges), rule)

    @property
    def vertices(self) -> int:
        """V, input and output included."""
        return len(self.operations) + 2

    def __str__(self) -> str:
        return _text(self.operations, self.edges)


def _broken_rule(operations: Sequence[str], edges: Sequence[Edge]) -> str | None:
    """The first rule a graph breaks, in words; None for a cell."""
    vertices, last = len(operations) + 2, len(operations) + 1
    if vertices > MAX_VERTICES:
        return f"it has {vertices} vertices, at most {MAX_VERTICES} are allowed"
    for operation in operations:
        if operation not in OPERATIONS:
            return f"{shown(operation, 30)} is none of the operations {', '.join(OPERATIONS)}"
    for source, target in edges:
        if not (0 <= source <= last and 0 <= target <= last):
            return f"the edge {source} to {target} leaves its vertices 0 to {last}"
        if source >= target:
            return _GOES_BACK.format(source, target)
    if len(edges) > MAX_EDGES:
        return f"it has {len(edges)} edges, at most {MAX_EDGES} are allowed"
    used = _on_paths(vertices, edges)
    if last not in used:
        return _NO_PATH
    if len(used) < vertices:
        return f"vertex {min(set(range(vertices)) - used)} is disconnected: on no path from input to output"
    return None


def _on_paths(vertices: int, edges: Sequence[Edge]) -> set[int]:
    """The vertices on paths from the first to the last."""
    reached, reaching = {0}, {vertices - 1}
    for source, target in sorted(edges):
        reached |= {target} if source in reached else set()
    for source, target in sorted(edges, key=lambda edge: edge[1], reverse=True):
        reaching |= {source} if target in reaching else set()
    return reached & reaching


def prune(operations: Sequence[str], edges: Sequence[Edge]) -> Cell:
    """The cell left of a graph when all that lies on no path from input to output is taken away.

    Args:
        operations: of the vertices between the first and the last, any number of them.
        edges: (source, target) with source < target.

    Raises:
        MalformedCell: if no path is left, or more than the benchmark allows.
    """
    vertices = len(operations) + 2
    used = sorted(_on_paths(vertices, edges))
    if vertices - 1 not in used:
        raise _malformed(_text(operations, edges), _NO_PATH)
    number = {vertex: position for position, vertex in enumerate(used)}
    kept = tuple((number[s], number[t]) for s, t in edges if s in number and t in number)
    return Cell(tuple(operations[vertex - 1] for vertex in used[1:-1]), kept)


def from_matrix(matrix: Sequence[Sequence[int]], operations: Sequence[str]) -> Cell:
    """The cell of the benchmark's own form, pruned as its API does.

    Args:
        matrix: V rows of V zeros and ones, upper triangular; a one in row s and column t is an edge s to t.
        operations: V names, `input` and `output` included; `conv3x3` or the benchmark's `conv3x3-bn-relu`.

    Raises:
        MalformedCell: if the matrix is not square, has other entries or an edge that goes back, or does not
            fit the operations; and as `prune`.
    """
    try:
        matrix, operations = [list(row) for row in matrix], list(operations)
    except TypeError as error:
        named = f"{shown(matrix)} with {shown(operations)}"
        raise _malformed(named, "it takes a matrix of rows and a list of operations") from error
    size = len(matrix)
    named = f"{' '.join(''.join(map(str, row)) for row in matrix)} with {', '.join(map(str, operations))}"
    if size < 2 or size != len(operations) or any(len(row) != size for row in matrix):
        raise _malformed(named, "it takes a square matrix and as many operations as rows, two or more")
    if not all(isinstance(entry, (Number, np.bool_)) and entry in (0, 1) for row in matrix for entry in row):
        raise _malformed(named, "the entries of its matrix are 0 and 1")
    if not all(isinstance(name, str) for name in operations):
        raise _malformed(named, "its operations are texts")
    if operations[0] != "input" or operations[-1] != "output":
        raise _malformed(named, "its first operation is `input` and its last `output`")
    edges = [(s, t) for s in range(size) for t in range(size) if matrix[s][t]]
    for source, target in edges:
        if source >= target:
            raise _malformed(named, _GOES_BACK.format(source, target))
    return prune([name.removesuffix("-bn-relu") for name in operations[1:-1]], edges)


def _text(operations: Sequence[str], edges: Sequence[Edge]) -> str:
    vertices = []
    for vertex, name in enumerate([*operations, "output"], start=1):
        sources = sorted({source for source, target in edges if target == vertex})
        vertices.append("~".join([name, *map(str, sources)]))
    return f"|{'|'.join(vertices)}|"


@lru_cache(maxsize=1 << 16)
def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=1 << 16)
def module_hash(cell: Cell) -> str:
    """The benchmark's hash, 32 hexadecimal digits, equal for isomorphic cells (Ying et al. 2019, S1).

    Each vertex starts from its degrees and its operation, and takes in V times its neighbours' hashes.
    """
    vertices = cell.vertices
    sources: list[list[int]] = [[] for _ in range(vertices)]
    targets: list[list[int]] = [[] for _ in range(vertices)]
    for source, target in cell.edges:
        sources[target].append(source)
        targets[source].append(target)
    labels = [-1, *map(OPERATIONS.index, cell.operations), -2]
    hashes = [_md5(str((len(targets[v]), len(sources[v]), labels[v]))) for v in range(vertices)]
    for _ in range(vertices):
        hashes = [
            _md5(
                "".join(sorted(hashes[s] for s in sources[v]))
                + "|"
                + "".join(sorted(hashes[t] for t in targets[v]))
                + "|"
                + hashes[v]
            )
            for v in range(vertices)
        ]
    return _md5(str(sorted(hashes)))


class _Stack(NamedTuple):
    """The sizes of all cells of a stack, which the graph alone decides.

    Attributes:
        projections: weights of the projections.
        projected: channels that they put out.
        squares: of each vertex its channels squared, added up over the cells.
        channels: of each vertex its channels, likewise.
    """

    projections: int
    projected: int
    squares: tuple[int, ...]
    channels: tuple[int, ...]


@lru_cache(maxsize=1 << 13)
def _stacks(channels: int, cells: int, vertices: int, edges: tuple[Edge, ...]) -> tuple[_Stack, ...]:
    """The three stacks of N cells in networks of so many channels in the stem."""
    found, channels_in = [], channels
    for stack in range(3):
        out = channels << stack
        widths = []
        for _ in range(cells):
            widths.append((channels_in, vertex_channels(channels_in, out, vertices, edges)))
            channels_in = out
        projected = [(width, of[target]) for width, of in widths for source, target in edges if source == 0]
        inner = range(1, vertices - 1)
        found.append(
            _Stack(
                sum(width * to for width, to in projected),
                sum(to for _, to in projected),
                tuple(sum(of[vertex] ** 2 for _, of in widths) for vertex in inner),
                tuple(sum(of[vertex] for _, of in widths) for vertex in inner),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class NASBench101:
    """The search space, in the order of the cells' hashes.

    Args:
        channels: width C of the stem and the first stack; the stacks have C, 2C and 4C.
        cells_per_stack: cells N in each of the three stacks.  The benchmark trained C = 128, N = 3.
    """

    channels: int = 128
    cells_per_stack: int = 3

    def __post_init__(self) -> None:
        if self.channels < 1 or self.cells_per_stack < 1:
            raise ValueError("channels and cells_per_stack are at least 1")

    @property
    def name(self) -> str:
        return "nasbench101"

    def __len__(self) -> int:
        return order.SIZE

    def arch(self, index: int) -> Cell:
        """The cell with the index-th smallest hash.  Raises IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"NAS-Bench-101 has cells 0 to {len(self) - 1}; there is no cell {index}")
        labels, edges = order.cell(index)
        return Cell(tuple(OPERATIONS[label] for label in labels), edges)

    def parse(self, text: str) -> Cell:
        """The cell of a string such as `|conv3x3~0|maxpool3x3~0~1|output~1~2|`, or of a hash.

        Vertices 1 to V − 1 stand between bars, each with its operation and the vertices that lead to it.

        Raises:
            MalformedCell: naming the text and the rule it breaks.
        """
        text = text.strip()
        if _HASH.fullmatch(text):
            index = self._position(text)
            if index == len(self) or module_hash(self.arch(index)) != text:
                raise MalformedCell(f"'{text}' is the hash of no cell of NAS-Bench-101")
            return self.arch(index)
        if len(text) > _LONGEST or not _TEXT.fullmatch(text):
            raise MalformedCell(
                f"{shown(text, 150)} is neither a hash nor of the form |conv3x3~0|maxpool3x3~0~1|output~1~2|"
            )
        names: list[str] = []
        edges: list[Edge] = []
        for target, vertex in enumerate(text.strip("|").split("|"), start=1):
            name, *sources = vertex.split("~")
            names.append(name)
            edges += [(int(source), target) for source in sources]
        if repeated := next((edge for edge in edges if edges.count(edge) > 1), None):
            raise _malformed(text, f"the edge {repeated[0]} to {repeated[1]} stands there twice")
        if names[-1] != "output":
            raise _malformed(text, "its last vertex is not `output`")
        return Cell(tuple(names[:-1]), tuple(edges))

    def format(self, arch: Cell) -> str:
        """Inverse of `parse`: each vertex with its operation and the vertices that lead to it."""
        return str(arch)

    def resized(self, *, channels: int | None, cells: int | None) -> NASBench101:
        """The space with another width C and N cells a stack; None keeps its own."""
        return NASBench101(
            self.channels if channels is None else channels,
            self.cells_per_stack if cells is None else cells,
        )

    def live(self, arch: Cell) -> bool:
        """True: a pruned cell has no operation without a bearing on its output."""
        return True

    def index(self, arch: Cell) -> int:
        """The position of a cell, or of the one isomorphic to it, in the benchmark's order.  O(log n)."""
        return self._position(module_hash(arch))

    def canonical(self, arch: Cell) -> Cell:
        """The cell of the benchmark that is isomorphic to this one."""
        return self.arch(self.index(arch))

    def neighbours(self, arch: Cell) -> list[Cell]:
        """The benchmark's cells one edit away: an operation changed, an edge put in or an edge taken out.

        What an edit leaves on no path is pruned, as in the benchmark's own mutation; edits that break a rule
        are left out.  Without repetitions, in the benchmark's order.
        """
        vertices, operations = arch.vertices, arch.operations
        edits = [
            ((*operations[:v], other, *operations[v + 1 :]), arch.edges)
            for v in range(len(operations))
            for other in OPERATIONS
        ]
        every = combinations(range(vertices), 2)
        edits += [(operations, tuple(set(arch.edges) ^ {edge})) for edge in every]
        found = set()
        for edited, edges in edits:
            try:
                found.add(self.index(prune(edited, edges)))
            except MalformedCell:
                continue
        return [self.arch(index) for index in sorted(found - {self.index(arch)})]

    def traits(self, arch: Cell) -> list[int]:
        """Operations of five vertices, −1 for one that the cell lacks, and which of 21 edges there are."""
        lacking, output = MAX_VERTICES - arch.vertices, arch.vertices - 1
        operations = [OPERATIONS.index(name) for name in arch.operations] + [-1] * lacking
        # The output is the last of seven vertices, however many lie between.
        edges = {(source, MAX_VERTICES - 1 if target == output else target) for source, target in arch.edges}
        return operations + [int(edge in edges) for edge in combinations(range(MAX_VERTICES), 2)]

    def graphs(self, arch: Cell) -> tuple[Graph, ...]:
        """The cell, for those who draw it; its vertices compute, its edges do not."""
        edges = tuple(GraphEdge(source, target) for source, target in arch.edges)
        return (Graph("cell", ("in", *arch.operations, "out"), edges),)

    def params(self, arch: Cell, *, num_classes: int) -> int:
        """Trainable scalars of the network, batch norm and classifier included."""
        width = self._width(arch)
        count = 27 * width + 2 * width + 4 * width * num_classes + num_classes
        for stack in self._stacks(arch, width):
            count += stack.projections + 2 * stack.projected
            for name, square, channels in zip(arch.operations, stack.squares, stack.channels, strict=True):
                if name != "maxpool3x3":
                    count += _KERNELS[name] * square + 2 * channels
        return count

    def flops(self, arch: Cell, *, resolution: int, num_classes: int) -> int:
        """Multiply-accumulates of convolutions and classifier for one image.

        Raises:
            ValueError: if the resolution cannot be halved twice.
        """
        if resolution < 4:
            raise ValueError(f"NAS-Bench-101 halves its images twice; {resolution} is less than 4")
        width = self._width(arch)
        count = 27 * width * resolution**2 + 4 * width * num_classes
        for number, stack in enumerate(self._stacks(arch, width)):
            squares = zip(arch.operations, stack.squares, strict=True)
            weights = stack.projections + sum(_KERNELS[name] * square for name, square in squares)
            count += weights * (resolution >> number) ** 2
        return count

    def _width(self, arch: Cell) -> int:
        """Channels of the stem: a cell has at least one for each vertex that it concatenates."""
        concatenated = sum(source > 0 and target == arch.vertices - 1 for source, target in arch.edges)
        return max(self.channels, concatenated)

    def _stacks(self, arch: Cell, width: int) -> tuple[_Stack, ...]:
        return _stacks(width, self.cells_per_stack, arch.vertices, arch.edges)

    def build(self, arch: Cell, *, num_classes: int) -> Network:
        """The macro network of the paper around a cell: stem, three stacks of N cells, classifier."""
        # Only who builds needs PyTorch: names of cells do not wait for it.
        from nasbench_eval.spaces._nasbench101_network import MacroNetwork
        from nasbench_eval.spaces._network import uninitialised

        return uninitialised(
            lambda: MacroNetwork(
                arch.operations, arch.edges, self.channels, self.cells_per_stack, num_classes
            )
        )

    def build_cell(self, arch: Cell, *, num_classes: int) -> Network:
        """The cell by itself and a classifier; nothing else follows the last cell."""
        from nasbench_eval.spaces._nasbench101_network import CellNetwork
        from nasbench_eval.spaces._network import uninitialised

        return uninitialised(lambda: CellNetwork(arch.operations, arch.edges, self.channels, num_classes))

    def _position(self, text: str) -> int:
        """How many hashes are smaller than a text; found by halving, without a table of them."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if module_hash(self.arch(middle)) < text:
                low = middle + 1
            else:
                high = middle
        return low


SPACE = NASBench101
