"""Accel-NASBench: networks like MnasNet and EfficientNet-B0 trained on ImageNet-1k (Ahmad et al., DAC 2024).

"Accel-NASBench: Sustainable Benchmarking for Accelerator-Aware NAS": 5,138 trainings by a short recipe, 16
epochs at 160 to 192 pixels, one seed.  Thirteen architectures were trained twice; their accuracies are means
over both.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from nasbench_eval.spaces.accel_nasbench import text_of_row
from nasbench_eval.truth.base import PublicTable, TruthInfo, facts, require_percent
from nasbench_eval.truth.errors import TruthError
from nasbench_eval.wording import first_line

# What is chosen of each of the seven blocks: expansion, kernel, layers, squeeze-and-excitation.
CHOICES = ("e", "k", "l", "se")
BLOCKS = range(7)
KEYS = tuple(f"{choice}{block}" for choice in CHOICES for block in BLOCKS)


@dataclass(frozen=True)
class AccelNASBench(PublicTable):
    """Top-1 and top-5 accuracies on ImageNet-1k's validation images."""

    info: ClassVar[TruthInfo] = facts(__file__)

    def from_files(self, files: Sequence[Path]) -> pd.DataFrame:
        """One JSON file a training: `architecture` with keys such as `block0_e`, and `metrics`."""
        try:
            rows = [_row(record) for record in _records(files[0])]
        except (OSError, ValueError, TypeError, KeyError, tarfile.TarError) as error:
            raise TruthError(f"{files[0]} is not Accel-NASBench's archive ({first_line(error)})") from error
        return pd.DataFrame(rows)

    def joined(self, table: pd.DataFrame) -> pd.DataFrame:
        """A row an architecture, in the order of the first training of each."""
        require_percent(table, ("val_top1",))
        choices = [table[[f"{choice}{block}" for block in BLOCKS]].to_numpy() for choice in CHOICES]
        archs = [text_of_row(*rows) for rows in zip(*choices, strict=True)]
        found = table.assign(arch=archs).groupby("arch", sort=False)[["val_top1", "val_top5"]].mean()
        return found.rename(columns={"val_top1": "imagenet1k_val", "val_top5": "top5"}).reset_index()


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of the archive, in the order of their names."""
    with tarfile.open(path) as archive:
        members = [member for member in archive.getmembers() if member.name.endswith(".json")]
        for member in sorted(members, key=lambda each: each.name):
            file = archive.extractfile(member)
            if file is not None:
                yield json.load(file)


def _row(record: dict[str, Any]) -> dict[str, float]:
    choices, metrics = record["architecture"], record["metrics"]
    row: dict[str, float] = {
        f"{choice}{block}": int(choices[f"block{block}_{choice}"]) for choice in CHOICES for block in BLOCKS
    }
    return row | {name: float(metrics[name]) for name in ("val_top1", "val_top5")}


TRUTH = AccelNASBench
