"""Seconds of trainings that nobody recorded, from the cells 0 to 999 whose seconds are known.

A linear model by least squares: a constant, and for each edge of the cell a number of seconds for the
operation that stands there.  It is fitted when it is asked for, so that no fitted number is kept anywhere.

Shape legend: N cells of the space, K cells with recorded seconds, F features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasbench_eval.spaces.nasbench201 import OPERATIONS, NASBench201

# So that a fit's last bits, which differ between machines, decide nothing.
_DECIMALS = 3


def features() -> NDArray[np.float64]:
    """What the model knows of each cell of NAS-Bench-201: shape (N, F), zeros and ones."""
    space = NASBench201()
    operations = np.array(
        [[OPERATIONS.index(name) for name in space.arch(index).operations] for index in range(len(space))]
    )
    one_hot = np.eye(len(OPERATIONS), dtype=np.float64)[operations].reshape(len(space), -1)
    stacked: NDArray[np.float64] = np.column_stack([np.ones(len(space)), one_hot])
    return stacked


def predict(
    features_NF: NDArray[np.float64], members_K: NDArray[np.int64], seconds_K: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Seconds of every cell, shape (N,), from those of some; rounded to a millisecond.

    Args:
        features_NF: of `features`.
        members_K: positions of the cells whose seconds are known.
        seconds_K: these seconds.

    Returns:
        The model's seconds for all cells, those with known ones as well; never below the half of the shortest
        known.
    """
    weights_F = np.linalg.lstsq(features_NF[members_K], seconds_K, rcond=None)[0]
    predicted: NDArray[np.float64] = np.maximum(features_NF @ weights_F, seconds_K.min() / 2)
    return predicted.round(_DECIMALS)
