"""Does a small benchmark predict a large one?  Compares what proxies are worth on both, and the accuracies.

    python scripts/compare_benchmarks.py results/digits results/table1 --dataset cifar10

The first run was scored on a benchmark of one's own (`truth=`), the second on an official table.  Printed as
Markdown are, for each proxy that both hold, Kendall's tau with test accuracy in each; how these two lists
agree (Kendall's tau and Spearman's rho over proxies); and how the two accuracies of the same cells agree.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, spearmanr

from nasbench_eval.errors import Parser, UsageError, guard
from nasbench_eval.report.scores import Part, Scores, read_runs
from nasbench_eval.report.spec import RowSpec, load_table_spec
from nasbench_eval.report.statistics.correlation import correlate
from nasbench_eval.report.tables import Truth, matched_accuracy
from nasbench_eval.report.truths import benchmark_of, table_of, truth_of
from nasbench_eval.report.values import row_values


def tau(scores: Scores, truth: Truth, space: str, dataset: str, row: RowSpec) -> tuple[float, int] | None:
    """Kendall's tau of a row with test accuracy and the number of cells; None if the run lacks it."""
    values, _ = row_values(scores, space, row, dataset)
    if values is None or not len(values):
        return None
    accuracy = matched_accuracy(truth, Part(space, dataset, row.label), values, "test")
    found = correlate(values["value"].to_numpy(), accuracy, resamples=0)
    return found.tau, len(values)


def compare(small: Path, large: Path, dataset: str, data: Path | None) -> pd.DataFrame:
    """A row a proxy with its tau in both runs; prints how the accuracies agree."""
    ours, theirs = read_runs([small]), read_runs([large])
    benchmark = benchmark_of(None, ours)
    if benchmark is None:
        raise UsageError(f"{small} was not scored on a benchmark of one's own; score it with truth=")
    space, name = benchmark.space.name, benchmark.dataset.name
    here = truth_of(space, None, False, benchmark)
    there = truth_of(space, data, False, None)
    _, spec = table_of(benchmark, ours, ["test"])
    _, official = load_table_spec("table1")
    rows = {row.name: row for row in (*spec.rows, *spec.ours, *official.ours)}
    named = {row.label for row in rows.values()}
    rows |= {label: RowSpec(label) for label in ours.labels(space) if label not in named}
    found = []
    for title, row in rows.items():
        one, other = tau(ours, here, space, name, row), tau(theirs, there, space, dataset, row)
        if one and other:
            taus = {"proxy": title, benchmark.title: one[0], dataset: other[0]}
            found.append({**taus, "cells": one[1], "cells there": other[1]})
    accuracies = np.column_stack([here.accuracy(name, "test"), there.accuracy(dataset, "test")])
    known = accuracies[np.isfinite(accuracies).all(axis=1)]
    print(
        f"Accuracies of the same {len(known)} cells: tau {kendalltau(*known.T).statistic:.3f}, "
        f"rho {spearmanr(*known.T).statistic:.3f} between {benchmark.title} and {dataset}."
    )
    return pd.DataFrame(found)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args(arguments)
    frame = compare(given.small, given.large, given.dataset, given.data)
    if len(frame) < 3:
        raise UsageError("the two runs have fewer than three proxies in common")
    lists = frame.iloc[:, 1], frame.iloc[:, 2]
    print(
        f"The lists of {len(frame)} proxies: tau {kendalltau(*lists).statistic:.3f}, "
        f"rho {spearmanr(*lists).statistic:.3f}.\n"
    )
    ordered = frame.sort_values(frame.columns[2], ascending=False)
    print("| " + " | ".join(ordered.columns) + " |\n|---|" + "---:|" * (len(ordered.columns) - 1))
    for row in ordered.itertuples(index=False):
        print("| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else f"{v}" for v in row) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(guard(main))
