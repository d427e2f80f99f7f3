"""Runs and accuracies made up for the report's tests; no benchmark's accuracies enter here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import ARCHS, N, WriteRun

from nasbench_eval.report.tables import Truth


def _made_up_accuracy(dataset: str, split: str) -> np.ndarray[Any, Any]:
    # Neither data sets nor splits agree with each other, so that mixing them up shows.
    seed = sum(map(ord, dataset + split))
    return 50 + np.random.default_rng(seed).permutation(N) / 2


@pytest.fixture
def truth() -> Truth:
    return Truth(ARCHS, _made_up_accuracy)


@pytest.fixture
def truths(truth: Truth) -> dict[str, Truth]:
    return {"nasbench201": truth}


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Writes a run: `parts` maps (label, data set) to columns; index, status and the rest are filled in."""

    def write(
        parts: dict[tuple[str, str], dict[str, Any]],
        *,
        name: str = "run",
        config: dict[str, Any] | None = None,
        space: str = "nasbench201",
    ) -> Path:
        folder = tmp_path / name
        for (label, dataset), columns in parts.items():
            size = len(next(iter(columns.values())))
            frame = pd.DataFrame({"index": np.arange(size), "seed": 0, **columns})
            if "arch" not in frame.columns:
                frame["arch"] = [ARCHS[index] for index in frame["index"]]
            if "status" not in frame.columns:
                frame["status"] = "ok"
            path = folder / "scores" / f"space={space}" / f"dataset={dataset}" / f"proxy={label}"
            path.mkdir(parents=True)
            # Two files in the wrong order: the index alone says which row is which.
            frame.iloc[size // 2 :].to_parquet(path / "part-0.parquet")
            frame.iloc[: size // 2].to_parquet(path / "part-1.parquet")
            (path / "_being_written.parquet").write_text("not parquet")
            (path / ".part-2.parquet").write_text("not parquet")
        folder.mkdir(exist_ok=True)
        (folder / "run.json").write_text(json.dumps(config or {}))
        return folder

    return write


@pytest.fixture
def run(write_run: WriteRun) -> Path:
    """A run with failures, components and a long label."""
    labels = ["grasp", "snip", "zen", "intrain", "intrain_cell", "a_name_far_too_long_for_a_narrow_column"]
    parts = {}
    for number, label in enumerate(labels):
        score, gamma, resilience = np.random.default_rng(number).normal(size=(3, N))
        if label == "zen":
            score[:4] = np.nan
        parts[label, "cifar10"] = {"score": score, "gamma": gamma, "resilience": resilience}
    return write_run(parts, config={"seed": 3, "n": 1, "cells": N, "data": "/somewhere/private"})
