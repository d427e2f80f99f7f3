"""(μ+1) evolution: a child of one of the μ best so far, a step at a time.  With μ = 1 it is hill climbing.

Beyer & Schwefel, "Evolution strategies: a comprehensive introduction", Natural Computing 2002, section 2.
Týbl & Neumann, "Universal Neural Architecture Space", arXiv 2510.06035, do not say which steps of their walk
are kept; this is the plainest rule that keeps the better ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import numpy as np

from nasbench_eval.search.algorithms._children import Children
from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search
from nasbench_eval.search.drawn import generator
from nasbench_eval.search.elite import Elite
from nasbench_eval.search.history import Numbers, Past, Values

# Tries after which a child is one edit further away.
PATIENCE = 5


@dataclass(frozen=True)
class MuPlusOne:
    """The best μ of all that was told of are parents, each with the same probability.

    A child is one edit away from its parent, within the limits of the space, and no network that its seed has
    had; where five tries find none, two edits, and so on.  Of equals the older one stays, so that a child has
    to be better to become a parent.

    Attributes:
        mu: how many are parents.
        start: the architecture that is tried first; None for the search space's own.  `random` draws the
            first μ, as is done where the space has none.
    """

    info: ClassVar = AlgorithmInfo("mu_plus_one", "Beyer & Schwefel 2002, section 2")
    mu: int = 20
    start: str | None = None

    def __post_init__(self) -> None:
        if self.mu < 1:
            raise ValueError("mu is at least 1")

    def begin(self, problem: Problem) -> Search:
        return _Evolution(problem, self)


class _Evolution(Search):
    def __init__(self, problem: Problem, options: MuPlusOne) -> None:
        super().__init__(problem)
        self.uniforms = max(1, problem.moves.for_sample)
        self._mu = options.mu
        self._start = problem.moves.started(options.start)
        self._children = Children(problem, repeats=False)
        self._elite = Elite(problem.judge, problem.seeds, options.mu)

    def propose(self, past: Past, u_SU: Values) -> Numbers:
        self._children.see(past.proposed_TS)
        self._elite.extend(past.values_TSV)
        if self._start is None and (past.steps < self._mu or not past.told):
            return self.problem.moves.sample(u_SU[:, : self.problem.moves.for_sample])
        if not past.steps:
            return np.full(self.problem.seeds, self._start)
        return np.array([self._child(past, seed, u) for seed, u in enumerate(u_SU[:, 0].tolist())])

    def _child(self, past: Past, seed: int, u: float) -> int:
        rng, tries = generator(u), count()

        def parent() -> tuple[int, int]:
            edits = 1 + next(tries) // PATIENCE
            if not past.told:
                assert self._start is not None
                return self._start, edits
            step = self._elite.step(seed, int(rng.integers(len(self._elite))))
            return int(past.proposed_TS[step, seed]), edits

        return self._children.of(seed, parent, rng)


ALGORITHM = MuPlusOne
