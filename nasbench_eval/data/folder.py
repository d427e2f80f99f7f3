"""Where ground truth and images lie on this machine, and how files get there: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nasbench_eval.errors import UsageError

VARIABLE = "NASBENCH_EVAL_DATA"
DEFAULT = Path("data")


def data_folder(explicit: Path | None = None) -> Path:
    """The data folder: the one given, else the one that `NASBENCH_EVAL_DATA` names, else `./data`.

    Raises:
        UsageError: if the one that is asked for does not exist, or there is none at all.
    """
    if explicit is not None:
        if not os.path.isdir(explicit):  # unlike Path's, no error on what cannot be a name
            raise UsageError(f"there is no data folder {explicit}; build it with `nasbench-data` (make data)")
        return explicit
    named = os.environ.get(VARIABLE)
    if named:
        if not os.path.isdir(named):
            raise UsageError(
                f"{VARIABLE} names {named}, which is no folder; correct it, or build the folder with "
                "`nasbench-data` (make data)"
            )
        return Path(named)
    if DEFAULT.is_dir():
        return DEFAULT
    raise UsageError(
        f"no ground truth: {VARIABLE} is not set and there is no folder ./{DEFAULT}; build one with "
        f"`nasbench-data` (make data), or set {VARIABLE} to one"
    )


def output_folder(explicit: Path | None = None) -> Path:
    """Where `nasbench-data` builds: as `data_folder`, but the folder need not exist yet."""
    return explicit or Path(os.environ.get(VARIABLE) or DEFAULT)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; what is written there takes `path`'s place if the block succeeds.

    Raises:
        UsageError: if the folder cannot be written to.
    """
    # The suffix stays, because numpy appends `.npz` to names without it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"cannot write {path} ({reason}); choose another folder with --data") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
