"""Optuna's NSGA-II with generations that follow from the trials alone (imported where Optuna is at hand)."""

from __future__ import annotations

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import NSGAIISampler
from optuna.trial import FrozenTrial, TrialState


class Generations(NSGAIISampler):
    """Generation g is the g-th group of as many completed trials as a population has.

    Optuna's own notes a trial's generation in the study when it is proposed, which is more than a history
    holds.
    """

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        return len(self._completed(study)) // self._size

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        return self._completed(study)[generation * self._size : (generation + 1) * self._size]

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        # Optuna's own are in another order when they are chosen than when they are looked up later.
        return sorted(super().get_parent_population(study, generation), key=lambda trial: trial.number)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        # Optuna's own looks for what all trials have in common, and all are the same here.
        completed = self._completed(study)
        distributions = completed[0].distributions if completed else {}
        return {name: each for name, each in distributions.items() if not each.single()}

    @property
    def _size(self) -> int:
        assert self.population_size is not None
        return self.population_size

    @staticmethod
    def _completed(study: Study) -> list[FrozenTrial]:
        return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
