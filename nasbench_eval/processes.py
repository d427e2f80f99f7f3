"""Where worker processes come from: a server that has imported everything, and forks them in an instant.

Nothing here needs PyTorch, so that the server can be started while the command itself still imports it.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess

_CONTEXT = multiprocessing.get_context("forkserver")


def prepare() -> None:
    """Start the server, which imports what a worker needs; this does not wait for it."""
    _CONTEXT.set_forkserver_preload(["nasbench_eval.runner"])
    resource_tracker.ensure_running()  # else the server starts it, and that unblocks what is blocked here
    with _interrupts_blocked():
        forkserver.ensure_running()


def start(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """A process that runs `target`; Ctrl-C does not reach it."""
    prepare()
    process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    with _later(signal.SIGINT, signal.SIGTERM):  # else the server might be sent half of it
        process.start()
    return process


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
