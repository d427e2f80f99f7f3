"""TPE: choices are drawn that are frequent among the good trials and rare among the others; by Optuna.

Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011.  With l the density of the best
trials' choices and g that of the others', some candidates are drawn from l, and the one with the largest
l / g is proposed.  Where a guide tells several values, Optuna sorts the trials by non-domination and
hypervolume (Ozaki et al., "Multiobjective Tree-Structured Parzen Estimator", JAIR 2022).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nasbench_eval.search.algorithms._optuna import OptunaSearch
from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class TPE:
    """Optuna's TPESampler; the answer is the best of the history.

    Attributes:
        startup: random architectures that it begins with.
        candidates: how many are drawn from the good trials' density for each proposal.
        multivariate: whether the densities are of all choices together, instead of each for itself.
    """

    info: ClassVar = AlgorithmInfo("tpe", "Bergstra et al. 2011, by Optuna")
    startup: int = 10
    candidates: int = 24
    multivariate: bool = False

    def __post_init__(self) -> None:
        if self.startup < 0 or self.candidates < 1:
            raise ValueError("startup is at least 0, and candidates at least 1")

    def begin(self, problem: Problem) -> Search:
        return _TPE(problem, self)


class _TPE(OptunaSearch):
    def __init__(self, problem: Problem, options: TPE) -> None:
        self._options = options
        super().__init__(problem, options.info.name)

    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        import optuna

        with warnings.catch_warnings():  # that `multivariate` is experimental
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(
                n_startup_trials=self._options.startup,
                n_ei_candidates=self._options.candidates,
                multivariate=self._options.multivariate,
                seed=seed,
            )


ALGORITHM = TPE
