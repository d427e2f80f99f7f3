"""Kendall τ-b and Spearman ρ of several scores on the same bootstrap resamples of architectures.

A resample is a count for each architecture: how often it was drawn. The architectures are ranked and sorted
once, and each resample weights them by its counts. Discordant pairs are then weighted inversions, counted for
hundreds of resamples at a time. All counts are integers, so nothing is rounded before the last division.

Shapes: P scores, N architectures, R resamples, K distinct values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
# Resamples of fewer architectures hold too few different ones to say how far a correlation may be off.
FEWEST = 20
# Counts held at a time, and as many in the tree: 1,000 resamples of NAS-Bench-201 are one chunk of 60 MiB.
CHUNK = 2**26
# As many of them are ranked at a time as stay in the cache. Two to seven resamples are slower than one.
BLOCK = 2**16


class Resampled(NamedTuple):
    """Correlations of each score with the accuracies in each resample.

    Attributes:
        taus: Kendall τ-b, shape (P, R); NaN where a vector is constant in the resample.
        rhos: Spearman ρ, likewise.
    """

    taus: Floats
    rhos: Floats


def bootstrap(
    scores: Sequence[npt.NDArray[Any]], accuracy: npt.NDArray[Any], *, resamples: int = 1000, seed: int = 0
) -> Resampled:
    """τ-b and ρ of P scores with one accuracy in R resamples of the architectures, shared by all scores.

    What correlating `score[i]` with `accuracy[i]` gives, for each `i` of `resample_indices(N, R, seed)`.

    Args:
        scores: P vectors of shape (N,); anything that compares, −∞ too, but no NaN.
        accuracy: shape (N,), no NaN.
        resamples: R.
        seed: of the resampling.
    """
    x_PN, y_N = [dense_ranks(score) for score in scores], dense_ranks(accuracy)
    orders = [_paths(x_N, y_N) for x_N in x_PN]
    taus, rhos = np.full((2, len(x_PN), resamples), np.nan)
    start = 0
    for counts_RN in _counts(len(y_N), resamples, seed):
        chunk = slice(start, start + len(counts_RN))
        start = chunk.stop
        tied, rhos[:, chunk] = _ties_and_rhos(x_PN, y_N, counts_RN)
        counts_NR = list(np.ascontiguousarray(counts_RN.T))
        for p, (order, above, size) in enumerate(orders):
            discordant = _discordant(order, above, size, counts_NR)
            taus[p, chunk] = _taus(len(y_N), tied.x[p], tied.y, tied.both[p], discordant)
    return Resampled(taus, rhos)


def resample_indices(n: int, resamples: int, seed: int) -> Iterator[Codes]:
    """Bootstrap samples of `range(n)`, each of shape (n,); a function of the three arguments alone."""
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        yield generator.integers(0, n, size=n)


def interval(values: npt.NDArray[Any], n: int) -> tuple[float, float]:
    """The percentile interval of the finite values; NaN if there is none (see `no_interval`).

    Args:
        values: of each resample, shape (R,).
        n: architectures that were resampled.
    """
    finite = values[np.isfinite(values)]
    if n < FEWEST or len(finite) == 0 or np.ptp(finite) == 0:
        return np.nan, np.nan
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def no_interval(n: int, resamples: int, low: float) -> str:
    """In a word or two why there is no interval whose lower end would be `low`; empty if there is one."""
    if np.isfinite(low):
        return ""
    if resamples == 0:
        return "no resamples"
    if n < FEWEST:
        return f"n < {FEWEST}"
    return "none"  # of a constant; or all resamples agree, which says nothing about others


def dense_ranks(values: npt.NDArray[Any]) -> Codes:
    """Ranks from 0 without gaps, equal values sharing one: integers to pick, count and sort from here on."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64, copy=False)


class _Tied(NamedTuple):
    """Pairs of draws that share a value: of each score (P, R), of the accuracy (R,), of both (P, R)."""

    x: Codes
    y: Codes
    both: Codes


class _Groups(NamedTuple):
    """Architectures in groups that share a value, lowest first: their order, and where each group starts."""

    order: Codes
    starts: Codes

    def sums(self, values_NR: Floats) -> Floats:
        """The sum of each group, shape (K, R)."""
        found_KR: Floats = values_NR[self.order]
        if len(self.starts) < len(self.order):
            found_KR = np.add.reduceat(found_KR, self.starts, axis=0)
        return found_KR


def _counts(n: int, resamples: int, seed: int) -> Iterator[npt.NDArray[Any]]:
    """How often each architecture was drawn, shape (R, N); as many resamples at a time as a chunk holds."""
    if n < 2:  # where τ and ρ are undefined
        return
    draws = resample_indices(n, resamples, seed)
    # Counts are multiplied by sums of other counts, which gives n²/4 at most. 32 bits are twice as fast.
    integer = np.int32 if n * n // 4 < 2**31 else np.int64
    size = max(1, CHUNK // n)
    for start in range(0, resamples, size):
        counts_RN = np.empty((min(size, resamples - start), n), integer)
        for counts_N, chosen in zip(counts_RN, draws, strict=False):
            counts_N[:] = np.bincount(chosen, minlength=n)
        yield counts_RN


def _ties_and_rhos(x_PN: Sequence[Codes], y_N: Codes, counts_RN: npt.NDArray[Any]) -> tuple[_Tied, Floats]:
    n, resamples, scores = len(y_N), len(counts_RN), len(x_PN)
    tied = _Tied(
        *(np.zeros(shape, np.int64) for shape in ((scores, resamples), resamples, (scores, resamples)))
    )
    rhos = np.full((scores, resamples), np.nan)
    x_groups, y_groups = [_groups(x_N) for x_N in x_PN], _groups(y_N)
    both_groups = [_groups(x_N * len(y_groups.starts) + y_N, least=2) for x_N in x_PN]
    size = BLOCK // n if BLOCK // n >= 8 else 1
    for start in range(0, resamples, size):
        block = slice(start, start + size)
        counts_NR = np.ascontiguousarray(counts_RN[block].T, dtype=np.float64)
        y_KR = y_groups.sums(counts_NR)
        y_rank_KR = _centred_ranks(y_KR)
        y_square_R = (y_KR * y_rank_KR * y_rank_KR).sum(axis=0)
        y_rank_NR = counts_NR * y_rank_KR[y_N]
        tied.y[block] = _pairs(y_KR)
        once_R = _pairs(counts_NR)
        for p, (groups, both) in enumerate(zip(x_groups, both_groups, strict=True)):
            x_KR = groups.sums(counts_NR)
            x_rank_KR = _centred_ranks(x_KR)
            scale_R = np.sqrt((x_KR * x_rank_KR * x_rank_KR).sum(axis=0) * y_square_R)
            product_R = (groups.sums(y_rank_NR) * x_rank_KR).sum(axis=0)
            np.divide(product_R, scale_R, out=rhos[p, block], where=scale_R > 0)
            tied.x[p, block] = _pairs(x_KR)
            # Each architecture's own pairs, and for the few that share both values those of their group.
            tied.both[p, block] = once_R + _pairs(both.sums(counts_NR)) - _pairs(counts_NR[both.order])
    return tied, rhos


def _groups(codes: Codes, least: int = 1) -> _Groups:
    """Groups of equal codes, those of at least so many architectures."""
    order = np.argsort(codes, kind="stable")
    _, counts = np.unique(codes, return_counts=True)
    order, counts = order[np.repeat(counts >= least, counts)], counts[counts >= least]
    return _Groups(order, np.cumsum(counts) - counts)


def _centred_ranks(counts_KR: Floats) -> Floats:
    """Twice the mean rank of each value less twice the mean of all ranks: integers, exact in floats."""
    below_KR = np.cumsum(counts_KR, axis=0)
    ranks_KR: Floats = 2 * below_KR - counts_KR - below_KR[-1]
    return ranks_KR


def _pairs(counts_KR: Floats) -> Floats:
    pairs_R: Floats = (counts_KR * (counts_KR - 1)).sum(axis=0) / 2
    return pairs_R


def _paths(x_N: Codes, y_N: Codes) -> tuple[list[int], list[int], int]:
    """The order in which `_discordant` visits, how many values lie above that of each visited one, and K.

    The order is that of one of the two, the values are the other's; which is which makes no difference but
    in time, so that the values are those with fewer distinct ones.
    """
    values_N, other_N = sorted((x_N, y_N), key=lambda codes: int(codes.max(initial=-1)))
    size = int(values_N.max(initial=-1)) + 1
    # Equal ones from the lowest value up: none of their pairs then looks discordant.
    order = np.lexsort((values_N, other_N))
    return order.tolist(), (size - 1 - values_N[order]).tolist(), size


def _discordant(
    order: Sequence[int], above: Sequence[int], size: int, counts_NR: Sequence[npt.NDArray[Any]]
) -> Codes:
    """Pairs of draws that score and accuracy put in opposite orders, in each resample; shape (R,).

    Architectures come in ascending order of one of the two. A Fenwick tree over the values of the other,
    highest first, holds how often those that came before were drawn: where a value is higher, its pair is
    discordant. Each node is a vector over resamples, which all take the same path.
    """
    resamples, integer = len(counts_NR[0]), counts_NR[0].dtype
    tree_KR = list(np.zeros((size + 1, resamples), integer))
    higher, pairs = np.empty((2, resamples), integer)
    discordant = np.zeros(resamples, np.int64)
    for architecture, node in zip(order, above, strict=True):
        counts_R = counts_NR[architecture]
        place = node + 1
        if node:
            np.copyto(higher, tree_KR[node])
            node &= node - 1
            while node:
                np.add(higher, tree_KR[node], out=higher)
                node &= node - 1
            np.multiply(higher, counts_R, out=pairs)
            np.add(discordant, pairs, out=discordant)
        while place <= size:
            np.add(tree_KR[place], counts_R, out=tree_KR[place])
            place += place & -place
    return discordant


def _taus(n: int, x: Codes, y: Codes, both: Codes, discordant: Codes) -> Floats:
    """τ-b from numbers of pairs, in SciPy's order of operations, so that it agrees to the bit."""
    total = n * (n - 1) // 2
    difference = total - x - y + both - 2 * discordant
    with np.errstate(divide="ignore", invalid="ignore"):
        taus = difference / np.sqrt(total - x) / np.sqrt(total - y)
    clipped: Floats = np.clip(np.where((x == total) | (y == total), np.nan, taus), -1, 1)
    return clipped
