"""Starts worker processes: a server that has imported everything forks them in an instant.

What a process does is handed to it: `scoring/process.py` is what scores in one, cell after cell, and
`scoring/worker.py` computes the rows of one architecture there.  Trainings are in `benchmark/trainer.py`.

Nothing here needs PyTorch, so that the server can be started while the command itself still imports it.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from types import ModuleType

from nasbench_eval.errors import UsageError
from nasbench_eval.wording import first_line

# Times that a process is tried to be started, within three seconds.
_ATTEMPTS = 6
_CONTEXT = multiprocessing.get_context("forkserver")


def prepare(*modules: str) -> None:
    """Start the server, or another where it has died; this does not wait for it.

    Args:
        modules: what it imports first, all that a worker needs; if none is named, those of the time before.
    """
    if modules:
        _CONTEXT.set_forkserver_preload(list(modules))
    resource_tracker.ensure_running()  # else the server starts it, and that unblocks what is blocked here
    with _interrupts_blocked():
        forkserver.ensure_running()


def start(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """A process that runs `target`; Ctrl-C does not reach it.

    Raises:
        UsageError: if none can be started.
    """
    for attempt in range(_ATTEMPTS):
        time.sleep(attempt * 0.2)
        prepare()
        process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
        try:
            # Signals later: else the server might be sent half of it.
            with _later(signal.SIGINT, signal.SIGTERM), _without_main():
                process.start()
            return process
        except (
            OSError,
            EOFError,
        ) as error:  # the server has just died: soon that is seen, and it is replaced
            reason = first_line(error)
    raise UsageError(f"no worker process can be started ({reason}); workers=0 works without")


@contextmanager
def _without_main() -> Iterator[None]:
    """A process does not run the script that started it once more: it needs nothing of it."""
    main = sys.modules["__main__"]
    blank = ModuleType("__main__")
    blank.__spec__ = None
    sys.modules["__main__"] = blank
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """What is started meanwhile, and all that this starts, inherits that Ctrl-C is for the command alone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _later(*signals: signal.Signals) -> Iterator[None]:
    """Have signals handled when the block is done; blocked, they would go to another thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for late in came:
        signal.raise_signal(late)
