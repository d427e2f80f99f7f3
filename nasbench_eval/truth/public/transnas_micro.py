"""TransNAS-Bench-101's micro space: 4,096 cells trained on seven tasks of Taskonomy (Duan et al., CVPR 2021).

"TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task Neural Architecture Search".
The values are maxima over the epochs, of validation and of test images each by itself, so that the test
values are optimistic.  Their measures differ from task to task; see the YAML file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from nasbench_eval.truth.base import PublicTable, TruthInfo, csv, facts
from nasbench_eval.truth.errors import TruthError

# The measure of each task, as the public files call it; in the order of the files.
MEASURES = {
    "autoencoder": "ssim",
    "class_object": "top1",
    "class_scene": "top1",
    "jigsaw": "top1",
    "normal": "ssim",
    "room_layout": "neg_loss",
    "segmentsemantic": "mIoU",
}
# The files list 3,256 macro architectures first.
FIRST = 3256


@dataclass(frozen=True)
class TransNASMicro(PublicTable):
    """The measures of seven tasks on validation and test images."""

    info: ClassVar[TruthInfo] = facts(__file__)

    def from_files(self, files: Sequence[Path]) -> pd.DataFrame:
        """A file a task; its rows are numbered, and cells go through their digits in order."""
        digits = ["".join(each) for each in product("0123", repeat=6)]
        table = pd.DataFrame({"arch": [f"64-41414-{d[0]}_{d[1:3]}_{d[3:]}" for d in digits]})
        for (task, measure), file in zip(MEASURES.items(), files, strict=True):
            rows = csv(file)
            wanted = {f"{split}_{measure}": f"{task}_{split}_{measure}" for split in ("valid", "test")}
            if missing := [name for name in ("file_id", *wanted) if name not in rows.columns]:
                raise TruthError(f"{file} lacks the column {missing[0]}")
            cells = rows[rows["file_id"] >= FIRST].sort_values("file_id")
            if cells["file_id"].tolist() != list(range(FIRST, FIRST + len(table))):
                raise TruthError(f"{file} does not hold each cell once")
            for name, column in wanted.items():
                table[column] = cells[name].to_numpy(np.float64)
        return table

    def joined(self, table: pd.DataFrame) -> pd.DataFrame:
        """Named by task and split: `class_scene_val`, `class_scene_test`."""
        columns = {
            f"{task}_{split}_{measure}": f"{task}_{ours}"
            for task, measure in MEASURES.items()
            for split, ours in (("valid", "val"), ("test", "test"))
        }
        return table[["arch", *columns]].rename(columns=columns)


TRUTH = TransNASMicro
