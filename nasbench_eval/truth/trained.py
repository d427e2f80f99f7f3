"""What benchmarks and tables of one's own have in common: architectures of a space, and numbers on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.spaces.open import is_open
from nasbench_eval.truth.ceiling import Ceiling, noise_ceiling

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_eval.spaces.base import SearchSpace


class Trained:
    """Architectures by index, ascending in `table`, which has a row of each."""

    if TYPE_CHECKING:

        @property
        def space(self) -> SearchSpace: ...

        @property
        def table(self) -> pd.DataFrame: ...

    @property
    def indices(self) -> list[int]:
        """The architectures of the table, ascending."""
        indices: list[int] = self.table["index"].tolist()
        return indices

    @property
    def places(self) -> list[int]:
        """Where the numbers of these architectures stand in what `accuracy` and `runs` give."""
        return list(range(len(self.table))) if is_open(self.space) else self.indices

    def runs(self, dataset: str, split: str) -> NDArray[np.float64]:
        """The accuracies of the single runs, a column a run; NaN where unknown."""
        raise NotImplementedError

    def ceiling(self, dataset: str, split: str) -> Ceiling | None:
        """How well runs agree, and how high a correlation with their mean can be; None of a single run."""
        return noise_ceiling(self.runs(dataset, split))

    def spread(self, columns: Sequence[str]) -> NDArray[np.float64]:
        """Columns of the table for every architecture of the space, NaN where there is none.

        Returns:
            Shape (architectures of the space, columns); of an open space (rows of the table, columns).
        """
        values = np.full((len(self.table if is_open(self.space) else self.space), len(columns)), np.nan)
        values[self.places] = self.table[list(columns)].to_numpy(np.float64)
        return values
