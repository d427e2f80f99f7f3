"""Random walk: each architecture is one edit away from the one before, whatever it is worth.

Týbl & Neumann, "Universal Neural Architecture Space", arXiv 2510.06035: the walk of their released code,
which keeps within limits.  The answer is the best of all that was met.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasbench_eval.search.algorithms._children import Children
from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search
from nasbench_eval.search.drawn import generator
from nasbench_eval.search.history import Numbers, Past, Values


@dataclass(frozen=True)
class RandomWalk:
    """What no guide leads: what a guided search is to be compared with.

    Attributes:
        start: the architecture that is tried first; None for the search space's own.  `random` draws it, as
            is done where the space has none.
    """

    info: ClassVar = AlgorithmInfo("random_walk", "Týbl & Neumann 2025, walk of the released code")
    start: str | None = None

    def begin(self, problem: Problem) -> Search:
        return _Walk(problem, self)


class _Walk(Search):
    def __init__(self, problem: Problem, options: RandomWalk) -> None:
        super().__init__(problem)
        self.uniforms = max(1, problem.moves.for_sample)
        self._start = problem.moves.started(options.start)
        self._children = Children(problem, repeats=True)

    def propose(self, past: Past, u_SU: Values) -> Numbers:
        if not past.steps:
            if self._start is None:
                return self.problem.moves.sample(u_SU[:, : self.problem.moves.for_sample])
            return np.full(self.problem.seeds, self._start)
        here_S = past.proposed_TS[-1].tolist()
        return np.array(
            [
                self._children.of(seed, lambda here=here: (here, 1), generator(u))  # type: ignore[misc]
                for seed, (here, u) in enumerate(zip(here_S, u_SU[:, 0].tolist(), strict=True))
            ]
        )


ALGORITHM = RandomWalk
