"""Optuna's samplers as readers of a history.

A sampler of Optuna keeps its trials in a study and its random numbers in itself.  Here each seed has a study
in memory, to which what was told is added in the order of the steps, and a new sampler for each step, whose
seed is one of the step's random numbers.  So what it proposes follows from the history alone.
"""

from __future__ import annotations

from abc import abstractmethod
from importlib.util import find_spec
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.search.algorithms.base import Problem, Search
from nasbench_eval.search.drawn import Drawn
from nasbench_eval.search.history import Numbers, Past, Values

if TYPE_CHECKING:
    import optuna


class OptunaSearch(Search):
    """A study for each seed, its parameters an architecture's choices and its goals the guide's values.

    Args:
        problem: what is searched.
        name: of the algorithm, for messages.

    Raises:
        UsageError: if Optuna is not installed, or the space's architectures are no lists of choices.
    """

    uniforms = 1

    def __init__(self, problem: Problem, name: str) -> None:
        super().__init__(problem)
        if find_spec("optuna") is None:
            raise UsageError(f"algorithm={name} needs Optuna: pip install 'nasbench_eval[search]'")
        if not problem.moves.choices:
            raise UsageError(
                f"algorithm={name} needs a space whose architectures are lists of choices, as nasbench201; "
                "random, regularized_evolution and local_search take any"
            )
        if isinstance(problem.moves, Drawn):
            raise UsageError(
                f"algorithm={name} needs a space whose architectures show all of their choices, as "
                "nasbench201; reinforce and fp_nas take this one"
            )
        import optuna
        from optuna.study import StudyDirection

        optuna.logging.set_verbosity(optuna.logging.WARNING)  # or each study says that it was created
        self._optuna: Any = optuna
        self._choices: dict[str, optuna.distributions.BaseDistribution] = {
            f"choice{place}": optuna.distributions.CategoricalDistribution(list(range(count)))
            for place, count in enumerate(problem.moves.choices)
        }
        goals = [StudyDirection.MAXIMIZE] * len(problem.judge.values)
        self._studies = [
            optuna.create_study(directions=goals, sampler=self.sampler(0)) for _ in range(problem.seeds)
        ]
        self._read = 0

    @abstractmethod
    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """A sampler that has drawn nothing yet."""

    def propose(self, past: Past, u_SU: Values) -> Numbers:
        for step in range(self._read, past.told):
            self._add(past.archs_TS[step], past.values_TSV[step])
        self._read = past.told
        seeds_S = (u_SU[:, 0] * 2**32).astype(np.int64).tolist()
        choices_SE = [self._ask(study, seed) for study, seed in zip(self._studies, seeds_S, strict=True)]
        return self.problem.moves.decode(np.array(choices_SE, np.int64))

    def _add(self, archs_S: Numbers, told_SV: Values) -> None:
        choices_SE = self.problem.moves.encode(archs_S).tolist()
        for study, choices, told in zip(self._studies, choices_SE, told_SV.tolist(), strict=True):
            if all(map(isfinite, told)):  # Optuna's samplers learn nothing from a failure
                params = dict(zip(self._choices, choices, strict=True))
                study.add_trial(
                    self._optuna.trial.create_trial(params=params, distributions=self._choices, values=told)
                )

    def _ask(self, study: optuna.Study, seed: int) -> list[int]:
        study.sampler = self.sampler(seed)
        trial = study.ask(self._choices)
        # Its outcome comes with the history, as a trial of its own; samplers pass over the ones that failed.
        study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        return [int(trial.params[name]) for name in self._choices]
