"""Sizes of networks in closed form are those of the networks that are built."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nasbench_eval import testing
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.passes import ForwardSpec, Observer, PassSpec, Record
from nasbench_eval.proxies.base import Data, Proxy
from nasbench_eval.proxies.flops import Flops
from nasbench_eval.proxies.params import Params
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.process import Scorer
from nasbench_eval.spaces.base import Network, Sizes
from nasbench_eval.spaces.nasbench101 import NASBench101
from nasbench_eval.spaces.nasbench201 import Cell, NASBench201
from nasbench_eval.truth import nasbench101
from nasbench_eval.truth.tables import load_table

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


class Doubled(Params):
    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": 2 * super().score(records)["score"]}


class Watching(Flops):
    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return super().observe(net, spec)


class Small(Flops):
    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(ForwardSpec("kaiming", "ones", 1, 8, bn="eval"), "logits"),)


class DoubledBoth(Doubled):
    def from_size(self, space: Sizes, arch: object, data: Data) -> dict[str, float]:
        return {"score": 2 * super().from_size(space, arch, data)["score"]}

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return super().score(records)


class Renamed(Params):
    """Changes nothing that moves the score."""


class Broken(Params):
    def from_size(self, space: Sizes, arch: object, data: Data) -> dict[str, float]:
        raise ZeroDivisionError

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return super().score(records)


@pytest.mark.parametrize(
    ("proxy", "instant", "score"),
    [
        (Params(), True, 372346.0),
        (Renamed(), True, 372346.0),
        (Doubled(), False, 2 * 372346.0),
        (DoubledBoth(), True, 2 * 372346.0),
        (Watching(), False, 51036800.0),
        (Small(), False, 3190400.0),
        (Broken(), False, 372346.0),
    ],
)
def test_a_class_that_changes_the_score_alone_takes_its_passes(
    proxy: Proxy, instant: bool, score: float
) -> None:
    """A plug-in that derives from a proxy with a closed form is not scored past its own code."""
    space = NASBench201()
    scorer = Scorer(Job(space, DATA, {"mine": proxy}, 0), None, torch.device("cpu"))
    tasks = scorer.job.tasks()
    assert scorer.instant(5, tasks) is instant
    assert scorer(5, tasks)[0]["score"] == score


class Wider(NASBench201):
    """Builds other networks, and says nothing of their sizes."""

    def build(self, arch: Cell, *, num_classes: int) -> Network:
        return NASBench201(2 * self.channels, self.cells_per_stage).build(arch, num_classes=num_classes)


class WiderInBoth(Wider):
    def build(self, arch: Cell, *, num_classes: int) -> Network:
        return super().build(arch, num_classes=num_classes)

    def params(self, arch: Cell, *, num_classes: int) -> int:
        return NASBench201(2 * self.channels, self.cells_per_stage).params(arch, num_classes=num_classes)

    def flops(self, arch: Cell, *, resolution: int, num_classes: int) -> int:
        wide = NASBench201(2 * self.channels, self.cells_per_stage)
        return wide.flops(arch, resolution=resolution, num_classes=num_classes)


class HalfTold(WiderInBoth):
    def params(self, arch: Cell, *, num_classes: int) -> int:
        return 1


@pytest.mark.parametrize(("kind", "instant"), [(Wider, False), (WiderInBoth, True), (HalfTold, False)])
def test_a_space_that_changes_its_networks_alone_has_them_built(
    kind: type[NASBench201], instant: bool
) -> None:
    proxies: dict[str, Proxy] = {"flops": Flops(), "params": Params()}
    scorer = Scorer(Job(kind(4, 1), DATA, proxies, 0), None, torch.device("cpu"))
    wide = Scorer(Job(NASBench201(8, 1), DATA, proxies, 0), None, torch.device("cpu"))
    tasks = scorer.job.tasks()
    assert scorer.instant(77, tasks) is instant
    assert [row["score"] for row in scorer(77, tasks)] == [row["score"] for row in wide(77, tasks)]


def test_sizes_are_those_of_the_published_table() -> None:
    """The trainable parameters that the record file of NAS-Bench-101 gives for each of its cells."""
    folder = os.environ.get("NASBENCH_EVAL_DATA", "")
    if not (Path(folder) / nasbench101.FILE).is_file():
        pytest.skip("needs the accuracies of NAS-Bench-101 in the data folder")
    table = load_table("nasbench101", Path(folder))
    space = NASBench101()
    chosen = random.Random(2).sample(range(len(space)), 5000)
    mine = [space.params(space.arch(index), num_classes=10) for index in chosen]
    assert mine == table["params"].loc[chosen].tolist()


def test_a_resolution_that_the_network_does_not_take_is_left_to_it() -> None:
    with pytest.raises(ValueError, match="no multiple of 4"):
        NASBench201().flops(NASBench201().arch(0), resolution=18, num_classes=10)
    odd = {"odd": DataSet("odd", 10, 18, ZEROS, ONES)}
    scorer = Scorer(Job(NASBench201(), odd, {"flops": Flops()}, 0), None, torch.device("cpu"))
    assert not scorer.instant(0, scorer.job.tasks())
    (row,) = scorer(0, scorer.job.tasks())
    assert row["status"] == "error"


class Lying(WiderInBoth):
    def build(self, arch: Cell, *, num_classes: int) -> Network:
        return NASBench201(self.channels, self.cells_per_stage).build(arch, num_classes=num_classes)

    def params(self, arch: Cell, *, num_classes: int) -> int:
        return super().params(arch, num_classes=num_classes)

    def flops(self, arch: Cell, *, resolution: int, num_classes: int) -> int:
        return super().flops(arch, resolution=resolution, num_classes=num_classes)


def test_the_checks_for_plug_ins_find_sizes_that_are_not_those_of_the_network(tmp_path: Path) -> None:
    testing.write_images(tmp_path, "cifar10")
    for space, fault in ((NASBench201(4, 1), None), (Wider(4, 1), None), (Lying(4, 1), "of the network")):
        for proxy in (Flops(), Params()):
            with nullcontext() if fault is None else pytest.raises(AssertionError, match=fault):
                testing.check_closed_form(space, [5], {"mine": proxy}, tmp_path)
