"""What a search has proposed and been told, of all its seeds at once.

Seeds run in lockstep: step t of every seed is one row of an array, which is what makes thousands of searches
on stored scores a matter of seconds.  No seed sees another's trials, so that a seed's history does not depend
on which others run beside it.

Shape legend: T steps, S seeds, V values that a guide tells of an architecture, C clocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Values = NDArray[np.float64]

# Seconds that a trial costs, in the order of their axis: `proxy` as measured when it was scored, `simulated`
# as a benchmark records its training.
CLOCKS = ("proxy", "simulated")


class History:
    """The trials of a search.

    Args:
        seeds: how many searches run in lockstep.
        values: how many numbers a guide tells of an architecture.

    Attributes:
        steps: how many trials each seed has proposed.
    """

    def __init__(self, seeds: int, values: int) -> None:
        self.steps = 0
        self._archs_TS = np.zeros((0, seeds), np.int64)
        self._values_TSV = np.zeros((0, seeds, values))
        self._seconds_TSC = np.zeros((0, seeds, len(CLOCKS)))

    @property
    def seeds(self) -> int:
        """How many searches run in lockstep."""
        return self._archs_TS.shape[1]

    @property
    def archs_TS(self) -> Numbers:
        """The architectures proposed, by number."""
        return self._archs_TS[: self.steps]

    @property
    def values_TSV(self) -> Values:
        """What the guide told of them; NaN where it has not told yet, or failed."""
        return self._values_TSV[: self.steps]

    @property
    def seconds_TSC(self) -> Values:
        """What each trial cost on the clocks of `CLOCKS`."""
        return self._seconds_TSC[: self.steps]

    def propose(self, archs_S: Numbers) -> int:
        """Add a trial for every seed.  Returns its step."""
        step = self.steps
        if step == len(self._archs_TS):
            self._grow()
        self._archs_TS[step], self._values_TSV[step], self._seconds_TSC[step] = archs_S, np.nan, 0
        self.steps += 1
        return step

    def tell(self, step: int, values_SV: Values, seconds_SC: Values) -> None:
        """Set what the guide says of the trials of a step."""
        self._values_TSV[step], self._seconds_TSC[step] = values_SV, seconds_SC

    def past(self, told: int, steps: int | None = None) -> Past:
        """What an algorithm may see when it has been told of the first so many steps.

        Args:
            told: how many steps it has been told of.
            steps: how many had been proposed by then; None for all.
        """
        return Past(self.archs_TS[: self.steps if steps is None else steps], self._values_TSV[:told])

    def _grow(self) -> None:
        room = max(256, 2 * self.steps)
        for name in ("_archs_TS", "_values_TSV", "_seconds_TSC"):
            old = getattr(self, name)
            new = np.zeros((room, *old.shape[1:]), old.dtype)
            new[: self.steps] = old[: self.steps]
            setattr(self, name, new)


@dataclass(frozen=True)
class Past:
    """The trials as an algorithm sees them.

    Attributes:
        proposed_TS: all architectures proposed so far, by number.
        values_TSV: what the guide told of the first of them; the last few may not have been told yet.
    """

    proposed_TS: Numbers
    values_TSV: Values

    @property
    def steps(self) -> int:
        """How many trials have been proposed."""
        return len(self.proposed_TS)

    @property
    def told(self) -> int:
        """How many of them the guide has told of."""
        return len(self.values_TSV)

    @property
    def archs_TS(self) -> Numbers:
        """The architectures that the guide has told of."""
        return self.proposed_TS[: self.told]
