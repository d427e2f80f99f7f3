"""Children of architectures, one at a time, with as many tries as it takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.search.algorithms.base import Problem
from nasbench_eval.search.drawn import Drawn
from nasbench_eval.search.history import Numbers
from nasbench_eval.search.moves import Moves

# Tries after which there is none to be found, and those after which a network that was seen before will do.
_MOST, _ENOUGH = 100_000, 1000


class Children:
    """What becomes of architectures, and which networks a search has proposed before.

    Args:
        problem: what is searched.
        start: the text of the architecture to start from; None for the space's own.

    Attributes:
        start: its number; None where there is none, so that a search starts from draws.
    """

    def __init__(self, problem: Problem, start: str | None) -> None:
        self.moves = problem.moves
        self.start = _start(problem.moves, start)
        self._seen_S: list[set[int]] = [set() for _ in range(problem.seeds)]
        self._read = 0

    def see(self, proposed_TS: Numbers) -> None:
        """Read what was proposed since the last time."""
        for archs_S in proposed_TS[self._read :].tolist():
            for seen, arch in zip(self._seen_S, archs_S, strict=True):
                seen.add(key(self.moves, arch))
        self._read = len(proposed_TS)

    def fresh(self, seed: int, arch: int) -> bool:
        """Whether a seed has not proposed this network yet."""
        return key(self.moves, arch) not in self._seen_S[seed]

    def of(
        self, seed: int, parent: Callable[[], tuple[int, int]], rng: np.random.Generator, *, repeats: bool
    ) -> int:
        """A child within the limits of the space: a parent and a change are drawn until there is one.

        Args:
            seed: place of the seed.
            parent: draws a parent, and tells how many draws change it.
            rng: for the changes.
            repeats: whether it may be a network that the seed has proposed before.

        Raises:
            UsageError: if none is found in a hundred thousand tries.
        """
        for tries in range(_MOST):
            child = attempt(self.moves, *parent(), rng)
            if child is not None and (repeats or tries > _ENOUGH or self.fresh(seed, child)):
                return child
        raise UsageError(f"{_MOST:,} tries gave no architecture within the limits of the search space")


def attempt(moves: Moves, arch: int, draws: int, rng: np.random.Generator) -> int | None:
    """What so many draws make of an architecture; None where it is beyond the limits of the space."""
    if isinstance(moves, Drawn):
        return moves.attempt(arch, rng, draws)
    here = np.array([arch])
    for _ in range(draws):
        here = moves.mutate(here, rng.random((1, moves.for_mutate)))
    return int(here[0])


def key(moves: Moves, arch: int) -> int:
    """A number that architectures share which are the same network."""
    return moves.key(arch) if isinstance(moves, Drawn) else arch


def _start(moves: Moves, text: str | None) -> int | None:
    if isinstance(moves, Drawn):
        return moves.start if text is None else moves.named(text)
    if text is not None:
        raise UsageError("algorithm.start= is for open search spaces; here a search starts from draws")
    return None
