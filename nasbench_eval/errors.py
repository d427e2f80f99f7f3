"""Errors that are the user's to mend: told in one line, without a stack trace."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from nasbench_eval.wording import printable, shortened

_OPTION = re.compile(r"[a-z]+=")
# Characters of a message: room for a list of all proxies.
_LONGEST = 600


class UsageError(ValueError):
    """A request that cannot be met as it stands; the message says what is wrong and what to do.

    Whatever it quotes, the message is kept to one line of printable characters: a name or a cell out of a
    foreign file neither breaks the line nor speaks to the terminal.
    """

    def __init__(self, message: str) -> None:
        line = " ".join(part.strip() for part in message.splitlines())
        super().__init__(shortened(printable(line), _LONGEST))


class ComesToNothing(RuntimeError):
    """A computation that has no number for its result, and would have none every time: a row with NaN."""


class Undefined(RuntimeError):
    """A proxy is not defined on a network; the message says why: a row with the status `undefined`."""


class Terminated(BaseException):
    """The process was asked to end, as schedulers ask with SIGTERM."""


class Parser(argparse.ArgumentParser):
    """Tells a mistake in the arguments as all others are told, without the usage before it."""

    @staticmethod
    def words(arguments: Sequence[str]) -> list[str]:
        """The arguments; options that are given as to the Hydra commands, `split=test`, as flags."""
        return [f"--{w}" if _OPTION.match(w) and not os.path.exists(w) else w for w in arguments]

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see --help")


def guard(main: Callable[[], int], interrupted: str = "the same command continues where it stopped") -> int:
    """Run a command's body; a `UsageError` becomes one line on standard error and exit code 2.

    On an operating system that the package does not support the body is not run.

    Args:
        main: the body; returns its exit code.
        interrupted: what an interruption means for the work done so far.

    Returns:
        The body's exit code; 2 for a request that cannot be met, 130 after Ctrl-C, 141 where nobody reads the
        output any more, 143 after SIGTERM.
    """
    # Python ends with a search for garbage, which takes most of a second among the objects of PyTorch and
    # SciPy, and frees nothing that the end of the process does not.
    atexit.register(gc.freeze)
    main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _terminate) if main_thread else None
    try:
        _check_system()
        try:
            code = main()
        except SystemExit:  # after a help text
            _flush()
            raise
        _flush()
        return code
    except UsageError as error:
        _tell(f"error: {error}")
        return 2
    except BrokenPipeError:
        if not _unread():
            raise
        # What is left in the buffer must not be tried again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        _tell(f"\ninterrupted; {interrupted}")
        return 128 + signal.SIGINT
    except Terminated:
        _tell(f"terminated; {interrupted}")
        return 128 + signal.SIGTERM
    finally:
        if main_thread:
            signal.signal(signal.SIGTERM, before)


def _flush() -> None:
    """Write what is left, so that a pipe that nobody reads is met in the command, not when Python ends."""
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


def _unread() -> bool:
    """Whether standard output is a pipe whose reader has had enough, as `head` has."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll on this system, or no file
        return False


def _check_system() -> None:
    """Refuse a system without what every command builds on: POSIX signals, forked processes, file locks."""
    if os.name != "posix":
        raise UsageError(
            "Windows is not supported: use WSL, the Windows Subsystem for Linux "
            "(Linux is supported, macOS is untested)"
            if os.name == "nt"
            else f"this operating system ({sys.platform}) is not supported: use Linux (macOS is untested)"
        )


def _tell(line: str) -> None:
    with suppress(OSError):  # standard error may be a file on a full disk: the exit code says enough
        print(line, file=sys.stderr)


def _terminate(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: rows are being written
    raise Terminated
