"""Do two runs of the same proxies rank alike?  Of each label that both have, on the cells that both scored.

    NASBENCH_EVAL_DATA=... python scripts/compare_runs.py results/figure2 results/figure2_full

Made for protocols that differ: a smaller batch, another resolution, another device.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from nasbench_eval.data.folder import data_folder
from nasbench_eval.report.scores import Part, Scores, read_runs
from nasbench_eval.report.statistics.correlation import correlate
from nasbench_eval.report.tables import Truth, matched_accuracy
from nasbench_eval.report.truths import truth_of


def compared(one: Scores, other: Scores, part: Part, truth: Truth) -> str:
    """A row: agreement of the scores, and each run's τ with accuracy, on test images if that is known."""
    both = one.frames[part].merge(other.frames[part], on="index", suffixes=("", "_other"))
    first, second = both["score"].to_numpy(), both["score_other"].to_numpy()
    alike = correlate(first, second)
    accuracy = matched_accuracy(truth, part, both, "test")
    if not np.isfinite(accuracy).any():
        accuracy = matched_accuracy(truth, part, both, "val")
    taus = [correlate(scores, accuracy, resamples=0).tau for scores in (first, second)]
    return (
        f"| `{part.label}` | {part.dataset} | {alike.n} | {alike.tau:.3f} [{alike.tau_low:.3f}, "
        f"{alike.tau_high:.3f}] | {alike.rho:.3f} | {taus[0]:.3f} | {taus[1]:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    arguments = parser.parse_args()
    one, other = read_runs([arguments.one]), read_runs([arguments.other])
    print(
        f"| proxy | data set | cells | τ between the runs | ρ | τ with accuracy, {arguments.one.name} | "
        f"{arguments.other.name} |\n|---|---|---:|---:|---:|---:|---:|"
    )
    for part in one.frames:
        if part in other.frames:
            print(compared(one, other, part, truth_of(part.space, data_folder(), False, None)))


if __name__ == "__main__":
    main()
