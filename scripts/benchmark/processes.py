"""Processes of their own for what is measured, one at a time."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from nasbench_eval.errors import UsageError

# What the installed command `nasbench-score` consists of, wherever it was installed.
_SCORE = (sys.executable, "-c", "import sys; from nasbench_eval.cli import score; sys.exit(score())")

P = ParamSpec("P")
T = TypeVar("T")


class Processes:
    """Calls a function in a process started for it, so that its peak of memory and its settings are its own.

    The parent must stay small: on Linux a new process's peak starts at its parent's size.

    Args:
        shared: keep one process for all calls, which saves two seconds of imports a call; peaks of memory
            are then those of everything so far.
    """

    def __init__(self, shared: bool = False) -> None:
        self._kept = _pool() if shared else None

    def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result.

        Raises:
            UsageError: if the process dies.
        """
        pool = self._kept or _pool()
        try:
            return pool.submit(function, *args, **kwargs).result()
        except BrokenProcessPool as error:
            raise UsageError("a measuring process was killed, most likely for want of memory") from error
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            if pool is not self._kept:
                pool.shutdown()

    def close(self) -> None:
        """End the process that was kept."""
        if self._kept:
            self._kept.shutdown()


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _ignore_interrupts)


def _ignore_interrupts() -> None:
    """Ctrl-C is for the parent, which ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def peak_bytes() -> int:
    """The largest resident set this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def command_seconds(*arguments: str) -> float:
    """Seconds by the clock of a `nasbench-score` whose working directory and results are an empty folder.

    Raises:
        UsageError: if it fails, with what it says.
    """
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = subprocess.run([*_SCORE, *arguments], cwd=folder, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    if done.returncode:
        raise UsageError(f"nasbench-score {' '.join(arguments)} failed: {done.stderr.strip()[-300:]}")
    return seconds
