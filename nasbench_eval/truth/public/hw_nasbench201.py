"""What NAS-Bench-201's cells cost on six devices: HW-NAS-Bench (Li et al., ICLR 2021).

"HW-NAS-Bench: Hardware-Aware Neural Architecture Search Benchmark".  Latencies are in ms, energies in mJ.
The three data sets differ in the resolution of their images and in the classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from nasbench_eval.truth.base import PublicTable, TruthInfo, csv, facts
from nasbench_eval.truth.errors import TruthError
from nasbench_eval.truth.public._nasbench201_tuples import indices

# Our names of the data sets, in the order of the files; and what the table calls them.
NAMES = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16_120": "ImageNet16-120"}


@dataclass(frozen=True)
class HWNASBench(PublicTable):
    """Latencies and energies of all cells on three data sets."""

    info: ClassVar[TruthInfo] = facts(__file__)

    def from_files(self, files: Sequence[Path]) -> pd.DataFrame:
        """A file a data set: `net`, six numbers that name a cell, and a column a cost."""
        parts = []
        for name, file in zip(NAMES.values(), files, strict=True):
            rows = csv(file)
            if missing := [each for each in ("net", *self.info.stored.values) if each not in rows.columns]:
                raise TruthError(f"{file} lacks the column {missing[0]}")
            rows = rows.assign(index=indices(rows["net"]), dataset=name)
            parts.append(rows.sort_values("index"))
        return pd.concat(parts, ignore_index=True)

    def joined(self, table: pd.DataFrame) -> pd.DataFrame:
        """A row a cell; NaN where a device could not run it, which the table says by −1."""
        costs = [name for name in self.info.stored.values if name in self.info.splits]
        found = {"index": np.arange(len(table) // len(NAMES))}
        for ours, theirs in NAMES.items():
            rows = table[table["dataset"] == theirs]
            for name in costs:
                values = rows[name].to_numpy(np.float64)
                found[f"{ours}_{name}"] = np.where(values < 0, np.nan, values)
        return pd.DataFrame(found)


TRUTH = HWNASBench
