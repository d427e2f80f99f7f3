"""Searches made up for the report's tests, judged by made-up accuracies."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from made_up_searches import TRUTH, N, made_up_accuracy, trials, walk, write

from nasbench_eval.report.search import truths


@pytest.fixture(autouse=True)
def made_up_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """No table of real accuracies is read."""
    monkeypatch.setattr(truths, "truth_of", lambda space, folder, live, benchmark: TRUTH)


@pytest.fixture
def multirun(tmp_path: Path, made_once: Path) -> Path:
    """A folder with random search and evolution under three guides, on two data sets."""
    return shutil.copytree(made_once, tmp_path / "multirun")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The searches of `multirun`, which take a second to make."""
    base = tmp_path_factory.mktemp("searches")
    for dataset in ("cifar10", "cifar100"):
        for number, guide in enumerate(("snip", "naswot", "synflow")):
            told = made_up_accuracy(dataset, "test") + np.random.default_rng(number).normal(0, 10, N)
            for algorithm in ("random", "regularized_evolution"):
                greedy = algorithm != "random"
                history = [walk(seed, 12, told, greedy=greedy, value=guide) for seed in range(6)]
                folder = base / f"{dataset}-{algorithm}-{guide}"
                write(folder, history, algorithm=algorithm, guide=guide, dataset=dataset)
    return base


@pytest.fixture
def three_values(tmp_path: Path) -> Path:
    """Two seeds of one algorithm, told three values."""
    rng = np.random.default_rng(0)
    history = []
    for seed in (0, 1):
        archs = rng.integers(0, N, 30).tolist()
        told = {name: rng.normal(size=30).tolist() for name in ("kappa", "regions", "mse")}
        history.append(trials(archs, told, seed=seed))
    values = ["kappa", "regions", "mse"]
    return write(
        tmp_path / "three", history, algorithm="reinforce", guide="teg", kind="aggregate", values=values
    )
