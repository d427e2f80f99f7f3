"""Moves in spaces whose architectures have an order: what these have in common, and those of lists of digits.

Shape legend: … any shape, E choices that an architecture consists of, U uniform numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.search.drawn import RANDOM
from nasbench_eval.search.history import Numbers, Values


class Numbered:
    """What moves have in common in a space whose architectures have an order (see `moves.Moves`)."""

    if TYPE_CHECKING:
        for_mutate: int

        def mutate(self, archs: Numbers, u: Values) -> Numbers: ...

        def encode(self, archs: Numbers) -> Numbers: ...

    def attempt(self, arch: int, rng: np.random.Generator, draws: int) -> int | None:
        here = np.array([arch])
        for _ in range(draws):
            here = self.mutate(here, rng.random((1, self.for_mutate)))
        return int(here[0])

    def traits(self, archs: Numbers) -> Numbers:
        return self.encode(archs)

    def key(self, arch: int) -> int:
        return arch

    def started(self, text: str | None) -> int | None:
        if text not in (None, RANDOM):
            raise UsageError("algorithm.start= is for open search spaces; here a search starts from draws")
        return None

    def require_neighbours(self) -> None:
        pass


def pick(u: Values, of: int | Numbers) -> Numbers:
    """Whole numbers below `of`, drawn uniformly from numbers in [0, 1)."""
    return (u * of).astype(np.int64)


@dataclass(frozen=True)
class Digits(Numbered):
    """Architectures whose index has a digit for each choice, the first the most significant.

    Attributes:
        choices: how many alternatives each of the E choices has, at least 2.
    """

    choices: tuple[int, ...]
    for_mutate: int = field(default=2, init=False)

    @property
    def for_sample(self) -> int:
        return len(self.choices)

    @property
    def _powers(self) -> Numbers:
        powers: Numbers = np.cumprod((1, *self.choices[:0:-1]))[::-1]
        return powers

    def sample(self, u: Values) -> Numbers:
        return self.decode(pick(u, np.array(self.choices)))

    def mutate(self, archs: Numbers, u: Values) -> Numbers:
        """Another alternative for one choice, both drawn uniformly."""
        choices, among = self.encode(archs), np.array(self.choices)
        place = pick(u[..., 0], len(among))
        now = np.take_along_axis(choices, place[..., None], -1)[..., 0]
        other = (now + 1 + pick(u[..., 1], among[place] - 1)) % among[place]
        np.put_along_axis(choices, place[..., None], other[..., None], -1)
        return self.decode(choices)

    def neighbours(self, arch: int) -> Numbers:
        here = self.encode(np.array(arch))
        found = []
        for place, among in enumerate(self.choices):
            for step in range(1, among):
                other = here.copy()
                other[place] = (here[place] + step) % among
                found.append(other)
        return self.decode(np.array(found))

    def encode(self, archs: Numbers) -> Numbers:
        choices: Numbers = np.asarray(archs)[..., None] // self._powers % np.array(self.choices)
        return choices

    def decode(self, choices: Numbers) -> Numbers:
        archs: Numbers = choices @ self._powers
        return archs
