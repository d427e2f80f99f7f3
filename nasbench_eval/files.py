"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
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
        with suppress(OSError):  # half a file would take room where there is none left
            temporary.unlink()
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that nothing reads it any more, and say its new name.

    Readers of parquet pass over names that begin with an underscore.

    Raises:
        UsageError: if it cannot be renamed.
    """
    aside = path.with_name(f"_{path.name.lstrip('.')}.damaged")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"_{path.name.lstrip('.')}.damaged-{number}")
    try:
        os.replace(path, aside)
    except OSError as error:
        raise UsageError(f"cannot rename {path}: {error.strerror or error}") from error
    return aside
