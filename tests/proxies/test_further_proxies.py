"""plain, l2_norm, epe_nas and swap against loops, closed forms and NumPy; the passes of further proxies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
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
    columns,
    loss_gradients,
    score,
    twin,
    weights,
)
from torch import Tensor, nn

from nasbench_eval.passes import Engine, ForwardSpec, Observer, PassSpec, Record, Request
from nasbench_eval.proxies import epe_nas
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.proxies.epe_nas import EpeNas
from nasbench_eval.proxies.fisher import Fisher
from nasbench_eval.proxies.jacov import Jacov
from nasbench_eval.proxies.l2_norm import L2Norm
from nasbench_eval.proxies.naswot import Naswot
from nasbench_eval.proxies.near import Near
from nasbench_eval.proxies.params import Params
from nasbench_eval.proxies.plain import Plain
from nasbench_eval.proxies.snip import Snip
from nasbench_eval.proxies.swap import Swap
from nasbench_eval.spaces.base import Network


@pytest.mark.parametrize(
    ("proxy", "beside"),
    [(Plain(), Fisher()), (EpeNas(), Jacov()), (Near(), Naswot()), (L2Norm(), Params())],
)
def test_it_looks_at_a_pass_that_another_proxy_has(proxy: Proxy, beside: Proxy) -> None:
    assert proxy.passes() == beside.passes()


# plain


@pytest.mark.parametrize("build", [cell(MIXED), cell(DEAD_BRANCH), Chain, Smooth, Softmax])
def test_plain(build: Build) -> None:
    network = twin(build, "torch_default")
    gradients = loss_gradients(network)
    terms = [
        w * g
        for name, p in weights(network).items()
        for w, g in zip(p.flatten().tolist(), gradients[name].flatten().tolist(), strict=True)
    ]
    size = sum(abs(term) for term in terms)
    assert score(Plain(batch_size=B), build) == pytest.approx(math.fsum(terms), abs=1e-5 * size)
    assert score(Snip(batch_size=B, init="torch_default"), build) == pytest.approx(size, rel=1e-3)


def of_classifier(build: Build) -> float:
    network = twin(build, "torch_default")
    gradients = loss_gradients(network)
    return float((network.classifier.weight * gradients["classifier.weight"]).sum().detach())


def test_plain_counts_the_same_for_every_layer_of_a_linear_chain() -> None:
    """To scale any one of its layers is to scale W·h: three layers, three times the classifier's share."""
    assert score(Plain(batch_size=B), Chain) == pytest.approx(3 * of_classifier(Chain), rel=1e-4)


def test_plain_is_the_classifiers_where_batch_norm_follows_all_else() -> None:
    expected = of_classifier(lambda: Chain(norms=True))
    found = score(Plain(batch_size=B), lambda: Chain(norms=True))
    assert found == pytest.approx(expected, rel=1e-3)
    assert abs(expected) > 1e-3


# l2_norm


@pytest.mark.parametrize("init", ["kaiming", "torch_default", "gaussian"])
@pytest.mark.parametrize("build", [cell(MIXED), cell(NOTHING), Smooth, Softmax])
def test_l2_norm(build: Build, init: Any) -> None:
    expected = 0.0
    for theta in weights(twin(build, init)).values():
        expected += math.sqrt(sum(v * v for v in theta.flatten().tolist()))
    assert score(L2Norm(init=init), build) == pytest.approx(expected, rel=1e-6)


def test_l2_norm_is_about_a_sum_of_roots_of_widths() -> None:
    expected = sum(math.sqrt(2 * len(theta)) for theta in weights(twin(cell(), "kaiming")).values())
    assert score(L2Norm(), cell()) == pytest.approx(expected, rel=0.05)


# epe_nas


E = 14  # samples, of which some classes have one and several have more


def jacobians_and_labels() -> tuple[np.ndarray, list[int]]:
    """Without batch norm each sample has a Jacobian of its own: it is taken of that sample alone."""
    network, rows = twin(Smooth, "kaiming"), []
    inputs, labels = batch(b=E)
    for n in range(E):
        x = inputs[n : n + 1].requires_grad_()
        rows.append(torch.autograd.grad(network(x).sum(), x)[0].flatten().numpy())
    return np.stack(rows), labels.tolist()


def sums(k: float, single: str = "count") -> dict[int, tuple[float, int]]:
    """s_c and the number of images of each class."""
    jacobians, labels = jacobians_and_labels()
    found = {}
    for label in set(labels):
        rows = [j for j, mine in zip(jacobians, labels, strict=True) if mine == label]
        if len(rows) > 1 or single == "count":
            s = sum(math.log(abs(np.corrcoef(a, b)[0, 1]) + k) for a in rows for b in rows)
            found[label] = (s, len(rows))
    return found


@pytest.mark.parametrize("k", [1e-5, 0.1])
def test_epe_nas_of_few_classes(k: float) -> None:
    found = sums(k)
    assert {n for _, n in found.values()} >= {1, 2}  # both kinds of classes are there
    expected = sum(abs(s) for s, _ in found.values())
    assert score(EpeNas(batch_size=E, k=k), Smooth) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("single", ["omit", "count"])
def test_epe_nas_of_many_classes(single: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epe_nas, "ADDED", CLASSES - 1)
    means = [s / n for s, n in sums(1e-5, single).values()]
    assert len(means) > 1
    expected = sum(abs(a - b) for a in means for b in means) / len(means)
    assert score(EpeNas(batch_size=E, single=single), Smooth) == pytest.approx(expected, rel=1e-4)


def test_epe_nas_adds_a_hundred_classes_and_compares_more() -> None:
    correlations = torch.full((4, 4), 0.5, dtype=torch.float64).fill_diagonal_(1)
    record = {"correlation": correlations, "labels": torch.tensor([7, 7, 2, 3]), "classes": 100}
    pair, one = 2 * math.log(1 + 1e-5) + 2 * math.log(0.5 + 1e-5), math.log(1 + 1e-5)
    for single in ("omit", "count"):
        assert EpeNas(single=single).score([record])["score"] == pytest.approx(abs(pair) + 2 * one)
    record["classes"] = 101
    assert math.isnan(EpeNas().score([record])["score"])  # one class has nothing to be compared with
    apart = 4 * abs(pair / 2 - one) / 3
    assert EpeNas(single="count").score([record])["score"] == pytest.approx(apart)
    record["labels"] = torch.tensor([1, 2, 3, 4])
    record["correlation"] = correlations * torch.tensor([1 - 1e-15, 1, 1, 1])
    assert math.isnan(EpeNas().score([record])["score"])  # no class has two images
    assert EpeNas(single="count").score([record])["score"] == 0


def test_epe_nas_of_a_linear_network() -> None:
    """All Jacobians are one: each of n² correlations is 1."""
    counts = np.bincount(batch()[1])
    expected = float((counts**2).sum()) * math.log(1.1)
    assert score(EpeNas(batch_size=B, k=0.1), Chain) == pytest.approx(expected, rel=1e-6)


def test_epe_nas_of_no_signal_is_nan() -> None:
    assert math.isnan(score(EpeNas(batch_size=B), cell(NOTHING)))


# swap


class Signs(Observer):
    """Which outputs of ReLUs are positive, as the engine's own pass has it: one rounding decides a bit."""

    def __init__(self) -> None:
        self.bits: list[Tensor] = []

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return {name: module for name, module in net.named_modules() if isinstance(module, nn.ReLU)}

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        self.bits.append(y.reshape(len(y), -1) > 0)

    def record(self) -> Record:
        return {"bits": torch.cat(self.bits, 1).tolist()}


def patterns(build: Build, b: int) -> set[tuple[bool, ...]]:
    engine = Engine(build(), {"d": CLASSES}, Fixed(), KEY, torch.device("cpu"))
    spec = PassSpec(ForwardSpec("gaussian", "images", b, R))
    (outcome,) = engine.run([Request(spec, "d", lambda net, spec: Signs())])
    assert outcome.record is not None
    return set(zip(*outcome.record["bits"], strict=True))


@pytest.mark.parametrize("b", [2, B, 16, 64, 70])
def test_swap(b: int) -> None:
    """70 samples are more than one number holds."""
    found = columns(Swap(batch_size=b), cell())
    assert found["score"] == found["patterns"] == len(patterns(cell(), b))
    assert found["score"] <= 2**b


class Rectified(Softmax):
    """ReLUs of the input itself, one or two in a row, which have the same patterns; and one of a vector."""

    def __init__(self, relus: int = 1) -> None:
        super().__init__()
        self.cells = nn.ModuleList([nn.ReLU() for _ in range(relus)])
        self.last = nn.ReLU()

    def features(self, x_BCHW: Tensor) -> Tensor:
        for relu in self.cells:
            x_BCHW = relu(x_BCHW)
        self.last(-x_BCHW.mean(dim=(2, 3)))
        return x_BCHW


@pytest.mark.parametrize("relus", [1, 2])
def test_swap_of_known_signs(relus: int) -> None:
    x = batch()[0].reshape(B, -1).numpy() > 0
    expected = len(np.unique(x, axis=1).T)
    assert score(Swap(batch_size=B), lambda: Rectified(relus)) == expected
    assert 1 < expected < x.shape[1]


def test_swap_of_parameters_in_thousands() -> None:
    count = sum(p.numel() for p in cell()().parameters())
    plain = score(Swap(batch_size=B), cell())
    found = columns(Swap(batch_size=B, regularised=True, mu=4.0, sigma=2.5), cell())
    assert found["patterns"] == plain
    product = plain * math.exp(-((count / 1000 - 4.0) ** 2) / 2.5)
    assert found["score"] == pytest.approx(math.log(product), rel=1e-9)
    assert 0 < product < plain
    exact = Swap(batch_size=B, regularised=True, mu=count / 1000, sigma=1e-3)
    assert score(exact, cell()) == pytest.approx(math.log(plain))
    # Where the product is 0 in floating point, networks are told apart all the same.
    far = [score(Swap(batch_size=B, regularised=True, mu=mu), cell()) for mu in (500.0, 1000.0)]
    assert math.exp(far[0]) == math.exp(far[1]) == 0
    assert far[0] > far[1] > -math.inf


def test_swap_of_no_signal_and_of_no_relu() -> None:
    assert score(Swap(batch_size=B), cell(NOTHING)) == 1
    assert score(Swap(batch_size=B), Chain) == 0


def test_swap_of_features_that_overflow() -> None:
    """A unit that is not a number is not positive: it would pass for one pattern more."""
    observer = Swap(batch_size=B).observe(cell()(), PassSpec(Swap(batch_size=B).forward()))
    observer.on_layer("relu", torch.nn.ReLU(), torch.ones(B, 2, 2, 2), torch.ones(B, 2, 2, 2))
    observer.on_features(torch.tensor([1.0, math.inf]))
    assert math.isnan(Swap(batch_size=B).score([observer.record()])["score"])


def test_swap_refuses_a_width_of_zero() -> None:
    with pytest.raises(ValueError, match="sigma is above 0; got 0"):
        Swap(sigma=0)
