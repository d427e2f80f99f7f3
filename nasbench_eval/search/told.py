"""Accuracies that guide a search, as they are handed to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nasbench_eval.search.history import CLOCKS, Numbers, Values
from nasbench_eval.search.scores import Known

# What a guide tells: the score of a proxy, scores of several, or accuracies.
Kind = Literal["proxy", "aggregate", "val", "accuracy_12"]


@dataclass(frozen=True)
class Told:
    """Accuracies that a guide tells, all at hand.

    Attributes:
        known: the accuracies with their simulated seconds.
        members: the architectures that have one; None if all have.
        said: what there is to say of them, a line each.
    """

    known: Known
    members: Numbers | None
    said: Sequence[str] = ()


def all_of(array: Values, seconds: Values) -> Known:
    """Values of a whole space in one column, and what each costs in simulated seconds; NaN is left out."""
    known, there = Known(1), np.flatnonzero(~np.isnan(array))
    cost = np.zeros((len(there), len(CLOCKS)))
    cost[:, CLOCKS.index("simulated")] = seconds[there]
    known.add(0, there.tolist(), array[there].tolist(), cost)
    return known
