"""How FLOPs rank all of NAS-Bench-201, and its live cells: the row of Table 1 that nobody has to sample.

    NASBENCH_EVAL_DATA=... python scripts/size_nasbench201.py

FLOPs are a constant plus a sum over the cell's operations, so seven networks tell those of all 15,625 cells.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.stats import kendalltau

from nasbench_eval.data.batches import Batches
from nasbench_eval.data.folder import data_folder
from nasbench_eval.options.overrides import jobs, read
from nasbench_eval.report.published import published_correlation
from nasbench_eval.report.statistics.correlation import spearman_rho
from nasbench_eval.scoring.config import resolve
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.spaces.nasbench201 import EDGES, OPERATIONS, Cell, NASBench201
from nasbench_eval.truth.tables import accuracy, load_table


def flops_by_operation(job: Job, dataset: str) -> tuple[float, dict[str, float]]:
    """FLOPs of the cell without operations, and what one edge with each operation adds."""
    space = NASBench201()
    index = {space.arch(i): i for i in range(len(space))}
    batches = Batches(0, job.datasets, None, torch.device("cpu"))

    def flops(*operations: str) -> float:
        cell = Cell((*operations, *["none"] * (len(EDGES) - len(operations))))
        only = replace(job, datasets={dataset: job.datasets[dataset]})
        [row] = score_architecture(only, index[cell], only.tasks(), batches, torch.device("cpu"))
        return float(row["score"])

    base = flops()
    return base, {operation: flops(operation) - base for operation in OPERATIONS}


def main() -> None:
    [config] = jobs(read(["proxy=flops", "dataset=[cifar10,cifar100,imagenet16_120]", "device=cpu"]))
    job = resolve(config).job
    table = load_table("nasbench201", data_folder())
    space = NASBench201()
    cells = [space.arch(i) for i in range(len(space))]
    live = np.array([space.live(cell) for cell in cells])
    print(
        "| data set | cells | n | Kendall τ | paper | Spearman ρ | paper |\n"
        "|---|---|---:|---:|---:|---:|---:|"
    )
    for dataset in job.datasets:
        base, added = flops_by_operation(job, dataset)
        flops = np.array([base + sum(added[o] for o in cell.operations) for cell in cells])
        truth = accuracy(table, dataset, "test")
        tau, rho = (
            published_correlation("intrain", "table1", "nasbench201", dataset, "flops", metric)
            for metric in ("kendall_tau", "spearman_rho")
        )
        for name, chosen in (("all", np.ones(len(cells), dtype=bool)), ("live", live)):
            measured = kendalltau(flops[chosen], truth[chosen]).statistic
            rank = spearman_rho(flops[chosen], truth[chosen])
            print(f"| {dataset} | {name} | {chosen.sum():,} | {measured:.3f} | {tau} | {rank:.3f} | {rho} |")


if __name__ == "__main__":
    main()
