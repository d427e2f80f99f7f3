"""Do two runs of the same proxies rank alike?  Of each label that both have, on the cells that both scored.

    NASBENCH_EVAL_DATA=... python scripts/compare_runs.py results/figure2 results/figure2_full

Made for protocols that differ: a smaller batch, another resolution, another device.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nasbench_eval.errors import Parser, guard
from nasbench_eval.report.across.benchmarks import Benchmark, benchmarks_of
from nasbench_eval.report.spec import RowSpec
from nasbench_eval.report.statistics.correlation import correlate


def compared(one: Benchmark, other: Benchmark, label: str) -> str | None:
    """A row: agreement of the scores, and each run's τ with accuracy; None if one run lacks the label."""
    frames = [each.values(RowSpec(label)) for each in (one, other)]
    if frames[0] is None or frames[1] is None:
        return None
    both = frames[0].merge(frames[1], on="index", suffixes=("", "_other"))
    first, second = both["value"].to_numpy(), both["value_other"].to_numpy()
    alike = correlate(first, second)
    taus = [correlate(scores, both["accuracy"].to_numpy(), resamples=0).tau for scores in (first, second)]
    return (
        f"| `{label}` | {one.dataset} | {alike.n} | {alike.tau:.3f} [{alike.tau_low:.3f}, "
        f"{alike.tau_high:.3f}] | {alike.rho:.3f} | {taus[0]:.3f} | {taus[1]:.3f} |"
    )


def main() -> int:
    """Print the table; returns the exit code."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    arguments: argparse.Namespace = parser.parse_args()
    ones, others = (benchmarks_of([run], None, "both") for run in (arguments.one, arguments.other))
    print(
        f"| proxy | data set | cells | τ between the runs | ρ | τ with accuracy, {arguments.one.name} | "
        f"{arguments.other.name} |\n|---|---|---:|---:|---:|---:|---:|"
    )
    for one in ones:
        for other in others:
            if (one.space, one.dataset) == (other.space, other.dataset):
                rows = [compared(one, other, label) for label in one.scores.labels(one.space)]
                print("\n".join(row for row in rows if row is not None))
    return 0


if __name__ == "__main__":
    raise SystemExit(guard(main))
