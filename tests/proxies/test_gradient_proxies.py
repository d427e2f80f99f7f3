"""grad_norm, snip, grasp, fisher, synflow and zico against loops, closed forms and finite differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
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
    loss_gradients,
    outputs_of,
    score,
    twin,
    weights,
)
from torch import Tensor, nn

from nasbench_eval.proxies.fisher import Fisher
from nasbench_eval.proxies.grad_norm import GradNorm
from nasbench_eval.proxies.grasp import Grasp
from nasbench_eval.proxies.snip import Snip
from nasbench_eval.proxies.synflow import Synflow
from nasbench_eval.proxies.zico import Zico

NETWORKS: list[Build] = [cell(MIXED), cell(DEAD_BRANCH), Chain, Smooth, Softmax]
CLOSE = 2e-4  # float32 passes against float64 oracles


def softmax_regression(init: str = "kaiming") -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Pooled inputs x̄, probabilities p, errors p − onehot, weights W and ∂L/∂W = (p − onehot)ᵀ x̄ / B."""
    network = twin(Softmax, init)
    x, t = batch()
    x_B3 = x.mean(dim=(2, 3))
    with torch.no_grad():
        p_BK = (x_B3 @ network.classifier.weight.T + network.classifier.bias).softmax(1)
        error_BK = p_BK - F.one_hot(t, CLASSES)
        return x_B3, p_BK, error_BK, network.classifier.weight.clone(), error_BK.T @ x_B3 / B


# grad_norm and snip


@pytest.mark.parametrize("build", NETWORKS)
def test_grad_norm(build: Build) -> None:
    network = twin(build, "kaiming")
    gradients = loss_gradients(network)
    norms = [math.sqrt(sum(v * v for v in gradients[name].flatten().tolist())) for name in weights(network)]
    assert score(GradNorm(batch_size=B), build) == pytest.approx(sum(norms), rel=CLOSE)
    together = math.sqrt(sum(norm * norm for norm in norms))
    assert score(GradNorm(batch_size=B, reduction="global"), build) == pytest.approx(together, rel=CLOSE)


def test_grad_norm_closed_form() -> None:
    *_, g = softmax_regression()
    assert score(GradNorm(batch_size=B), Softmax) == pytest.approx(float(g.square().sum().sqrt()), rel=1e-5)


@pytest.mark.parametrize("build", NETWORKS)
def test_snip(build: Build) -> None:
    network = twin(build, "kaiming")
    gradients = loss_gradients(network)
    expected = sum(
        abs(theta * g)
        for name, p in weights(network).items()
        for theta, g in zip(p.flatten().tolist(), gradients[name].flatten().tolist(), strict=True)
    )
    assert score(Snip(batch_size=B), build) == pytest.approx(expected, rel=CLOSE)


def test_snip_closed_form() -> None:
    *_, w, g = softmax_regression()
    assert score(Snip(batch_size=B), Softmax) == pytest.approx(float((w * g).abs().sum()), rel=1e-5)


def test_the_initialisation_is_an_option() -> None:
    network = twin(cell(), "gaussian")
    gradients = loss_gradients(network)
    expected = sum(float(gradients[name].norm()) for name in weights(network))
    assert score(GradNorm(batch_size=B, init="gaussian"), cell()) == pytest.approx(expected, rel=CLOSE)


# grasp


@pytest.mark.parametrize("build", [cell(MIXED), cell(DEAD_BRANCH), Smooth, Softmax])
def test_grasp_by_finite_differences(build: Build) -> None:
    """H·g = d/dh g(θ + h·g) at h = 0, g and θ the weights alone."""
    network = twin(build, "kaiming")
    start = {name: p.detach().clone() for name, p in weights(network).items()}
    g = {name: loss_gradients(network)[name].clone() for name in start}
    length = math.sqrt(sum(float(v.square().sum()) for v in g.values()))
    h = 1e-6 / length

    def moved(step: float) -> dict[str, Tensor]:
        with torch.no_grad():
            for name, p in weights(network).items():
                p.copy_(start[name] + step * g[name])
        return {name: value.clone() for name, value in loss_gradients(network).items() if name in start}

    ahead, behind = moved(h), moved(-h)
    expected = -sum(float((start[n] * (ahead[n] - behind[n])).sum()) / (2 * h) for n in start)
    assert score(Grasp(batch_size=B), build) == pytest.approx(expected, rel=1e-3)


def test_grasp_closed_form() -> None:
    """H·g of softmax regression: row k is Σ_n Σ_j (p_nk δ_kj − p_nk p_nj) (G x̄_n)_j x̄_n / B."""
    x, p, _, w, g = softmax_regression()
    product = torch.zeros_like(w)
    for n in range(B):
        hessian = torch.diag(p[n]) - torch.outer(p[n], p[n])
        product += torch.outer(hessian @ (g @ x[n]), x[n]) / B
    assert score(Grasp(batch_size=B), Softmax) == pytest.approx(-float((w * product).sum()), rel=1e-4)


def test_grasp_of_no_signal_is_zero() -> None:
    assert score(Grasp(batch_size=B), cell(NOTHING)) == 0


# fisher


@pytest.mark.parametrize("weighting", ["channel", "weight"])
@pytest.mark.parametrize("square", ["channel", "position"])
@pytest.mark.parametrize("build", NETWORKS)
def test_fisher(build: Build, square: Any, weighting: Any) -> None:
    network = twin(build, "torch_default")
    x, t = batch()
    sizes: list[int] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda m, x, y: sizes.append(m.weight.numel() // m.weight.shape[0]))
    with outputs_of(network, nn.Conv2d, nn.Linear) as seen:
        logits = network(x)
    for _, a in seen:
        a.retain_grad()
    F.cross_entropy(logits, t).backward()
    expected = 0.0
    for (_, a), size in zip(seen, sizes, strict=True):
        if a.grad is None:  # nothing reads this output
            continue
        times = size if weighting == "weight" else 1
        for c in range(a.shape[1]):
            for n in range(B):
                products = (a[n, c] * a.grad[n, c]).detach().flatten()
                for product in products if square == "position" else [products.sum()]:
                    expected += times * 0.5 * float(product) ** 2 / B
    proxy = Fisher(batch_size=B, square=square, weighting=weighting)
    assert score(proxy, build) == pytest.approx(expected, rel=CLOSE)


def test_fisher_closed_form() -> None:
    x, _, error, w, _ = softmax_regression("torch_default")
    logits = x @ w.T + twin(Softmax, "torch_default").classifier.bias.detach()
    expected = float((logits * error / B).square().sum(1).mean() / 2)
    assert score(Fisher(batch_size=B), Softmax) == pytest.approx(expected, rel=1e-5)


# synflow


def test_synflow_of_a_chain() -> None:
    """R sums the products of weights over all paths; each of the three tensors carries all of it."""
    network = twin(lambda: Chain(norms=True), "kaiming")
    first, second = (conv.weight[:, :, 0, 0].abs().tolist() for conv in (network.stem, network.cells[0]))
    last = network.classifier.weight.abs().tolist()
    flow = sum(
        last[k][j] * second[j][i] * first[i][c]
        for k in range(CLASSES)
        for j in range(6)
        for i in range(4)
        for c in range(3)
    )
    found = columns(Synflow(), lambda: Chain(norms=True))
    assert found["score"] == pytest.approx(3 * flow, rel=1e-12)
    assert found["log_synflow"] == pytest.approx(3 * math.log(flow), rel=1e-12)


@pytest.mark.parametrize("text", [MIXED, DEAD_BRANCH, NOTHING])
def test_synflow(text: str) -> None:
    network = twin(cell(text), "kaiming")
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        for p in network.parameters():
            p.abs_()
    total = network(batch(ones=True, b=1)[0]).sum()
    tensors = list(weights(network).values())
    gradients = torch.autograd.grad(total, tensors, allow_unused=True)
    flows = [float((p.detach() * g).sum()) for p, g in zip(tensors, gradients, strict=True) if g is not None]
    found = columns(Synflow(), cell(text))
    assert found["score"] == pytest.approx(sum(flows), rel=1e-9)
    assert found["log_synflow"] == pytest.approx(sum(math.log(f) for f in flows if f > 0), rel=1e-9)


# zico


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize("batches", [2, 3])
def test_zico(build: Build, batches: int) -> None:
    network = twin(build, "torch_default")
    each = [{k: v.clone().numpy() for k, v in loss_gradients(network, b).items()} for b in range(batches)]
    expected = 0.0
    for name in weights(network):
        g = np.stack([gradients[name].ravel() for gradients in each])
        terms = [np.mean(np.abs(g[:, i])) / np.std(g[:, i]) for i in range(g.shape[1]) if np.std(g[:, i])]
        expected += math.log(math.fsum(terms)) if terms else 0.0
    found = score(Zico(batch_size=B, batches=batches), build)
    # An entry whose gradients nearly agree weighs much, and float32 knows their difference badly.
    assert found == pytest.approx(expected, rel=1e-3)


def test_zico_needs_two_batches() -> None:
    with pytest.raises(ValueError, match="batches >= 2"):
        Zico(batches=1)


def test_zico_leaves_out_what_does_not_vary() -> None:
    """A convolution that is never read has σ = 0 throughout, and adds nothing."""
    dead = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    network = twin(cell(dead), "torch_default")
    unread = [name for name in weights(network) if "edges.0_1" in name]
    assert len(unread) == 3
    assert not any(loss_gradients(network)[name].any() for name in unread)
    assert math.isfinite(score(Zico(batch_size=B), cell(dead)))
