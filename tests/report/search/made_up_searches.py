"""Searches made up for the tests of their report; no benchmark's accuracies enter here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasbench_eval.report.tables import Truth
from nasbench_eval.spaces.base import Names
from nasbench_eval.spaces.nasbench201 import NASBench201

NAMES = Names(NASBench201())
N = len(NAMES)
WriteSearch = Callable[..., Path]


def made_up_accuracy(dataset: str, split: str) -> np.ndarray[Any, Any]:
    """Between 10 and 90; the last architecture is the best on test, the middle one on val."""
    place = np.arange(N) / (N - 1)
    return 10 + 80 * (place if split == "test" else 1 - np.abs(2 * place - 1))


TRUTH = Truth(NAMES, made_up_accuracy)


def trials(
    archs: Sequence[int],
    told: Mapping[str, Sequence[float]],
    *,
    seed: int = 0,
    incumbents: Sequence[int | None] | None = None,
    proxy: float = 2.0,
    simulated: float = 0.0,
) -> pd.DataFrame:
    """One seed's history; without incumbents the answer is the architecture told the highest of one value."""
    values = next(iter(told.values()))
    if incumbents is None:
        best = [int(np.argmax(values[: step + 1])) for step in range(len(archs))]
        incumbents = [archs[place] for place in best]
    steps = len(archs)
    return pd.DataFrame(
        {
            "seed": np.full(steps, seed, np.int64),
            "step": np.arange(steps, dtype=np.int32),
            "index": np.array(archs, np.int32),
            "arch": pd.Categorical([NAMES[index] for index in archs]),
            **{f"told_{name}": np.array(numbers, float) for name, numbers in told.items()},
            "proxy_seconds": proxy,
            "simulated_seconds": simulated,
            "wall_seconds": np.arange(1, steps + 1) * 0.5,
            "incumbent_index": pd.array(incumbents, "Int32"),
            "incumbent": [None if index is None else NAMES[index] for index in incumbents],
        }
    )


def write(
    folder: Path,
    history: Sequence[pd.DataFrame],
    *,
    algorithm: str = "regularized_evolution",
    label: str | None = None,
    guide: str = "snip",
    kind: str = "proxy",
    values: Sequence[str] | None = None,
    dataset: str = "cifar10",
    space: str = "nasbench201",
    record: Mapping[str, Any] | None = None,
    **search: Any,
) -> Path:
    """Write a folder as `nasbench-search` leaves it."""
    found = {
        "space": {"name": space, "channels": 16},
        "datasets": {dataset: {"name": dataset}},
        "proxies": {},
        "seed": 0,
        "versions": {"python": "3"},
        "search": {
            "algorithm": {"label": label or algorithm, "name": algorithm, "population": 10},
            "guide": {"name": guide, "values": list(values or [guide]), "kind": kind},
            "seeds": [int(part["seed"].iloc[0]) for part in history],
            "steps": max(map(len, history), default=0),
            "budget": {"evaluations": 500},
            "lag": 1,
            "mutation": "uniform",
            "members": None,
            **search,
        },
        **(record or {}),
    }
    (folder / "history").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(found))
    for number, part in enumerate(history):
        # Files begin and end anywhere.
        part.iloc[: len(part) // 2].to_parquet(folder / "history" / f"part-{2 * number + 1:05d}.parquet")
        part.iloc[len(part) // 2 :].to_parquet(folder / "history" / f"part-{2 * number:05d}.parquet")
    return folder


def walk(
    seed: int, steps: int, guide: np.ndarray[Any, Any], *, greedy: bool, value: str = "snip"
) -> pd.DataFrame:
    """A random search, or one that changes one operation of its best cell at a time."""
    rng, space = np.random.default_rng(seed), NASBench201()
    archs, best = [], int(rng.integers(N))
    for step in range(steps):
        near = space.neighbours(space.arch(best))
        arch = space.index(near[int(rng.integers(len(near)))]) if greedy and step else int(rng.integers(N))
        archs.append(arch)
        best = max(archs, key=lambda index: guide[index])
    return trials(archs, {value: guide[archs]}, seed=seed)
