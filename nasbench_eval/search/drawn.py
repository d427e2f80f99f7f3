"""The moves of an open space, whose architectures are drawn and changed by a random generator of their own.

Its architectures have no order: their numbers are hashes of their texts (see `spaces/open.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.errors import UsageError
from nasbench_eval.search.history import Numbers, Values
from nasbench_eval.spaces.open import ByChoices, Known, Limited, index_of
from nasbench_eval.wording import first_line, shortened

# What `algorithm.start` is called that has the first architectures drawn.
RANDOM = "random"
# Architectures that are kept as they were read: those that are changed most are changed again and again.
_KEPT = 4096


class Drawn:
    """Moves in an open space (see `moves.Moves`).

    Args:
        space: the search space.

    Raises:
        UsageError: if the space can break a limit, and does not tell which.
    """

    for_sample = for_mutate = 1

    def __init__(self, space: Known) -> None:
        self.space: Any = space
        self._read: OrderedDict[int, Any] = OrderedDict()
        self._limited = isinstance(space, Limited)
        if not self._limited and callable(getattr(space, "candidate", None)):
            raise UsageError(f"the search space {space.name} has `candidate`, but not `beyond` or `start`")

    def sample(self, u: Values) -> Numbers:
        return self._each(lambda place: self.space.sample(generator(u[place][0])), u.shape[:-1])

    def mutate(self, archs: Numbers, u: Values) -> Numbers:
        return self._each(
            lambda place: self.space.mutate(self.arch(int(archs[place])), generator(u[place][0])),
            archs.shape,
        )

    def _each(self, draw: Callable[[tuple[int, ...]], Any], shape: tuple[int, ...]) -> Numbers:
        found = np.empty(shape, np.int64)
        for place in np.ndindex(shape):
            found[place] = self.space.index(draw(place))
        return found

    def neighbours(self, arch: int) -> Numbers:
        self.require_neighbours()
        return np.array([self.space.index(each) for each in self.space.neighbours(self.arch(arch))], np.int64)

    def require_neighbours(self) -> None:
        if not callable(getattr(self.space, "neighbours", None)):
            raise UsageError(f"{self.space.name} does not list the neighbours of an architecture")

    @property
    def choices(self) -> tuple[int, ...]:
        return tuple(self.space.choices) if isinstance(self.space, ByChoices) else ()

    def encode(self, archs: Numbers) -> Numbers:
        self._require_choices()
        found = [self.space.encode(self.arch(int(arch))) for arch in archs.flat]
        return np.array(found, np.int64).reshape(*archs.shape, len(self.choices))

    def traits(self, archs: Numbers) -> Numbers:
        return self.encode(archs)

    def decode(self, choices: Numbers) -> Numbers:
        self._require_choices()
        shape = choices.shape[:-1]
        return self._each(lambda place: self.space.decode(choices[place].tolist()), shape)

    def _require_choices(self) -> None:
        if not self.choices:
            raise UsageError(f"architectures of {self.space.name} are no fixed list of choices")

    def started(self, text: str | None) -> int | None:
        if text == RANDOM:
            return None
        if text is None:
            return int(self.space.index(self.space.start)) if self._limited else None
        try:
            arch = self.space.parse(text)
        except ValueError as error:
            raise UsageError(f"algorithm.start={shortened(text, 60)}: {first_line(error)}") from error
        if self._limited and (why := self.space.beyond(arch)) is not None:
            raise UsageError(f"algorithm.start={shortened(text, 60)} is beyond the limits: {why}")
        return int(self.space.index(arch))

    def attempt(self, arch: int, rng: np.random.Generator, draws: int) -> int | None:
        here = parent = self.arch(arch)
        if not self._limited:
            for _ in range(draws):
                here = self.space.mutate(here, rng)
            return int(self.space.index(here))
        tried = self.space.candidate(parent, rng, draws)
        return int(self.space.index(tried)) if self.space.beyond(tried, parent) is None else None

    def key(self, arch: int) -> int:
        return index_of(self.space.name, self.space.format(self.space.canonical(self.arch(arch))))

    def arch(self, number: int) -> Any:
        """An architecture by its number."""
        if number in self._read:
            self._read.move_to_end(number)
            return self._read[number]
        found = self._read[number] = self.space.arch(number)
        if len(self._read) > _KEPT:
            self._read.popitem(last=False)
        return found


class DrawnMasks(Drawn):
    """Moves in an open space of supernets (see `moves.Supernets`)."""

    @property
    def edges(self) -> int:
        return int(self.space.edges)

    @property
    def operations(self) -> tuple[str, ...]:
        return tuple(self.space.operations)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self.space.groups)

    def has(self, arch: int) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.space.has(self.arch(arch))
        return found

    def of(self, has_EO: NDArray[np.bool_]) -> int:
        return int(self.space.index(self.space.of(has_EO)))


def generator(u: float) -> np.random.Generator:
    """A generator whose seed is a number in [0, 1), which holds 53 random bits."""
    return np.random.default_rng(int(u * 2**53))
