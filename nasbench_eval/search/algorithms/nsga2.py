"""NSGA-II: children of parents that few others dominate; by Optuna.

Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Transactions on Evolutionary
Computation 2002.  The parents of a generation are the best of the generation before and its parents, by
non-domination and crowding distance; children are made by crossover and mutation.  A guide's values are its
goals, all of them to be made large; with a single one it is a genetic algorithm with elitism.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nasbench_eval.search.algorithms._optuna import OptunaSearch
from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class NSGA2:
    """Optuna's NSGAIISampler; the answer is the best of the history, as the guide compares.

    Attributes:
        population: size of a generation; the first is random.
        mutation: probability that a choice of a child is drawn anew; null: 1 / number of choices.
        crossover: probability that a child has two parents.
        swapping: probability that a choice comes from the second of two parents.
    """

    info: ClassVar = AlgorithmInfo("nsga2", "Deb et al. 2002, by Optuna")
    population: int = 50
    mutation: float | None = None
    crossover: float = 0.9
    swapping: float = 0.5

    def __post_init__(self) -> None:
        if self.population < 2:
            raise ValueError("population is at least 2")
        for name in ("mutation", "crossover", "swapping"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is between 0 and 1")

    def begin(self, problem: Problem) -> Search:
        return _NSGA2(problem, self)


class _NSGA2(OptunaSearch):
    def __init__(self, problem: Problem, options: NSGA2) -> None:
        self._options = options
        super().__init__(problem, options.info.name)

    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        from nasbench_eval.search.algorithms._generations import Generations

        return Generations(
            population_size=self._options.population,
            mutation_prob=self._options.mutation,
            crossover_prob=self._options.crossover,
            swapping_prob=self._options.swapping,
            seed=seed,
        )


ALGORITHM = NSGA2
