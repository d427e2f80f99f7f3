"""What the tests of NAS-Bench-101's cells and networks have in common."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasbench_eval.spaces.nasbench101 import OPERATIONS, Cell, NASBench101

SPACE = NASBench101()
TABLE = Path(os.environ.get("NASBENCH_EVAL_DATA") or "/nowhere") / "nasbench101.parquet"
with_table = pytest.mark.skipif(
    not TABLE.is_file(), reason="NASBENCH_EVAL_DATA names no folder with nasbench101.parquet"
)
NAMES = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")

# The benchmark's own name for a cell, and its number of parameters, which its paper's repository states.
STATED, STATED_PARAMS = "00005c142e6f48ac74fdcf73e3439874", 8_555_530


def matrix(cell: Cell) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The adjacency matrix of a cell."""
    found = np.zeros((cell.vertices, cell.vertices), dtype=np.int64)
    for source, target in cell.edges:
        found[source, target] = 1
    return found


def names(cell: Cell) -> list[str]:
    """The benchmark's names of all vertices."""
    return ["input", *(NAMES[OPERATIONS.index(operation)] for operation in cell.operations), "output"]


def drawn(seed: int, n: int) -> list[int]:
    """Indices of cells."""
    return random.Random(seed).sample(range(len(SPACE)), n)
