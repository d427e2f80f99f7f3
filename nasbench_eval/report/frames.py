"""Scores and accuracies as pandas frames that join on the architecture's index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.report.scores import Scores, read_runs
from nasbench_eval.report.spec import RowSpec, load_aggregate
from nasbench_eval.report.values import defined, require_members, row_values
from nasbench_eval.truth.own import EMBEDDED, load
from nasbench_eval.truth.tables import TABLES, load_table

Failed = Literal["worst", "nan"]


def load_scores(
    run: Path | str,
    *,
    space: str | None = None,
    dataset: str | None = None,
    value: str = "score",
    failures: Failed = "worst",
    aggregates: Sequence[str] = (),
) -> pd.DataFrame:
    """A run's scores, an architecture a row and a proxy a column.

    With the defaults Kendall's τ of a column is that of the report: failures rank below all other scores.

    Args:
        run: its folder, such as `results/table1`.
        space: the search space, for a run that holds several.
        dataset: the data set; None for all of the run.
        value: `score`, or another column of the rows, such as `seconds` or a component of the score; proxies
            without it are left out.  `status` says of each row whether it is `ok`, `inf`, or what failed.
        failures: what stands for NaN, +∞ and what raised: `worst`, −∞, as the report ranks them; or `nan`, by
            which pandas leaves them out.  A score of −∞ is no failure, and stays.  NaN where a proxy is not
            defined on an architecture.
        aggregates: names of `configs/aggregate`, or paths of YAML files: a column each, formed of `score` as
            the report does, over the architectures that all members have scores of.

    Returns:
        Shape (architectures, proxies), indexed by the benchmark's index, ascending; the columns are proxy
        labels or, where several data sets are in it, (data set, label).  A score is unitless and higher
        predicts better; `seconds` are of wall time.  NaN where a proxy was not asked.

    Raises:
        UsageError: if the folder holds no scores, or several search spaces and none is named.
        UnknownName: if it has no such space, data set or value, or no scores of an aggregate's members.
    """
    if failures not in get_args(Failed):
        raise UnknownName("rule for failures", failures, get_args(Failed))
    scores = read_runs([Path(run)])
    frames = scores.frames
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
        key: (frame if value == "status" else defined(frame)).set_index("index")[value]
        for key, frame in chosen.items()
        if value in _values(frame)
    }
    if not columns:
        known = {name for frame in chosen.values() for name in _values(frame)}
        raise UnknownName(f"value of {run}", value, known)
    for wish in aggregates:
        columns |= _aggregate(scores, space, wish, sorted({place for place, _ in chosen}))
    ruled = {key: _ruled(column, failures) for key, column in columns.items()}
    wide = pd.concat(ruled, axis="columns").sort_index()
    wide.columns.names = ["dataset", "proxy"]
    return wide.droplevel("dataset", axis="columns") if len({d for d, _ in chosen}) == 1 else wide


def _values(frame: pd.DataFrame) -> list[str]:
    """The columns that may be asked for: numbers but the index, and the status."""
    return [str(n) for n in frame.select_dtypes("number").columns if n != "index"] + ["status"]


def _aggregate(
    scores: Scores, space: str, wish: str, datasets: Sequence[str]
) -> dict[tuple[str, str], pd.Series[float]]:
    """The columns of an aggregate, by data set and name; of a data set without all members there is none."""
    name, definition = load_aggregate(wish)
    require_members(scores, space, name, definition)
    row, columns = RowSpec(name, aggregate=definition), {}
    for dataset in datasets:
        values, _ = row_values(scores, space, row, dataset)
        if values is not None:
            columns[dataset, name] = values.set_index("index")["value"]
    return columns


def _ruled(column: pd.Series[Any], failures: str) -> pd.Series[Any]:
    """A column of numbers by the rule for failures."""
    if column.dtype.kind not in "fiu":
        return column
    column = column.astype(float)
    failed = column.isna() | (column == np.inf)
    return column.mask(failed, -np.inf if failures == "worst" else np.nan)


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
