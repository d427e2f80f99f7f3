"""Proxies against each other: which ranks better on the architectures both have, and which rank alike."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from nasbench_eval.report.statistics.bootstrap import FEWEST, Floats, interval, no_interval
from nasbench_eval.report.statistics.correlation import failed
from nasbench_eval.report.statistics.given import tau_given
from nasbench_eval.report.statistics.panel import Bootstraps, Panel
from nasbench_eval.report.statistics.resampled import Resamples

PAIRED_COLUMNS = [
    "n",
    "n_failed",
    "n_failed_other",
    "n_lowest",
    "n_lowest_other",
    "n_tied",
    "n_tied_other",
    "difference",
    "difference_low",
    "difference_high",
    "interval",
    "share_above",
]

GIVEN_COLUMNS = ["n", "difference", "difference_low", "difference_high", "interval", "share_above"]


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
        n_failed[i, j] = n_failed[j, i] = failed(panel.scores[[i, j]][:, both]).any(axis=0).sum()
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
        Columns: `n` architectures asked of both, `n_failed` and `n_failed_other` of them failed, `n_lowest`
        and `n_lowest_other` with a score of −∞, `n_tied` and `n_tied_other` that share their score with
        another, `difference` of τ (`proxy` less `other`) with its 95 % interval `difference_low` and
        `difference_high`, in `interval` why there is none, and `share_above`, the share of resamples in which
        τ of `proxy` is above that of `other`, equal ones half; NaN of fewer than 20 architectures. Resamples
        in which either is constant count for nothing.
    """
    panel = bootstraps.panel
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name, other in itertools.combinations(panel.names, 2):
        row = _pair(bootstraps, name, other)
        rows[name, other], rows[other, name] = row, _turned(row)
    index = [(name, other) for name, other in itertools.permutations(panel.names, 2)]
    return pd.DataFrame(
        [rows[pair] for pair in index],
        index=pd.MultiIndex.from_tuples(index, names=["proxy", "other"]) if index else _no_pairs(),
        columns=PAIRED_COLUMNS,
    )


def paired_given(bootstraps: Bootstraps, controls: Sequence[str]) -> pd.DataFrame:
    """Differences of partial τ given a control between each two proxies, on what all three were asked about.

    So it can be told which proxy is the best beside the size of the networks. As for `paired`, all are
    correlated in the same resamples.

    Returns:
        One row an ordered pair and control, indexed by `control`, `proxy` and `other`; none for a control
        that was not scored. Columns: `n`, `difference` of partial τ, its 95 % interval `difference_low` and
        `difference_high`, `interval` and `share_above`, as in `paired`.
    """
    panel = bootstraps.panel
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for control in (name for name in controls if name in panel.names):
        for name, other in itertools.combinations([n for n in panel.names if n != control], 2):
            within = panel.ranked(name, other, control)
            first, second = (tau_given(bootstraps, proxy, control, within) for proxy in (name, other))
            row = {
                "n": int(panel.common(name, other, control).sum()),
                "difference": first.value - second.value,
                **_compared(bootstraps, first.resampled - second.resampled, int(within.sum())),
            }
            rows[control, name, other], rows[control, other, name] = row, _turned(row)
    keys = sorted(rows, key=lambda key: (controls.index(key[0]), *map(panel.names.index, key[1:])))
    names = ["control", "proxy", "other"]
    levels = [list(level) for level in zip(*keys, strict=True)] or [[], [], []]
    index = pd.MultiIndex.from_arrays(levels, names=names)
    return pd.DataFrame([rows[key] for key in keys], index=index, columns=GIVEN_COLUMNS)


def _pair(bootstraps: Bootstraps, name: str, other: str) -> dict[str, Any]:
    panel = bootstraps.panel
    both, ranked = panel.common(name, other), panel.ranked(name, other)
    counted = [bootstraps.sample(proxy, both) for proxy in (name, other)]
    used = [bootstraps.sample(proxy, ranked) for proxy in (name, other)]
    taus = [bootstraps.tau(proxy, ranked) for proxy in (name, other)]
    first, second = (bootstraps.taus(proxy, ranked) for proxy in (name, other))
    return {
        "n": int(both.sum()),
        "n_failed": counted[0].n_failed,
        "n_failed_other": counted[1].n_failed,
        "n_lowest": counted[0].n_lowest,
        "n_lowest_other": counted[1].n_lowest,
        "n_tied": used[0].n_tied,
        "n_tied_other": used[1].n_tied,
        "difference": taus[0] - taus[1],
        **_compared(bootstraps, first - second, int(ranked.sum())),
    }


def _compared(bootstraps: Bootstraps, differences: Floats, n: int) -> dict[str, Any]:
    """What resamples say of a difference over n architectures; those in which there is none do not count."""
    differences = differences[np.isfinite(differences)]
    low, high = interval(differences, n)
    enough = n >= FEWEST and len(differences)
    above = ((differences > 0) + 0.5 * (differences == 0)).mean() if enough else np.nan
    return {
        "difference_low": low,
        "difference_high": high,
        "interval": no_interval(n, bootstraps.resamples, low),
        "share_above": above,
    }


def _turned(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the same pair the other way round."""
    counts = {key: row[twin] for key in row if (twin := _twin(key)) in row}
    return {
        **row,
        **counts,
        # Of 0, the negative would be written as -0.0.
        "difference": 0 - row["difference"],
        "difference_low": 0 - row["difference_high"],
        "difference_high": 0 - row["difference_low"],
        "share_above": 1 - row["share_above"],
    }


def _twin(key: str) -> str:
    return key.removesuffix("_other") if key.endswith("_other") else f"{key}_other"


def _no_pairs() -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([[], []], names=["proxy", "other"])
