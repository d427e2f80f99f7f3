"""A tiny plan and its images, for the tests that train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nasbench_eval.benchmark.trainer import Plan
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.data.images import images_path
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.training import Training


def shades(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images of 8 x 8 pixels, of three classes that differ in which colour is brighter."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = rng.integers(0, 160, (count, 8, 8, 3), dtype=np.uint8)
    x[np.arange(count), :, :, y] += 60
    return x, y


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images of the plan."""
    made = tmp_path_factory.mktemp("shades")
    path = images_path(made, "shades")
    path.parent.mkdir()
    arrays = {}
    for seed, (part, count) in enumerate({"train": 48, "val": 24, "test": 30}.items()):
        arrays[f"x_{part}"], arrays[f"y_{part}"] = shades(count, seed)
    np.savez(path, classes=np.array(["red", "green", "blue"]), **arrays)
    return made


@pytest.fixture
def plan() -> Plan:
    """Two seeds, three epochs, the smallest network that the space has."""
    dataset = DataSet("shades", 3, 8, (90.0, 90.0, 90.0), (50.0, 50.0, 50.0))
    return Plan(NASBench201(4, 1), dataset, Training(3, images=48, batch_size=16, schedule=3), (0, 1))
