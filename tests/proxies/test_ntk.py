"""The kernel proxies against Jacobians taken one sample at a time, closed forms, and textbook regression."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracle import (
    CLASSES,
    DEAD_BRANCH,
    KEY,
    MIXED,
    NOTHING,
    B,
    Build,
    Chain,
    Fixed,
    R,
    Smooth,
    Softmax,
    batch,
    cell,
    score,
    twin,
)
from torch import Tensor, nn

from nasbench_eval.data.batches import Batches
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.passes import Engine, Observer, PassSpec, Record, Request, jacobian
from nasbench_eval.proxies._kernel import ROUNDING, Kernel
from nasbench_eval.proxies.base import Proxy, ProxyInfo
from nasbench_eval.proxies.lga import LGA
from nasbench_eval.proxies.ntk_condition import NTKCondition
from nasbench_eval.proxies.ntk_frobenius import NTKFrobenius
from nasbench_eval.proxies.ntk_mean import NTKMean
from nasbench_eval.proxies.ntk_mse import NTKMse
from nasbench_eval.runs.rows import Row
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.spaces.base import Network
from nasbench_eval.spaces.nasbench201 import NASBench201

Matrix = npt.NDArray[np.float64]

MODES: list[Any] = ["train", "eval", "alone"]
NETWORKS: dict[str, Build] = {
    "cell": cell(MIXED),
    "dead branch": cell(DEAD_BRANCH),
    "nothing": cell(NOTHING),
    "chain": Chain,
    "normalised chain": lambda: Chain(norms=True),
    "smooth": Smooth,
    "softmax": Softmax,
}
KERNELS = [NTKCondition, NTKFrobenius, NTKMean, LGA]
LABELS = torch.tensor([0, 1, 1, 2, 0, 1])


def expected_jacobian(
    build: Build, bn: str, number: int = 0, offset: int = 0, parameters: str = "all"
) -> Matrix:
    """J of the float64 twin: the gradient of each sample's summed logits by the parameters."""
    network = twin(build, "torch_default").train(bn != "eval")
    x, _ = batch(number, offset=offset)
    chosen = list(network.parameters() if parameters == "all" else weights_of(network.cells))
    if not chosen:
        return np.zeros((B, 0))
    rows = []
    for n in range(B):
        logits = network(x)[n] if bn == "train" else network(x[n : n + 1])[0]
        gradients = torch.autograd.grad(sum(logits), chosen, allow_unused=True)
        row = [torch.zeros_like(p) if g is None else g for p, g in zip(chosen, gradients, strict=True)]
        rows.append(torch.cat([g.flatten() for g in row]).numpy())
    return np.array(rows)


def weights_of(blocks: Iterable[nn.Module]) -> Iterator[Tensor]:
    """Weights of convolutions and batch norms inside the blocks, without biases."""
    for block in blocks:
        for layer in block.modules():
            if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
                yield layer.weight


def expected_kernel(build: Build, bn: str, number: int = 0, parameters: str = "all") -> Matrix:
    """Θ of the float64 twin."""
    rows = expected_jacobian(build, bn, number, parameters=parameters)
    return np.array([[float(a @ b) for b in rows] for a in rows])


def kernel(build: Build, bn: Any, parameters: Any = "all") -> Tensor:
    """Θ as the package has it."""
    proxy = NTKMean(batch_size=B, resolution=R, bn=bn, parameters=parameters)
    engine = Engine(build(), {"d": CLASSES}, Fixed(), KEY, torch.device("cpu"))
    (outcome,) = engine.run([Request(proxy.passes()[0], "d", proxy.observe)])
    assert outcome.error is None, repr(outcome.error)
    assert outcome.record is not None
    assert torch.equal(outcome.record["labels"], batch()[1])
    found: Tensor = outcome.record["kernel"]
    assert found.dtype == torch.float64
    return found


def assert_close(found: Tensor, expected: Matrix, largest: Matrix | None = None) -> None:
    largest = expected if largest is None else largest
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-5 * np.abs(largest).max())


# The kernel


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bn", MODES)
@pytest.mark.parametrize("parameters", ["all", "cells"])
def test_kernel(name: str, bn: str, parameters: str) -> None:
    found, every = kernel(NETWORKS[name], bn, parameters), expected_kernel(NETWORKS[name], bn)
    assert_close(found, expected_kernel(NETWORKS[name], bn, parameters=parameters), every)


def test_whose_kernel_it_is_matters() -> None:
    every, cells = (kernel(cell(), "train", parameters) for parameters in ("all", "cells"))
    assert float((every - cells).norm() / every.norm()) > 0.05
    found = score(NTKCondition(batch_size=B, parameters="cells"), cell())
    eigenvalues = np.linalg.eigvalsh(expected_kernel(cell(), "train", parameters="cells"))
    assert found == pytest.approx(-eigenvalues[-1] / eigenvalues[0], rel=1e-3)


def test_the_modes_of_batch_norm_differ() -> None:
    train, eval_, alone = (kernel(cell(), bn) for bn in MODES)
    for a, b in ((train, eval_), (train, alone), (eval_, alone)):
        assert float((a - b).norm() / a.norm()) > 0.05


@pytest.mark.parametrize("bn", MODES)
def test_softmax_regression(bn: str) -> None:
    """∂(Σ_k f_k)/∂W_kj = φ_j and ∂(Σ_k f_k)/∂b_k = 1: Θ = K (φφᵀ + 1)."""
    phi = batch()[0].mean(dim=(2, 3)).numpy()
    np.testing.assert_allclose(kernel(Softmax, bn).numpy(), CLASSES * (phi @ phi.T + 1), rtol=1e-5)


@pytest.mark.parametrize("bn", MODES)
def test_linear_network(bn: str) -> None:
    """Σ_k f_k = 1ᵀ(W A₂ A₁ x̄ + b): a rank-one term for each layer."""
    network = twin(Chain, "torch_default")
    a1, a2, w = (p.detach().flatten(1).numpy() for p in network.parameters() if p.ndim > 1)
    x = batch()[0].mean(dim=(2, 3)).numpy()
    h = x @ a1.T
    phi = h @ a2.T
    v = w.sum(0)
    u = v @ a2
    expected = CLASSES * (phi @ phi.T + 1) + v @ v * (h @ h.T) + u @ u * (x @ x.T)
    assert_close(kernel(Chain, bn), expected)


def test_where_samples_do_not_meet_the_modes_agree() -> None:
    train, eval_, alone = (kernel(Smooth, bn) for bn in MODES)
    torch.testing.assert_close(train, eval_, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(alone, eval_, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bound", [1, 2_000, 20_000])
def test_the_bound_of_memory_moves_no_bit(bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = kernel(cell(), "train")
    monkeypatch.setattr(jacobian, "MEMORY_BOUND", bound)
    assert torch.equal(kernel(cell(), "train"), plain)


# The scores


@pytest.mark.parametrize("bn", MODES)
def test_scores(bn: Any) -> None:
    theta, t = expected_kernel(cell(), bn), batch()[1].numpy()
    eigenvalues = np.linalg.eigvalsh(theta)
    expected = {
        NTKCondition: -eigenvalues[-1] / eigenvalues[0],
        NTKFrobenius: math.sqrt(math.fsum(float(v) ** 2 for v in theta.flat)),
        NTKMean: math.fsum(theta.flat) / B**2,
        LGA: alignment(theta, t),
    }
    for proxy, value in expected.items():
        assert score(proxy(batch_size=B, bn=bn), cell()) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("proxy", [NTKFrobenius, NTKMean, LGA])
def test_the_score_is_the_mean_over_mini_batches(proxy: type[Kernel]) -> None:
    kernels = [torch.from_numpy(expected_kernel(cell(), "eval", number)) for number in range(3)]
    single = [proxy().measure(theta, batch(number)[1]) for number, theta in enumerate(kernels)]
    assert len(set(single)) == 3
    found = score(proxy(batch_size=B, bn="eval", batches=3), cell())
    assert found == pytest.approx(sum(single) / 3, rel=1e-3)


@pytest.mark.parametrize("proxy", KERNELS)
def test_its_passes(proxy: type[Kernel]) -> None:
    passes = proxy(batches=3, channels=2, cells=1, bn="eval").passes()
    assert [spec.forward.batch for spec in passes] == [0, 1, 2]
    assert {(s.objective, s.wrt) for s in passes} == {("sum", "samples")}
    assert {(s.forward.channels, s.forward.cells, s.forward.bn) for s in passes} == {(2, 1, "eval")}
    assert all(spec.forward.training is None for spec in passes)
    trained = proxy(epochs=2, training_images=99, learning_rate=0.5, schedule=4).passes()[0].forward.training
    assert trained is not None
    told = trained.epochs, trained.images, trained.learning_rate, trained.schedule
    assert told == (2, 99, 0.5, 4)


@pytest.mark.parametrize("proxy", [*KERNELS, NTKMse])
def test_at_least_one_batch(proxy: Any) -> None:
    with pytest.raises(ValueError, match="batches are at least 1; got 0"):
        proxy(batches=0)


# Measures of a kernel


def with_eigenvalues(values: Sequence[float], seed: int = 0) -> Tensor:
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values),) * 2))
    return torch.from_numpy(q @ np.diag(values) @ q.T)


def condition(theta: Tensor) -> float:
    return NTKCondition().measure(theta, LABELS)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), st.floats(1e-6, 1e6), st.integers(0, 99))
def test_condition_number_of_known_eigenvalues(values: list[float], scale: float, seed: int) -> None:
    found = condition(with_eigenvalues([scale * v for v in values], seed))
    assert found == pytest.approx(-max(values) / min(values), rel=1e-8)
    assert found <= -1 + 1e-9


def test_a_singular_kernel_is_the_worst() -> None:
    for values in ([3.0, 2.0, 0.0], [3.0, -1e-12, 1.0], [0.0, 0.0], [1.0, 0.5 * ROUNDING, 1.0]):
        assert condition(with_eigenvalues(values)) == -math.inf
    assert condition(torch.zeros(4, 4).double()) == -math.inf
    assert condition(torch.ones(4, 4).double()) == -math.inf
    # What single precision does tell from zero is told.
    assert condition(with_eigenvalues([1.0, 2 * ROUNDING])) == pytest.approx(-0.5 / ROUNDING, rel=1e-6)


def test_a_network_without_signal_has_a_singular_kernel() -> None:
    for bn in MODES:
        assert score(NTKCondition(batch_size=B, bn=bn), cell(NOTHING)) == -math.inf
        assert math.isnan(score(LGA(batch_size=B, bn=bn), cell(NOTHING)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_no_kernel(value: float) -> None:
    theta = with_eigenvalues([1, 2, 3, 4, 5, 6])
    theta[0, 1] = theta[1, 0] = value
    assert math.isnan(condition(theta))
    assert math.isnan(LGA().measure(theta, LABELS))


@given(st.integers(1, 8), st.integers(0, 999))
def test_norm_and_mean_as_numpy_has_them(size: int, seed: int) -> None:
    theta = np.random.default_rng(seed).standard_normal((size, size))
    norm = NTKFrobenius().measure(torch.from_numpy(theta), LABELS)
    assert norm == pytest.approx(np.linalg.norm(theta, "fro"), rel=1e-12)
    assert NTKMean().measure(torch.from_numpy(theta), LABELS) == pytest.approx(np.mean(theta), abs=1e-14)


# Label-gradient alignment


def alignment(theta: Matrix, labels: Sequence[int] | npt.NDArray[np.int64]) -> float:
    """The correlation of Θ's entries with whether their labels agree, written out."""
    pairs = [(n, m) for n in range(len(labels)) for m in range(len(labels))]
    a = [float(theta[pair]) for pair in pairs]
    y = [1.0 if labels[n] == labels[m] else 0.0 for n, m in pairs]
    a_mean, y_mean = math.fsum(a) / len(a), math.fsum(y) / len(y)
    both = math.fsum((p - a_mean) * (q - y_mean) for p, q in zip(a, y, strict=True))
    squares = math.fsum((p - a_mean) ** 2 for p in a) * math.fsum((q - y_mean) ** 2 for q in y)
    return both / math.sqrt(squares)


def lga(theta: Tensor, labels: Tensor = LABELS) -> float:
    return LGA().measure(theta, labels)


def agreement(labels: Tensor) -> Tensor:
    return (labels[:, None] == labels).double()


def some_kernel(seed: int, size: int = len(LABELS)) -> Tensor:
    j = torch.randn(size, 10, generator=torch.Generator().manual_seed(seed)).double()
    return j @ j.T


several_classes = st.lists(st.integers(0, 3), min_size=3, max_size=8).filter(lambda t: len(set(t)) > 1)


@given(several_classes, st.integers(0, 999))
def test_alignment(labels: list[int], seed: int) -> None:
    theta = some_kernel(seed, len(labels))
    found = lga(theta, torch.tensor(labels))
    assert found == pytest.approx(alignment(theta.numpy(), labels), abs=1e-12)
    assert -1 - 1e-12 <= found <= 1 + 1e-12


@given(several_classes, st.floats(0.1, 100), st.floats(-100, 100))
def test_a_kernel_that_tells_the_labels_is_aligned(labels: list[int], slope: float, shift: float) -> None:
    t = torch.tensor(labels)
    assert lga(slope * agreement(t) + shift, t) == pytest.approx(1, abs=1e-9)
    assert lga(-slope * agreement(t) + shift, t) == pytest.approx(-1, abs=1e-9)


@given(st.integers(0, 999), st.floats(0.1, 100), st.floats(-100, 100))
def test_alignment_knows_neither_scale_nor_shift(seed: int, scale: float, shift: float) -> None:
    theta = some_kernel(seed)
    assert lga(scale * theta + shift) == pytest.approx(lga(theta), abs=1e-9)
    assert lga(-scale * theta + shift) == pytest.approx(-lga(theta), abs=1e-9)


@given(st.permutations(range(len(LABELS))), st.permutations(range(3)))
def test_neither_order_nor_names_of_classes_matter(order: list[int], names: list[int]) -> None:
    theta = some_kernel(1)
    renamed = torch.tensor(names)[LABELS][order]
    assert lga(theta[order][:, order], renamed) == pytest.approx(lga(theta), abs=1e-12)


def test_what_is_constant_is_aligned_with_nothing() -> None:
    for constant in (0.0, 1.0, -3.7, 1e6):
        assert math.isnan(lga(torch.full((6, 6), constant).double()))
    # Rounding of single precision is no signal.
    noise = 1 + 1e-8 * some_kernel(0)
    assert math.isnan(lga(noise))
    assert math.isnan(lga(some_kernel(0), torch.full((6,), 2)))


# Regression with the last layer's kernel


def of_features(seed: int, samples: int, width: int, rank: int | None = None, classes: int = 3) -> Record:
    rng = np.random.default_rng(seed)
    phi = rng.standard_normal((samples, rank or width))
    if rank is not None:
        phi = phi @ np.random.default_rng(width).standard_normal((rank, width))
    labels = torch.from_numpy(rng.integers(0, classes, samples))
    return {"inputs": torch.from_numpy(phi), "labels": labels, "classes": classes}


def one_hot(record: Record) -> Matrix:
    return np.eye(record["classes"])[record["labels"].numpy()]


def with_ones(record: Record) -> Matrix:
    phi: Matrix = record["inputs"].numpy()
    return np.hstack([phi, np.ones((len(phi), 1))])


def error_of(predicted: Matrix, test: Record) -> float:
    return float(np.mean([np.linalg.norm(p - y) for p, y in zip(predicted, one_hot(test), strict=True)]))


def least_squares(train: Record, test: Record) -> float:
    """Θ(test, train) Θ(train, train)⁺ y is what the shortest least-squares weights predict."""
    weights, *_ = np.linalg.lstsq(with_ones(train), one_hot(train), rcond=1e-9)
    return error_of(with_ones(test) @ weights, test)


def ridge(train: Record, test: Record) -> float:
    a, b = with_ones(train), with_ones(test)
    theta = a @ a.T
    return error_of(b @ a.T @ np.linalg.solve(theta + 1e-10 * np.eye(len(theta)), one_hot(train)), test)


def joined(train: Record, test: Record) -> Record:
    """A mini-batch whose first half is for training."""
    both = {name: torch.cat([train[name], test[name]]) for name in ("inputs", "labels")}
    return {**both, "classes": train["classes"]}


def mse(train: Record, test: Record) -> float:
    return -NTKMse(parameters="last").score([joined(train, test)])["score"]


@given(st.integers(0, 999), st.integers(2, 9), st.integers(1, 9))
def test_regression(seed: int, samples: int, width: int) -> None:
    train, test = of_features(seed, samples, width), of_features(seed + 1000, samples, width)
    assert mse(train, test) == pytest.approx(least_squares(train, test), rel=1e-5)


@pytest.mark.parametrize(("samples", "width"), [(5, 12), (5, 4), (20, 4)])
def test_regression_is_the_limit_of_ridge_regression(samples: int, width: int) -> None:
    train, test = of_features(1, samples, width), of_features(2, samples, width)
    assert mse(train, test) == pytest.approx(ridge(train, test), rel=1e-5)


@given(st.integers(0, 99), st.integers(1, 3))
def test_regression_on_degenerate_features(seed: int, rank: int) -> None:
    train, test = of_features(seed, 12, 7, rank), of_features(seed + 1000, 12, 7, rank)
    assert mse(train, test) == pytest.approx(least_squares(train, test), rel=1e-5)


def test_as_many_samples_as_a_kernel_has_rank_are_met_exactly() -> None:
    for samples in (2, 5, 8):
        train = of_features(3, samples, 7)
        assert mse(train, train) == pytest.approx(0, abs=1e-9)
    train = of_features(3, 9, 7)  # one more than there are weights
    assert mse(train, train) > 1e-3


def test_features_that_say_nothing_predict_the_mean() -> None:
    for constant in (0.0, 2.5):
        train, test = of_features(4, 8, 5), of_features(5, 8, 5)
        train["inputs"], test["inputs"] = (torch.full((8, 5), constant).double() for _ in range(2))
        predicted = np.tile(one_hot(train).mean(axis=0), (8, 1))
        assert mse(train, test) == pytest.approx(error_of(predicted, test), rel=1e-6)


def test_rounding_errors_of_single_precision_are_not_inverted() -> None:
    train, test = of_features(6, 12, 7, rank=2), of_features(7, 12, 7, rank=2)
    exact = mse(train, test)
    for seed, record in enumerate((train, test)):
        errors = np.random.default_rng(seed).standard_normal((12, 7))
        record["inputs"] = record["inputs"] + 1e-6 * torch.from_numpy(errors)
    assert mse(train, test) == pytest.approx(exact, rel=1e-4)


def test_regression_on_what_is_not_finite() -> None:
    train, test = of_features(8, 6, 4), of_features(9, 6, 4)
    for broken in (0, 1):
        for value in (math.nan, math.inf):
            pair = [dict(train), dict(test)]
            pair[broken]["inputs"] = torch.full((6, 4), value).double()
            assert math.isnan(mse(*pair))


@pytest.mark.parametrize("bn", ["train", "eval"])
@pytest.mark.parametrize("name", ["cell", "dead branch", "nothing", "smooth", "softmax"])
def test_regression_on_a_networks_features(name: str, bn: Any) -> None:
    network = twin(NETWORKS[name], "torch_default").train(bn != "eval")

    def error(number: int) -> float:
        x, t = batch(number)
        with torch.no_grad():
            phi = network.features(x).mean(dim=(2, 3))
        halves = (slice(B // 2), slice(B // 2, None))
        train, test = ({"inputs": phi[h], "labels": t[h], "classes": CLASSES} for h in halves)
        return least_squares(train, test)

    errors = [error(0), error(1)]
    last = NTKMse(batch_size=B, bn=bn, parameters="last")
    assert score(last, NETWORKS[name]) == pytest.approx(-errors[0], rel=5e-3)
    found = score(replace(last, batches=2), NETWORKS[name])
    assert found == pytest.approx(-sum(errors) / 2, rel=5e-3)


def test_of_an_odd_batch_the_larger_half_is_tested_on() -> None:
    train, test = of_features(10, 4, 3), of_features(11, 5, 3)
    assert mse(train, test) == pytest.approx(least_squares(train, test), rel=1e-5)


def test_a_batch_has_a_sample_for_each_half() -> None:
    with pytest.raises(ValueError, match=r"got 1$"):
        NTKMse(batch_size=1)


# Regression with the kernel of the cells


def centred(labels: Tensor) -> Matrix:
    """One-hot labels less their mean over the batch, written out."""
    t = labels.tolist()
    return np.array([[float(k == c) - t.count(c) / len(t) for c in range(CLASSES)] for k in t])


def expected_error(build: Build, bn: str, number: int = 0) -> float:
    """‖ŷ − y‖² of other samples than those of the kernel that is inverted, the mean over them."""
    train = expected_jacobian(build, bn, number, parameters="cells")
    test = expected_jacobian(build, bn, number, offset=B, parameters="cells")
    kernel_of_train = np.array([[float(a @ b) for b in train] for a in train])
    between = np.array([[float(a @ b) for b in train] for a in test])
    y, other = (centred(batch(number, offset=offset)[1]) for offset in (0, B))
    errors = between @ np.linalg.inv(kernel_of_train) @ y - other
    return math.fsum(float(e) ** 2 for e in errors.flat) / B


@pytest.mark.parametrize("bn", ["train", "eval"])
@pytest.mark.parametrize("name", ["cell", "smooth"])
def test_regression_with_the_kernel_of_the_cells(name: str, bn: Any) -> None:
    errors = [expected_error(NETWORKS[name], bn, number) for number in (0, 1)]
    proxy = NTKMse(batch_size=B, bn=bn)
    assert score(proxy, NETWORKS[name]) == pytest.approx(-errors[0], rel=5e-3)
    found = score(replace(proxy, batches=2), NETWORKS[name])
    assert found == pytest.approx(-sum(errors) / 2, rel=5e-3)


def jacobian_record(seed: int, samples: int, weights: int, labels: Sequence[int]) -> Record:
    generator = torch.Generator().manual_seed(seed)
    j = torch.randn(samples, weights, generator=generator)
    return {"jacobian": j, "labels": torch.tensor(labels)}


def test_what_was_trained_on_is_predicted() -> None:
    train = jacobian_record(0, 4, 9, [0, 2, 1, 0])
    assert NTKMse().score([train, train])["score"] == pytest.approx(0, abs=1e-9)


def test_another_scale_of_the_kernel_changes_nothing() -> None:
    train, test = jacobian_record(0, 4, 9, [0, 2, 1, 0]), jacobian_record(1, 3, 9, [1, 2, 2])
    larger = [{**record, "jacobian": 64 * record["jacobian"]} for record in (train, test)]
    expected = NTKMse().score([train, test])["score"]
    assert NTKMse().score(larger)["score"] == pytest.approx(expected, rel=1e-9)


def test_a_kernel_that_cannot_be_inverted_is_the_worst() -> None:
    test = jacobian_record(1, 3, 9, [1, 2, 2])
    for weights in (0, 2):  # fewer than samples
        few = [jacobian_record(seed, 4, weights, [0, 2, 1, 0]) for seed in (0, 1)]
        assert NTKMse().score(few)["score"] == -math.inf
    same = jacobian_record(0, 4, 9, [0, 2, 1, 0])
    same["jacobian"][3] = same["jacobian"][0]
    assert NTKMse().score([same, test])["score"] == -math.inf
    assert score(NTKMse(batch_size=B), cell(NOTHING)) == -math.inf


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_regression_on_a_jacobian_that_is_not_finite(value: float) -> None:
    for broken in (0, 1):
        pair = [jacobian_record(0, 4, 9, [0, 2, 1, 0]), jacobian_record(1, 4, 9, [1, 2, 2, 0])]
        pair[broken]["jacobian"][1, 2] = value
        assert math.isnan(NTKMse().score(pair)["score"])


def test_the_passes_of_the_regression() -> None:
    """The first is ntk_condition's: both scores cost no more passes than one of them."""
    passes = NTKMse(batches=2).passes()
    assert [(s.forward.batch, s.forward.offset) for s in passes] == [(0, 0), (0, 64), (1, 0), (1, 64)]
    assert passes[::2] == NTKCondition(batches=2, channels=3, cells=1).passes()


# The size of the network


@dataclass(frozen=True)
class Sizes(Kernel):
    """Counts the parameters that the kernel is made of."""

    info: ClassVar = ProxyInfo("sizes", 1, "made up")

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _Sizes()

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(sum(record["entries"] for record in records))}


class _Sizes(Observer):
    entries = 0

    def on_sample_gradient(self, name: str, parameter: Tensor, gradient_B: Tensor) -> None:
        assert gradient_B.shape[1:] == parameter.shape
        self.entries += parameter.numel()

    def record(self) -> Record:
        return {"entries": self.entries}


SPACE = NASBench201(channels=4, cells_per_stage=2)
DATASETS = {name: DataSet(name, n, R, (0.0,) * 3, (1.0,) * 3) for name, n in (("few", 3), ("many", 20))}
SIZES: list[dict[str, Any]] = [{"channels": c, "cells": n} for c in (None, 2, 6) for n in (None, 1, 3)]
SMALL: dict[str, Any] = {"batch_size": 4, "input": "gaussian"}


@cache
def index_of(text: str) -> int:
    return next(i for i in range(len(SPACE)) if SPACE.arch(i) == SPACE.parse(text))


def rows_of(**proxies: Proxy) -> dict[tuple[str, str], Row]:
    job, device = Job(SPACE, DATASETS, proxies, seed=0), torch.device("cpu")
    batches = Batches(job.seed, job.datasets, None, device)
    rows = score_architecture(job, index_of(MIXED), job.tasks(), batches, device)
    assert all(row["error"] is None for row in rows), rows
    return {(row["dataset"], row["label"]): {k: v for k, v in row.items() if k != "seconds"} for row in rows}


@pytest.mark.parametrize("bn", MODES)
def test_width_and_depth_reach_the_network(bn: Any) -> None:
    found = rows_of(**{f"p{i}": Sizes(bn=bn, **size, **SMALL) for i, size in enumerate(SIZES)})
    for name, info in DATASETS.items():
        for i, size in enumerate(SIZES):
            network = SPACE.resized(**size).build(SPACE.parse(MIXED), num_classes=info.num_classes)
            assert found[name, f"p{i}"]["score"] == sum(p.numel() for p in network.parameters())
        assert len({found[name, f"p{i}"]["score"] for i in range(len(SIZES))}) == len(SIZES)


def test_resized_keeps_what_is_not_named() -> None:
    assert SPACE.resized(channels=None, cells=None) == SPACE
    assert SPACE.resized(channels=7, cells=None) == NASBench201(7, 2)
    assert SPACE.resized(channels=None, cells=5) == NASBench201(4, 5)
    assert SPACE.resized(channels=7, cells=5) == NASBench201(7, 5)


def test_thin_and_full_networks_of_one_run_do_not_meet() -> None:
    proxies: dict[str, Proxy] = {
        "full": NTKMean(bn="eval", **SMALL),
        "thin": NTKMean(bn="eval", channels=2, cells=1, **SMALL),
        "shallow": NTKCondition(cells=1, **SMALL),
        "regression": NTKMse(**SMALL),
        "again": NTKFrobenius(bn="eval", channels=2, cells=1, **SMALL),
        "spelt out": NTKMean(bn="eval", channels=4, cells=2, **SMALL),
    }
    together = rows_of(**proxies)
    backwards = rows_of(**dict(reversed(proxies.items())))
    for label, proxy in proxies.items():
        alone = rows_of(**{label: proxy})
        for dataset in DATASETS:
            assert together[dataset, label] == backwards[dataset, label] == alone[dataset, label]
    scores = {together["few", label]["score"] for label in ("full", "thin")}
    assert len(scores) == 2
    assert together["few", "full"]["score"] == together["few", "spelt out"]["score"]
