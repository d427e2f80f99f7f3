"""linear_regions against sets of sign patterns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracle import CLASSES, KEY, MIXED, Build, Fixed, Softmax, outputs_of, twin
from torch import Tensor, nn

from nasbench_eval.passes import Engine, ForwardSpec, PassSpec, Request, layers
from nasbench_eval.proxies.linear_regions import LinearRegions
from nasbench_eval.spaces.nasbench201 import NASBench201

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


def patterns(build: Build, relus: str, samples: int, side: int, number: int = 0) -> int:
    """Distinct tuples of signs in the float64 twin."""
    network = twin(build, "torch_default")
    where = network.cells[0] if relus == "first_cell" else network
    forward = ForwardSpec("torch_default", "gaussian", samples, side, batch=number)
    with outputs_of(where, nn.ReLU) as seen, torch.no_grad():
        network(Fixed().input(forward).double())
    units = [(x > 0).flatten(1).tolist() for x, _ in seen]
    return len({tuple(bit for layer in units for bit in layer[n]) for n in range(samples)})


def regions(build: Build, side: int, **options: Any) -> float:
    proxy = LinearRegions(resolution=side, **options)
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
    proxy = LinearRegions(batch_size=len(inputs[0]))
    observer = proxy.observe(Pieces(), proxy.passes()[0])
    for i, x in enumerate(inputs):
        observer.on_layer(f"relu{i}", nn.ReLU(), x, x.relu())
    found: int = observer.record()["patterns"]
    return found


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
    first = LinearRegions().observe(network, spec).layers(network)
    assert set(first.values()) == {m for m in network.cells[0].modules() if isinstance(m, nn.ReLU)}
    assert len(first) == 4
    every = LinearRegions(relus="all").observe(network, spec).layers(network)
    assert dict(every) == layers(network, "relu")


def test_its_passes() -> None:
    forward = ForwardSpec("torch_default", "gaussian", 1000, 4, channels=1, cells=1)
    expected = tuple(PassSpec(replace(forward, batch=b)) for b in range(3))
    assert LinearRegions().passes() == expected


def test_at_least_one_batch() -> None:
    with pytest.raises(ValueError, match="batches are at least 1; got 0"):
        LinearRegions(batches=0)
