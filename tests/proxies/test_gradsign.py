"""gradsign against backward passes of one sample at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import (
    CLASSES,
    DEAD_BRANCH,
    MIXED,
    NOTHING,
    B,
    Build,
    Chain,
    Smooth,
    Softmax,
    batch,
    cell,
    columns,
    score,
    twin,
    weights,
)
from torch import Tensor

from nasbench_eval.proxies.gradsign import GradSign

NETWORKS: list[Build] = [cell(MIXED), cell(DEAD_BRANCH), Chain, Smooth, Softmax]


def agreement(build: Build, bn: str) -> list[float]:
    """|Σ_n sign(g^(n))| of each weight entry, in float64."""
    network = twin(build, "torch_default").train(bn != "eval")
    x, t = batch()
    sums = {name: torch.zeros_like(p) for name, p in weights(network).items()}
    for n in range(B):
        if bn == "train":
            loss = F.cross_entropy(network(x)[n : n + 1], t[n : n + 1])
        else:
            loss = F.cross_entropy(network(x[n : n + 1]), t[n : n + 1])
        gradients = torch.autograd.grad(loss, list(weights(network).values()), allow_unused=True)
        for total, gradient in zip(sums.values(), gradients, strict=True):
            total += 0 if gradient is None else gradient.sign()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
    return [abs(v) for total in sums.values() for v in total.flatten().tolist()]


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize("bn", ["alone", "eval", "train"])
def test_gradsign(build: Build, bn: str) -> None:
    # A sign may fall the other way where single precision meets a gradient near zero: seldom.
    entries = agreement(build, bn)
    proxy = GradSign(batch_size=B, bn=bn)  # type: ignore[arg-type]
    assert score(proxy, build) == pytest.approx(sum(entries), rel=2e-3)
    mean = sum(entries) / len(entries)
    assert score(replace(proxy, reduction="mean"), build) == pytest.approx(mean, rel=2e-3)
    found = columns(proxy, build)
    assert (found["total"], found["mean"]) == pytest.approx((sum(entries), mean), rel=2e-3)


def test_the_readings_of_batch_norm_differ() -> None:
    scores = {score(GradSign(batch_size=B, bn=bn), cell()) for bn in ("alone", "eval", "train")}  # type: ignore[arg-type]
    assert len(scores) == 3


def test_softmax_regression() -> None:
    """g^(n)_kj = (p_nk − [t_n = k]) x̄_nj: the label's row has the sign of −x̄, the others that of x̄."""
    x, t = batch()
    x_B3 = x.mean(dim=(2, 3))
    total = 0.0
    for k in range(CLASSES):
        for j in range(3):
            signs = [math.copysign(1, x_B3[n, j]) * (-1 if t[n] == k else 1) for n in range(B)]
            total += abs(sum(signs))
    assert score(GradSign(batch_size=B), Softmax) == pytest.approx(total, rel=1e-12)


def test_one_sample_agrees_with_itself() -> None:
    assert score(GradSign(batch_size=1, reduction="mean"), Softmax) == 1


def test_without_a_signal_nothing_agrees() -> None:
    """Neither the cut-off layers nor the classifier's weights, whose inputs are zero, have a gradient."""
    assert score(GradSign(batch_size=B), cell(NOTHING)) == 0


def of_gradients(*gradients: Tensor) -> float:
    """The score of Softmax's one weight tensor, were these its sample gradients; the bias does not count."""
    network, proxy = Softmax(), GradSign()
    observer = proxy.observe(network, proxy.passes()[0])
    observer.on_sample_gradient("classifier.bias", network.classifier.bias, torch.ones(B, CLASSES))
    observer.on_sample_gradient("classifier.weight", network.classifier.weight, torch.stack(gradients))
    return proxy.score([observer.record()])["score"]


def test_by_hand() -> None:
    a, b = torch.zeros(CLASSES, 3), torch.zeros(CLASSES, 3)
    a[0] = torch.tensor([2.0, -1.0, 3.0])
    b[0] = torch.tensor([1e-9, 5.0, 0.0])
    # Agreement, disagreement, and one sample indifferent; twelve entries have no gradient.
    assert of_gradients(a, b) == 2 + 0 + 1
    assert math.isnan(of_gradients(a, b * torch.nan))


@settings(max_examples=20, deadline=None)
@given(
    scales=st.lists(st.floats(1e-3, 1e3), min_size=4, max_size=4),
    order=st.permutations(range(4)),
    seed=st.integers(0, 1000),
)
def test_neither_scale_nor_order_of_the_samples_matters(
    scales: list[float], order: list[int], seed: int
) -> None:
    g = torch.randn(4, CLASSES, 3, generator=torch.Generator().manual_seed(seed))
    plain = of_gradients(*g)
    assert of_gradients(*(scales[n] * g[n] for n in order)) == plain
    assert of_gradients(*(-each for each in g)) == plain
    assert 0 <= plain <= 4 * 3 * CLASSES
