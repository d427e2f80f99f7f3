"""Combinations on several benchmarks: held-out correlations, paired differences, and transfer."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nasbench_eval.report.ensemble import passes
from nasbench_eval.report.ensemble.choose import over_folds
from nasbench_eval.report.ensemble.columns import DIFFERENCE_MEANINGS, FOLD_MEANINGS, MEANINGS
from nasbench_eval.report.ensemble.pool import Pool, label_of
from nasbench_eval.report.ensemble.source import Options, Source, judged_on, said, sources_of
from nasbench_eval.report.ensemble.transfer import transfer
from nasbench_eval.report.scores import Part
from nasbench_eval.report.statistics.bootstrap import Floats


@dataclass(frozen=True)
class Study:
    """All that was computed.

    Attributes:
        options: what was asked.
        sources: what was chosen on.
        table: a row a benchmark and method (`MEANINGS`).
        differences: of each method from each reference (`DIFFERENCE_MEANINGS`).
        folds: what was chosen in the folds (`FOLD_MEANINGS`), the commonest first.
        transfer: of each choice on each other benchmark (`TRANSFER_MEANINGS`).
    """

    options: Options
    sources: tuple[Source, ...]
    table: pd.DataFrame
    differences: pd.DataFrame
    folds: pd.DataFrame
    transfer: pd.DataFrame


def study(pools: Sequence[Pool], options: Options, map_: Callable[..., list[Any]]) -> Study:
    """Choose on each pool, and on those of one run together; judge on held-out architectures and elsewhere.

    Args:
        pools: of the benchmarks, in order.
        options: what is asked.
        map_: maps a function of a module over independent parts that take so many seconds.
    """
    sources = judged_on(sources_of(pools), options, map_)
    held_out: dict[tuple[str, str], Floats] = {}
    for source in sources:
        for place, pool in enumerate(source.pools):
            for method in dict.fromkeys([*source.chosen, *(m for fold in source.folds for m in fold.tau)]):
                taus = [fold.tau.get(method, (np.nan,) * len(source.pools))[place] for fold in source.folds]
                name = source.prefix + method if method in source.chosen else method
                held_out[pool.benchmark.name, name] = np.array(taus)
    table = _table(pools, sources, held_out, options)
    return Study(
        options,
        tuple(sources),
        table,
        _differences(pools, options, held_out),
        _chosen_in_folds(sources),
        transfer(pools, sources, options, map_),
    )


def _table(
    pools: Sequence[Pool],
    sources: Sequence[Source],
    held_out: Mapping[tuple[str, str], Floats],
    options: Options,
) -> pd.DataFrame:
    records = []
    for pool in pools:
        own = [source for source in sources if any(pool is each for each in source.pools)]
        for source in own:
            for method, choice in source.chosen.items():
                members = source.members(method)
                record = _row(pool, source.prefix + method, members, held_out)
                records.append(
                    {
                        **record,
                        "candidates": len(source.names) - len(source.unknown(options)),
                        "tau_chosen": choice.tau,
                    }
                )
        records += [_row(pool, name, each.members, held_out) for name, each in pool.fixed.items()]
    return pd.DataFrame(records, columns=list(MEANINGS))


def _row(
    pool: Pool, method: str, members: Sequence[str], held_out: Mapping[tuple[str, str], Floats]
) -> dict[str, Any]:
    mean = over_folds(held_out[pool.benchmark.name, method])
    return {
        "benchmark": pool.benchmark.name,
        "method": method,
        "combination": said(members),
        "passes": passes.count({label_of(member) for member in members}),
        "seconds": _seconds(pool, members),
        "n": pool.n,
        "tau": mean.mean,
        "sd": mean.sd,
        "low": mean.low,
        "high": mean.high,
    }


def _seconds(pool: Pool, members: Sequence[str]) -> float:
    """Median over the architectures of what the members' labels took together; NaN if unknown."""
    benchmark = pool.benchmark
    columns = []
    for label in sorted({label_of(member) for member in members}):
        frame = benchmark.scores.frames[Part(benchmark.space, benchmark.dataset, label)]
        if "seconds" not in frame.columns:
            return float("nan")
        columns.append(frame.set_index("index")["seconds"].reindex(pool.archs))
    together = pd.concat(columns, axis="columns").astype("float64")
    return float(together.sum(axis="columns", skipna=False).median())


def _differences(
    pools: Sequence[Pool], options: Options, held_out: Mapping[tuple[str, str], Floats]
) -> pd.DataFrame:
    records = []
    for pool in pools:
        name = pool.benchmark.name
        methods = [method for benchmark, method in held_out if benchmark == name]
        for reference, method in itertools.product(options.references, methods):
            if reference in pool.fixed and method != reference:
                mean = over_folds(held_out[name, method] - held_out[name, reference])
                records.append((name, method, reference, *mean))
    return pd.DataFrame(records, columns=list(DIFFERENCE_MEANINGS))


def _chosen_in_folds(sources: Sequence[Source]) -> pd.DataFrame:
    records = []
    for source in sources:
        for method in source.chosen:
            times = Counter(
                said([source.names[member] for member in fold.chosen[method]])
                for fold in source.folds
                if method in fold.chosen
            )
            records += [
                (source.name, source.prefix + method, combination, count, len(source.folds))
                for combination, count in sorted(times.items(), key=lambda item: (-item[1], item[0]))
            ]
    return pd.DataFrame(records, columns=list(FOLD_MEANINGS))
