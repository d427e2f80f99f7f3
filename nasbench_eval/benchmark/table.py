"""From the rows of trainings to a benchmark: its table of accuracies and the record beside it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasbench_eval.benchmark.trainer import Plan, curve_columns, label_of, sizes
from nasbench_eval.files import write_whole
from nasbench_eval.options.typed import written
from nasbench_eval.runs.store import read_scores
from nasbench_eval.truth.ceiling import Ceiling
from nasbench_eval.truth.own import CURVES, RECORD, SPLITS, TABLE, Benchmark, check, columns


def build(run: Path, plan: Plan) -> pd.DataFrame:
    """The table of the trainings in a run's folder, over the architectures that have a row for every seed."""
    name, epochs = plan.dataset.name, plan.training.epochs
    by_run = [read_scores(run, dataset=name, proxy=label_of(seed)).set_index("index") for seed in plan.seeds]
    whole = sorted(set.intersection(*(set(frame.index) for frame in by_run)))
    by_run = [frame.loc[whole] for frame in by_run]
    first = by_run[0]
    size = pd.concat([frame[["params", "flops"]] for frame in by_run]).groupby(level=0).max()
    for index in size.index[size.isna().any(axis=1)]:  # no training of it came so far
        size.loc[index] = sizes(plan, int(index))
    table: dict[str, Any] = {
        "index": np.array(whole),
        "arch": first["arch"].to_numpy(),
        "params": size["params"].to_numpy(),
        "flops": size["flops"].to_numpy(),
        "epochs": np.full(len(whole), epochs),
    }
    for number, frame in enumerate(by_run):
        curves = {curve: frame[curve_columns(epochs, [curve])].to_numpy(np.float64) for curve in CURVES}
        single = {
            "test": frame["score"],
            "test_loss": frame["test_loss"],
            **{last: curve[:, -1] for last, curve in curves.items()},
            **{f"{whole}_curve": list(curve) for whole, curve in curves.items()},
        }
        table |= {f"{name}_{key}_run{number}": _plain(values) for key, values in single.items()}
        table[f"seconds_run{number}"] = frame["seconds"].to_numpy()
    for split in SPLITS:
        runs = np.column_stack([table[f"{name}_{split}_run{number}"] for number in range(len(by_run))])
        known = np.isfinite(runs)
        sums = np.where(known, runs, 0).sum(axis=1)
        table[f"{name}_{split}"] = np.where(
            known.any(axis=1), sums / np.maximum(known.sum(axis=1), 1), np.nan
        )
    return pd.DataFrame(table)[columns(name, len(plan.seeds))]


def _plain(values: Any) -> Any:
    return values.to_numpy() if isinstance(values, pd.Series) else values


def save(folder: Path, plan: Plan, table: pd.DataFrame, record: Mapping[str, Any]) -> Benchmark:
    """Check a table and write it, then its record, each whole or not at all; `load` tells if they differ.

    Raises:
        UsageError: if it is not what it should be, or cannot be written.
    """
    name, seeds = plan.dataset.name, len(plan.seeds)
    check(table, plan.space, name, seeds, str(folder / TABLE))
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    content = buffer.getvalue()
    complete = {
        **record,
        "format": 1,
        "space": {"name": plan.space.name, **asdict(plan.space)},  # type: ignore[call-overload]
        "dataset": written(plan.dataset),
        "training": plan.training.identity(),
        "seeds": list(plan.seeds),
        "architectures": len(table),
        "table_sha256": hashlib.sha256(content).hexdigest(),
    }
    found = Benchmark(folder, plan.space, plan.dataset, table, complete)
    complete["ceiling"] = {split: _told(found.ceiling(name, split)) for split in SPLITS}
    write_whole(folder / TABLE, content)
    write_whole(folder / RECORD, (json.dumps(complete, indent=2, sort_keys=True) + "\n").encode())
    return found


def _told(ceiling: Ceiling | None) -> dict[str, Any] | None:
    return None if ceiling is None else asdict(ceiling)


def failures(run: Path, plan: Plan) -> dict[str, int]:
    """How many trainings of a run ended in something else than an accuracy, by status."""
    statuses: Sequence[str] = read_scores(run, dataset=plan.dataset.name)["status"].tolist()
    return {status: statuses.count(status) for status in sorted(set(statuses) - {"ok"})}
