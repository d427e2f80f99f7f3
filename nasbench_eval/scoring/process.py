"""What a process needs to score architectures, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nasbench_eval.data.batches import Batches
from nasbench_eval.errors import UsageError
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import failure, needs_passes, score_architecture
from nasbench_eval.spaces.open import Known
from nasbench_eval.work.compute import configure_process


class Scorer:
    """What a process needs to score: made once, since batches and images are read once.

    Args:
        job: what decides the scores.
        data: folder of real images; None if no pass asks for them.
        device: where the passes run.
        checkpoints: folder where trainings leave their state while they run; None leaves none.
    """

    def __init__(
        self, job: Job, data: Path | None, device: torch.device, checkpoints: Path | None = None
    ) -> None:
        configure_process(device, job.precision)
        self.job, self.data, self.device, self.checkpoints = job, data, device, checkpoints
        self._instant: dict[tuple[Task, ...], bool] = {}
        self.batches = Batches(job.seed, job.datasets, data, device)

    def __reduce__(self) -> tuple[Any, ...]:
        """Whoever unpickles it makes it anew: a process is settled and reads its images for itself."""
        return Scorer, (self.job, self.data, self.device, self.checkpoints)

    def check_inputs(self) -> None:
        """Make every batch once, so that missing images are told before the first network is built.

        Raises:
            UsageError: naming the proxy and data set whose input cannot be had.
        """
        for task in self.job.tasks():
            for spec, dataset in self.job.passes(task):
                try:
                    self.batches.input(spec.forward, dataset)
                    training, resolution = spec.forward.training, spec.forward.resolution
                    if training is not None and dataset is not None and resolution is not None:
                        self.batches.training_set(dataset, training.images, resolution)
                except (MemoryError, RuntimeError) as error:  # a batch too large; torch raises RuntimeError
                    reason = str(error).strip().splitlines()[0]
                    raise UsageError(f"{task.label} on {task.dataset}: no such input: {reason}") from error

    def __call__(self, index: int, tasks: Sequence[Task], text: str | None = None) -> list[Row]:
        if text is not None and isinstance(self.job.space, Known):
            self.job.space.learn([text])
        return score_architecture(self.job, index, tasks, self.batches, self.device, self.checkpoints)

    def failure(
        self, index: int, tasks: Sequence[Task], status: str, error: str, seconds: float
    ) -> list[Row]:
        return failure(self.job, index, tasks, status, error, seconds)

    def instant(self, index: int, tasks: tuple[Task, ...]) -> bool:
        """Whether no score of an architecture takes a pass; what holds of one holds of all."""
        if tasks not in self._instant:
            self._instant[tasks] = not needs_passes(self.job, index, tasks)
        return self._instant[tasks]
