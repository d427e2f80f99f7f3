"""How good the architectures are that a proxy ranks first: what a search that trusts it would end up with.

Scores that tie are taken in random order, and what is reported is the expected value over that order: a
constant score picks as well as chance does. A failed score is chosen last (see `correlation.judged`).

Shapes: M architectures.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nasbench_eval.report.statistics.correlation import Sample

Floats = npt.NDArray[np.float64]

CUTOFF = 1000


def ndcg(sample: Sample, cutoff: int = CUTOFF) -> float:
    """Normalised discounted cumulative gain of the first P architectures; 1 is best.

    nDCG_P = 1/Z Σ_{j=1..P} (2^acc_{k_j} − 1) / log₂(1 + j), k_j being the architecture that the proxy ranks
    j-th and Z the same sum for the ranking by accuracy (Týbl & Neumann 2025, "Training-free Neural
    Architecture Search through Variance of Knowledge of Deep Network Weights", section III).

    The gain depends on the unit. In percent, one point of accuracy doubles it, and only the best few matter:
    the paper's figures are of this kind (the authors' example, ten networks ranked in the order 80, 70, 100,
    90, 60, …, has nDCG 0.50 in percent, where accuracies from 0 to 1 give 0.94).

    Args:
        sample: with accuracies in percent, to be compared with the paper.
        cutoff: P; all M architectures if there are fewer.

    Returns:
        NaN if there is no architecture, or no gain to be had.
    """
    places = min(cutoff, len(sample.codes))
    if places == 0:
        return np.nan
    best = sample.accuracy.max()
    # Divided by 2^best, which Z is too: no accuracy is too large for a float.
    gain = np.exp2(sample.accuracy - best) - np.exp2(-best)
    shared = np.bincount(sample.codes)
    # A tie group's places get the mean of its gains each, its expected value.
    expected = np.repeat((np.bincount(sample.codes, gain) / shared)[::-1], shared[::-1])
    discount = 1 / np.log2(np.arange(2, places + 2))
    ideal = float((np.sort(gain)[::-1][:places] * discount).sum())
    return float((expected[:places] * discount).sum()) / ideal if ideal > 0 else np.nan


def top_regret(sample: Sample, k: int) -> float:
    """Best accuracy of all minus the best among the k that the proxy ranks first; 0 is best.

    In the unit of the accuracy: percentage points. "All" are the architectures of the sample, not of the
    space. NaN if there are fewer than k.
    """
    if not 0 < k <= len(sample.codes):
        return np.nan
    picked = _picked(sample, k)
    lost = sample.accuracy.max() - sample.accuracy
    least = float(lost[picked == 1].min(initial=np.inf))
    # Some of those tied at the cut are drawn too: of `size`, `drawn`. The smallest loss among these is the
    # m-th from the top (m = size, …, 1) with probability C(m − 1, drawn − 1) / C(size, drawn).
    tied = np.sort(lost[(picked > 0) & (picked < 1)])
    if len(tied) == 0:
        return least
    size, drawn = len(tied), k - int((picked == 1).sum())
    m = np.arange(size, 1, -1)
    chance = drawn / size * np.cumprod(np.concatenate([[1.0], (m - drawn) / (m - 1)]))
    return float((chance * np.minimum(tied, least)).sum())


def top_overlap(sample: Sample, k: int) -> float:
    """Share of the k that the proxy ranks first which are truly among the best k; 1 is best.

    An architecture is among the best k if its accuracy is at least the k-th best, so that equal accuracies
    are equally good. NaN if there are fewer than k.
    """
    if not 0 < k <= len(sample.codes):
        return np.nan
    good = sample.accuracy >= np.sort(sample.accuracy)[-k]
    return float(_picked(sample, k)[good].sum()) / k


def _picked(sample: Sample, k: int) -> Floats:
    """How likely each architecture is among the first k; exactly 1 above the cut, 0 below; shape (M,)."""
    shared = np.bincount(sample.codes)
    above = len(sample.codes) - np.cumsum(shared)
    likely: Floats = np.clip((k - above) / shared, 0, 1)
    return likely[sample.codes]
