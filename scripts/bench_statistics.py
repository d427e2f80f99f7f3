"""What the report's bootstrap costs, beside SciPy one resample at a time and beside Numba; and its ensembles.

    python scripts/bench_statistics.py [--cells 15625] [--proxies 25] [--datasets 3] [--pool 30]

Scores and accuracies are made up, with as many ties as NAS-Bench-201 has. Seconds are of the process, which
other jobs on the machine lengthen less than those of the clock. Numba is no dependency: without it, its part
is left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import islice

import numpy as np
import pandas as pd

from nasbench_eval.report.apart import Apart, cores
from nasbench_eval.report.ensemble.choose import FOLDS, REPEATS, Part, divisions, judge
from nasbench_eval.report.statistics import bootstrap as ours
from nasbench_eval.report.statistics.between import paired
from nasbench_eval.report.statistics.bootstrap import dense_ranks, resample_indices
from nasbench_eval.report.statistics.correlation import kendall_tau, spearman_rho
from nasbench_eval.report.statistics.panel import Bootstraps, panel
from nasbench_eval.report.statistics.resampled import Resamples
from nasbench_eval.report.statistics.summary import statistics

# As in Numba's kernel below: as many resamples at a time fill a vector register twice.
LANES = 32


def made_up(cells: int, proxies: int, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Scores, the last two of them with a few dozen values as counts of operations have, and accuracies."""
    rng = np.random.default_rng(seed)
    accuracy = np.round(90 + 4 * rng.standard_normal(cells), 2).clip(10, 95)
    scores = {f"proxy{i}": accuracy + (2 + i / 2) * rng.standard_normal(cells) for i in range(proxies - 2)}
    scores |= {
        name: np.round((accuracy + 6 * rng.standard_normal(cells)) / 2) for name in ("flops", "params")
    }
    return pd.DataFrame(scores), pd.Series(accuracy)


def seconds(action: Callable[[], object], rounds: int = 3) -> float:
    """The process's seconds of the fastest of some rounds."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        action()
        found.append(time.process_time() - start)
    return min(found)


def one_at_a_time(x: np.ndarray, y: np.ndarray, resamples: int) -> Callable[[], object]:
    """τ by SciPy and ρ by counting, of one resample after another."""

    def run() -> None:
        for i in islice(resample_indices(len(x), 1000, 0), resamples):
            kendall_tau(x[i], y[i])
            spearman_rho(x[i], y[i])

    return run


def numba_kernel() -> tuple[Callable[..., np.ndarray], float, float] | None:
    """`_discordant` in Numba, and the seconds of the clock that importing and compiling take."""
    start = time.perf_counter()
    try:
        import numba
    except ImportError:
        return None
    imported = time.perf_counter() - start

    @numba.njit
    def discordant(order, above, size, counts_NR):  # type: ignore[no-untyped-def]
        resamples = counts_NR.shape[1]
        found = np.zeros(resamples, np.int64)
        for first in range(0, resamples, LANES):
            lanes = min(LANES, resamples - first)
            counts_NL = np.empty((len(order), lanes), np.int32)  # side by side, in the order of the visits
            for step in range(len(order)):
                counts_NL[step] = counts_NR[order[step], first : first + lanes]
            tree = np.zeros((size + 1, lanes), np.int32)
            higher = np.zeros(lanes, np.int32)
            for step in range(len(order)):
                counts = counts_NL[step]
                node = above[step]
                higher[:] = 0
                while node > 0:
                    for lane in range(lanes):
                        higher[lane] += tree[node, lane]
                    node &= node - 1
                for lane in range(lanes):
                    found[first + lane] += higher[lane] * counts[lane]
                node = above[step] + 1
                while node <= size:
                    for lane in range(lanes):
                        tree[node, lane] += counts[lane]
                    node += node & -node
        return found

    start = time.perf_counter()
    discordant(np.zeros(2, np.int64), np.zeros(2, np.int64), 2, np.ones((2, 2), np.int32))
    return discordant, imported, time.perf_counter() - start


def compare(cells: int, resamples: int) -> None:
    """One proxy: ours against SciPy, and the innermost loop against Numba."""
    frame, truth = made_up(cells, 3, 0)
    x, y = dense_ranks(frame["proxy0"].to_numpy()), dense_ranks(truth.to_numpy())
    few = max(10, resamples // 25)
    alone = seconds(one_at_a_time(x, y, few)) / few * resamples
    batched = seconds(lambda: ours.bootstrap([x], y, resamples=resamples))
    five = seconds(lambda: ours.bootstrap([x] * 5, y, resamples=resamples)) / 5
    print(f"τ and ρ of one proxy, {cells:,} cells, {resamples:,} resamples")
    print(f"  one resample at a time, SciPy's τ: {alone:.2f} s")
    print(f"  ours, one proxy alone: {batched:.2f} s, {alone / batched:.1f} times as fast")
    print(f"  ours, of five proxies each: {five:.2f} s, {alone / five:.1f} times as fast")

    counts_NR = np.concatenate([counts for _, counts in ours._counts(cells, resamples, 0)], axis=1)
    order, above, size = ours._paths(x, y)
    rows = list(counts_NR)
    scipy_tau = seconds(lambda: [kendall_tau(x[i], y[i]) for i in resample_indices(cells, few, 0)])
    scipy_tau *= resamples / few
    numpy_tau = seconds(lambda: ours._discordant(order, above, size, rows))
    print(f"discordant pairs alone: ours {numpy_tau:.3f} s, SciPy's τ {scipy_tau / numpy_tau:.1f} times that")
    if (kernel := numba_kernel()) is None:
        print("  Numba is not installed")
        return
    discordant, imported, compiled = kernel
    order_N, above_N = np.array(order), np.array(above)
    assert (discordant(order_N, above_N, size, counts_NR) == ours._discordant(order, above, size, rows)).all()
    jitted = seconds(lambda: discordant(order_N, above_N, size, counts_NR))
    print(f"  Numba {jitted:.3f} s, {numpy_tau / jitted:.1f} times as fast as ours")
    print(f"  by the clock, importing Numba takes {imported:.1f} s and compiling {compiled:.1f} s")


def whole(cells: int, proxies: int, datasets: int, resamples: int) -> None:
    """Intervals and paired differences on all data sets, then all statistics, and these in processes."""
    tables = [made_up(cells, proxies, seed) for seed in range(datasets)]

    def intervals() -> None:
        for scores, accuracy in tables:
            paired(Bootstraps(panel(scores, accuracy), Resamples(resamples, 0)))

    def everything() -> None:
        for scores, accuracy in tables:
            statistics(scores, accuracy, resamples=resamples)

    print(f"{proxies} proxies, {datasets} data sets, {cells:,} cells, {resamples:,} resamples, one process")
    named = {"τ, ρ and paired differences": intervals, "all statistics": everything}
    for name, action in named.items():
        start = time.perf_counter()
        print(f"  {name}: {seconds(action, 1):.0f} s", f"({time.perf_counter() - start:.0f} s by the clock)")
    start = time.perf_counter()
    with Apart(cores()) as apart:
        apart.map(partial(all_of, resamples), tables, seconds=len(tables))
    print(f"  the same, {cores()} processes: {time.perf_counter() - start:.0f} s by the clock")


def ensembles(cells: int, proxies: int, datasets: int) -> None:
    """Combinations of up to three proxies, chosen and judged in all folds of each data set."""
    parts = []
    for seed in range(datasets):
        scores, accuracy = made_up(cells, proxies, seed)
        held_out = divisions(np.arange(cells), REPEATS, seed)
        ranks = (scores.to_numpy(dtype=float).T,), (dense_ranks(accuracy.to_numpy()),)
        parts += [Part(*ranks, candidates=proxies, most=3, fixed={}, held_out=folds) for folds in held_out]
    start = time.perf_counter()
    with Apart(cores()) as apart:
        apart.map(judge, parts, seconds=60)
    took = time.perf_counter() - start
    print(f"combinations of up to 3 of {proxies} proxies, {datasets} data sets, {cells:,} cells,")
    print(f"  {REPEATS} x {FOLDS} folds, {cores()} processes: {took:.0f} s by the clock")


def all_of(resamples: int, table: tuple[pd.DataFrame, pd.Series]) -> None:
    """All statistics of one data set."""
    statistics(*table, resamples=resamples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, default=15625, help="cells of a data set (15625)")
    parser.add_argument("--proxies", type=int, default=25, help="proxies of the whole report (25)")
    parser.add_argument("--datasets", type=int, default=3, help="data sets of the whole report (3)")
    parser.add_argument("--pool", type=int, default=30, help="proxies that ensembles are chosen from (30)")
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples (1000)")
    arguments = parser.parse_args()
    compare(arguments.cells, arguments.resamples)
    whole(arguments.cells, arguments.proxies, arguments.datasets, arguments.resamples)
    ensembles(arguments.cells, arguments.pool, arguments.datasets)


if __name__ == "__main__":
    main()
