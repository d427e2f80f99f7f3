"""The kernel before and after training: against Jacobians taken by hand, closed forms, and other formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from oracle import CLASSES, KEY, NOTHING, B, Build, Fixed, R, Smooth, Softmax, batch, cell, twin
from torch import Tensor

from nasbench_eval.passes import Engine, Outcome, Record, Request
from nasbench_eval.paths import config_folder
from nasbench_eval.proxies.ntk_evolution import NTKEvolution, alignment
from nasbench_eval.proxies.ntk_mean import NTKMean
from nasbench_eval.spaces.base import Network
from nasbench_eval.training import Training, train
from nasbench_eval.truth.own import load

Matrix = npt.NDArray[np.float64]

IMAGES, RATE = 20, 0.2
RECIPE: dict[str, Any] = {"training_images": IMAGES, "learning_rate": RATE, "schedule": 4}
MODES: list[Any] = ["train", "eval", "alone"]
NETWORKS: dict[str, Build] = {"cell": cell(), "smooth": Smooth}


class WithTraining(Fixed):
    """Noise to train on, in place of images."""

    def training_set(self, dataset: str, images: int, resolution: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(99)
        x = torch.randn(images, 3, resolution, resolution, generator=generator)
        return x.to(memory_format=torch.channels_last), torch.arange(images) % CLASSES


def evolution(**options: Any) -> NTKEvolution:
    return NTKEvolution(**{"batch_size": B, "resolution": R, **RECIPE, **options})


def run(network: Network, *proxies: Any) -> list[list[Outcome]]:
    """What each proxy's passes come to, in one run."""
    engine = Engine(network, {"d": CLASSES}, WithTraining(), KEY, torch.device("cpu"))
    requests = [Request(spec, "d", proxy.observe) for proxy in proxies for spec in proxy.passes()]
    outcomes = iter(engine.run(requests))
    return [[next(outcomes) for _ in proxy.passes()] for proxy in proxies]


def found(proxy: NTKEvolution, build: Build) -> dict[str, float]:
    (outcomes,) = run(build(), proxy)
    return proxy.score(records_of(outcomes))


def records_of(outcomes: Sequence[Outcome]) -> list[Record]:
    records = []
    for outcome in outcomes:
        assert outcome.error is None, repr(outcome.error)
        assert outcome.record is not None
        records.append(outcome.record)
    return records


# By hand


def trained(build: Build, epochs: int, *, flips: bool = True) -> Network:
    """The float64 twin after a training of its single-precision original."""
    network = twin(build, "torch_default").float().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    recipe = Training(epochs, images=IMAGES, learning_rate=RATE, schedule=4, flips=flips)
    images, labels = WithTraining().training_set("d", IMAGES, R)
    train(network, images, labels, recipe, key=(*KEY, "d", "torch_default", 0))
    twin_: Network = network.double()
    return twin_


def kernel(network: Network, bn: str, number: int = 0) -> Matrix:
    """Θ of single gradients of summed logits."""
    network.train(bn != "eval")
    x, _ = batch(number)
    rows = []
    for n in range(B):
        logits = network(x)[n] if bn == "train" else network(x[n : n + 1])[0]
        gradients = torch.autograd.grad(logits.sum(), list(network.parameters()))
        rows.append(torch.cat([g.flatten() for g in gradients]).numpy())
    return np.array([[math.fsum(a * b) for b in rows] for a in rows])


def compared(before: Matrix, after: Matrix) -> dict[str, float]:
    """Columns from their definitions, with the centring matrix written out."""
    size = len(before)
    h = np.eye(size) - np.ones((size, size)) / size
    a, b = h @ before @ h, h @ after @ h
    return {
        "cka": float(np.trace(a @ b) / math.sqrt(np.trace(a @ a) * np.trace(b @ b))),
        "distance": float(np.linalg.norm(after - before) / np.linalg.norm(before)),
        "norm_ratio": float(np.linalg.norm(after) / np.linalg.norm(before)),
    }


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bn", MODES)
@pytest.mark.parametrize("epochs", [1, 3])
def test_kernels_before_and_after_training_by_hand(name: str, bn: Any, epochs: int) -> None:
    build = NETWORKS[name]
    before, after = kernel(twin(build, "torch_default"), bn), kernel(trained(build, epochs), bn)
    expected = compared(before, after)
    assert expected["distance"] > 0.005
    columns = found(evolution(bn=bn, epochs=epochs), build)
    assert columns.pop("score") == columns["cka"]
    assert columns == pytest.approx(expected, rel=5e-3)


def test_each_mini_batch_is_compared_with_itself() -> None:
    """The kernels after training are those of the same mini-batches, in the same order."""
    networks = twin(Smooth, "torch_default"), trained(Smooth, 2)
    each = [compared(*(kernel(network, "eval", number) for network in networks)) for number in range(3)]
    columns = found(evolution(bn="eval", epochs=2, batches=3), Smooth)
    for name in each[0]:
        assert len({one[name] for one in each}) == 3
        assert columns[name] == pytest.approx(sum(one[name] for one in each) / 3, rel=5e-3)


def test_images_are_mirrored_or_not() -> None:
    before = kernel(twin(Smooth, "torch_default"), "eval")
    expected = compared(before, kernel(trained(Smooth, 3, flips=False), "eval"))
    columns = found(evolution(bn="eval", epochs=3, flips=False), Smooth)
    assert columns["distance"] == pytest.approx(expected["distance"], rel=5e-3)
    other = found(evolution(bn="eval", epochs=3), Smooth)
    assert abs(other["distance"] - columns["distance"]) > 1e-3 * columns["distance"]


# Closed forms


@pytest.mark.parametrize("bn", MODES)
@pytest.mark.parametrize("epochs", [0, 1, 4])
def test_the_kernel_of_a_linear_model_stays(bn: Any, epochs: int) -> None:
    """Θ = K (φφᵀ + 1) whatever the weights, although these are trained."""
    assert not torch.allclose(
        trained(Softmax, 4).classifier.weight, twin(Softmax, "torch_default").classifier.weight, atol=1e-3
    )
    columns = found(evolution(bn=bn, epochs=epochs), Softmax)
    assert columns == pytest.approx({"cka": 1, "distance": 0, "norm_ratio": 1, "score": 1}, abs=1e-6)


def test_without_training_there_is_one_pass_and_no_change() -> None:
    proxy = evolution(epochs=0, batches=2)
    assert proxy.passes() == NTKMean(batch_size=B, resolution=R, batches=2).passes()
    columns = found(proxy, cell())
    assert columns == pytest.approx({"cka": 1, "distance": 0, "norm_ratio": 1, "score": 1}, abs=1e-12)


def of_kernels(*pairs: tuple[Matrix, Matrix]) -> dict[str, float]:
    """Columns of kernels before and after training, a pair a mini-batch."""
    kernels = [before for before, _ in pairs] + [after for _, after in pairs]
    records: list[Record] = [{"kernel": torch.from_numpy(theta)} for theta in kernels]
    return evolution(batches=len(pairs)).score(records)


def some_kernel(seed: int, size: int = B) -> Matrix:
    j = np.random.default_rng(seed).standard_normal((size, 10))
    product: Matrix = j @ j.T
    return product


@given(st.integers(0, 99), st.floats(0.01, 100))
def test_a_kernel_that_only_grows_keeps_its_shape(seed: int, factor: float) -> None:
    theta = some_kernel(seed)
    columns = of_kernels((theta, factor * theta))
    assert columns["cka"] == pytest.approx(1, abs=1e-9)
    assert columns["distance"] == pytest.approx(abs(factor - 1), rel=1e-9, abs=1e-12)
    assert columns["norm_ratio"] == pytest.approx(factor, rel=1e-9)


def test_orthogonal_kernels() -> None:
    """Two samples apart, then two others: nothing in common."""
    before, after = np.zeros((4, 4)), np.zeros((4, 4))
    before[:2, :2] = after[2:, 2:] = [[1, -1], [-1, 1]]
    columns = of_kernels((before, after))
    assert columns == pytest.approx({"cka": 0, "distance": math.sqrt(2), "norm_ratio": 1, "score": 0})


# Alignment


@given(st.integers(0, 99), st.integers(100, 199), st.integers(2, 8))
def test_alignment_of_features(one: int, other: int, size: int) -> None:
    """Of kernels XXᵀ and YYᵀ it is ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖), X and Y with columns of mean zero."""
    x, y = (np.random.default_rng(seed).standard_normal((size, 3)) for seed in (one, other))
    a, b = x - x.mean(0), y - y.mean(0)
    expected = np.linalg.norm(b.T @ a) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    assert alignment(torch.from_numpy(x @ x.T), torch.from_numpy(y @ y.T)) == pytest.approx(expected)


@given(st.integers(0, 99), st.integers(100, 199), st.floats(0.1, 10), st.floats(-10, 10))
def test_alignment_knows_neither_scale_nor_origin(one: int, other: int, scale: float, shift: float) -> None:
    a, b = (torch.from_numpy(some_kernel(seed)) for seed in (one, other))
    plain = alignment(a, b)
    assert 0 <= plain <= 1 + 1e-12
    assert alignment(b, a) == pytest.approx(plain, abs=1e-12)
    rows = torch.arange(B).double()
    moved = scale * b + shift * (rows[:, None] + rows[None, :])  # features with another origin
    assert alignment(a, moved) == pytest.approx(plain, abs=1e-9)


def test_what_is_constant_has_no_alignment() -> None:
    theta = torch.from_numpy(some_kernel(0))
    noise = 1 + 1e-8 * theta  # what single precision leaves
    for constant in (torch.zeros(B, B).double(), torch.ones(B, B).double(), noise):
        assert math.isnan(alignment(theta, constant))
        assert math.isnan(alignment(constant, theta))
    assert math.isnan(alignment(theta, torch.full((B, B), math.nan).double()))


@pytest.mark.parametrize("bn", MODES)
def test_a_network_without_signal(bn: Any) -> None:
    """Its kernel, that of the classifier's bias, is the same for all pairs, and stays."""
    columns = found(evolution(bn=bn, epochs=2), cell(NOTHING))
    assert math.isnan(columns["score"])
    assert math.isnan(columns["cka"])
    assert columns["norm_ratio"] == pytest.approx(1, abs=0.2)


# What it costs


def test_an_epoch_is_trained_once_for_all() -> None:
    network, sizes = cell()(), []
    network.stem.register_forward_hook(lambda module, args, y: sizes.append(len(y)))
    proxies = [evolution(epochs=k) for k in (1, 4, 2, 0, 3)]
    outcomes = run(network, *proxies, replace(NTKMean(batch_size=B, resolution=R, **RECIPE), epochs=2))
    assert sizes.count(IMAGES) == 4  # one batch an epoch
    assert sizes.count(B) == 5  # untrained, and after each epoch
    alone = found(evolution(epochs=2), cell())
    assert proxies[2].score(records_of(outcomes[2])) == alone


# The experiment


def test_the_experiment_has_the_cells_that_it_says() -> None:
    table = load("digits").table.sort_values("index")
    index, accuracy = table["index"].to_numpy(), table["digits_test"].to_numpy()
    drawn: list[int] = []
    for low, high in ((0, 0.1), (0.45, 0.55), (0.9, 1)):
        least, most = np.quantile(accuracy, (low, high))
        band = index[(accuracy >= least) & (accuracy <= most)]
        drawn += sorted(np.random.default_rng(0).permutation(band)[:30].tolist())
    file = config_folder() / "experiment" / "ntk_evolution.yaml"
    assert OmegaConf.load(file).indices == drawn
