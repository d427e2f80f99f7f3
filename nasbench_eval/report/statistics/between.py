"""Proxies against each other: which ranks better on the architectures both have, and which rank alike."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from nasbench_eval.report.statistics.bootstrap import FEWEST, Floats, interval, no_interval
from nasbench_eval.report.statistics.panel import Bootstraps, Panel
from nasbench_eval.report.statistics.resampled import Resamples

PAIRED_COLUMNS = [
    "n",
    "n_failed",
    "n_failed_other",
    "n_tied",
    "n_tied_other",
    "difference",
    "difference_low",
    "difference_high",
    "interval",
    "share_above",
]


@dataclass(frozen=True)
class Between:
    """How alike the proxies rank, in an order that puts those next to each other that do.

    Attributes:
        tau: Kendall τ-b of each two proxies, signed, on the architectures both were asked about; square, a
            row and a column a proxy, in cluster order. NaN where either is constant there.
        n: the number of these architectures.
        n_failed: how many of them at least one of the two failed on.
        linkage: the clusters that the order comes from, as `scipy.cluster.hierarchy` has them; its leaves are
            numbered in the order that the proxies were given in. Shape (P − 1, 4).
    """

    tau: pd.DataFrame
    n: pd.DataFrame
    n_failed: pd.DataFrame
    linkage: Floats


def between(panel: Panel, known: Resamples | None = None) -> Between:
    """Correlate each two proxies and cluster them: average linkage, distance 1 − τ.

    The distance is signed, since the sign belongs to a proxy: one that ranks the opposite way picks other
    architectures and is the farthest there is. Without a τ, two proxies count as unrelated (τ = 0). `known`
    holds the τ that are known already.
    """
    known = Resamples() if known is None else known
    names = list(panel.names)
    size = len(names)
    tau, n, n_failed = np.full((size, size), np.nan), np.zeros((size, size), int), np.zeros((size, size), int)
    for i, j in itertools.combinations_with_replacement(range(size), 2):
        both = panel.common(names[i], names[j])
        ranked = panel.ranked(names[i], names[j])
        x, y = (panel.sample(names[k], ranked).codes for k in (i, j))
        tau[i, j] = tau[j, i] = known.tau(x, y)
        n[i, j] = n[j, i] = both.sum()
        n_failed[i, j] = n_failed[j, i] = (~np.isfinite(panel.scores[[i, j]][:, both])).any(axis=0).sum()
    linkage = np.zeros((0, 4))
    order = [0]
    if size > 1:
        distance = 1 - np.nan_to_num(tau)
        np.fill_diagonal(distance, 0)
        # Of the orders that a tree allows, the one with the most alike neighbours; it makes figures readable.
        linkage = hierarchy.linkage(squareform(distance), "average", optimal_ordering=True)
        order = hierarchy.leaves_list(linkage).tolist()
    ordered = [names[i] for i in order]

    def square(values: Any) -> pd.DataFrame:
        return pd.DataFrame(values, index=names, columns=names).loc[ordered, ordered]

    return Between(square(tau), square(n), square(n_failed), linkage)


def paired(bootstraps: Bootstraps) -> pd.DataFrame:
    """Differences of τ between each two proxies, on the architectures both were asked about.

    Both are correlated with the accuracy in the same resamples, so that what they share cancels: intervals of
    differences are narrower than two intervals side by side suggest.

    Returns:
        One row an ordered pair, indexed by `proxy` and `other`; `frame["difference"].unstack()` is a matrix.
        Columns: `n` architectures asked of both, `n_failed` and `n_failed_other` of them failed, `n_tied` and
        `n_tied_other` that share their score with another, `difference` of τ (`proxy` less `other`) with its
        95 % interval `difference_low` and `difference_high`, in `interval` why there is none, and
        `share_above`, the share of resamples in which τ of `proxy` is above that of `other`, equal ones half;
        NaN of fewer than 20 architectures. Resamples in which either is constant count for nothing.
    """
    panel = bootstraps.panel
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name, other in itertools.combinations(panel.names, 2):
        row = _pair(bootstraps, name, other)
        rows[name, other] = row
        rows[other, name] = {
            **row,
            "n_failed": row["n_failed_other"],
            "n_failed_other": row["n_failed"],
            "n_tied": row["n_tied_other"],
            "n_tied_other": row["n_tied"],
            # Of 0, the negative would be written as -0.0.
            "difference": 0 - row["difference"],
            "difference_low": 0 - row["difference_high"],
            "difference_high": 0 - row["difference_low"],
            "share_above": 1 - row["share_above"],
        }
    index = [(name, other) for name, other in itertools.permutations(panel.names, 2)]
    return pd.DataFrame(
        [rows[pair] for pair in index],
        index=pd.MultiIndex.from_tuples(index, names=["proxy", "other"]) if index else _no_pairs(),
        columns=PAIRED_COLUMNS,
    )


def _pair(bootstraps: Bootstraps, name: str, other: str) -> dict[str, Any]:
    panel = bootstraps.panel
    both, ranked = panel.common(name, other), panel.ranked(name, other)
    counted = [bootstraps.sample(proxy, both) for proxy in (name, other)]
    used = [bootstraps.sample(proxy, ranked) for proxy in (name, other)]
    taus = [bootstraps.tau(proxy, ranked) for proxy in (name, other)]
    first, second = (bootstraps.taus(proxy, ranked) for proxy in (name, other))
    differences = first - second
    differences = differences[np.isfinite(differences)]
    n = int(ranked.sum())
    low, high = interval(differences, n)
    enough = n >= FEWEST and len(differences)
    above = ((differences > 0) + 0.5 * (differences == 0)).mean() if enough else np.nan
    return {
        "n": int(both.sum()),
        "n_failed": counted[0].n_failed,
        "n_failed_other": counted[1].n_failed,
        "n_tied": used[0].n_tied,
        "n_tied_other": used[1].n_tied,
        "difference": taus[0] - taus[1],
        "difference_low": low,
        "difference_high": high,
        "interval": no_interval(n, bootstraps.resamples, low),
        "share_above": above,
    }


def _no_pairs() -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([[], []], names=["proxy", "other"])
