"""Ground truth by what `truth=` calls it: a benchmark or a table of one's own, or a public table."""

from __future__ import annotations

from pathlib import Path

from nasbench_eval import registry
from nasbench_eval.data.folder import data_folder
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.truth import own
from nasbench_eval.truth.given import Given, is_file, of_file, of_public
from nasbench_eval.truth.own import Benchmark


def brings_space(name: str) -> bool:
    """Whether the ground truth of a name says by itself which networks and images it is about."""
    return not is_file(name) and name not in registry.names("truths")


def named(name: str, space: SearchSpace, data: Path | None = None) -> Benchmark | Given:
    """The ground truth of a name.

    Args:
        name: `digits`, the folder of a benchmark that `nasbench-train` made, the path of a CSV or parquet
            file, or the name of a public table.
        space: the search space that a table is read for; a benchmark brings its own.
        data: the folder of public tables; None for the environment's.

    Raises:
        UsageError: if there is none, or it is not what it should be.
    """
    if brings_space(name):
        return own.load(name)
    return of_file(name, space) if is_file(name) else of_public(name, space, data_folder(data))
