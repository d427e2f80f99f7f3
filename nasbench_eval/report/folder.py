"""The folder of a report that answers a single question: its files, its figures and its record."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nasbench_eval import __version__
from nasbench_eval.errors import UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.report import FORMATS
from nasbench_eval.report.apart import Apart
from nasbench_eval.report.scores import Run
from nasbench_eval.report.write import FIGURES, RECORDED

# Of what is written as CSV.
DECIMALS = 6
# What reports across benchmarks take alone, with the value that means it was not asked for.
ACROSS: dict[str, Any] = {"measure": None, "pool": None, "components": False, "passes": None}


def refuse(arguments: argparse.Namespace, options: Mapping[str, Any], whose: str) -> None:
    """Refuse options that have no meaning here.

    Args:
        arguments: of the command.
        options: their names, with the value that means they were not asked for.
        whose: of which reports they are.

    Raises:
        UsageError: naming the first of them that was given.
    """
    for name, unasked in options.items():
        if getattr(arguments, name) != unasked:
            raise UsageError(f"--{name} is an option of reports {whose}; leave it out here")


def draw_into(folder: Path, drawings: Sequence[Any], formats: Sequence[str], apart: Apart) -> list[str]:
    """Write figures, and take away those of an earlier report in `figures/`; the names of the files."""
    written: list[str] = []
    if drawings:
        from nasbench_eval.report.figure.write import write_drawings

        written = write_drawings(drawings, folder, formats, apart=apart).names
    for ending in FORMATS:
        for path in (folder / FIGURES).glob(f"*.{ending}"):
            if path.relative_to(folder).as_posix() not in written:
                path.unlink()
    return written


def recorded(run: Run) -> dict[str, Any]:
    """What a run's record says of itself, without folders of the machine."""
    return {"run": run.name, **{key: run.config[key] for key in RECORDED if key in run.config}}


def write_record(folder: Path, made: Mapping[str, Any]) -> None:
    """Write `report.json`: how the files beside it were made."""
    text = json.dumps({"nasbench_eval": __version__, **made}, indent=1, ensure_ascii=False) + "\n"
    write_whole(folder / "report.json", text.encode())


class Writing:
    """Makes the folder, and tells in one line where nothing can be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._tell(error)

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, OSError):
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        where = error.filename or self.folder
        raise UsageError(
            f"cannot write {where}: {error.strerror or error}; choose a folder with --out"
        ) from error
