"""Trainings an hour of a real run: the recipe of the embedded benchmark, on fresh cells.

The run is that of `nasbench-train`, a worker a core; the clock runs from one finished training to the last,
as many trainings after the start as there are workers.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from nasbench_eval.benchmark.trainer import Plan, Trainer
from nasbench_eval.options.typed import typed
from nasbench_eval.runs.rows import Row
from nasbench_eval.runs.store import Store
from nasbench_eval.runs.wanted import Wanted
from nasbench_eval.sampling import uniform
from nasbench_eval.training import Training
from nasbench_eval.truth.own import Benchmark, load
from nasbench_eval.work.progress import Progress
from nasbench_eval.work.runner import run_job

_SEED = 4


class Clocked(Wanted[Plan]):
    """Notes when each training's row came in."""

    times: list[float]

    def fill(self, rows: Iterable[Row], *, reused_from: str | None = None) -> list[Row]:
        filled = super().fill(rows, reused_from=reused_from)
        self.times.append(time.perf_counter())
        return filled


def training(cells: int, workers: int, device: str) -> dict[str, Any]:
    """Cells an hour, each trained with all seeds of the embedded benchmark, and seconds a training."""
    benchmark = load("digits")
    plan, chosen = plan_of(benchmark), uniform(len(benchmark.space), cells, _SEED)
    trainer = Trainer(plan, benchmark.folder, torch.device(device))
    identity: dict[str, Any] = {"proxies": {}, "datasets": {}}
    with (
        tempfile.TemporaryDirectory() as folder,
        Progress() as progress,
        closing(Store(Path(folder), plan.space.name, identity, {})) as store,
    ):
        wanted = Clocked(plan, {index: index for index in chosen}, store, apart=True)
        wanted.times = []
        run_job(trainer, wanted, progress, workers=workers)
    seconds = wanted.times[-1] - wanted.times[workers - 1]
    done = len(wanted.times) - workers
    return {
        "cells": cells,
        "seeds": len(plan.seeds),
        "epochs": plan.training.epochs,
        "images": plan.training.images,
        "workers": workers,
        "cells_per_hour": 3600 * done / seconds / len(plan.seeds),
        "seconds_a_training": workers * seconds / done,
    }


def plan_of(benchmark: Benchmark) -> Plan:
    """The plan that a benchmark was made by."""
    recipe = typed(Training, benchmark.record["training"], "the recipe")
    return Plan(benchmark.space, benchmark.dataset, recipe, tuple(benchmark.record["seeds"]))
