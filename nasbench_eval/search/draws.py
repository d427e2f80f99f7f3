"""The random numbers of a search: a step's depend on the run's seed, the search's seed and the step alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nasbench_eval.search.history import Values

# Steps whose numbers are drawn together.  It decides the numbers: another size is another search.
_BLOCK = 256


class Draws:
    """Uniform numbers for each step of each seed, the same however often a search is begun anew.

    Args:
        run_seed: seed of the run.
        seeds: those of the searches, which run in lockstep.
        width: how many numbers a step takes.
    """

    def __init__(self, run_seed: int, seeds: Sequence[int], width: int) -> None:
        self.run_seed, self.seeds, self.width = run_seed, tuple(seeds), width
        self._block, self._uniform_SBU = -1, np.zeros((len(seeds), 0, width))

    def of(self, step: int) -> Values:
        """Numbers in [0, 1) for a step, shape (seeds, width)."""
        block, place = divmod(step, _BLOCK)
        if block != self._block:
            each = [np.random.default_rng([self.run_seed, seed, block]) for seed in self.seeds]
            self._uniform_SBU = np.stack([rng.random((_BLOCK, self.width)) for rng in each])
            self._block = block
        return self._uniform_SBU[:, place]
