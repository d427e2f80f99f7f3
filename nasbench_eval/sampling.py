"""Which architectures of a space are scored: drawn uniformly, or evenly over the range of accuracies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

BANDS = 10
# A record may claim any range.
_MOST_CELLS = 1_000_000


# Sizes from here on are not put in order as a whole: that takes memory, and for a few of them it is no use.
LARGE = 10_000_000
_DRAWN = 1024


def uniform(size: int, n: int, seed: int) -> tuple[int, ...]:
    """n of `size` indices at random without replacement; a smaller n is a prefix of a larger one."""
    rng = np.random.default_rng(seed)
    if size < LARGE:
        order: list[int] = rng.permutation(size)[:n].tolist()
        return tuple(order)
    found: dict[int, None] = {}
    while len(found) < min(n, size):
        found |= dict.fromkeys(rng.integers(size, size=_DRAWN).tolist())
    return tuple(found)[:n]


def stratified(accuracy: NDArray[np.float64], n: int, seed: int) -> tuple[int, ...]:
    """n indices without replacement, in turn from ten bands of accuracy of equal width.

    A band that has no architecture left is passed over.  A smaller n is a prefix of a
    larger one.  Such a sample holds far more bad architectures than the space: it says how well a proxy tells
    bad, middling and good ones apart, which can differ a lot from its correlation over the space.

    Args:
        accuracy: of each architecture, shape (N,), any unit; those without one (NaN) are never drawn.
        n: how many; no more are drawn than have an accuracy.
        seed: of the draw.
    """
    shuffled = np.random.default_rng(seed).permutation(np.flatnonzero(np.isfinite(accuracy)))
    edges = np.histogram_bin_edges(accuracy[shuffled], bins=BANDS)
    band = np.searchsorted(edges[1:-1], accuracy[shuffled], side="right")
    by_band = np.argsort(band, kind="stable")
    first = np.searchsorted(band[by_band], band[by_band])
    turn = np.arange(len(shuffled)) - first  # how many of its band come before it
    order: list[int] = shuffled[by_band[np.argsort(turn, kind="stable")]][:n].tolist()
    return tuple(order)


def spans(indices: Sequence[int]) -> str:
    """Indices in their order, as a record has them: `7,3,10-19`; `cells_of` is the inverse."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def cells_of(listed: str) -> list[int]:
    """The cells of a text that `spans` made, each once."""
    each = chain.from_iterable(map(_span, listed.split(",")))
    return list(dict.fromkeys(islice(each, _MOST_CELLS)))


def _span(text: str) -> Sequence[int]:
    found = re.fullmatch(r"(\d{1,12})(?:-(\d{1,12}))?", text)
    if not found:
        return ()
    return range(int(found[1]), int(found[2] or found[1]) + 1)
