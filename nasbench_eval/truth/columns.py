"""What the columns of any table of accuracies are held to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Kinds of numbers that have room for a percentage, and for sums over all architectures.
KINDS = ("float32", "float64")


def percent_fault(present: NDArray[np.floating[Any]]) -> str | None:
    """Why the known values of a column, shape (N,), are no accuracies in percent; None if they may be."""
    if not present.size:
        return None
    low, high = present.min(), present.max()
    if not (low >= 0 and high <= 100):
        return f"goes from {low:.6g} to {high:.6g}: no percentages"
    if high <= 1:
        return f"ends at {high:.4f}: fractions instead of percentages"
    return None
