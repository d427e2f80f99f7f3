"""NAS-Bench-101 as a public table; what checks it is `truth.nasbench101`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pandas as pd

from nasbench_eval.truth import nasbench101
from nasbench_eval.truth.base import PublicTable, TruthInfo, facts
from nasbench_eval.truth.sources import NASBENCH101_SOURCE


@dataclass(frozen=True)
class NASBench101Table(PublicTable):
    """Checked and built by functions of its own."""

    info: ClassVar[TruthInfo] = replace(facts(__file__), sources=(NASBENCH101_SOURCE,))

    def load(self, folder: Path) -> pd.DataFrame:
        """The checked table of a data folder.  Raises MissingTruth, TruthError."""
        return nasbench101.load(folder)


TRUTH = NASBench101Table
