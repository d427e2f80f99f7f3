"""NAS-Bench-201 as a public table; what checks it is `truth.nasbench201`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pandas as pd

from nasbench_eval.truth import nasbench201
from nasbench_eval.truth.base import PublicTable, TruthInfo, facts
from nasbench_eval.truth.sources import TABLE_SOURCES


@dataclass(frozen=True)
class NASBench201Table(PublicTable):
    """Checked and built by functions of its own."""

    info: ClassVar[TruthInfo] = replace(facts(__file__), sources=tuple(TABLE_SOURCES.values()))

    def load(self, folder: Path) -> pd.DataFrame:
        """The checked table of a data folder.  Raises MissingTruth, TruthError."""
        return nasbench201.load(folder)


TRUTH = NASBench201Table
