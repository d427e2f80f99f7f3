"""Recipes by name, images of noise and courses with them, for the tests of the training of one network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import nn

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.options.typed import typed
from nasbench_eval.paths import config_folder
from nasbench_eval.retrain.batches import Batches
from nasbench_eval.retrain.loop import Course
from nasbench_eval.retrain.recipe import Recipe
from nasbench_eval.retrain.source import Part, Source
from nasbench_eval.retrain.states import States
from nasbench_eval.retrain.team import Team


def recipe(name: str, **changes: Any) -> Recipe:
    """A recipe of configs/recipe, changed."""
    node: Any = OmegaConf.to_container(OmegaConf.load(config_folder() / "recipe" / f"{name}.yaml"))
    return replace(typed(Recipe, node, name), **changes)


def noise() -> Source:
    """37 images to train and 10 to validate with, 8 x 8 pixels, three classes."""
    rng = np.random.default_rng(0)
    parts: dict[str, Part] = {}
    for name, count in {"train": 37, "val": 10}.items():
        parts[name] = Part(rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8), np.arange(count) % 3)
    dataset = DataSet("noise", 3, 8, (120.0, 110.0, 100.0), (60.0, 50.0, 40.0))
    return Source(dataset, ("a", "b", "c"), parts, "0")


def batches(made: Recipe, rank: int = 0, size: int = 1, workers: int = 0, flips: bool = True) -> Batches:
    """Batches of noise for one process of a team."""
    return Batches(noise(), made, ("key",), Team(rank, size), torch.device("cpu"), workers, flips)


def course(network: nn.Module, made: Recipe, folder: Path) -> Course:
    """A training with noise."""
    return Course(network, made, batches(made), States(folder), {"of": "noise"}, ("key",))


class Linear(nn.Module):
    """One linear layer on the pixels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(192, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layer(x.flatten(1))
        return logits
