"""Random search: each architecture is drawn uniformly, whatever was told of others.

Bergstra & Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 2012; as a baseline of architecture
search: Li & Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search
from nasbench_eval.search.history import Numbers, Past, Values


@dataclass(frozen=True)
class Random:
    """Uniform draws with replacement; the answer is the best of them."""

    info: ClassVar = AlgorithmInfo("random", "Li & Talwalkar 2019")

    def begin(self, problem: Problem) -> Search:
        return _Random(problem)


class _Random(Search):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.uniforms = problem.moves.for_sample

    def propose(self, past: Past, u_SU: Values) -> Numbers:
        return self.problem.moves.sample(u_SU)


ALGORITHM = Random
