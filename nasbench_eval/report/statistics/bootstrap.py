"""Kendall τ-b and Spearman ρ of several scores on the same bootstrap resamples of architectures.

A resample is a count for each architecture: how often it was drawn. The architectures are ranked and sorted
once, and each resample weights them by its counts. Discordant pairs are then weighted inversions, counted for
hundreds of resamples at a time. All counts are integers, so nothing is rounded before the last division.

Shapes: P scores, N architectures, R resamples, K distinct values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
# Resamples of fewer architectures hold too few different ones to say how far a correlation may be off.
FEWEST = 20
# By less than this, resamples that agree differ from each other.
ROUNDING = 1e-12
# Counts held at a time, and as many in the tree and, twice as wide, in two more arrays: 1,000 resamples of
# NAS-Bench-201 are one chunk, of 60 MiB each.
CHUNK = 2**25
# Up to so many counts are kept for the next target: 16 MiB.
KEPT = 2**22


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
    codes, target = [dense_ranks(score) for score in scores], dense_ranks(accuracy)
    return Resampled(
        resampled_taus(codes, target, resamples=resamples, seed=seed),
        resampled_rhos(codes, target, resamples=resamples, seed=seed),
    )


def resampled_taus(x_PN: Sequence[Codes], y_N: Codes, *, resamples: int, seed: int) -> Floats:
    """τ-b of P scores with one accuracy, all as dense ranks (see `bootstrap`); shape (P, R)."""
    taus = np.full((len(x_PN), resamples), np.nan)
    paths = [_paths(x_N, y_N) for x_N in x_PN]
    n, values = len(y_N), int(y_N.max(initial=-1)) + 1
    y_groups, x_groups = _groups(y_N, 2), [_groups(x_N, 2) for x_N in x_PN]
    both_groups = [_groups(x_N * values + y_N, 2) for x_N in x_PN]
    for chunk, counts_NR in _counts(n, resamples, seed):
        rows, once_R = list(counts_NR), _once(counts_NR)
        y_R = _pairs(y_groups, counts_NR, once_R)
        for p, (path, x, both) in enumerate(zip(paths, x_groups, both_groups, strict=True)):
            x_R, both_R = (_pairs(groups, counts_NR, once_R) for groups in (x, both))
            taus[p, chunk] = _taus(n, x_R, y_R, both_R, _discordant(*path, rows))
    return taus


def resampled_rhos(x_PN: Sequence[Codes], y_N: Codes, *, resamples: int, seed: int) -> Floats:
    """ρ of P scores with one accuracy, all as dense ranks (see `bootstrap`); shape (P, R).

    All sums are of integers, which are exact in floats whatever the order (of up to some 10⁵ architectures):
    ranks are twice the mean ranks.
    """
    rhos = np.full((len(x_PN), resamples), np.nan)
    n, y_groups, x_groups = len(y_N), _groups(y_N), [_groups(x_N) for x_N in x_PN]
    for chunk, counts in _counts(n, resamples, seed):
        counts_NR = counts.astype(np.float64)
        rows, cubes_R = list(counts_NR), (counts_NR * counts_NR * counts_NR).sum(axis=0)
        weighted_NR = _weighted_ranks(y_groups, counts_NR)
        weighted, y_square_R = list(weighted_NR), _square(n, y_groups, counts_NR, cubes_R)
        for p, groups in enumerate(x_groups):
            scale_R = np.sqrt(_square(n, groups, counts_NR, cubes_R) * y_square_R)
            product_R = _product(groups, rows, weighted, counts_NR, weighted_NR)
            np.divide(product_R, scale_R, out=rhos[p, chunk], where=scale_R > 0)
    return rhos


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
    if n < FEWEST or len(finite) == 0 or np.ptp(finite) < ROUNDING:
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


def _counts(n: int, resamples: int, seed: int) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
    """How often each architecture was drawn, shape (N, R); as many resamples at a time as a chunk holds."""
    if n < 2:  # where τ and ρ are undefined
        return
    if n * resamples <= KEPT:
        yield slice(None), _kept_counts(n, resamples, seed)
        return
    draws, size = resample_indices(n, resamples, seed), max(1, CHUNK // n)
    for start in range(0, resamples, size):
        chunk = slice(start, min(start + size, resamples))
        yield chunk, _counted(draws, n, chunk.stop - start)


@lru_cache(maxsize=8)
def _kept_counts(n: int, resamples: int, seed: int) -> npt.NDArray[Any]:
    """All counts of a small sample: a report draws the same again for each target."""
    return _counted(resample_indices(n, resamples, seed), n, resamples)


def _counted(draws: Iterator[Codes], n: int, resamples: int) -> npt.NDArray[Any]:
    # Counts are multiplied by sums of other counts, which gives n²/4 at most. 32 bits are twice as fast.
    counts_RN = np.empty((resamples, n), np.int32 if n * n // 4 < 2**31 else np.int64)
    for counts_N, chosen in zip(counts_RN, draws, strict=False):
        counts_N[:] = np.bincount(chosen, minlength=n)
    return np.ascontiguousarray(counts_RN.T)


def _groups(codes: Codes, least: int = 1) -> list[list[int]]:
    """The architectures that share a value, lowest value first; those groups with at least so many."""
    order = np.argsort(codes, kind="stable").tolist()
    sizes = np.unique(codes, return_counts=True)[1]
    ends, chosen = np.cumsum(sizes), sizes >= least
    places = zip((ends - sizes)[chosen].tolist(), ends[chosen].tolist(), strict=True)
    return [order[start:end] for start, end in places]


def _weighted_ranks(groups: Sequence[Sequence[int]], counts_NR: Floats) -> Floats:
    """Of each architecture twice its centred mean rank in each resample, as often as it was drawn."""
    n, resamples = counts_NR.shape
    weighted_NR, below_R = np.empty_like(counts_NR), np.full(resamples, -n / 2)
    for group in groups:
        size_R = counts_NR[group[0]] if len(group) == 1 else counts_NR[group].sum(axis=0)
        rank_R = 2 * below_R + size_R
        below_R += size_R
        for architecture in group:
            np.multiply(counts_NR[architecture], rank_R, out=weighted_NR[architecture])
    return weighted_NR


def _product(
    groups: Sequence[Sequence[int]],
    rows: Sequence[Floats],
    weighted: Sequence[Floats],
    counts_NR: Floats,
    weighted_NR: Floats,
) -> Floats:
    """The sum over draws of ranks times the other's ranks, which are centred, so that these need not be.

    One architecture after the other, a vector over resamples at a time: running totals over an axis of an
    array, which is what ranks are, take NumPy many times as long.

    Args:
        groups: of those whose ranks are formed here.
        rows, weighted: the two arrays as lists of rows, which are found faster.
        counts_NR: how often each was drawn.
        weighted_NR: of `_weighted_ranks`.
    """
    below_R, above_R, rank_R, product_R = np.zeros((4, len(rows[0])))
    for group in groups:
        if len(group) == 1:
            size_R, weight_R = rows[group[0]], weighted[group[0]]
        else:
            size_R, weight_R = counts_NR[group].sum(axis=0), weighted_NR[group].sum(axis=0)
        np.add(below_R, size_R, out=above_R)
        np.add(below_R, above_R, out=rank_R)
        np.multiply(rank_R, weight_R, out=rank_R)
        np.add(product_R, rank_R, out=product_R)
        below_R, above_R = above_R, below_R
    return product_R


def _once(counts_NR: npt.NDArray[Any]) -> Codes:
    """Pairs of draws of one and the same architecture, shape (R,)."""
    pairs_R: Codes = (counts_NR * (counts_NR - 1)).sum(axis=0, dtype=np.int64) // 2
    return pairs_R


def _pairs(groups: Sequence[Sequence[int]], counts_NR: npt.NDArray[Any], once_R: Codes) -> Codes:
    """Pairs of draws that share a value, the same architecture's among them, shape (R,).

    Args:
        groups: of several architectures that share one (see `_groups`).
        counts_NR, once_R: how often each was drawn, and the pairs that this makes alone.
    """
    tied_R = once_R
    for group in groups:
        single_NR = counts_NR[group]
        size_R = single_NR.sum(axis=0, dtype=np.int64)
        tied_R = tied_R + size_R * (size_R - 1) // 2 - _once(single_NR)
    return tied_R


def _square(n: int, groups: Sequence[Sequence[int]], counts_NR: Floats, cubes_R: Floats) -> Floats:
    """The sum of squares of twice the centred mean ranks: (n³ − Σt³)/3 over the sizes t of groups.

    Args:
        n: draws of a resample.
        groups: the architectures that share a value.
        counts_NR: how often each was drawn.
        cubes_R: the sum of their cubes.
    """
    for group in groups:
        if len(group) > 1:
            single_NR = counts_NR[group]
            size_R = single_NR.sum(axis=0)
            own_R = (single_NR * single_NR * single_NR).sum(axis=0)
            cubes_R = cubes_R + (size_R * size_R * size_R - own_R)
    square_R: Floats = (float(n) ** 3 - cubes_R) / 3
    return square_R


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
