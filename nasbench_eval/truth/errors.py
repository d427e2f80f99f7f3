"""What can be wrong with ground truth."""

from __future__ import annotations

from nasbench_eval.errors import UsageError

REBUILD = "delete it and build it again with `nasbench-data` (make data)"


class TruthError(UsageError):
    """A ground-truth table that is not what it should be."""


class MissingTruth(TruthError):
    """There is no table of the search space in the data folder."""
