"""DARTS genotypes as a public table; what checks it is `truth.darts`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pandas as pd

from nasbench_eval.truth import darts
from nasbench_eval.truth.base import PublicTable, TruthInfo, facts
from nasbench_eval.truth.sources import DARTS_SOURCE


@dataclass(frozen=True)
class DARTSTable(PublicTable):
    """Checked and built by functions of its own."""

    info: ClassVar[TruthInfo] = replace(facts(__file__), sources=(DARTS_SOURCE,))

    def load(self, folder: Path) -> pd.DataFrame:
        """The checked table of a data folder.  Raises MissingTruth, TruthError."""
        return darts.load(folder)


TRUTH = DARTSTable
