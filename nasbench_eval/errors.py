"""Errors that are the user's to mend: told in one line, without a stack trace."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Callable


class UsageError(ValueError):
    """A request that cannot be met as it stands; the message says what is wrong and what to do."""


def guard(main: Callable[[], int], interrupted: str = "the same command continues where it stopped") -> int:
    """Run a command's body; a `UsageError` becomes one line on standard error and exit code 2.

    Args:
        main: the body; returns its exit code.
        interrupted: what Ctrl-C means for the work done so far; its exit code is 130.
    """
    # Python ends with a search for garbage, which takes most of a second among the objects of PyTorch and
    # SciPy, and frees nothing that the end of the process does not.
    atexit.register(gc.freeze)
    try:
        return main()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\ninterrupted; {interrupted}", file=sys.stderr)
        return 130
