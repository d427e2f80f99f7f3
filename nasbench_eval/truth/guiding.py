"""Final validation accuracies alone: what a search may be told, apart from the tables with test accuracies.

A search that got a whole table could be guided by test accuracy by mistake.  What is returned here is an
array of its own, so that nothing leads from it to the table.

Shape legend: N architectures of the space.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.truth.given import Given
from nasbench_eval.truth.own import Benchmark
from nasbench_eval.truth.tables import accuracy, load_table

SPLIT = "val"


def validation(space_name: str, dataset: str, folder: Path) -> NDArray[np.float64]:
    """Final validation accuracies in percent of every architecture, shape (N,); NaN where unknown.

    Args:
        space_name: `nasbench201` or `nasbench101`.
        dataset: `cifar10`, `cifar100` or `imagenet16_120`; NAS-Bench-101 has `cifar10` alone.
        folder: the data folder.

    Returns:
        After 200 epochs (NAS-Bench-201) or 108 (NAS-Bench-101).  It can be read, not written.

    Raises:
        UnknownName: if there is no such search space or data set.
        TruthError: if the table is missing or wrong.
    """
    return _alone(accuracy(load_table(space_name, folder), dataset, SPLIT))


def validation_of(benchmark: Benchmark | Given, dataset: str) -> NDArray[np.float64]:
    """The same of ground truth of one's own; NaN for architectures that were not trained."""
    return _alone(benchmark.accuracy(dataset, SPLIT))


def _alone(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    alone = np.array(values_N, dtype=np.float64, copy=True)
    alone.flags.writeable = False
    return alone
