"""The experiment of NATS-Bench's baselines, on a made-up table of short trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import Ask
from histories import history

from nasbench_eval.search.moves import Cells201
from nasbench_eval.truth.nasbench201 import archs, connected
from nasbench_eval.truth.short_tables import FULL_FILE, IMAGES

SEEDS = 12
BUDGET = 20_000.0
# What an edge adds to a cell's accuracy after 12 epochs, by operation.
WORTH = np.array([0.0, 2.0, 3.0, 5.0, 1.0])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a table as of the official file, in which each edge counts alone."""
    size = len(archs())
    worth = WORTH[Cells201("uniform").encode(np.arange(size))].sum(1)
    columns = {"index": np.arange(size), "arch": archs()}
    for dataset, images in IMAGES.items():
        chance = {"cifar10": 10.0, "cifar100": 1.0, "imagenet16_120": 0.83}[dataset]
        columns[f"{dataset}_val_12"] = np.where(connected(), 40 + worth, chance)
        columns[f"{dataset}_train_seconds_12"] = 12 * images["val"].train * (5e-4 + 1e-5 * worth)
        columns[f"{dataset}_val_seconds"] = images["val"].evaluated * 1e-4 * np.ones(size)
    folder = tmp_path_factory.mktemp("data")
    pd.DataFrame(columns).to_parquet(folder / FULL_FILE, index=False)
    return folder


def test_each_algorithm_spends_its_seconds_on_validation_accuracies(ask: Ask, data: Path) -> None:
    table = pd.read_parquet(data / FULL_FILE)
    seconds = table["cifar10_train_seconds_12"] + table["cifar10_val_seconds"]
    found = {}
    for algorithm in ("random", "regularized_evolution", "reinforce_nats"):
        options = [f"algorithm={algorithm}", f"seeds={SEEDS}", f"data={data}", f"run={algorithm}"]
        answer = ask("experiment=nats_baselines", *options)
        assert answer.code == 0, answer.err
        trials = history(f"results/{algorithm}")
        told = table["cifar10_val_12"].to_numpy()[trials["index"]]
        np.testing.assert_array_equal(trials["told_accuracy_12"], told)
        np.testing.assert_allclose(trials["simulated_seconds"], seconds.to_numpy()[trials["index"]])
        spent = trials.groupby("seed")["simulated_seconds"].sum()
        last = trials.groupby("seed")["simulated_seconds"].last()
        assert len(spent) == SEEDS
        assert ((spent - last < BUDGET) & (spent >= BUDGET)).all(), "it ends when the seconds are spent"
        answers = trials.groupby("seed")["incumbent_index"].last()
        found[algorithm] = table["cifar10_val_12"].to_numpy()[answers]
    assert found["regularized_evolution"].mean() > found["random"].mean()
    assert found["random"].mean() > np.median(table["cifar10_val_12"])
