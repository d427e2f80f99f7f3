"""Where worker processes come from: a server that has imported everything, and forks them in an instant.

Nothing here needs PyTorch, so that the server can be started while the command itself still imports it.
"""

from __future__ import annotations

import multiprocessing
import signal
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
