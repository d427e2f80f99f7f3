"""AZ-NAS's evolution, InTrain-NAS's and VKDNW's too: the best of an archive that never shrinks are parents.

Lee & Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR 2024: the search of
its released code.  With n architectures in the archive, a candidate is

    n <= 10:              the start, changed by one draw
    n < population - 1:   one of the archive, changed by two draws
    else:                 one of the best `population - 1` of the archive, changed by two draws

and parent and draws are drawn again until a candidate is within the limits of the space.  Several values are
compared by their ranks in the whole archive (`ranks=log` adds the logarithms, as AZ-NAS does).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasbench_eval.search.algorithms._children import FIRST, Children
from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search
from nasbench_eval.search.drawn import generator
from nasbench_eval.search.elite import Elite
from nasbench_eval.search.history import Numbers, Past, Values


@dataclass(frozen=True)
class AZNAS:
    """The search of AZ-NAS's code.

    Attributes:
        population: the best `population - 1` of the archive are parents.
        repeats: whether a network may be proposed again, as in the released code, which scores it anew with
            other weights.  Here its score would be the same.
        start: the architecture that the first candidates come from; None for the search space's own, or
            draws where it has none, or with `random`.
    """

    info: ClassVar = AlgorithmInfo("aznas", "Lee & Ham 2024, evolution of the released code")
    population: int = 1024
    repeats: bool = False
    start: str | None = None

    def __post_init__(self) -> None:
        if self.population < 2:
            raise ValueError("population is at least 2: one less are parents")

    def begin(self, problem: Problem) -> Search:
        return _Evolution(problem, self)


class _Evolution(Search):
    def __init__(self, problem: Problem, options: AZNAS) -> None:
        super().__init__(problem)
        self.options = options
        self.uniforms = max(1, problem.moves.for_sample)
        self._start = problem.moves.started(options.start)
        self._children = Children(problem, repeats=options.repeats)
        self._elite = Elite(problem.judge, problem.seeds, options.population - 1)

    def propose(self, past: Past, u_SU: Values) -> Numbers:
        self._children.see(past.proposed_TS)
        self._elite.extend(past.values_TSV)
        if self._start is None and past.told <= FIRST:
            return self.problem.moves.sample(u_SU[:, : self.problem.moves.for_sample])
        return np.array([self._child(past, seed, u) for seed, u in enumerate(u_SU[:, 0].tolist())])

    def _child(self, past: Past, seed: int, u: float) -> int:
        rng = generator(u)

        def parent() -> tuple[int, int]:
            if past.told <= FIRST:
                assert self._start is not None
                return self._start, 1
            if past.told < self.options.population - 1:
                step = int(rng.integers(past.told))
            else:
                step = self._elite.step(seed, int(rng.integers(len(self._elite))))
            return int(past.proposed_TS[step, seed]), 2

        return self._children.of(seed, parent, rng)


ALGORITHM = AZNAS
