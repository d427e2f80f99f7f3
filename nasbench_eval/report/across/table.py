"""One table of proxies by benchmarks: correlations, mean rank, worst case, and how the benchmarks agree.

A rank says little without its field.  So on each benchmark a proxy is placed among the same proxies: those
that were scored on all benchmarks, the *field*.  The mean rank of a proxy of the field is over all
benchmarks.  Any other proxy gets the place that it would have beside the field on those benchmarks where it
was scored; its mean is over fewer benchmarks, easy ones perhaps, and is shown apart.

Nor does a correlation over a few architectures compare with one over many, the less so where a proxy is
undefined on all others.  So one *counts* only if it is of at least half as many architectures as the largest
one on the benchmark; others are shown, with a mark.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.report.across.benchmarks import Benchmark, Facts, facts_of, rows_of
from nasbench_eval.report.statistics.bootstrap import Codes, Floats, dense_ranks
from nasbench_eval.report.statistics.correlation import Correlation, correlate, judged
from nasbench_eval.report.statistics.rank import kendall_tau
from nasbench_eval.report.statistics.resampled import Batch, Resamples
from nasbench_eval.report.tables import Settings

TAU, RHO = "tau", "rho"
# Of each measure: its sign, its name, and the column that holds it.
MEASURES = {TAU: ("τ", "Kendall τ", "kendall_tau"), RHO: ("ρ", "Spearman ρ", "spearman_rho")}
CELL_MEANINGS = {
    "proxy": "the label or the aggregate",
    "benchmark": "its search space and data set",
    "run": "the run that the scores are of",
    "split": "the accuracies: `test` where there are any, else `val`",
    "n": "architectures with an accuracy that were asked about, failed ones included",
    "n_failed": "of these, without a score",
    "n_lowest": "of these, with a score of −∞",
    "kendall_tau": "Kendall τ-b",
    "kendall_low": "lower end of its 95 % interval",
    "kendall_high": "upper end",
    "spearman_rho": "Spearman ρ",
    "spearman_low": "lower end of its 95 % interval",
    "spearman_high": "upper end",
    "interval": "why there is no interval, if there is none",
    "counted": "whether n is at least half of the largest one on the benchmark",
    "rank": "place among the proxies that count on all benchmarks, 1 the best",
}
PROXY_MEANINGS = {
    "proxy": "the label or the aggregate",
    "benchmarks": "on how many benchmarks it has a correlation that counts",
    "everywhere": "whether that is all of them; others are not to be compared by their mean rank",
    "mean_rank": "mean over these benchmarks of its place among the proxies that count on all",
    "worst": "its lowest correlation",
    "worst_benchmark": "where",
}
AGREEMENT_MEANINGS = {
    "benchmark": "one benchmark",
    "other": "another one",
    "proxies": "proxies with a correlation that counts on both",
    "agreement": "Kendall τ between their correlations on the two benchmarks",
}
# Rows and columns that one process resamples at a time.
_AT_A_TIME = 8
# The share of a benchmark's largest n from which on a correlation counts.
COUNTED = 0.5
# Proxies that two benchmarks must share for their orders to be compared.
_FEWEST_SHARED = 3


@dataclass(frozen=True)
class Across:
    """A computed table.

    Attributes:
        benchmarks: what a reader has to know of its columns.
        measure: `tau` or `rho`, by which it ranks and compares.
        settings: how it was computed.
        cells: a row a proxy and benchmark (`CELL_MEANINGS`).
        proxies: a row a proxy (`PROXY_MEANINGS`), the best mean rank first, then those not scored everywhere.
        agreement: a row a pair of benchmarks (`AGREEMENT_MEANINGS`); none of a single benchmark.
    """

    benchmarks: tuple[Facts, ...]
    measure: str
    settings: Settings
    cells: pd.DataFrame
    proxies: pd.DataFrame
    agreement: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """The benchmarks' names, in order."""
        return [benchmark.name for benchmark in self.benchmarks]

    def values(self) -> pd.DataFrame:
        """The measure: proxies down, in the table's order, benchmarks across; NaN for holes."""
        return self._wide(MEASURES[self.measure][2])

    def estimates(self) -> tuple[Floats, Floats, Floats]:
        """The measure and the ends of its intervals; of each an array of proxies by benchmarks."""
        column = MEASURES[self.measure][2]
        stem = column.partition("_")[0]
        value, low, high = (
            self._wide(name).to_numpy(np.float64) for name in (column, f"{stem}_low", f"{stem}_high")
        )
        return value, low, high

    def counted(self) -> npt.NDArray[np.bool_]:
        """Which of them count; shape (proxies, benchmarks)."""
        return self._wide("counted").eq(True).to_numpy(bool)

    def square(self, column: str = "agreement") -> Floats:
        """A column of the agreement as a symmetric matrix; NaN on its diagonal."""
        size = len(self.benchmarks)
        matrix = np.full((size, size), np.nan)
        above = np.triu_indices(size, 1)
        matrix[above] = matrix.T[above] = self.agreement[column]
        return matrix

    def _wide(self, column: str) -> pd.DataFrame:
        table = self.cells.pivot(index="proxy", columns="benchmark", values=column)
        return table.reindex(index=self.proxies["proxy"], columns=self.names)

    @property
    def mean_agreement(self) -> float:
        """The mean over pairs of benchmarks; NaN if there are none."""
        return float(self.agreement["agreement"].mean()) if len(self.agreement) else math.nan

    def counts(self, benchmark: str) -> list[int]:
        """How many architectures the correlations on a benchmark are of."""
        return [int(n) for n in self.cells.loc[self.cells["benchmark"] == benchmark, "n"]]


def _one_by_one(function: Callable[[Any], Any], parts: Sequence[Any], seconds: float) -> list[Any]:
    return [function(part) for part in parts]


def across(
    benchmarks: Sequence[Benchmark],
    settings: Settings,
    *,
    measure: str = TAU,
    aggregates: Sequence[str] = (),
    map_: Callable[..., list[Any]] = _one_by_one,
) -> Across:
    """Correlate every row on every benchmark, and compare.

    Args:
        benchmarks: the columns.
        settings: failures, resamples and seed.
        measure: `tau` or `rho`.
        aggregates: rows beside those that are always there (see `rows_of`).
        map_: maps a function of a module over independent parts that take so many seconds.

    Raises:
        UsageError: if scores and accuracies do not belong together, or nothing is scored.
    """
    known = Resamples(settings.resamples, settings.seed)
    every = [(benchmark, _values(benchmark, aggregates)) for benchmark in benchmarks]
    if settings.resamples:
        batches = [batch for _, values in every for batch in _batches(values, settings)]
        known.learn(batches, map_)
    records = [
        _record(benchmark, name, _correlated(values, settings, known))
        for benchmark, held in every
        for name, values in held.items()
    ]
    cells = pd.DataFrame(records, columns=[name for name in CELL_MEANINGS if name not in ("counted", "rank")])
    if cells.empty:
        raise UsageError("nothing that was scored has accuracies to be judged by")
    judged_on = cells["n"] - (cells["n_failed"] if settings.failures == "omit" else 0)
    cells["counted"] = judged_on >= COUNTED * cells.groupby("benchmark")["n"].transform("max")
    names = [benchmark.name for benchmark in benchmarks]
    column = MEASURES[measure][2]
    cells, proxies = ranked(cells, names, column)
    facts = tuple(facts_of(benchmark) for benchmark in benchmarks)
    return Across(facts, measure, settings, cells, proxies, agreement(cells, names, column))


def _values(benchmark: Benchmark, aggregates: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Values and accuracies of each row that was scored."""
    found = {row.name: benchmark.values(row) for row in rows_of(benchmark, aggregates)}
    return {
        name: values
        for name, values in found.items()
        if values is not None and np.isfinite(values["accuracy"]).any()
    }


def _batches(held: dict[str, pd.DataFrame], settings: Settings) -> list[Batch]:
    """What is to be resampled: rows of the same architectures together, which costs less; a few at a time."""
    together: dict[bytes, tuple[Codes, dict[bytes, Codes]]] = {}
    for values in held.values():
        sample = judged(values["value"].to_numpy(), values["accuracy"].to_numpy(), settings.failures)
        target = dense_ranks(sample.accuracy)
        scores = together.setdefault(target.tobytes(), (target, {}))[1]
        scores[sample.codes.tobytes()] = sample.codes
    return [
        (list(scores.values())[start : start + _AT_A_TIME], target)
        for target, scores in together.values()
        for start in range(0, len(scores), _AT_A_TIME)
    ]


def _correlated(values: pd.DataFrame, settings: Settings, known: Resamples) -> Correlation:
    return correlate(
        values["value"].to_numpy(), values["accuracy"].to_numpy(), failures=settings.failures, known=known
    )


def _record(benchmark: Benchmark, name: str, found: Correlation) -> dict[str, Any]:
    return {
        "proxy": name,
        "benchmark": benchmark.name,
        "run": benchmark.run.name,
        "split": benchmark.split,
        **found.columns(),
    }


def ranked(cells: pd.DataFrame, benchmarks: Sequence[str], column: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells with their `rank`, and the table of proxies.

    On each benchmark a proxy's rank is one more than the number of proxies of the field above it, equal ones
    counting half.  A correlation that does not exist, that of a constant, is a hole.

    Args:
        cells: with the columns `proxy`, `benchmark`, `counted` and `column`.
        benchmarks: their names, in order.
        column: what ranks.
    """
    wide = _counting(cells, column)
    wide = wide.reindex(index=list(dict.fromkeys(cells["proxy"])), columns=list(benchmarks))
    values = wide.to_numpy(np.float64)
    everywhere = np.isfinite(values).all(axis=1)
    field = values[everywhere]
    # A proxy of the field is not above, or equal to, itself.
    above = (field[None] > values[:, None]).sum(axis=1)
    equal = (field[None] == values[:, None]).sum(axis=1) - everywhere[:, None]
    ranks = np.where(np.isfinite(values), 1 + above + 0.5 * equal, np.nan)
    place = {name: number for number, name in enumerate(wide.index)}
    column_of = {name: number for number, name in enumerate(benchmarks)}
    keys = zip(cells["proxy"], cells["benchmark"], strict=True)
    cells = cells.assign(rank=[ranks[place[proxy], column_of[name]] for proxy, name in keys])
    records = []
    for number, name in enumerate(wide.index):
        own = values[number]
        held = np.isfinite(own)
        lowest = int(np.nanargmin(own)) if held.any() else -1
        records.append(
            {
                "proxy": name,
                "benchmarks": int(held.sum()),
                "everywhere": bool(everywhere[number]),
                "mean_rank": float(ranks[number, held].mean()) if held.any() else math.nan,
                "worst": float(own[lowest]) if held.any() else math.nan,
                "worst_benchmark": benchmarks[lowest] if held.any() else "",
            }
        )
    proxies = pd.DataFrame(records, columns=list(PROXY_MEANINGS))
    proxies["last"] = ~proxies["everywhere"]
    order = ["last", "mean_rank", "proxy"]
    proxies = proxies.sort_values(order, kind="stable", ignore_index=True).drop(columns="last")
    return cells, proxies


def agreement(cells: pd.DataFrame, benchmarks: Sequence[str], column: str) -> pd.DataFrame:
    """How well each two benchmarks agree on the order of the proxies that both have (`AGREEMENT_MEANINGS`).

    NaN where they share fewer than three.
    """
    wide = _counting(cells, column).reindex(columns=list(benchmarks))
    records = []
    for first, second in itertools.combinations(benchmarks, 2):
        both = wide[[first, second]].dropna().to_numpy(np.float64)
        tau = kendall_tau(both[:, 0], both[:, 1]) if len(both) >= _FEWEST_SHARED else math.nan
        records.append(dict(zip(AGREEMENT_MEANINGS, (first, second, len(both), tau), strict=True)))
    return pd.DataFrame(records, columns=list(AGREEMENT_MEANINGS))


def _counting(cells: pd.DataFrame, column: str) -> pd.DataFrame:
    """Proxies by benchmarks, with holes for what does not count."""
    return cells.assign(value=cells[column].where(cells["counted"])).pivot(
        index="proxy", columns="benchmark", values="value"
    )
