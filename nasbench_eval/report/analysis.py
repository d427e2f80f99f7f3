"""Everything that is computed of a report's rows beside their tables: statistics by data set and split."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from nasbench_eval.errors import UsageError
from nasbench_eval.report.scores import Scores
from nasbench_eval.report.spec import RowSpec
from nasbench_eval.report.statistics.seeds import seed_stability
from nasbench_eval.report.statistics.summary import Statistics, statistics
from nasbench_eval.report.tables import Settings, Table, Truth
from nasbench_eval.report.values import row_values

SEED_COLUMNS = ("seeds", "n", "n_failed", "relative_deviation", "icc", "icc_ranks", "tau_mean", "tau_sd")


@dataclass(frozen=True)
class Analysis:
    """Statistics of all measured rows, the frames of `Statistics` with `dataset` and `split` in front.

    Attributes:
        metrics, strata, paired: see `Statistics`.
        between: `proxy`, `other`, τ between them and the numbers it is of; in cluster order.
        by_place: the statistics of each data set and split, for figures.
    """

    metrics: pd.DataFrame
    strata: pd.DataFrame
    paired: pd.DataFrame
    between: pd.DataFrame
    by_place: dict[tuple[str, str], Statistics]

    def frames(self) -> dict[str, pd.DataFrame]:
        """The frames by name, as they are written."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "by_place"}


def analyse(
    tables: Sequence[Table], scores: Scores, truths: Mapping[str, Truth], settings: Settings
) -> Analysis:
    """All statistics of the tables' measured rows, a row that several tables have once.

    A space's rows are judged on the data sets and splits of its tables.
    """
    found = {}
    places = list(dict.fromkeys(_places(tables)))
    for space, dataset, split in tqdm(places, desc="statistics", leave=False, disable=None):
        columns = _columns(tables, scores, space, dataset)
        if columns:
            truth = _accuracy(truths[space], dataset, split, columns)
            found[dataset, split] = statistics(
                columns,
                truth,
                resamples=settings.resamples,
                seed=settings.seed,
                failures=settings.failures,
            )
    return Analysis(
        metrics=_joined({place: s.metrics.reset_index() for place, s in found.items()}),
        strata=_joined({place: s.strata.reset_index() for place, s in found.items()}),
        paired=_joined({place: s.paired.reset_index() for place, s in found.items()}),
        between=_joined({place: _long(s) for place, s in found.items()}),
        by_place=found,
    )


def over_seeds(
    tables: Sequence[Table], runs: Sequence[Scores], truths: Mapping[str, Truth], settings: Settings
) -> pd.DataFrame:
    """How much the tables' rows depend on the seed: one row a proxy, data set and split.

    Args:
        tables: whose rows are compared.
        runs: the same proxies' scores, each under a seed of its own.
        truths, settings: as for the tables.

    Returns:
        `proxy`, `dataset`, `split`, `seeds`, `n` architectures scored under every seed, `n_failed`,
        `relative_deviation`, `icc`, `icc_ranks`, `tau_mean`, `tau_sd`, `tau_of_mean` (see `SeedStability`).

    Raises:
        UsageError: if two runs have one seed, or none of the rows is in all of them.
    """
    seeds = [_seed(run) for run in runs]
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"the runs have the seeds {', '.join(map(str, seeds))}; each needs one of its own")
    rows = []
    for space, dataset, split in dict.fromkeys(_places(tables)):
        by_run = [_columns(tables, run, space, dataset) for run in runs]
        for name in by_run[0]:
            if not all(name in columns for columns in by_run):
                continue
            mine: dict[Hashable, pd.Series[float]] = dict(
                zip(seeds, (columns[name] for columns in by_run), strict=True)
            )
            accuracy = _accuracy(truths[space], dataset, split, mine)
            stability = seed_stability(
                mine, accuracy, failures=settings.failures, resamples=0, seed=settings.seed
            )
            rows.append(
                {"proxy": name, "dataset": dataset, "split": split}
                | {key: getattr(stability, key) for key in SEED_COLUMNS}
                | {"tau_of_mean": stability.of_mean.tau}
            )
    if not rows:
        raise UsageError("no row of the tables has scores in all runs of --seeds")
    return pd.DataFrame(rows)


def _seed(scores: Scores) -> int:
    [run] = scores.runs
    if "seed" not in run.config:
        raise UsageError(f"{run.folder}/run.json does not say which seed the run had")
    return int(run.config["seed"])


def _places(tables: Sequence[Table]) -> Iterator[tuple[str, str, str]]:
    for table in tables:
        for dataset in table.spec.datasets:
            for split in table.splits:
                yield table.spec.space, dataset, split


def _columns(
    tables: Sequence[Table], scores: Scores, space: str, dataset: str
) -> dict[str, pd.Series[float]]:
    """The values of every row with scores on a data set, by architecture."""
    columns: dict[str, pd.Series[float]] = {}
    for table in tables:
        if table.spec.space != space or dataset not in table.spec.datasets:
            continue
        for row in _rows(table, scores):
            if row.name not in columns:
                values, _ = row_values(scores, space, row, dataset)
                if values is not None and len(values):
                    columns[row.name] = values.set_index("index")["value"]
    return columns


def _rows(table: Table, scores: Scores) -> list[RowSpec]:
    """The rows of a table, those appended for the run's other proxies included."""
    named = [*table.spec.rows, *table.spec.ours]
    known = {row.name for row in named}
    return named + [RowSpec(name) for name in dict.fromkeys(table.rows["proxy"]) if name not in known]


def _accuracy(
    truth: Truth, dataset: str, split: str, columns: Mapping[Any, pd.Series[float]]
) -> pd.Series[float]:
    """Accuracies of the architectures that any of the columns has."""
    every = np.unique(np.concatenate([column.index.to_numpy() for column in columns.values()]))
    return pd.Series(np.asarray(truth.accuracy(dataset, split), dtype=np.float64)[every], index=every)


def _long(statistics_: Statistics) -> pd.DataFrame:
    alike = statistics_.between
    columns = {"kendall_tau": alike.tau, "n": alike.n, "n_failed": alike.n_failed}
    frames = {key: frame.rename_axis("proxy").rename_axis("other", axis=1) for key, frame in columns.items()}
    return pd.concat({key: f.stack(future_stack=True) for key, f in frames.items()}, axis=1).reset_index()


def _joined(frames: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    if not frames:
        return pd.DataFrame()
    return pd.concat(
        [
            frame.assign(dataset=dataset, split=split)[
                ["dataset", "split", *(c for c in frame.columns if c not in ("dataset", "split"))]
            ]
            for (dataset, split), frame in frames.items()
        ],
        ignore_index=True,
    )
