"""All statistics of a set of proxies on one data set, as data frames to write, draw or put on a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nasbench_eval.report.statistics.between import Between, between, paired, paired_given
from nasbench_eval.report.statistics.bootstrap import interval, no_interval
from nasbench_eval.report.statistics.correlation import Failures, Sample, kendall_tau, spearman_rho
from nasbench_eval.report.statistics.given import NOTHING, rho_given, tau_given
from nasbench_eval.report.statistics.panel import Bootstraps, Mask, Panel, panel
from nasbench_eval.report.statistics.resampled import Resamples
from nasbench_eval.report.statistics.selection import CUTOFF, ndcg, top_overlap, top_regret
from nasbench_eval.report.statistics.strata import best_share, deciles, weighted_tau

TOP = (1, 10, 100)
BEST = "top_10pct"


@dataclass(frozen=True)
class Statistics:
    """What is to be said of a set of proxies on one data set.

    Correlations are signed, τ is τ-b, `…_low` and `…_high` bound 95 % percentile bootstrap intervals over
    architectures. NaN says that a figure does not exist: of a constant score, of fewer architectures than a
    top k has, of a control that was not scored or that explains everything. There are no intervals over fewer
    than 20 architectures, and none where all resamples agree; the column `interval` says so.

    Attributes:
        metrics: a row a proxy, indexed by `proxy`, on all architectures that it was asked about. Columns:
            `n`, `n_failed`, `n_lowest`, `n_tied` (architectures, those without a score, those with a score of
            −∞, those that share their score), `constant`; `kendall_tau`, `spearman_rho` with `kendall_low`,
            …, and why these are missing in `interval`; `weighted_tau`; `ndcg` with its cutoff `ndcg_p`; for
            k = 1, 10, 100 and `1pct` of the architectures, `k_1pct` in number, `regret_k` in the unit of the
            accuracies and `overlap_k`; for each control `partial_tau_given_flops`, `partial_rho_given_flops`
            with intervals and `n_given_flops`, the architectures that both were asked about.
        strata: τ among the truly best tenth of the architectures and in each decile, indexed by `proxy` and
            `stratum` (`top_10pct`, `decile_1` the worst … `decile_10` the best). Columns: `n`, `n_failed`,
            `n_lowest`, `n_tied`, `accuracy_low`, `accuracy_high` (the range), `kendall_tau`, `kendall_low`,
            `kendall_high`, `interval`.
        paired: differences of τ between each two proxies; see `between.paired`.
        paired_given: differences of partial τ given each control; see `between.paired_given`.
        between: how alike the proxies rank; see `between.Between`.
    """

    metrics: pd.DataFrame
    strata: pd.DataFrame
    paired: pd.DataFrame
    paired_given: pd.DataFrame
    between: Between


def statistics(
    scores: Mapping[str, pd.Series[float]] | pd.DataFrame,
    accuracy: pd.Series[float],
    *,
    controls: Sequence[str] = ("flops", "params"),
    top: Sequence[int] = TOP,
    cutoff: int = CUTOFF,
    resamples: int = 1000,
    seed: int = 0,
    failures: Failures = "worst",
    known: Resamples | None = None,
) -> Statistics:
    """Compute all statistics of P proxies on one data set.

    Args:
        scores: of each proxy its scores by architecture, with a row for each that it was asked about (see
            `panel.panel`). A score of NaN or +∞ is a failure; an architecture that is not in the index was
            not asked about and counts for nothing. In a frame all proxies were asked about every row.
        accuracy: by architecture, percent, in the order that resamples refer to.
        controls: proxies among the scores to hold fixed in partial correlations.
        top: numbers k of architectures to select, beside 1 %.
        cutoff: of nDCG; all architectures if there are fewer.
        resamples: of each bootstrap; 0 leaves intervals NaN.
        seed: of the resampling.
        failures: `worst` ranks failures below all other scores, `omit` leaves them out.
        known: what is known of these resamples already, which then holds what is found here as well; its
            number and seed take the place of `resamples` and `seed`.

    Raises:
        ValueError: if there is no proxy, or an architecture occurs twice.
    """
    aligned = panel(scores, accuracy, failures)
    bootstraps = Bootstraps(aligned, Resamples(resamples, seed) if known is None else known)
    strata = pd.DataFrame([row for name in aligned.names for row in _strata(bootstraps, name)])
    metrics = [
        {
            "proxy": name,
            **_correlations(bootstraps, name),
            **_selection(aligned.sample(name, aligned.common(name)), top, cutoff),
            **{
                key: value for control in controls for key, value in _given(bootstraps, name, control).items()
            },
        }
        for name in aligned.names
    ]
    return Statistics(
        metrics=pd.DataFrame(metrics).set_index("proxy"),
        strata=strata.set_index(["proxy", "stratum"]),
        paired=paired(bootstraps),
        paired_given=paired_given(bootstraps, controls),
        between=between(aligned, bootstraps.known),
    )


def _correlations(bootstraps: Bootstraps, name: str) -> dict[str, Any]:
    aligned = bootstraps.panel
    sample, ranked = bootstraps.sample(name, aligned.common(name)), aligned.ranked(name)
    taus, rhos = bootstraps.taus(name, ranked), bootstraps.rhos(name, ranked)
    n = len(sample.codes)
    (tau_low, tau_high), (rho_low, rho_high) = interval(taus, n), interval(rhos, n)
    return {
        "n": sample.n,
        "n_failed": sample.n_failed,
        "n_lowest": sample.n_lowest,
        "n_tied": sample.n_tied,
        "constant": sample.constant,
        "kendall_tau": bootstraps.tau(name, ranked),
        "kendall_low": tau_low,
        "kendall_high": tau_high,
        "spearman_rho": spearman_rho(sample.codes, sample.accuracy),
        "spearman_low": rho_low,
        "spearman_high": rho_high,
        "interval": no_interval(n, bootstraps.resamples, tau_low),
        "weighted_tau": weighted_tau(sample),
    }


def _selection(sample: Sample, top: Sequence[int], cutoff: int) -> dict[str, Any]:
    percent = math.ceil(len(sample.codes) / 100)
    sizes = {**{str(k): k for k in top}, "1pct": percent}
    return {
        "ndcg": ndcg(sample, cutoff),
        "ndcg_p": min(cutoff, len(sample.codes)),
        "k_1pct": percent,
        **{f"regret_{label}": top_regret(sample, k) for label, k in sizes.items()},
        **{f"overlap_{label}": top_overlap(sample, k) for label, k in sizes.items()},
    }


def _given(bootstraps: Bootstraps, name: str, control: str) -> dict[str, Any]:
    """Partial correlations of a proxy and the accuracy given a control, on what both were asked about."""
    aligned = bootstraps.panel
    found: dict[str, Any] = {}
    known = control in aligned.names
    ranked = aligned.ranked(name, control) if known else np.zeros(len(aligned.archs), dtype=bool)
    for key, measure in (("tau", tau_given), ("rho", rho_given)):
        one = measure(bootstraps, name, control, ranked) if known else NOTHING
        low, high = interval(one.resampled, int(ranked.sum()))
        label = f"partial_{key}_given_{control}"
        found |= {label: one.value, f"{label}_low": low, f"{label}_high": high}
    return {**found, f"n_given_{control}": int(aligned.common(name, control).sum()) if known else 0}


def _strata(bootstraps: Bootstraps, name: str) -> Iterator[dict[str, Any]]:
    """A row for the best tenth and for each decile of the architectures that a proxy was asked about."""
    aligned = bootstraps.panel
    asked = aligned.common(name)
    decile = deciles(aligned.accuracy[asked])
    chosen = {BEST: best_share(aligned.accuracy[asked])} | {f"decile_{d}": decile == d for d in range(1, 11)}
    for stratum, members in chosen.items():
        within = asked.copy()
        within[asked] = members
        yield {"proxy": name, "stratum": stratum, **_stratum(bootstraps, name, within)}


def _stratum(bootstraps: Bootstraps, name: str, within: Mask) -> dict[str, Any]:
    aligned: Panel = bootstraps.panel
    sample = aligned.sample(name, within)
    n = len(sample.codes)
    low, high = interval(bootstraps.taus(name, within & aligned.ranked(name)), n)
    range_ = aligned.accuracy[within]
    return {
        "n": sample.n,
        "n_failed": sample.n_failed,
        "n_lowest": sample.n_lowest,
        "n_tied": sample.n_tied,
        "accuracy_low": range_.min() if len(range_) else np.nan,
        "accuracy_high": range_.max() if len(range_) else np.nan,
        "kendall_tau": kendall_tau(sample.codes, sample.accuracy),
        "kendall_low": low,
        "kendall_high": high,
        "interval": no_interval(n, bootstraps.resamples, low),
    }
