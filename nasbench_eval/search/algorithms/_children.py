"""Children of architectures within the limits of a space, with as many tries as it takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.search.algorithms.base import Problem
from nasbench_eval.search.history import Numbers

# Architectures that a search has up to which all come from the start.
FIRST = 10
# Tries after which there is none to be found, and those after which a network that was seen before will do.
_MOST, _ENOUGH = 100_000, 1000


class Children:
    """What becomes of architectures that each seed has, but for networks that it has proposed before.

    Args:
        problem: what is searched.
        repeats: whether networks may be proposed again.
    """

    def __init__(self, problem: Problem, *, repeats: bool) -> None:
        self.moves, self.repeats = problem.moves, repeats
        self._seen_S: list[set[int]] = [set() for _ in range(problem.seeds)]
        self._read = 0

    def see(self, proposed_TS: Numbers) -> None:
        """Read what was proposed since the last time."""
        for archs_S in proposed_TS[self._read :].tolist():
            for seen, arch in zip(self._seen_S, archs_S, strict=True):
                seen.add(self.moves.key(arch))
        self._read = len(proposed_TS)

    def of(self, seed: int, parent: Callable[[], tuple[int, int]], rng: np.random.Generator) -> int:
        """A child within the limits of the space: a parent and a change are drawn until there is one.

        Args:
            seed: place of the seed.
            parent: draws a parent, and tells how many draws change it.
            rng: for the changes.

        Raises:
            UsageError: if none is found in a hundred thousand tries.
        """
        for tries in range(_MOST):
            arch, draws = parent()
            child = self.moves.attempt(arch, rng, draws)
            if child is None:
                continue
            if self.repeats or tries > _ENOUGH or self.moves.key(child) not in self._seen_S[seed]:
                return child
        raise UsageError(f"{_MOST:,} tries gave no architecture within the limits of the search space")
