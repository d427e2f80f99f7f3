"""What a reading costs: in bare passes, in cells a second, in operations and in memory.

Every reading is measured in a process of its own, over a sample of cells, in two rounds.  The first scores
every cell once: it makes the batches and warms the allocator, counts the operations, and leaves the peak of
memory.  The second takes the time of each cell, with the unit immediately before and after in the same
process, so that the ratio holds where the machine's speed drifts.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from benchmark.processes import peak_bytes
from benchmark.unit import REFERENCE, Size, bare_pass, counted, matmul_rate, own_size, timed
from nasbench_eval.errors import UsageError
from nasbench_eval.runs.rows import Row
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.process import Scorer

Figures = dict[str, Any]
# A cell is timed again until this many seconds went into it, or this often.
ENOUGH_SECONDS, MOST_ROUNDS = 0.5, 3


@dataclass(frozen=True)
class Timing:
    """One cell's measurement.

    Attributes:
        seconds: of scoring it, the building of its network included; the median of the rounds.
        units: seconds of a bare pass by its size, likewise.
        unit_operations: floating-point operations of each of these.
    """

    seconds: float
    units: dict[Size, float]
    unit_operations: dict[Size, float]

    def ratio(self, size: Size) -> float:
        """The cost in bare passes of a size."""
        return self.seconds / self.units[size]


def measure(job: Job, cells: Sequence[int], device_name: str) -> Figures:
    """All figures of a job over cells; changes this process's settings to those of a scoring process."""
    device = torch.device(device_name)
    scorer = Scorer(job, None, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    operations = [counted(lambda i=index: score(scorer, i)) for index in cells]  # type: ignore[misc]
    peak = peak_bytes()
    on_device = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
    size, rate = own_size(job), matmul_rate(device)
    timings = [take_time(scorer, index, size) for index in cells]
    seconds = sum(t.seconds for t in timings)
    return {
        "labels": list(job.proxies),
        "size": asdict(size),
        "own": cost(timings, size),
        "reference": cost(timings, REFERENCE),
        "cells_per_second": len(cells) / seconds,
        "gflop_per_cell": sum(operations) / len(cells) / 1e9,
        "gflops": sum(operations) / seconds / 1e9,
        "unit_gflops": unit_rate(timings, size),
        "reference_gflops": unit_rate(timings, REFERENCE),
        "matmul_gflops": rate,
        "peak_bytes": peak,
        "device_peak_bytes": on_device,
    }


def score(scorer: Scorer, index: int) -> None:
    """Score a cell with all of a job's proxies, each of which must succeed."""
    check(scorer(index, scorer.job.tasks()))


def check(rows: Iterable[Row]) -> None:
    """See to it that nothing failed: what failed has no cost.

    Raises:
        UsageError: naming the proxy that failed.
    """
    for row in rows:
        if row["error"] is not None:
            raise UsageError(f"{row['label']} failed on cell {row['index']}: {row['error']}")


def take_time(scorer: Scorer, index: int, size: Size) -> Timing:
    """Time a cell, and the bare passes of its network of both sizes around it."""
    device = scorer.device
    units = {s: bare_pass(index, s, device) for s in dict.fromkeys((size, REFERENCE))}
    operations = {s: counted(unit) for s, unit in units.items()}  # and warm
    taken = {s: [timed(unit, device)] for s, unit in units.items()}
    seconds: list[float] = []
    while not seconds or (sum(seconds) < ENOUGH_SECONDS and len(seconds) < MOST_ROUNDS):
        seconds.append(timed(lambda: score(scorer, index), device))
        for s, unit in units.items():
            taken[s].append(timed(unit, device))
    return Timing(statistics.median(seconds), {s: statistics.median(t) for s, t in taken.items()}, operations)


def unit_rate(timings: Sequence[Timing], size: Size) -> float:
    """GFLOP/s of the bare passes of a size."""
    return sum(t.unit_operations[size] for t in timings) / sum(t.units[size] for t in timings) / 1e9


def cost(timings: Sequence[Timing], size: Size) -> dict[str, float]:
    """In bare passes of a size: of all cells together, as a run pays it, and of single ones."""
    ratios = [t.ratio(size) for t in timings]
    together = sum(t.seconds for t in timings) / sum(t.units[size] for t in timings)
    return {
        "together": together,
        "median": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
    }
