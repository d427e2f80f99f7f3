"""Scores and accuracies as pandas frames that join on the architecture's index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.report.scores import read_runs
from nasbench_eval.truth.own import EMBEDDED, load
from nasbench_eval.truth.tables import TABLES, load_table


def load_scores(
    run: Path | str, *, space: str | None = None, dataset: str | None = None, value: str = "score"
) -> pd.DataFrame:
    """A run's scores, an architecture a row and a proxy a column.

    Args:
        run: its folder, such as `results/table1`.
        space: the search space, for a run that holds several.
        dataset: the data set; None for all of the run.
        value: `score`, or another column of the rows, such as `seconds` or a component of the score; proxies
            without it are left out.

    Returns:
        Shape (architectures, proxies), indexed by the benchmark's index, ascending; the columns are proxy
        labels or, where several data sets are in it, (data set, label).  A score is unitless and higher
        predicts better; `seconds` are of wall time.  NaN where a proxy failed or was not asked.

    Raises:
        UsageError: if the folder holds no scores, or several search spaces and none is named.
        UnknownName: if it has no such space, data set or value.
    """
    frames = read_runs([Path(run)]).frames
    spaces = sorted({part.space for part in frames})
    if space is None and len(spaces) > 1:
        raise UsageError(f"{run} holds several search spaces: name one of {', '.join(spaces)}")
    space = space or spaces[0]
    if space not in spaces:
        raise UnknownName(f"search space of {run}", space, spaces)
    datasets = sorted({part.dataset for part in frames if part.space == space})
    if dataset is not None and dataset not in datasets:
        raise UnknownName(f"data set of {run}", dataset, datasets)
    chosen = {
        (part.dataset, part.label): frame
        for part, frame in frames.items()
        if part.space == space and part.dataset == (dataset or part.dataset)
    }
    columns = {
        key: frame.set_index("index")[value].astype(float)
        for key, frame in chosen.items()
        if value in _values(frame)
    }
    if not columns:
        known = {name for frame in chosen.values() for name in _values(frame)}
        raise UnknownName(f"value of {run}", value, known)
    wide = pd.concat(columns, axis="columns").sort_index().replace([np.inf, -np.inf], np.nan)
    wide.columns.names = ["dataset", "proxy"]
    return wide.droplevel("dataset", axis="columns") if len({d for d, _ in chosen}) == 1 else wide


def _values(frame: pd.DataFrame) -> list[str]:
    """The columns that may be asked for: numbers, but not the index."""
    return [str(name) for name in frame.select_dtypes("number").columns if name != "index"]


def load_truth(space: str, data: Path | str | None = None) -> pd.DataFrame:
    """A search space's accuracies, checked, an architecture a row.

    Args:
        space: `nasbench201` or `nasbench101`; or a benchmark of one's own: `digits`, which is embedded, or
            the folder of one that `nasbench-train` made.
        data: the folder of tables; None for $NASBENCH_EVAL_DATA, then ./data.

    Returns:
        Indexed by the benchmark's index; accuracies in percent in columns such as `cifar10_test` and
        `cifar10_val`, single runs in `cifar10_test_run0`, and the benchmark's own name of the architecture.

    Raises:
        UnknownName: if there is no ground truth for the space.
        TruthError: if the table is missing or wrong.
    """
    if space not in TABLES and (space in EMBEDDED or Path(space).is_dir()):
        return load(space).table.set_index("index")
    return load_table(space, data_folder(None if data is None else Path(data))).set_index("index")
