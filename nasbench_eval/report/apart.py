"""Independent parts of a report, computed at the same time: a process a core."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import TypeVar

from nasbench_eval.report.titles import DATASETS, SPLITS

T = TypeVar("T")
R = TypeVar("R")

# A process imports pandas, SciPy and Matplotlib first, which only pays beside seconds of work.
WORTHWHILE = 2.0
_CONTEXT = get_context("forkserver")
_PRELOADED = ["nasbench_eval.report.analysis", "nasbench_eval.report.figure"]


@dataclass
class Apart:
    """Maps functions over the parts of a report, in processes where that pays.

    Results come in the order of the parts, and are the same to the bit wherever they are computed.

    Attributes:
        processes: how many at most; 1 for this one alone.
    """

    processes: int = 1
    _executor: ProcessPoolExecutor | None = field(default=None, repr=False)

    def map(self, function: Callable[[T], R], parts: Sequence[T], seconds: float) -> list[R]:
        """The function of each part.

        Args:
            function: of a module, so that another process finds it.
            parts: its arguments.
            seconds: what all of them take, roughly.
        """
        if self.processes > 1 and len(parts) > 1 and seconds >= WORTHWHILE:
            try:
                return list(self._started().map(function, parts))
            except (BrokenProcessPool, OSError):  # memory ran short, or nothing can be started: one by one
                self.close()
                self.processes = 1
        return [function(part) for part in parts]

    def _started(self) -> ProcessPoolExecutor:
        if self._executor is None:
            _CONTEXT.set_forkserver_preload(_PRELOADED)
            self._executor = ProcessPoolExecutor(
                self.processes, _CONTEXT, _settle, (dict(DATASETS), dict(SPLITS))
            )
        return self._executor

    def close(self) -> None:
        """End the processes; what they have not begun is dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def cores() -> int:
    """Cores this process may use, where the system tells; all of them elsewhere."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _settle(datasets: Mapping[str, str], splits: Mapping[str, str]) -> None:
    """Ctrl-C is for the command, which ends its processes; the titles are those that it learnt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    DATASETS.update(datasets)
    SPLITS.update(splits)
