"""The accuracies that searches are judged by: those of the official tables, or of one's own benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nasbench_eval import registry
from nasbench_eval.errors import UsageError
from nasbench_eval.report.search.read import SearchRun
from nasbench_eval.report.tables import Truth
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.report.truths import Ground, truth_of
from nasbench_eval.spaces.base import Names
from nasbench_eval.spaces.open import space_of
from nasbench_eval.truth.named import named
from nasbench_eval.truth.own import Benchmark


class Truths:
    """Each read once.

    Args:
        folder: of the tables; None for the environment's.
        wish: the benchmark to judge by, whatever the runs say; None for theirs.
    """

    def __init__(self, folder: Path | None, wish: str | None = None) -> None:
        self.folder, self.wish = folder, wish
        self._benchmarks: dict[str, Ground] = {}
        self._known: dict[tuple[str, str | None], Truth] = {}

    def of(self, run: SearchRun) -> Truth:
        """The accuracies of a run's space.

        Raises:
            UsageError: if there are none, or the benchmark is about other networks or images.
        """
        recorded = run.record.get("truth")
        name = self.wish or (recorded if isinstance(recorded, str) else None)
        return self.official(run.space) if name is None else self._own(run, name)

    def _own(self, run: SearchRun, name: str) -> Truth:
        if name not in self._benchmarks:
            self._benchmarks[name] = named(name, space_of(run.record["space"]), self.folder)
        benchmark = self._benchmarks[name]
        if run.space != benchmark.space.name or not set(run.datasets) <= set(benchmark.datasets):
            raise UsageError(
                f"{run.folder} searches {run.space} on {', '.join(run.datasets)}; the benchmark {name} is "
                f"about {benchmark.space.name} on {', '.join(benchmark.datasets)}"
            )
        if isinstance(benchmark, Benchmark):
            DATASETS[benchmark.dataset.name] = benchmark.title
        if (run.space, name) not in self._known:
            self._known[run.space, name] = truth_of(run.space, self.folder, False, benchmark)
        return self._known[run.space, name]

    def official(self, space: str) -> Truth:
        """The accuracies of the official table."""
        if (space, None) not in self._known:
            self._known[space, None] = truth_of(space, self.folder, False, None)
        return self._known[space, None]

    def unknown(self, run: SearchRun) -> Truth:
        """The architectures of a run's space, no accuracy of which is known."""
        space = registry.find("spaces", run.space)()

        def accuracy(dataset: str, split: str) -> npt.NDArray[Any]:
            return np.full(len(space), np.nan)

        return Truth(Names(space), accuracy)
