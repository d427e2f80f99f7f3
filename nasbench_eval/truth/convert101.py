"""NAS-Bench-101's table from the benchmark's official file, `nasbench_only108.tfrecord`.

A record holds one training run: `[hash, epochs, adjacency, operations, metrics]` as JSON, the adjacency as
V×V bits, the metrics as base64 of a protobuf message (`model_metrics`).  Every cell has three records of 108
epochs.  They are read one by one: at 11 µs each on one core, the 1,270,872 of the real file take about 15
seconds and 270 MB (measured on as many synthetic records).
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tqdm import tqdm

from nasbench_eval.errors import UsageError
from nasbench_eval.truth.errors import TruthError
from nasbench_eval.truth.model_metrics import ModelMetrics
from nasbench_eval.truth.nasbench101 import (
    COLUMNS,
    EPOCHS,
    TEST_RUNS,
    VAL_RUNS,
    adjacency_fault,
    operations_fault,
)
from nasbench_eval.truth.tfrecord import Record, records
from nasbench_eval.wording import first_line, shown

RUNS = 3
OFFICIAL = "get the official nasbench_only108.tfrecord again"
# The benchmark counts epochs in steps of a batch, of which a few more or less make no other training.
_TOLERANCE = 0.5
_HASH = re.compile(r"[0-9a-f]{32}")
# What the runs of a cell share, and with it the number of facts kept of a cell.
_SAME = ("adjacency", "operations", "number of parameters")
_FACTS = len(_SAME) + 3


class _Fault(ValueError):
    """A record that breaks a rule; the message goes on after the record's place."""


class _Run(NamedTuple):
    """What is kept of a record; accuracies in percent."""

    hash: str
    adjacency: str
    operations: str
    params: int
    test: float
    val: float


def from_tfrecord(path: Path, say: Callable[[str], None]) -> pd.DataFrame:
    """The table of 108 epochs out of the official file.

    Args:
        path: `nasbench_only108.tfrecord`, or `nasbench_full.tfrecord`, whose shorter trainings are left out.
        say: told in a line how many records were left out, if any.

    Returns:
        One row a cell in the order of the hashes, with all columns of `nasbench101.COLUMNS`; single runs in
        the order of the file.  Not checked yet against what is known of the benchmark.

    Raises:
        UsageError: if the file cannot be read.
        TruthError: at the first record that is damaged, no record of the benchmark or contradicts another of
            its cell, and for a cell without three runs; the record's number and byte, and the rule it breaks.
    """
    if not os.path.isfile(path):  # unlike Path's, no error on what cannot be a name
        raise UsageError(f"--nasbench101 names {path}, which is no file; {OFFICIAL}")
    cells, others = _Cells(), 0
    with tqdm(total=path.stat().st_size, unit="B", unit_scale=True, desc=path.name, disable=None) as bar:
        for record in records(path):
            try:
                run = _run(record.data)
                if run is None:
                    others += 1
                else:
                    cells.add(run, record)
            except _Fault as fault:
                raise TruthError(f"{path}: {record} {fault}; {OFFICIAL}") from fault
            bar.update(record.size)
    if others:
        say(f"left out {others} records of other than {EPOCHS} epochs")
    try:
        return cells.frame()
    except _Fault as fault:
        raise TruthError(f"{path}: {fault}; {OFFICIAL}") from fault


def _run(data: bytes) -> _Run | None:
    """The run in a record's data, None for one of another number of epochs.  Raises _Fault."""
    try:
        entry = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _Fault(f"holds no JSON ({first_line(error)})") from error
    kinds = [type(value) for value in entry] if isinstance(entry, list) else None
    if kinds != [str, int, str, str, str]:
        raise _Fault("is not of the form [hash, epochs, adjacency, operations, metrics]")
    hash_, epochs, adjacency, operations, metrics = entry
    if epochs != EPOCHS:
        return None
    if not _HASH.fullmatch(hash_):
        raise _Fault(f"has {shown(hash_, 50)} for a hash, not 32 hexadecimal digits")
    return _Run(hash_, adjacency, operations, *_metrics(metrics))


def _metrics(text: str) -> tuple[int, float, float]:
    """Parameters, test and validation accuracy after the last epoch.  Raises _Fault."""
    try:
        # Some encoders break lines; anything else that is no base64 is a fault.
        raw = base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise _Fault(f"has metrics that are no base64 ({error})") from error
    try:
        metrics = ModelMetrics.FromString(raw)
    except DecodeError as error:
        raise _Fault("has metrics that are no protobuf message of the benchmark") from error
    if not metrics.HasField("trainable_parameters") or not metrics.evaluation_data:
        raise _Fault("has metrics without parameters or without evaluations")
    # Before training, after half of it, at its end.
    final = metrics.evaluation_data[-1]
    if not abs(final.current_epoch - EPOCHS) <= _TOLERANCE:
        raise _Fault(f"has its last evaluation after {final.current_epoch:g} epochs, not {EPOCHS}")
    return metrics.trainable_parameters, _percent(final, "test"), _percent(final, "validation")


def _percent(final: Any, part: str) -> float:
    name = f"{part}_accuracy"
    value = getattr(final, name) if final.HasField(name) else math.nan
    if not 0 <= value <= 1:
        raise _Fault(f"has {value:g} for a {part} accuracy, not a fraction")
    return float(100 * value)


class _Texts:
    """Numbers texts in the order they are met, so that equal ones are kept once; refuses broken ones."""

    def __init__(self, fault: Callable[[str], str | None]) -> None:
        self._fault = fault
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        known = self._numbers.get(text)
        if known is not None:
            return known
        if broken := self._fault(text):
            raise _Fault(f"is of no cell of the benchmark: {broken}")
        return self._numbers.setdefault(text, len(self._numbers))

    def texts(self, numbers: NDArray[np.int64]) -> NDArray[np.object_]:
        return np.array(list(self._numbers), dtype=object)[numbers]


class _Cells:
    """The cells met so far: two arrays of numbers, and a dictionary from hash to row."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._adjacencies, self._operations = _Texts(adjacency_fault), _Texts(operations_fault)
        # A row each: adjacency, operations, parameters, runs so far, number and byte of the first record.
        self._facts = array("q")
        # A row each: the runs' test accuracies, then their validation accuracies, NaN for those to come.
        self._accuracies = array("d")

    def add(self, run: _Run, record: Record) -> None:
        """Keep a run.  Raises _Fault."""
        same = (self._adjacencies.number(run.adjacency), self._operations.number(run.operations), run.params)
        row = self._rows.setdefault(run.hash, len(self._rows))
        facts, accuracies = row * _FACTS, row * 2 * RUNS
        if facts == len(self._facts):
            if math.isqrt(len(run.adjacency)) != run.operations.count(",") + 1:
                raise _Fault("has an adjacency and operations of different numbers of vertices")
            self._facts.extend((*same, 0, record.number, record.offset))
            self._accuracies.extend([math.nan] * 2 * RUNS)
        *first, runs, number, offset = self._facts[facts : facts + _FACTS]
        if tuple(first) != same:
            what = next(w for w, a, b in zip(_SAME, first, same, strict=True) if a != b)
            raise _Fault(f"contradicts record {number} at byte {offset}, of the same cell, in its {what}")
        if runs == RUNS:
            raise _Fault(
                f"is run {RUNS + 1} of the cell {run.hash}, which has {RUNS} runs of {EPOCHS} epochs"
            )
        self._facts[facts + len(_SAME)] += 1
        self._accuracies[accuracies + runs] = run.test
        self._accuracies[accuracies + RUNS + runs] = run.val

    def frame(self) -> pd.DataFrame:
        """The table of the cells in the order of their hashes.  Raises _Fault."""
        if not self._rows:
            raise _Fault(f"holds no record of {EPOCHS} epochs")
        hashes = list(self._rows)
        facts = np.frombuffer(self._facts, dtype=np.int64).reshape(-1, _FACTS)
        short = np.flatnonzero(facts[:, 3] < RUNS)
        if short.size:
            runs, number, offset = facts[short[0], 3:]
            raise _Fault(
                f"the cell {hashes[short[0]]} of record {number} at byte {offset} has {runs} of {RUNS} runs "
                f"of {EPOCHS} epochs"
            )
        order = np.array(sorted(range(len(hashes)), key=hashes.__getitem__))
        accuracies = np.frombuffer(self._accuracies).reshape(-1, 2, RUNS)[order]
        adjacency = self._adjacencies.texts(facts[order, 0])
        columns: dict[str, object] = {
            "index": np.arange(len(order), dtype=np.int32),
            "hash": np.array(hashes, dtype=object)[order],
            "num_vertices": np.array([math.isqrt(len(text)) for text in adjacency], dtype=np.int8),
            "adjacency": adjacency,
            "ops": self._operations.texts(facts[order, 1]),
            "params": facts[order, 2],
        }
        for part, (mean, runs) in enumerate((("cifar10_test", TEST_RUNS), ("cifar10_val", VAL_RUNS))):
            columns[mean] = accuracies[:, part].mean(axis=1)
            columns |= dict(zip(runs, accuracies[:, part].T, strict=True))
        return pd.DataFrame(columns)[list(COLUMNS)]
