"""What a guide knows of architectures: scores that runs hold, and those that workers bring.

Shape legend: A architectures, V values that a guide tells of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.search.history import CLOCKS, Numbers, Values


class Known:
    """Values of architectures, by number.

    Args:
        values: how many there are of one architecture.
    """

    def __init__(self, values: int) -> None:
        self._archs_A = np.zeros(0, np.int64)
        self._values_AV = np.zeros((0, values))
        self._seconds_AVC = np.zeros((0, values, len(CLOCKS)))
        self._has_AV = np.zeros((0, values), bool)

    def __len__(self) -> int:
        return len(self._archs_A)

    def costs(self, clock: str) -> bool:
        """Whether any value costs anything on a clock of `CLOCKS`."""
        return bool(self._seconds_AVC[..., CLOCKS.index(clock)].any())

    def count(self, column: int) -> int:
        """Of how many architectures the value in a column is known."""
        return int(self._has_AV[:, column].sum())

    def add(self, column: int, archs: Iterable[int], values: Iterable[float], seconds: Values) -> None:
        """Values of architectures in a column; what is known already stays.

        Args:
            column: which of the values.
            archs: the architectures, each once.
            values: of each architecture; NaN for a failure.
            seconds: what each cost on the clocks, shape (A, C).
        """
        fresh = np.fromiter(archs, np.int64)
        self._make_room(fresh)
        places = np.searchsorted(self._archs_A, fresh)
        new = ~self._has_AV[places, column]
        places = places[new]
        fresh_values = np.fromiter(values, float)[new]
        # No proxy means +inf: it would win every comparison.
        self._values_AV[places, column] = np.where(fresh_values == np.inf, np.nan, fresh_values)
        self._seconds_AVC[places, column] = seconds[new]
        self._has_AV[places, column] = True

    def _make_room(self, archs: Numbers) -> None:
        absent = np.setdiff1d(archs, self._archs_A)
        if not len(absent):
            return
        places = np.searchsorted(self._archs_A, absent)
        self._archs_A = np.insert(self._archs_A, places, absent)
        self._values_AV = np.insert(self._values_AV, places, np.nan, 0)
        self._seconds_AVC = np.insert(self._seconds_AVC, places, 0.0, 0)
        self._has_AV = np.insert(self._has_AV, places, False, 0)

    def has(self, archs: Numbers, columns: Sequence[int]) -> NDArray[np.bool_]:
        """Whether each architecture has its value in each column, shape (A, len(columns))."""
        found, places = self._find(archs)
        if not len(self):
            return np.zeros((len(archs), len(columns)), bool)
        there: NDArray[np.bool_] = self._has_AV[np.ix_(places, np.asarray(columns))] & found[:, None]
        return there

    def of(self, archs: Numbers, columns: Sequence[int]) -> tuple[Values, Values]:
        """Values and seconds of architectures that are known: shapes (A, V) and (A, C).

        Values of other columns than those asked for are NaN and cost nothing.
        """
        cells = np.ix_(np.searchsorted(self._archs_A, archs), np.asarray(columns))
        values = np.full((len(archs), self._values_AV.shape[1]), np.nan)
        values[:, columns] = self._values_AV[cells]
        return values, self._seconds_AVC[cells].sum(1)

    def _find(self, archs: Numbers) -> tuple[NDArray[np.bool_], Numbers]:
        places = np.minimum(np.searchsorted(self._archs_A, archs), max(len(self) - 1, 0))
        return (self._archs_A[places] == archs if len(self) else np.zeros(len(archs), bool)), places
