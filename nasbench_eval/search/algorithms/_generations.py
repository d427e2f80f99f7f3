"""Optuna's NSGA-II with generations that follow from the trials alone (imported where Optuna is at hand)."""

from __future__ import annotations

from optuna import Study
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

    @property
    def _size(self) -> int:
        assert self.population_size is not None
        return self.population_size

    @staticmethod
    def _completed(study: Study) -> list[FrozenTrial]:
        return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
