"""Searches as pandas frames."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.report.search.judge import SEED_MEANINGS, per_seed
from nasbench_eval.report.search.read import SearchRun, left_out, read_searches, search_folders
from nasbench_eval.report.search.rows import Row, rows_of
from nasbench_eval.report.search.truths import Truths
from nasbench_eval.report.search.unjudged.frames import unjudged_rows

ACCURACIES = ["val_accuracy", "test_accuracy"]


def load_search(
    folder: Path | str | Sequence[Path | str],
    *,
    history: bool = False,
    truth: bool = True,
    data: Path | str | None = None,
) -> pd.DataFrame:
    """The searches of a folder, a row a seed, or a row a trial.

    Args:
        folder: one of `nasbench-search`, one that holds several, or several of either.
        history: whether to give every trial, not what each seed ended with.
        truth: whether to join accuracies; without them no ground truth is needed.
        data: the folder of tables; None for $NASBENCH_EVAL_DATA, then ./data.

    Returns:
        Columns `dataset`, `algorithm`, `guide`, `guide_kind`, `run`, `run_seed` and `seed`, then of a seed
        `evaluations`, the seconds on each clock, `index` and `arch` of its answer (−1 if the answer is no
        single architecture), and with `truth` its `val_accuracy`, `test_accuracy` and `regret`, in percent.
        With `history` the columns of the history in place of these, and with `truth` the accuracies of the
        answer after each step.  Of searches in an open space, which has no accuracies, the answer's sizes
        stand in their place.

    Warns:
        UserWarning: if some of several searches have no trial yet; they are left out.

    Raises:
        UsageError: if there is no search, or it is damaged, or there is no ground truth for its space.
    """
    wish = [folder] if isinstance(folder, Path | str) else list(folder)
    found = search_folders([Path(each) for each in wish])
    if not found:
        raise UsageError(f"{', '.join(map(str, wish))} holds no search")
    runs, without = read_searches(found)
    if without:
        warnings.warn(left_out(without), stacklevel=2)
    if all(run.unjudged for run in runs):
        return _unjudged(runs, history)
    truths = Truths(data_folder(None if data is None else Path(data)) if truth and data else None)
    rows = rows_of(runs, [truths.of(run) if truth else truths.unknown(run) for run in runs])
    parts = [_trials(row) if history else per_seed(row) for row in rows]
    frame = pd.concat(parts, ignore_index=True)
    kept = [name for name in frame.columns if truth or name not in (*ACCURACIES, "regret")]
    return frame[kept]


def _unjudged(runs: Sequence[SearchRun], history: bool) -> pd.DataFrame:
    found = unjudged_rows(runs)
    parts = [_marked_trials(each.row) if history else each.seeds for each in found]
    return pd.concat(parts, ignore_index=True)


def _marked_trials(row: Row) -> pd.DataFrame:
    return pd.concat([_marked(row, run) for run in row.runs], ignore_index=True)


def _trials(row: Row) -> pd.DataFrame:
    frame = _marked_trials(row)
    answers = frame["incumbent_index"].to_numpy(np.int64)
    for split, name in zip(("val", "test"), ACCURACIES, strict=True):
        frame[name] = row.accuracy(split, answers)
    return frame


def _marked(row: Row, run: SearchRun) -> pd.DataFrame:
    marks = [
        row.dataset,
        row.algorithm,
        row.guide.name,
        row.guide.kind,
        run.name,
        run.record.get("seed") or 0,
    ]
    before = pd.DataFrame([marks], columns=list(SEED_MEANINGS)[:6]).loc[np.zeros(len(run.trials), int)]
    return pd.concat([before.reset_index(drop=True), run.trials], axis="columns")
