"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from nasbench_eval.errors import UsageError


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in its place whole or not at all, and have it survive a loss of power.

    Raises:
        UsageError: if the file or its folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
