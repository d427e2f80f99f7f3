"""How robust NAS-Bench-201's networks are on CIFAR-10 (Jung, Lukasik & Keuper, ICLR 2023).

"Neural Architecture Design and Robustness: A Dataset".  Accuracies in percent under four attacks, bounded in
the maximum norm by ε / 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from nasbench_eval.truth.base import PublicTable, TruthInfo, csv, facts, require_percent
from nasbench_eval.truth.errors import TruthError
from nasbench_eval.truth.public._nasbench201_tuples import indices

# What the public file calls the attacks, and what we do.
ATTACKS = {"aa_apgd-ce": "apgd", "aa_square": "square", "fgsm": "fgsm", "pgd": "pgd"}
CLEAN = "val_accs"


@dataclass(frozen=True)
class Robustness(PublicTable):
    """Accuracies on clean images and under attacks."""

    info: ClassVar[TruthInfo] = facts(__file__)

    def from_files(self, files: Sequence[Path]) -> pd.DataFrame:
        """`net`, six numbers that name a cell, and a column an attack and ε."""
        rows = csv(files[0])
        if missing := [each for each in ("net", *self.info.stored.values) if each not in rows.columns]:
            raise TruthError(f"{files[0]} lacks the column {missing[0]}")
        return rows.assign(index=indices(rows["net"])).sort_values("index", ignore_index=True)

    def joined(self, table: pd.DataFrame) -> pd.DataFrame:
        """Columns such as `cifar10_clean` and `cifar10_fgsm_1`, under FGSM with ε = 1 / 255."""
        require_percent(table, (CLEAN,))
        return table.rename(columns={name: f"cifar10_{split_of(name)}" for name in self.info.stored.values})


def split_of(column: str) -> str:
    """Our name of a column of the public file."""
    if column == CLEAN:
        return "clean"
    attack, _, epsilon = column.partition("@Linf_eps-")
    return f"{ATTACKS[attack]}_{epsilon.removesuffix('.0')}"


TRUTH = Robustness
