"""Architectures as numbers: how they are drawn, changed and taken apart, for many searches at once.

An algorithm sees numbers alone.  In a space with an order they are the benchmark's own indices.

Shape legend: … any shape, E choices that an architecture consists of (a cell's edges), T traits that it is
compared by, U uniform numbers, O operations of an edge.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.errors import UsageError
from nasbench_eval.search.drawn import Drawn, DrawnMasks
from nasbench_eval.search.history import Numbers, Values
from nasbench_eval.search.numbered import Digits, Numbered, pick
from nasbench_eval.spaces import nasbench201
from nasbench_eval.spaces.base import ComparedSpace, SearchSpace
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.spaces.nasbench201_supernet import NASBench201Supernet
from nasbench_eval.spaces.open import ByChoices, Known


class Moves(Protocol):
    """What an algorithm can do with the architectures of a search space.

    Attributes:
        for_sample: uniform numbers that drawing an architecture takes.
        for_mutate: uniform numbers that changing one takes.
        choices: how many alternatives each of an architecture's E choices has; empty if the space has no
            such form.
    """

    @property
    def for_sample(self) -> int: ...

    @property
    def for_mutate(self) -> int: ...

    @property
    def choices(self) -> tuple[int, ...]: ...

    def sample(self, u: Values) -> Numbers:
        """Architectures drawn uniformly, from numbers of shape (…, for_sample)."""
        ...

    def mutate(self, archs: Numbers, u: Values) -> Numbers:
        """Architectures one edit away, from numbers of shape (…, for_mutate)."""
        ...

    def neighbours(self, arch: int) -> Numbers:
        """All architectures one edit away, in a fixed order."""
        ...

    def encode(self, archs: Numbers) -> Numbers:
        """The choices that architectures consist of, shape (…, E); −1 where one shows none."""
        ...

    def decode(self, choices: Numbers) -> Numbers:
        """The architectures that consist of these choices.  What `encode` gives as −1 makes no difference."""
        ...

    def traits(self, archs: Numbers) -> Numbers:
        """Numbers that architectures are compared by, the choices if there are any; shape (…, T).

        Raises:
            UsageError: if there is nothing that they could be compared by.
        """
        ...

    def attempt(self, arch: int, rng: np.random.Generator, draws: int) -> int | None:
        """What so many draws make of an architecture; None where it is beyond a limit of the space."""
        ...

    def key(self, arch: int) -> int:
        """A number that architectures share which are the same network."""
        ...

    def started(self, text: str | None) -> int | None:
        """The architecture that a text names, to start from; None for the space's own, if it has one.

        `drawn.RANDOM` is none, as is the start of a space without one: searches begin with draws.

        Raises:
            UsageError: if a search of this space starts from draws, or the architecture will not do.
        """
        ...

    def require_neighbours(self) -> None:
        """Refuse a space that does not list the neighbours of an architecture.

        Raises:
            UsageError: if it does not.
        """
        ...


@runtime_checkable
class Supernets(Protocol):
    """What pruning needs besides: which operations an architecture has on each edge.

    Attributes:
        operations: names of the operations of an edge, O of them.
        edges: how many edges there are, E of them.
        groups: edges, by number, of each of which two are left in the end; empty where all edges stay.
    """

    @property
    def operations(self) -> tuple[str, ...]: ...

    @property
    def edges(self) -> int: ...

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]: ...

    def has(self, archs: Any) -> NDArray[np.bool_]:
        """Which operations each edge of an architecture has, shape (E, O)."""
        ...

    def of(self, has: NDArray[np.bool_]) -> Any:
        """The architecture with these operations on each edge; inverse of `has`."""
        ...


# What the choices of a cell of NAS-Bench-201 are multiplied with to be read as a number to the base 5.
_POWERS = 5 ** np.arange(6)[::-1]


@cache
def _operations_NE() -> Numbers:
    """The operation on each edge of each cell."""
    space = NASBench201()
    names = {name: number for number, name in enumerate(nasbench201.OPERATIONS)}
    cells = (space.arch(index).operations for index in range(len(space)))
    return np.array([[names[name] for name in operations] for operations in cells])


@cache
def _places() -> Numbers:
    """The index of the cell whose choices, read as a number to the base 5, are the position."""
    operations_NE = _operations_NE()
    places = np.empty(len(operations_NE), np.int64)
    places[operations_NE @ _POWERS] = np.arange(len(places))
    return places


def _edge_of(way: str, u: Values, edges: int) -> Numbers:
    """The edge that a mutation changes, from the first two numbers; `node` is for NAS-Bench-201's six."""
    if way == "uniform":
        return pick(u[..., 0], edges)
    node = pick(u[..., 0], 3)  # one, two and three edges lead to the three nodes
    return node * (node + 1) // 2 + pick(u[..., 1], node + 1)


@dataclass(frozen=True)
class Cells201(Numbered):
    """Cells of NAS-Bench-201: five operations on each of six edges.

    Attributes:
        edge: how a mutation chooses its edge: `uniform` among the six, or `node`: first one of the three
            nodes, then one of the edges into it, as the benchmark's own evolution and TEG-NAS do.
    """

    edge: str = "uniform"
    for_sample: int = field(default=6, init=False)
    for_mutate: int = field(default=3, init=False)

    @property
    def choices(self) -> tuple[int, ...]:
        return (len(nasbench201.OPERATIONS),) * len(nasbench201.EDGES)

    def sample(self, u: Values) -> Numbers:
        return self.decode(pick(u, 5))

    def mutate(self, archs: Numbers, u: Values) -> Numbers:
        choices = self.encode(archs)
        edge = _edge_of(self.edge, u, 6)[..., None]
        now = np.take_along_axis(choices, edge, -1)
        other = (now + 1 + pick(u[..., 2:3], 4)) % 5
        np.put_along_axis(choices, edge, other, -1)
        return self.decode(choices)

    def neighbours(self, arch: int) -> Numbers:
        choices = self.encode(np.array(arch))
        found = np.repeat(choices[None], 24, 0)
        edges = np.repeat(np.arange(6), 4)
        found[np.arange(24), edges] = (found[np.arange(24), edges] + np.tile(np.arange(1, 5), 6)) % 5
        return self.decode(found)

    def encode(self, archs: Numbers) -> Numbers:
        choices: Numbers = _operations_NE()[archs]
        return choices

    def decode(self, choices: Numbers) -> Numbers:
        archs: Numbers = _places()[choices @ _POWERS]
        return archs


@dataclass(frozen=True)
class Masks(Numbered):
    """Supernets: a non-empty set of O operations on each of E edges.

    A set is the number whose bits are its operations; less one it is an edge's choice, and the choices are
    the digits of the architecture's number, the first edge's the most significant.

    Attributes:
        operations: names of the operations, in the order of their bits.
        edges: how many edges there are.
        edge: how a mutation chooses its edge (see `Cells201`).
    """

    operations: tuple[str, ...] = nasbench201.OPERATIONS
    edges: int = len(nasbench201.EDGES)
    edge: str = "uniform"
    groups: tuple[tuple[int, ...], ...] = field(default=(), init=False)
    for_mutate: int = field(default=3, init=False)

    @property
    def for_sample(self) -> int:
        return self.edges

    @property
    def choices(self) -> tuple[int, ...]:
        return (self._sets,) * self.edges

    @property
    def _sets(self) -> int:
        return (1 << len(self.operations)) - 1

    @property
    def _powers(self) -> Numbers:
        powers: Numbers = self._sets ** np.arange(self.edges)[::-1]
        return powers

    def sample(self, u: Values) -> Numbers:
        return self.decode(pick(u, self._sets))

    def mutate(self, archs: Numbers, u: Values) -> Numbers:
        """One operation more or less on one edge; the last one of an edge stays."""
        has = self.has(archs)
        edge = _edge_of(self.edge, u, self.edges)[..., None, None]
        here = np.take_along_axis(has, edge, -2)
        free = ~here | (here.sum(-1, keepdims=True) > 1)
        # The operation that as many of the free ones come before as are drawn.
        drawn = pick(u[..., 2], free.sum(-1)[..., 0])[..., None, None]
        changed = free & (free.cumsum(-1) == drawn + 1)
        np.put_along_axis(has, edge, here ^ changed, -2)
        return self.of(has)

    def neighbours(self, arch: int) -> Numbers:
        has = self.has(np.array(arch))
        found = []
        for edge, operation in np.ndindex(has.shape):
            other = has.copy()
            other[edge, operation] ^= True
            if other[edge].any():
                found.append(self.of(other))
        return np.array(found, np.int64)

    def encode(self, archs: Numbers) -> Numbers:
        choices: Numbers = np.asarray(archs)[..., None] // self._powers % self._sets
        return choices

    def decode(self, choices: Numbers) -> Numbers:
        archs: Numbers = choices @ self._powers
        return archs

    def has(self, archs: Numbers | int) -> NDArray[np.bool_]:
        """Which operations each edge has, shape (…, E, O)."""
        found: NDArray[np.bool_] = (
            (self.encode(np.asarray(archs)) + 1)[..., None] >> np.arange(len(self.operations)) & 1
        ) > 0
        return found

    def of(self, has: NDArray[np.bool_]) -> Numbers:
        """The architectures with these operations on each edge; inverse of `has`."""
        return self.decode((has << np.arange(len(self.operations))).sum(-1) - 1)


@dataclass(frozen=True)
class Listed(Numbered):
    """Architectures of any space with an order, changed one edit at a time as the space defines it."""

    space: SearchSpace
    for_sample: int = field(default=1, init=False)
    for_mutate: int = field(default=1, init=False)
    _known: dict[int, Numbers] = field(default_factory=dict, init=False, repr=False)

    @property
    def choices(self) -> tuple[int, ...]:
        return self.space.choices if isinstance(self.space, ByChoices) else ()

    def sample(self, u: Values) -> Numbers:
        return pick(u[..., 0], len(self.space))

    def mutate(self, archs: Numbers, u: Values) -> Numbers:
        found = [self._one(int(a), float(v)) for a, v in zip(archs.flat, u[..., 0].flat, strict=True)]
        return np.array(found, np.int64).reshape(archs.shape)

    def _one(self, arch: int, u: float) -> int:
        near = self.neighbours(arch)
        return int(near[int(u * len(near))]) if len(near) else arch

    def neighbours(self, arch: int) -> Numbers:
        if arch not in self._known:
            near = self.space.neighbours(self.space.arch(arch))
            self._known[arch] = np.array([self.space.index(each) for each in near], np.int64)
        return self._known[arch]

    def encode(self, archs: Numbers) -> Numbers:
        space = self._by_choices()
        shown = [space.encode(self.space.arch(int(arch))) for arch in archs.flat]
        return np.array(shown, np.int64).reshape(*archs.shape, len(space.choices))

    def decode(self, choices: Numbers) -> Numbers:
        space = self._by_choices()
        rows = choices.reshape(-1, choices.shape[-1]).tolist()
        found = [self.space.index(space.decode(row)) for row in rows]
        return np.array(found, np.int64).reshape(choices.shape[:-1])

    def traits(self, archs: Numbers) -> Numbers:
        if not isinstance(self.space, ComparedSpace):
            return self.encode(archs)
        told = [self.space.traits(self.space.arch(int(arch))) for arch in archs.flat]
        try:
            shown = np.array([[operator.index(trait) for trait in traits] for traits in told], np.int64)
        except (TypeError, ValueError, OverflowError):
            raise UsageError(
                f"traits of {self.space.name} are not whole numbers of 64 bits, as many for each architecture"
            ) from None
        return shown.reshape(*archs.shape, -1)

    def _by_choices(self) -> ByChoices:
        if not isinstance(self.space, ByChoices):
            raise UsageError(f"architectures of {self.space.name} are no fixed list of choices")
        return self.space


def moves_of(space: SearchSpace, mutation: str = "uniform") -> Moves:
    """The moves of a search space.

    Args:
        space: with an order, or an open one.
        mutation: how an edge is chosen where there is a choice of ways (see `Cells201`).

    Raises:
        UsageError: if the space has one way only, and another is asked for.
    """
    if isinstance(space, NASBench201):
        return Cells201(mutation)
    if isinstance(space, NASBench201Supernet):
        # Single masks are numbered as the cells that they are.
        return Cells201(mutation) if space.masks == "single" else Masks(edge=mutation)
    if mutation != "uniform":
        raise UsageError(f"mutation={mutation} is for nasbench201; {space.name} has uniform alone")
    if isinstance(space, Known):
        moves = Drawn(space)
        # A supernet's masks of one operation on each edge are lists of choices, and not for pruning.
        pruned = callable(getattr(space, "has", None)) and not moves.choices
        return DrawnMasks(space) if pruned else moves
    return Digits(digits) if (digits := digits_of(space)) else Listed(space)


def digits_of(space: Any) -> tuple[int, ...]:
    """How many alternatives each digit of an index has; empty where indices are no digits of choices.

    A space may have choices and another order.
    """
    choices: tuple[int, ...] = tuple(getattr(space, "choices", ()))
    if not choices or math.prod(choices) != len(space):
        return ()
    encode = getattr(space, "encode", None)
    some = np.unique(np.linspace(0, len(space) - 1, 16).astype(np.int64))
    if encode is not None:
        told = [list(encode(space.arch(int(index)))) for index in some]
        return choices if told == Digits(choices).encode(some).tolist() else ()
    return choices
