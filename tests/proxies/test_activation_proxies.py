"""naswot, jacov and zen against loops over bits, samples and positions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from oracle import (
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
    columns,
    outputs_of,
    score,
    twin,
)
from torch import Tensor, nn

from nasbench_eval.passes import Engine, ForwardSpec, Observer, PassSpec, Record, Request
from nasbench_eval.proxies.jacov import Jacov
from nasbench_eval.proxies.naswot import Naswot
from nasbench_eval.proxies.zen import Zen
from nasbench_eval.spaces.base import Network

# naswot


class Codes(Observer):
    """The sign of every input to a ReLU, as the engine's own pass has it: one rounding decides a bit."""

    def __init__(self) -> None:
        self.bits: list[list[list[bool]]] = []

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return {name: module for name, module in net.named_modules() if isinstance(module, nn.ReLU)}

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        self.bits.append((x.reshape(len(x), -1) > 0).tolist())

    def record(self) -> Record:
        return {"bits": self.bits}


def kernel(build: Build) -> np.ndarray:
    forward = ForwardSpec("kaiming", "images", B, R)
    engine = Engine(build(), {"d": 5}, Fixed(), KEY, torch.device("cpu"))
    (outcome,) = engine.run([Request(PassSpec(forward), "d", lambda net, spec: Codes())])
    assert outcome.record is not None
    k = np.zeros((B, B))
    for layer in outcome.record["bits"]:
        for i in range(B):
            for j in range(B):
                k[i, j] += sum(
                    z_i * z_j + (1 - z_i) * (1 - z_j) for z_i, z_j in zip(layer[i], layer[j], strict=True)
                )
    return k


def test_naswot() -> None:
    k = kernel(cell(MIXED))
    assert (np.diag(k) == k[0, 0]).all()  # all units agree with themselves
    expected = math.fsum(math.log(abs(v)) for v in np.linalg.eigvals(k))
    assert score(Naswot(batch_size=B), cell(MIXED)) == pytest.approx(expected, rel=1e-9)


class Signs(Softmax):
    """The codes are the signs of the input itself; `twice` asks again of what the first ReLU lets through.

    There zeros stand for the negative numbers: the same code if zero does not count as active.
    """

    def __init__(self, twice: bool = False) -> None:
        super().__init__()
        self.cells = nn.ModuleList([nn.ReLU() for _ in range(1 + twice)])

    def features(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW = x_BCHW
        for relu in self.cells:
            y_BCHW = relu(y_BCHW)
        return x_BCHW


def test_naswot_of_known_codes() -> None:
    z = (batch()[0].reshape(B, -1) > 0).double().numpy()
    k = z @ z.T + (1 - z) @ (1 - z).T
    expected = float(np.log(np.linalg.det(k)))
    assert score(Naswot(batch_size=B), Signs) == pytest.approx(expected, rel=1e-9)
    # The kernels of layers are added: twice the same layer doubles K.
    doubled = score(Naswot(batch_size=B), lambda: Signs(twice=True))
    assert doubled == pytest.approx(expected + B * math.log(2), rel=1e-9)


def test_naswot_of_equal_codes_is_minus_infinity() -> None:
    assert score(Naswot(batch_size=B), cell(NOTHING)) == -math.inf
    assert score(Naswot(batch_size=B, input="ones"), Signs) == -math.inf


# jacov


def jacov_of(jacobians: np.ndarray, k: float = 1e-5) -> float:
    """The formula on Jacobians (B, D)."""
    centred = jacobians - jacobians.mean(1, keepdims=True)
    correlation = np.empty((len(jacobians),) * 2)
    for i in range(len(jacobians)):
        for j in range(len(jacobians)):
            lengths = math.sqrt((centred[i] ** 2).sum() * (centred[j] ** 2).sum())
            correlation[i, j] = (centred[i] * centred[j]).sum() / lengths
    v = np.linalg.eigvalsh(correlation)
    return -sum(math.log(e + k) + 1 / (e + k) for e in v)


@pytest.mark.parametrize("k", [1e-5, 0.1])
def test_jacov_sample_by_sample(k: float) -> None:
    """Without batch norm each sample has a Jacobian of its own: it is taken of that sample alone."""
    network = twin(Smooth, "kaiming")
    rows = []
    for n in range(B):
        x = batch()[0][n : n + 1].requires_grad_()
        rows.append(torch.autograd.grad(network(x).sum(), x)[0].flatten().numpy())
    expected = jacov_of(np.stack(rows), k)
    assert score(Jacov(batch_size=B, k=k), Smooth) == pytest.approx(expected, rel=1e-4)


def test_jacov_through_batch_norm() -> None:
    """Batch norm couples samples: ∂Σ_k f_k/∂x_n is that of the outputs of the whole batch."""
    network = twin(cell(), "kaiming")
    x = batch()[0].requires_grad_()
    logits = network(x)
    total = torch.zeros_like(x)
    for output in logits.flatten():
        total += torch.autograd.grad(output, x, retain_graph=True)[0]
    expected = jacov_of(total.reshape(B, -1).numpy())
    assert score(Jacov(batch_size=B), cell()) == pytest.approx(expected, rel=1e-3)


def test_jacov_of_a_linear_network() -> None:
    """All Jacobians are one: the eigenvalues are B once and 0 else."""
    k = 0.01
    expected = -(math.log(B + k) + 1 / (B + k)) - (B - 1) * (math.log(k) + 1 / k)
    assert score(Jacov(batch_size=B, k=k), Chain) == pytest.approx(expected, rel=1e-6)


def test_jacov_of_no_signal_is_nan() -> None:
    assert math.isnan(score(Jacov(batch_size=B), cell(NOTHING)))


# zen


def difference(network: Network, alpha: float, number: int = 0) -> float:
    """log E‖F(x) − F(x + αε)‖₁, sample by sample."""
    plain, moved = network.features(batch(number)[0]), network.features(batch(number, noise=alpha)[0])
    return math.log(sum(float((plain[n] - moved[n]).abs().sum().detach()) for n in range(B)) / B)


@pytest.mark.parametrize("alpha", [0.01, 0.1])
def test_zen_with_the_batch_variance(alpha: float) -> None:
    network = twin(cell(), "gaussian")
    expected = difference(network, alpha)
    with outputs_of(network, nn.BatchNorm2d) as seen:
        network.features(batch()[0])
    for x, _ in seen:
        # The variance batch norm keeps, which divides by the number of positions less one.
        values = [x[:, c].flatten() for c in range(x.shape[1])]
        variances = [float(((v - v.mean()) ** 2).sum().detach()) / (len(v) - 1) for v in values]
        expected += math.log(math.sqrt(sum(variances) / len(variances)))
    assert len(seen) == 18
    assert score(Zen(batch_size=B, alpha=alpha), cell()) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("repeats", [1, 3])
def test_zen_with_the_running_variance(repeats: int) -> None:
    """Real batch norms, momentum 0.1, after the two forwards; averaged over draws of weights and input."""
    expected = 0.0
    for repeat in range(repeats):
        network = twin(cell(), "gaussian", repeat)
        once = difference(network, 0.01, repeat)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.momentum == 0.1
                assert module.num_batches_tracked == 2
                assert module.running_var is not None
                once += math.log(math.sqrt(float(module.running_var.mean())))
        expected += once / repeats
    proxy = Zen(batch_size=B, variance="running", repeats=repeats)
    assert score(proxy, cell()) == pytest.approx(expected, abs=1e-3)


def test_zen_of_a_network_that_does_nothing() -> None:
    """F(x) = x, so the score is the mean L1 length of αε."""
    epsilon = (batch(noise=1.0)[0] - batch()[0]).abs().reshape(B, -1)
    expected = math.log(0.01 * float(epsilon.sum(1).mean()))
    assert score(Zen(batch_size=B), Softmax) == pytest.approx(expected, abs=1e-4)


def test_zen_is_undone_by_batch_norms_scale() -> None:
    """Batch norm divides the scale of the weights out of F, and its variance puts it back in."""
    plain, normed = score(Zen(batch_size=B), Chain), score(Zen(batch_size=B), lambda: Chain(norms=True))
    assert plain == pytest.approx(normed, abs=0.3)
    assert set(columns(Zen(batch_size=B), Chain)) == {"score"}


def test_zen_of_no_signal_is_minus_infinity() -> None:
    assert score(Zen(batch_size=B), cell(NOTHING)) == -math.inf
