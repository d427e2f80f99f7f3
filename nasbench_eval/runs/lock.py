"""The lock of a run's folder: one process writes to it at a time."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from filelock import lock_descriptor

from nasbench_eval.errors import UsageError

# How often a lock is found taken before a process is said to write.
_LOOKS = 3


def lock(folder: Path) -> IO[str]:
    """Take the lock of a folder, which is made if absent; closing the file or any other end lets go of it.

    Raises:
        UsageError: if another process has it, or the folder cannot be locked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / ".lock").open("w")
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        if not lock_descriptor(handle.fileno(), blocking=False):
            raise UsageError(f"another process is writing to {folder}; wait for it or choose run=NAME")
        require_same(handle, folder)  # it may have been deleted since it was made
    except OSError as error:
        handle.close()
        raise UsageError(
            f"cannot lock {folder} ({error.strerror}); choose a local folder with results="
        ) from error
    except UsageError:
        handle.close()
        raise
    return handle


def require_same(lock: IO[str], folder: Path) -> None:
    """Refuse to write to a folder that was deleted, or deleted and made again, since it was locked.

    Raises:
        UsageError: saying so.
    """
    with suppress(OSError):
        if os.path.samestat(os.fstat(lock.fileno()), os.stat(folder / ".lock")):
            return
    raise UsageError(
        f"{folder} was deleted or replaced while scores were written to it; start the command again"
    )


def in_use(folder: Path) -> bool:
    """Whether another process is writing to a run's folder."""
    try:
        with (folder / ".lock").open() as handle:
            for _ in range(_LOOKS):
                if lock_descriptor(handle.fileno(), blocking=False):
                    return False
                time.sleep(0.05)  # it may be somebody who looks, too
            return True
    except OSError:  # no lock, or a file system without any
        return False
