"""A thousand genotypes of the DARTS space with accuracies on CIFAR-10.

The table is that of SWAP-NAS (Peng et al., ICLR 2024; repository pym1024/SWAP, no licence stated):
`datasets/DARTS_archs_CIFAR10.csv`, genotypes drawn at random with the validation accuracy on CIFAR-10 after
200 epochs.  Its authors do not say how large the networks were.  The best one reaches 86.6 %, where DARTS's
own networks reach 97 %, so they were small.  Both cells of a genotype are equal in all rows, 644 have `none`
among their operations, and nodes with two edges from the same source are common: most of these genotypes
DARTS itself would never derive.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd

from nasbench_eval.data.folder import whole_file
from nasbench_eval.spaces import _darts_genotype as genotypes
from nasbench_eval.truth.columns import percent_fault
from nasbench_eval.truth.errors import MissingTruth, TruthError
from nasbench_eval.truth.parquet import read
from nasbench_eval.truth.sources import digest
from nasbench_eval.wording import first_line

FILE = "darts_1000.parquet"
COLUMNS = ("genotype", "cifar10_val")
REBUILD = "delete it and build it again with `nasbench-data --darts`"
ROWS = 1000
# sha256 of the genotypes, one a line, and `digest` of the accuracies.
GENOTYPES = "b6b74d3f8b68f2b63f2fcd50dd60e50a7cf32437d488d53668ddcf9ad04852d2"
ACCURACIES = "ea496479ecb6f414b3eeb5e90867117e95d8c779a4694815b7feccf8b135aab7"


def load(folder: Path) -> pd.DataFrame:
    """The thousand genotypes, in the order of the table.

    Returns:
        `arch`, our text of the genotype (see `spaces.darts`), and `cifar10_val`, its accuracy in percent.

    Raises:
        MissingTruth: if the folder lacks the table.
        TruthError: if it is damaged or another one.
    """
    path = folder / FILE
    if not os.path.isfile(path):
        raise MissingTruth(f"no table of genotypes at {path}; build it with `nasbench-data --darts`")
    table = read(path, REBUILD, COLUMNS)
    try:
        check(table)
    except TruthError as error:
        raise TruthError(f"{path}: {error}") from error
    archs = [str(genotypes.read(text)) for text in table["genotype"]]
    return pd.DataFrame({"arch": archs, "cifar10_val": table["cifar10_val"]})


def from_csv(path: Path) -> pd.DataFrame:
    """The table out of the public CSV file, which has no header.  Raises TruthError."""
    try:
        return pd.read_csv(path, names=list(COLUMNS))
    except Exception as error:  # the parser's own, of the file system, of the encoding
        raise TruthError(f"{path} is no CSV file ({first_line(error)})") from error


def save(table: pd.DataFrame, folder: Path) -> None:
    """Check the table and write it, whole or not at all.  Raises TruthError, UsageError."""
    check(table)
    with whole_file(folder / FILE) as temporary:
        table.to_parquet(temporary, index=False)


def check(table: pd.DataFrame) -> None:
    """Refuse another table than the published one.

    Args:
        table: with the columns `COLUMNS`.

    Raises:
        TruthError: says what is wrong and what to do.
    """
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise _refuse(f"the table lacks {', '.join(missing)}")
    texts, accuracies = table["genotype"], table["cifar10_val"]
    if len(table) != ROWS:
        raise _refuse(f"the table has {len(table)} rows instead of {ROWS}")
    if accuracies.dtype.kind not in "iuf":
        raise _refuse(f"the column cifar10_val holds {accuracies.dtype}, not numbers")
    if fault := percent_fault(accuracies.to_numpy(np.float64)):
        raise _refuse(f"the column cifar10_val {fault}")
    lines = "".join(f"{text}\n" for text in texts)
    if hashlib.sha256(lines.encode()).hexdigest() != GENOTYPES:
        raise _refuse("the genotypes are not those of the published table, in its order")
    if digest([accuracies.to_numpy()]) != ACCURACIES:
        raise _refuse("the accuracies are not the published ones, or are shuffled against the genotypes")


def _refuse(what: str) -> TruthError:
    return TruthError(f"{what}; {REBUILD}")
