"""A small table that obeys every law of NAS-Bench-101's, and record files in the benchmark's format."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pandas as pd

from nasbench_eval.truth.model_metrics import ModelMetrics
from nasbench_eval.truth.nasbench101 import COLUMNS, TEST_RUNS, VAL_RUNS, Facts

ROWS = 600
GRAPHS = ("0100", "011001000", "0110001100010000", "0110000110000100000100000")
INTERIOR = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")


def make_table101(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Random cells and accuracies: one level a parameter count, and runs that average to their mean."""
    rng = np.random.default_rng(seed)
    adjacency = rng.choice(GRAPHS, rows)
    vertices = np.array([round(len(text) ** 0.5) for text in adjacency])
    ops = [",".join(["input", *rng.choice(INTERIOR, v - 2), "output"]) for v in vertices]
    params = np.array([10**6 * (1 + text.count("3x3-bn")) + 10**5 * text.count("1x1") for text in ops])
    mean = 80 + 10 * (params / params.max()) ** 0.5 + rng.normal(0, 0.3, rows)
    mean[np.argmax(mean)] = 93.5
    spread = rng.uniform(0, 0.1, rows)
    columns: dict[str, object] = {
        "index": np.arange(rows, dtype=np.int32),
        "hash": sorted(hashlib.md5(f"{seed} {row}".encode()).hexdigest() for row in range(rows)),
        "num_vertices": vertices.astype(np.int8),
        "adjacency": adjacency,
        "ops": ops,
        "params": params,
    }
    for name, runs, gap in (("cifar10_test", TEST_RUNS, 0.0), ("cifar10_val", VAL_RUNS, 1.0)):
        columns[name] = mean + gap
        columns |= dict(zip(runs, (mean + gap + spread, mean + gap, mean + gap - spread), strict=True))
    return pd.DataFrame(columns)[list(COLUMNS)]


def facts_of(table: pd.DataFrame) -> Facts:
    """What `nasbench101.FACTS` would be if this were the benchmark."""

    def sha256(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    return Facts(
        rows=len(table),
        digests={
            "hash": sha256("".join(table["hash"]).encode()),
            "params": sha256(table["params"].to_numpy().astype("<i8").tobytes()),
            "num_vertices": sha256(table["num_vertices"].to_numpy().astype("<i8").tobytes()),
        },
        best=round(float(table["cifar10_test"].max()), 2),
        least_rho=0.5,
        most_within=0.2,
    )


def crc(data: bytes) -> int:
    """TensorFlow's masked checksum."""
    value = google_crc32c.value(data)
    rotated = (value >> 15) | (value << 17) & 0xFFFFFFFF
    return (rotated + 0xA282EAD8) % 2**32


def frame(data: bytes) -> bytes:
    """A record around data."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", crc(length)) + data + struct.pack("<I", crc(data))


def metrics(params: int, test: float, val: float, epochs: float = 108.0) -> bytes:
    """A message of evaluations before, half-way and at the end; accuracies in percent."""
    message = ModelMetrics(trainable_parameters=params, total_time=1000.0)
    for share in (0.0, 0.5, 1.0):
        message.evaluation_data.add(
            current_epoch=share * epochs,
            training_time=share * 1000,
            train_accuracy=share,
            validation_accuracy=val / 100 * (0.1 + 0.9 * share),
            test_accuracy=test / 100 * (0.1 + 0.9 * share),
            checkpoint_path="a/path",
        )
    return message.SerializeToString()


def entry(row: Any, run: int = 0, *, epochs: int = 108) -> list[Any]:
    """The five values of a record of a table's row."""
    test, val = getattr(row, TEST_RUNS[run]), getattr(row, VAL_RUNS[run])
    raw = base64.b64encode(metrics(row.params, test, val, epochs)).decode()
    return [row.hash, epochs, row.adjacency, row.ops, raw]


def entries(table: pd.DataFrame, seed: int = 0) -> list[list[Any]]:
    """Three records a row; the cells stand in random order, the runs of each in theirs."""
    rows = list(table.itertuples())
    order = np.random.default_rng(seed).permutation(len(rows))
    return [entry(rows[place], run) for run in range(3) for place in order]


def write(path: Path, contents: Iterable[Sequence[Any] | bytes]) -> Path:
    """A record file; bytes stand as they are, anything else as JSON."""
    with path.open("wb") as file:
        for content in contents:
            file.write(frame(content if isinstance(content, bytes) else json.dumps(content).encode()))
    return path
