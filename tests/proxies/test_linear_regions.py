"""linear_regions against sets of sign patterns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from oracle import CLASSES, KEY, MIXED, Build, Fixed, Softmax, outputs_of, twin
from torch import Tensor, nn

from nasbench_eval import testing
from nasbench_eval.data.batches import Batches
from nasbench_eval.passes import Engine, ForwardSpec, PassSpec, Request, layers
from nasbench_eval.proxies.linear_regions import LinearRegions
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.seeding import generator
from nasbench_eval.spaces.base import Network
from nasbench_eval.spaces.nasbench201 import EDGES, NASBench201

# What version 1 counted by default.
WHOLE: dict[str, Any] = {"body": "whole", "input": "gaussian", "relus": "first_cell"}
WITHOUT_RELU = "|avg_pool_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
POINTWISE = "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"


class Pieces(Softmax):
    """Two units, then eight: few enough that samples share patterns."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, units, 1), nn.ReLU()) for width, units in ((3, 2), (2, 8))
        )
        self.classifier = nn.Linear(8, CLASSES)

    def features(self, x_BCHW: Tensor) -> Tensor:
        for block in self.cells:
            x_BCHW = block(x_BCHW)
        return x_BCHW


def one_channel(text: str) -> Build:
    space = NASBench201(channels=1, cells_per_stage=1)
    return lambda: space.build(space.parse(text), num_classes=CLASSES)


def pattern_set(network: Network, relus: str, x_BCHW: Tensor) -> set[tuple[bool, ...]]:
    """Distinct tuples of signs, a sample's units one after the other."""
    where = network.cells[0] if relus == "first_cell" else network
    with outputs_of(where, nn.ReLU) as seen, torch.no_grad():
        network(x_BCHW)
    units = [(x > 0).flatten(1).tolist() for x, _ in seen]
    return {tuple(bit for layer in units for bit in layer[n]) for n in range(len(x_BCHW))}


def patterns(build: Build, relus: str, samples: int, side: int, number: int = 0) -> int:
    """Their number in the float64 twin."""
    forward = ForwardSpec("torch_default", "gaussian", samples, side, batch=number)
    return len(pattern_set(twin(build, "torch_default"), relus, Fixed().input(forward).double()))


def regions(build: Build, side: int, **options: Any) -> float:
    proxy = LinearRegions(resolution=side, **{**WHOLE, **options})
    engine = Engine(build(), {"d": CLASSES}, Fixed(), KEY, torch.device("cpu"))
    records = []
    for outcome in engine.run([Request(spec, None, proxy.observe) for spec in proxy.passes()]):
        assert outcome.error is None, repr(outcome.error)
        assert outcome.record is not None
        records.append(outcome.record)
    return proxy.score(records)["score"]


CASES: dict[str, tuple[Build, int, int]] = {
    "pieces": (Pieces, 200, 1),
    "more pieces": (Pieces, 90, 2),
    "mixed": (one_channel(MIXED), 60, 4),
    "pointwise": (one_channel(POINTWISE), 300, 4),
    "no relu in the cell": (one_channel(WITHOUT_RELU), 50, 4),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("relus", ["first_cell", "all"])
def test_number_of_patterns(name: str, relus: str) -> None:
    build, samples, side = CASES[name]
    found = regions(build, side, batch_size=samples, relus=relus, batches=1)
    assert found == patterns(build, relus, samples, side)
    assert 1 <= found <= samples


def test_the_cases_are_not_all_trivial() -> None:
    first, every = (patterns(Pieces, relus, 200, 1) for relus in ("first_cell", "all"))
    assert 1 < first <= 4 < every < 100
    assert 1 < patterns(Pieces, "first_cell", 90, 2) < patterns(Pieces, "all", 90, 2) < 90


def test_without_a_relu_the_network_is_one_piece() -> None:
    assert regions(Softmax, 4, batch_size=9) == regions(Softmax, 4, batch_size=9, relus="all") == 1
    assert regions(one_channel(WITHOUT_RELU), 4, batch_size=9) == 1
    assert regions(one_channel(WITHOUT_RELU), 4, batch_size=9, relus="all") > 1


def test_one_unit_makes_two_pieces() -> None:
    class Unit(Softmax):
        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 1, 1, bias=False), nn.ReLU())])
            self.classifier = nn.Linear(1, CLASSES)

        def features(self, x_BCHW: Tensor) -> Tensor:
            y_BCHW: Tensor = self.cells[0](x_BCHW)
            return y_BCHW

    assert regions(Unit, 1, batch_size=100) == 2
    assert regions(Unit, 1, batch_size=1) == 1


def test_mean_over_mini_batches() -> None:
    counts = [patterns(Pieces, "all", 12, 1, number) for number in range(4)]
    assert len(set(counts)) > 1
    found = regions(Pieces, 1, batch_size=12, relus="all", batches=4)
    assert found == pytest.approx(sum(counts) / 4, rel=1e-12)


def counted(*inputs: Tensor) -> int:
    """Patterns of a batch, were these the inputs of its ReLUs."""
    proxy = LinearRegions(batch_size=len(inputs[0]), batches=1)
    observer = proxy.observe(Pieces(), proxy.passes()[0])
    for i, x in enumerate(inputs):
        observer.on_layer(f"relu{i}", nn.ReLU(), x, x.relu())
    return int(proxy.score([observer.record()])["score"])


# Widths beside those that fill bytes.
sizes = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@given(st.integers(1, 12), sizes, st.floats(0.01, 0.3), st.integers(0, 999))
def test_patterns_of_any_layers(samples: int, widths: list[int], share: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    inputs = [torch.rand(samples, width, generator=generator) - 1 + share for width in widths]
    rows = [tuple((v > 0) for x in inputs for v in x[n].tolist()) for n in range(samples)]
    assert counted(*inputs) == len(set(rows))
    twice = [torch.cat([x, 2 * x.flip(0)]) for x in inputs]  # neither copies nor scale add patterns
    assert counted(*twice) == len(set(rows))


def test_zero_is_not_positive() -> None:
    assert counted(torch.tensor([[0.0], [-1.0], [-0.0]])) == 1
    assert counted(torch.tensor([[0.0], [-1.0], [1e-30]])) == 2


def test_a_pattern_is_of_all_layers_together() -> None:
    a, b = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]]), torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    assert counted(a) == counted(b) == 2
    assert counted(a, b) == 4
    # The same bits in different layers are different patterns.
    assert counted(torch.tensor([[1.0], [-1.0]]), torch.tensor([[-1.0], [1.0]])) == 2


def test_whose_signs_count() -> None:
    network = one_channel(MIXED)()
    spec = LinearRegions().passes()[0]
    first = LinearRegions(relus="first_cell").observe(network, spec).layers(network)
    assert set(first.values()) == {m for m in network.cells[0].modules() if isinstance(m, nn.ReLU)}
    assert len(first) == 4
    every = LinearRegions(relus="all").observe(network, spec).layers(network)
    assert dict(every) == layers(network, "relu")


def test_its_passes() -> None:
    forward = ForwardSpec("torch_default", "crops", 1000, 3, channels=1, cells=1, body="cell")
    expected = tuple(PassSpec(replace(forward, batch=b)) for b in range(3))
    assert LinearRegions().passes() == expected


# The cell by itself


SPACE = NASBench201(channels=16, cells_per_stage=5)
DATASETS = {"cifar10": testing.dataset("cifar10")}
TEXTS = (MIXED, POINTWISE, WITHOUT_RELU, testing.CELLS[3])


class ByHand(nn.Module):
    """A cell of NAS-Bench-201 of one channel, then batch norm and ReLU, edge by edge from its definition."""

    def __init__(self, text: str, key: tuple[object, ...]) -> None:
        super().__init__()
        self.operations = SPACE.parse(text).operations
        self.key = key
        self.relus: list[Tensor] = []

    def rectified(self, x: Tensor) -> Tensor:
        self.relus.append(x)
        return x.clamp(min=0)

    def normalised(self, x: Tensor) -> Tensor:
        mean, variance = x.mean(), x.var(correction=0)
        return (x - mean) / (variance + 1e-5).sqrt()

    def operation(self, name: str, place: str, x: Tensor) -> Tensor:
        if name == "none":
            return torch.zeros_like(x)
        if name == "skip_connect":
            return x
        if name == "avg_pool_3x3":
            inside = F.unfold(torch.ones_like(x), 3, padding=1).sum(1)
            return (F.unfold(x, 3, padding=1).sum(1) / inside).view_as(x)
        side = int(name[-1])
        weight = torch.empty(1, 1, side, side)
        bound = 1 / side
        weight.uniform_(-bound, bound, generator=generator(*self.key, 0, "torch_default", place, "weight"))
        return self.normalised(F.conv2d(self.rectified(x), weight.double(), padding=side // 2))

    def forward(self, x: Tensor) -> set[tuple[bool, ...]]:
        self.relus.clear()
        nodes = [x]
        for target in (1, 2, 3):
            total = torch.zeros_like(x)
            for (source, end), name in zip(EDGES, self.operations, strict=True):
                if end == target:
                    place = f"cells.0.edges.{source}_{target}.1"
                    total = total + self.operation(name, place, nodes[source])
            nodes.append(total)
        self.rectified(self.normalised(nodes[3]))
        return {tuple(bool(v > 0) for layer in self.relus for v in layer[n].flatten()) for n in range(len(x))}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("source", ["crops", "gaussian"])
def test_regions_of_a_cell_by_itself(text: str, source: Any, noise_images: Path) -> None:
    proxy = LinearRegions(batch_size=40, input=source)
    job = Job(SPACE, DATASETS, {"r": proxy}, seed=5)
    batches = Batches(5, DATASETS, noise_images, torch.device("cpu"))
    index = testing.index_of(SPACE, text)
    (row,) = score_architecture(job, index, job.tasks(), batches, torch.device("cpu"))
    assert row["error"] is None
    cell = ByHand(text, (5, text))
    together: set[tuple[bool, ...]] = set()
    for spec, dataset in job.passes(job.tasks()[0]):
        x = batches.input(spec.forward, dataset)
        assert x.shape == (40, 1, 3, 3)
        together |= cell(x.double())
    assert row["score"] == len(together)


def test_the_batches_of_a_cell_are_counted_together() -> None:
    records = [{"patterns": frozenset(each)} for each in ([b"a", b"b"], [b"b"], [b"c", b"b"])]
    assert LinearRegions().score(records)["score"] == 3
    assert LinearRegions(**WHOLE).score(records)["score"] == pytest.approx(5 / 3)


def test_inputs_and_networks_that_do_not_fit() -> None:
    for options, fault in (
        ({"input": "images"}, "a cell without a stem takes one channel"),
        ({"body": "whole"}, "crops have one channel"),
        ({"channels": 2}, "got cells=1, channels=2"),
        ({"cells": None}, "got cells=None, channels=1"),
    ):
        with pytest.raises(ValueError, match=fault):
            LinearRegions(**options).passes()  # type: ignore[arg-type]


def test_at_least_one_batch() -> None:
    with pytest.raises(ValueError, match="batches are at least 1; got 0"):
        LinearRegions(batches=0)


def test_a_space_without_a_cell_by_itself(noise_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasbench_eval.scoring.worker.CellSpace", int)  # as if it had no build_cell
    proxies = {"r": LinearRegions(batch_size=4)}
    (row,) = testing.score(SPACE, 0, proxies, folder=noise_images, datasets=["cifar10"])
    assert row["status"] == "undefined"
    assert "it runs a cell by itself, and this network has none" in row["error"]
