"""InTrain against NumPy's covariance and eigenvalues and a loop over gradient entries."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from oracle import (
    DEAD_BRANCH,
    KEY,
    MIXED,
    NOTHING,
    B,
    Build,
    Chain,
    Smooth,
    Softmax,
    Spatial,
    batch,
    cell,
    columns,
    loss_gradients,
    outputs_of,
    twin,
    weights,
)
from torch import Tensor, nn

from nasbench_eval.paths import config_folder
from nasbench_eval.proxies.intrain import (
    InTrain,
    capacity,
    capacity_of_fewest,
    covariance,
    gradient_health,
    log_participation_ratio,
    moments,
)
from nasbench_eval.seeding import generator
from nasbench_eval.spaces.base import Network

EPSILON = 1e-10


def positions(y: Tensor) -> np.ndarray:
    """A layer's output as (channels, samples), spatial positions as samples."""
    y = y.detach()
    return (y.permute(1, 0, 2, 3) if y.ndim == 4 else y.T).reshape(y.shape[1], -1).double().numpy()


def log_pr(y: Tensor) -> float:
    """log of (Σλ)² / Σλ², λ the eigenvalues of the covariance with εI."""
    c = np.atleast_2d(np.cov(positions(y), bias=True)) + EPSILON * np.eye(y.shape[1])
    eigenvalues = np.linalg.eigvalsh(c)
    return math.log(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


def health(g: Tensor) -> float:
    """min(1, σ / (max|g| + ε)) in plain Python."""
    values = g.flatten().tolist()
    mean = math.fsum(values) / len(values)
    sigma = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))
    return min(1.0, sigma / (max(abs(v) for v in values) + EPSILON))


KINDS: dict[str, tuple[type[nn.Module], ...]] = {
    "conv": (nn.Conv2d,),
    "conv_linear": (nn.Conv2d, nn.Linear),
    "bn": (nn.BatchNorm2d,),
    "relu": (nn.ReLU,),
}


def observed(network: Network, kind: str) -> list[Tensor]:
    if kind == "cell":
        outputs: list[Tensor] = []
        x = network.stem(batch()[0])
        for block in network.cells:
            x = block(x)
            outputs.append(x)
        return outputs
    with outputs_of(network, *KINDS[kind]) as seen:
        network(batch()[0])
    return [y for _, y in seen]


def expected(build: Build, kind: str = "conv", parameters: str = "weights") -> dict[str, float]:
    network = twin(build, "torch_default")
    layers = observed(network, kind)
    gradients = loss_gradients(network)
    names = list(weights(network) if parameters == "weights" else gradients)
    gamma, o = sum(log_pr(y) for y in layers), sum(health(gradients[name]) for name in names)
    return {
        "gamma": gamma,
        "resilience": o,
        "layers": len(layers),
        "score": gamma * (1 + o) / math.log(len(layers) + 1),
    }


@pytest.mark.parametrize("kind", [*KINDS, "cell"])
def test_layer_kinds(kind: Any) -> None:
    found = columns(InTrain(batch_size=B, layers=kind), cell(MIXED))
    assert found.pop("dead_layers") == 0
    assert found == pytest.approx(expected(cell(MIXED), kind), rel=2e-4)


@pytest.mark.parametrize("given", [[3.0, 0.5, 2.0], [1.0, 4.0], [2.0]])
def test_a_stage_counts_its_weight(given: list[float]) -> None:
    """The last weight is for all smaller outputs; depth and gradients count as before."""
    plain = expected(cell(MIXED))
    found = columns(InTrain(batch_size=B, stage_weights=tuple(given)), cell(MIXED))
    outputs = observed(twin(cell(MIXED), "torch_default"), "conv")
    sizes = sorted({y.shape[-1] for y in outputs}, reverse=True)
    assert len(sizes) == 3
    weight = dict(zip(sizes, (given + given[-1:] * 3)[:3], strict=True))
    gamma = sum(weight[y.shape[-1]] * log_pr(y) for y in outputs)
    assert found["gamma"] == pytest.approx(gamma, rel=2e-4)
    assert found["layers"] == plain["layers"]
    assert found["resilience"] == pytest.approx(plain["resilience"], rel=2e-4)
    factor = (1 + plain["resilience"]) / math.log(plain["layers"] + 1)
    assert found["score"] == pytest.approx(gamma * factor, rel=2e-4)


def test_no_weights_are_none() -> None:
    same = columns(InTrain(batch_size=B, stage_weights=(1.0,)), cell(MIXED))
    assert same == columns(InTrain(batch_size=B), cell(MIXED))
    with pytest.raises(ValueError, match="stage_weights is a list of numbers"):
        InTrain(stage_weights=())


def test_all_parameters() -> None:
    found = columns(InTrain(batch_size=B, parameters="all"), Smooth)
    assert found.pop("dead_layers") == 0
    assert found == pytest.approx(expected(Smooth, parameters="all"), rel=2e-4)
    assert found["resilience"] > columns(InTrain(batch_size=B), Smooth)["resilience"] + 1


def test_all_parameters_with_batch_norm() -> None:
    """A batch norm's shift that the next one takes out again has no gradient, but for what rounding leaves.

    Of such a tensor no more can be said than that its health lies between 0 and 1.
    """
    gradients = loss_gradients(twin(cell(MIXED), "torch_default"))
    sound = [health(g) for g in gradients.values() if g.abs().max() > 1e-12]
    assert len(gradients) - len(sound) == 2  # the two convolutions that end in the last cell's output
    found = columns(InTrain(batch_size=B, parameters="all"), cell(MIXED))["resilience"]
    assert sum(sound) - 1e-3 <= found <= sum(sound) + 2 + 1e-3


@pytest.mark.parametrize("build", [Chain, lambda: Chain(norms=True)])
def test_plain_networks(build: Build) -> None:
    found = columns(InTrain(batch_size=B), build)
    assert found.pop("dead_layers") == 0
    assert found == pytest.approx(expected(build), rel=2e-4)


def test_the_numbers_of_layers_and_tensors() -> None:
    found = {
        kind: columns(InTrain(batch_size=B, layers=kind), cell(MIXED))["layers"] for kind in (*KINDS, "cell")
    }  # type: ignore[arg-type]
    assert found == {"conv": 19, "conv_linear": 20, "bn": 18, "relu": 17, "cell": 5}


# Dead layers


def test_a_dead_layer_word_for_word_and_collapsed() -> None:
    """Three of the cells' convolutions read zeros: C = εI, so PR is the channel count; or it counts as 1."""
    literal = columns(InTrain(batch_size=B), cell(DEAD_BRANCH))
    collapsed = columns(InTrain(batch_size=B, dead_layers="collapsed"), cell(DEAD_BRANCH))
    assert literal["dead_layers"] == collapsed["dead_layers"] == 3
    assert literal["layers"] == collapsed["layers"] == 13
    assert literal["resilience"] == collapsed["resilience"]
    assert literal["gamma"] == pytest.approx(expected(cell(DEAD_BRANCH))["gamma"], rel=2e-4)
    # Their widths are 4, 8 and 16.
    assert literal["gamma"] - collapsed["gamma"] == pytest.approx(math.log(4 * 8 * 16), rel=1e-6)
    for found in (literal, collapsed):
        formula = found["gamma"] * (1 + found["resilience"]) / math.log(14)
        assert found["score"] == pytest.approx(formula, rel=1e-12)


def test_no_signal() -> None:
    """Only the stem is alive; the six convolutions of the reduction blocks read zeros."""
    stem = log_pr(observed(twin(cell(NOTHING), "torch_default"), "conv")[0])
    literal = columns(InTrain(batch_size=B), cell(NOTHING))
    collapsed = columns(InTrain(batch_size=B, dead_layers="collapsed"), cell(NOTHING))
    assert literal["dead_layers"] == 6
    assert literal["resilience"] == 0
    assert collapsed["gamma"] == pytest.approx(stem, rel=1e-4)
    assert literal["gamma"] == pytest.approx(stem + 3 * math.log(8) + 3 * math.log(16), rel=1e-4)


class Constant(Softmax):
    """A convolution that sees the image, or nothing."""

    def __init__(self, live: float = 0.0) -> None:
        super().__init__()
        self.cells = nn.ModuleList([nn.Conv2d(3, 7, 1, bias=False)])
        self.live = live

    def features(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + 0 * self.cells[0](self.live * x_BCHW).mean(1, keepdim=True)


def test_a_constant_that_is_not_zero_has_no_variance() -> None:
    bias = torch.rand(16, generator=generator("bias"))
    y = bias.view(1, 16, 1, 1).expand(64, 16, 64, 64).contiguous(memory_format=torch.channels_last)
    assert not covariance(y).any()


def test_a_constant_is_dead_and_three_colours_are_not() -> None:
    assert columns(InTrain(batch_size=B, dead_layers="collapsed"), Constant)["gamma"] == 0
    alive = columns(InTrain(batch_size=B), lambda: Constant(live=1.0))
    assert alive["dead_layers"] == 0
    assert alive["gamma"] < math.log(3) + 1e-3  # three colours cannot vary in more than three directions


# The parts


@given(st.integers(1, 6), st.integers(2, 9), st.floats(0.1, 10), st.floats(-3, 3))
def test_covariance(channels: int, samples: int, scale: float, shift: float) -> None:
    y = scale * (torch.randn(samples, channels, 2, 3, generator=generator(channels, samples)) + shift)
    found = covariance(y)
    assert found.dtype == torch.float64
    reference = np.atleast_2d(np.cov(positions(y), bias=True))
    np.testing.assert_allclose(found.numpy(), reference, atol=1e-4 * reference.trace())
    torch.testing.assert_close(
        found, torch.cov(torch.from_numpy(positions(y)), correction=0).reshape(channels, channels),
        atol=1e-4 * reference.trace(), rtol=0,
    )  # fmt: skip


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_covariance_does_not_depend_on_the_layout(layout: torch.memory_format) -> None:
    y = torch.randn(4, 5, 6, 7, generator=generator("y"))
    torch.testing.assert_close(covariance(y.to(memory_format=layout)), covariance(y), rtol=1e-5, atol=1e-7)


def test_covariance_of_vectors() -> None:
    y = torch.randn(9, 4, generator=generator("y"))
    np.testing.assert_allclose(covariance(y).numpy(), np.cov(y.double().numpy().T, bias=True), atol=1e-6)


@given(st.integers(1, 300), st.integers(1, 60), st.floats(0.1, 10), st.floats(-3, 3))
def test_the_fewest_products_have_trace_and_norm_of_the_covariance(
    channels: int, samples: int, scale: float, shift: float
) -> None:
    """With more channels than positions and with fewer, in one strip and in several."""
    y = scale * (torch.randn(samples, channels, 2, 3, generator=generator(channels, samples)) + shift)
    reference = np.atleast_2d(np.cov(positions(y), bias=True))
    trace, square = moments(y)
    assert trace.dtype == square.dtype == torch.float64
    assert float(trace) == pytest.approx(reference.trace(), rel=1e-5)
    assert float(square) == pytest.approx((reference**2).sum(), rel=1e-5)
    torch.testing.assert_close(capacity_of_fewest(y, y), capacity(y, y), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("build", [cell(MIXED), cell(DEAD_BRANCH), cell(NOTHING), Constant, Smooth])
def test_the_fewest_products_give_the_same_score(build: Build) -> None:
    for options in ({}, {"layers": "cell", "dead_layers": "collapsed"}):
        if options and build in (Constant, Smooth):
            continue
        found = columns(InTrain(batch_size=B, products="fewest", **options), build)
        assert found == pytest.approx(columns(InTrain(batch_size=B, **options), build), rel=1e-5)


@pytest.mark.parametrize("shape", [(4, 40, 2, 2), (64, 16, 8, 8)])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e4, math.nan])
def test_a_constant_has_no_moments(shape: tuple[int, ...], value: float) -> None:
    y = torch.full(shape, value)
    found = torch.stack(moments(y))
    assert found.isnan().all() if math.isnan(value) else not found.any()


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8))
def test_participation_ratio(eigenvalues: list[float]) -> None:
    """Between 1 and C, unchanged by rotation and scale."""
    c = len(eigenvalues)
    rotation, _ = torch.linalg.qr(torch.randn(c, c, dtype=torch.float64, generator=generator(c)))
    matrix = rotation @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ rotation.T
    found = float(log_participation_ratio(matrix))
    assert found == pytest.approx(math.log(sum(eigenvalues) ** 2 / sum(v * v for v in eigenvalues)), abs=1e-6)
    assert -1e-6 <= found <= math.log(c) + 1e-6
    assert float(log_participation_ratio(7 * matrix)) == pytest.approx(found, abs=1e-6)


def test_participation_ratio_of_extremes() -> None:
    assert float(log_participation_ratio(torch.eye(8, dtype=torch.float64))) == pytest.approx(math.log(8))
    assert float(log_participation_ratio(torch.zeros(8, 8, dtype=torch.float64))) == pytest.approx(
        math.log(8)
    )
    single = torch.diag(torch.tensor([1.0, 0, 0, 0], dtype=torch.float64))
    assert float(log_participation_ratio(single)) == pytest.approx(0, abs=1e-8)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20))
def test_gradient_health(values: list[float]) -> None:
    g = torch.tensor(values, dtype=torch.float64)
    assert float(gradient_health(g)) == pytest.approx(health(g), abs=1e-9)


def test_gradient_health_of_extremes() -> None:
    assert float(gradient_health(torch.zeros(5))) == 0
    assert float(gradient_health(torch.full((5,), 3.0))) == 0
    assert float(gradient_health(torch.tensor([1.0, -1.0]))) == pytest.approx(1)


# Spatial outputs


def spatial_resilience(loss: Callable[[Tensor], Tensor]) -> float:
    network = twin(Spatial, "torch_default")
    loss(network(batch()[0])).backward()
    return sum(health(p.grad) for p in weights(network).values() if p.grad is not None)


def test_spatial_outputs_have_a_square_error() -> None:
    def square(logits: Tensor) -> Tensor:
        target = torch.randn(logits.shape, generator=generator(KEY[0], "target", *logits.shape))
        return ((logits - target.double()) ** 2).mean()

    def entropy(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits.mean(dim=(2, 3)), batch()[1])

    found = columns(InTrain(batch_size=B), Spatial)
    gamma = sum(log_pr(y) for y in observed(twin(Spatial, "torch_default"), "conv"))
    o = spatial_resilience(square)
    assert found["resilience"] == pytest.approx(o, rel=1e-4)
    assert found["score"] == pytest.approx(gamma * (1 + o) / math.log(3), rel=2e-4)
    assert abs(o - spatial_resilience(entropy)) > 0.01


# The ablation


def test_the_ablations_rows_are_columns() -> None:
    """PR only, gradient only and additive come from what a row keeps, and nothing else."""
    kept = {*InTrain.info.columns, "score"}
    assert {"gamma", "resilience", "layers"} <= kept
    assert set(columns(InTrain(batch_size=B), cell())) == kept
    table = OmegaConf.load(config_folder() / "table" / "table3.yaml")
    rows: list[Any] = OmegaConf.to_container(table.rows)  # type: ignore[assignment]
    values = [row["value"] for row in rows if "value" in row]
    assert values == ["gamma", "resilience", "gamma + resilience"]
    assert all(set(re.findall(r"[a-z_]+", value)) <= kept for value in values)
