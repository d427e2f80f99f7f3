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

    An architecture has a row from when it is first met.  There is room for more rows than there are, so that
    to add one costs the same however many there are.

    Args:
        values: how many there are of one architecture.
    """

    def __init__(self, values: int) -> None:
        self._rows: dict[int, int] = {}
        self._values_AV = np.zeros((0, values))
        self._seconds_AVC = np.zeros((0, values, len(CLOCKS)))
        self._has_AV = np.zeros((0, values), bool)

    def __len__(self) -> int:
        return len(self._rows)

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
        rows = np.fromiter((self._rows.setdefault(arch, len(self._rows)) for arch in archs), np.int64)
        self._make_room()
        new = ~self._has_AV[rows, column]
        rows = rows[new]
        fresh = np.fromiter(values, float)[new]
        # No proxy means +inf: it would win every comparison.
        self._values_AV[rows, column] = np.where(fresh == np.inf, np.nan, fresh)
        self._seconds_AVC[rows, column] = seconds[new]
        self._has_AV[rows, column] = True

    def _make_room(self) -> None:
        lacking = len(self._rows) - len(self._has_AV)
        if lacking > 0:
            more = max(lacking, 256, len(self._has_AV))
            for name in ("_values_AV", "_seconds_AVC", "_has_AV"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros((more, *old.shape[1:]), old.dtype)]))

    def has(self, archs: Numbers, columns: Sequence[int]) -> NDArray[np.bool_]:
        """Whether each architecture has its value in each column, shape (A, len(columns))."""
        rows = self._find(archs)
        if not len(self):
            return np.zeros((len(archs), len(columns)), bool)
        there: NDArray[np.bool_] = self._has_AV[np.ix_(rows, np.asarray(columns))] & (rows >= 0)[:, None]
        return there

    def of(self, archs: Numbers, columns: Sequence[int]) -> tuple[Values, Values]:
        """Values and seconds of architectures that are known: shapes (A, V) and (A, C).

        Values of other columns than those asked for are NaN and cost nothing.
        """
        cells = np.ix_(self._find(archs), np.asarray(columns))
        values = np.full((len(archs), self._values_AV.shape[1]), np.nan)
        values[:, columns] = self._values_AV[cells]
        return values, self._seconds_AVC[cells].sum(1)

    def _find(self, archs: Numbers) -> Numbers:
        """The row of each architecture; -1 for none."""
        row_of = self._rows.get
        return np.array([row_of(arch, -1) for arch in archs.tolist()], np.int64)
