"""What a proxy knows beyond a control, such as the size of the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# More than rounding leaves of 1 − r² where the control ranks alike.
EXPLAINED = 1e-14


def partial(xy: npt.ArrayLike, xz: npt.ArrayLike, yz: npt.ArrayLike) -> npt.NDArray[Any]:
    """Correlation of x and y given z, from the three correlations; shapes that broadcast.

    (r_xy − r_xz·r_yz) / √((1 − r_xz²)(1 − r_yz²)), which holds for Spearman's ρ as for Pearson's r, and for
    Kendall's τ-b (Kendall 1942, "Partial rank correlation"). NaN where any of the three is, and where the
    control explains everything: x and z, or y and z, rank alike or the opposite way.
    """
    xy, xz, yz = (np.asarray(r, dtype=np.float64) for r in (xy, xz, yz))
    left_x, left_y = 1 - xz * xz, 1 - yz * yz
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (xy - xz * yz) / np.sqrt(left_x * left_y)
        explained = (left_x < EXPLAINED) | (left_y < EXPLAINED)
    clipped: npt.NDArray[Any] = np.clip(np.where(explained, np.nan, found), -1, 1)
    return clipped
