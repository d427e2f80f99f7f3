"""Sizes of networks in closed form are those of the networks that are built."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.proxies.flops import Flops
from nasbench_eval.proxies.params import Params
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.process import Scorer
from nasbench_eval.spaces.base import Sizes
from nasbench_eval.spaces.nasbench101 import NASBench101
from nasbench_eval.spaces.nasbench201 import NASBench201

ZEROS, ONES = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
DATA = {
    "cifar10": DataSet("cifar10", 10, 32, ZEROS, ONES),
    "other": DataSet("other", 7, 16, ZEROS, ONES),
}
SPACES = [NASBench201(), NASBench201(3, 2), NASBench101(), NASBench101(3, 2)]


def counted(space: NASBench201 | NASBench101, index: int, resolution: int, classes: int) -> tuple[int, int]:
    """Multiply-accumulates and parameters of the network itself, seen by hooks."""
    with torch.device("meta"):
        network = space.build(space.arch(index), num_classes=classes).eval()
        flops = 0

        def hook(module: torch.nn.Module, _: object, y: torch.Tensor) -> None:
            nonlocal flops
            flops += y[0].numel() * module.weight[0].numel()

        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.register_forward_hook(hook)
        network(torch.empty(1, 3, resolution, resolution))
    return flops, sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("resolution", "classes"), [(32, 10), (16, 7)])
def test_sizes_are_those_of_the_network(
    space: NASBench201 | NASBench101, resolution: int, classes: int
) -> None:
    assert isinstance(space, Sizes)
    for index in [0, len(space) - 1, *random.Random(1).sample(range(len(space)), 12)]:
        cell = space.arch(index)
        sizes = (
            space.flops(cell, resolution=resolution, num_classes=classes),
            space.params(cell, num_classes=classes),
        )
        assert sizes == counted(space, index, resolution, classes), index


@pytest.mark.parametrize("space", SPACES)
def test_scores_keep_their_bits_and_build_nothing(
    space: NASBench201 | NASBench101, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies = {"flops": Flops(), "flops16": Flops(resolution=16), "params": Params()}
    scorer = Scorer(Job(space, DATA, proxies, 0), None, torch.device("cpu"))
    tasks = scorer.job.tasks()
    assert scorer.instant(5, tasks)
    monkeypatch.setattr(Job, "of_size", {})
    passes = Scorer(replace(scorer.job), None, torch.device("cpu"))
    assert not passes.instant(5, tasks)
    built = passes(5, tasks)
    monkeypatch.undo()
    monkeypatch.setattr(type(space), "build", None)
    for row, other in zip(scorer(5, tasks), built, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


def test_a_resolution_that_the_network_does_not_take_is_left_to_it() -> None:
    with pytest.raises(ValueError, match="no multiple of 4"):
        NASBench201().flops(NASBench201().arch(0), resolution=18, num_classes=10)
    odd = {"odd": DataSet("odd", 10, 18, ZEROS, ONES)}
    scorer = Scorer(Job(NASBench201(), odd, {"flops": Flops()}, 0), None, torch.device("cpu"))
    assert not scorer.instant(0, scorer.job.tasks())
    (row,) = scorer(0, scorer.job.tasks())
    assert row["status"] == "error"
