"""NAS-Bench-Macro: every network of a MobileNetV2-like space trained on CIFAR-10 (Su et al., CVPR 2021).

"Prioritized Architecture Sampling with Monto-Carlo Tree Search", section 4.  An architecture is eight digits.
6,561 texts stand for 3,969 networks: identities inside a stage may stand anywhere behind the first layer,
and the texts of one network have the same record.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from nasbench_eval.truth.base import PublicTable, TruthInfo, facts, require_percent
from nasbench_eval.truth.errors import TruthError
from nasbench_eval.wording import first_line

RUNS = ("cifar10_test_run0", "cifar10_test_run1", "cifar10_test_run2")


@dataclass(frozen=True)
class NASBenchMacro(PublicTable):
    """Accuracies of three trainings a network, with parameters and FLOPs."""

    info: ClassVar[TruthInfo] = facts(__file__)

    def from_files(self, files: Sequence[Path]) -> pd.DataFrame:
        """A record a text: `test_acc` of three runs, `params` and `flops`."""
        try:
            records = json.loads(files[0].read_text(encoding="utf-8"))
            rows = [
                {"arch": arch, **dict(zip(RUNS, record["test_acc"], strict=True))}
                | {name: record[name] for name in ("params", "flops")}
                for arch, record in records.items()
            ]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise TruthError(f"{files[0]} is not NAS-Bench-Macro's file ({first_line(error)})") from error
        return pd.DataFrame(rows)

    def joined(self, table: pd.DataFrame) -> pd.DataFrame:
        """With means over the runs."""
        require_percent(table, RUNS)
        return table.assign(cifar10_test=table[list(RUNS)].mean(axis=1))


TRUTH = NASBenchMacro
