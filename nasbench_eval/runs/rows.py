"""The rows of a run: what is asked for, what comes back, and what its status says.

Scores and trainings are stored alike, so nothing here knows which of the two a row is.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from nasbench_eval.errors import ComesToNothing, Undefined

# A row as it goes to the disk, with `dataset` and `label` besides; `docs/reference/columns.md` explains it.
Row = dict[str, Any]


class Task(NamedTuple):
    """A row asked for of each architecture: the data set, and the label of a proxy or of a training."""

    dataset: str
    label: str


def outcome_of(row: Row) -> str:
    """What a row is: `scored`, `lowest` (a score of −∞, below all others), `undefined` or `failed`.

    A score of −∞ is a proxy's own word, as of a cell without a path.  NaN, +∞ and what raised are failures.
    """
    if row["status"] == "ok":
        return "scored"
    if row["status"] == "undefined":
        return "undefined"
    return "lowest" if row["status"] == "inf" and row["score"] < 0 else "failed"


def status_of(score: float, error: Exception | SystemExit | None) -> tuple[str, str | None]:
    """The status of a row by its score, or by the error that came instead; and that error's first line."""
    if error is None:
        status = "ok" if math.isfinite(score) else "nan" if math.isnan(score) else "inf"
        return status, None
    if isinstance(error, Undefined):
        return "undefined", str(error).splitlines()[0][:300]
    text = f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]
    if isinstance(error, ComesToNothing):
        return "nan", text
    # PyTorch's own error is told by its name, so that reading rows does not import PyTorch.
    names = {kind.__name__ for kind in type(error).__mro__}
    out_of_memory = bool(names & {"OutOfMemoryError", "MemoryError"}) or "can't allocate memory" in text
    return ("oom" if out_of_memory else "error"), text
