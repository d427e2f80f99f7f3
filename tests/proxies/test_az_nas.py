"""expressivity, progressivity and trainability against NumPy, loops over pixels and known singular values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import (
    CLASSES,
    DEAD_BRANCH,
    IDENTITY,
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
    Spatial,
    batch,
    cell,
    score,
    twin,
)
from scipy.linalg import hadamard
from torch import Tensor, nn

from nasbench_eval.errors import Undefined
from nasbench_eval.passes import Engine, ForwardSpec, Observer, PassSpec, Record, Request
from nasbench_eval.proxies._features import entropy, raw_covariance, raw_entropy
from nasbench_eval.proxies.expressivity import Expressivity
from nasbench_eval.proxies.progressivity import Progressivity
from nasbench_eval.proxies.trainability import Trainability, correlation
from nasbench_eval.spaces.base import Network

# Two ways from the input to the output: the cell computes 2x.
DOUBLE = "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|none~2|"
NETWORKS: list[Build] = [cell(MIXED), cell(DEAD_BRANCH), cell(IDENTITY), Chain, Smooth, Spatial]


def stages(network: Network) -> list[nn.Module]:
    return [network.stem, *network.cells]


def outputs(network: Network) -> list[Tensor]:
    """φ_0, ..., φ_K."""
    seen: list[Tensor] = []
    handles = [m.register_forward_hook(lambda m, x, y: seen.append(y.detach())) for m in stages(network)]
    network.features(batch()[0])
    for handle in handles:
        handle.remove()
    return seen


def spread(p: list[float]) -> float:
    return -math.fsum(v * math.log(v) for v in p if v > 0)


def entropies(build: Build) -> list[float]:
    found = []
    for y in outputs(twin(build, "kaiming")):
        rows = [y[:, c].flatten().tolist() for c in range(y.shape[1])]
        eigenvalues = np.linalg.eigvalsh(np.cov(np.array(rows), bias=True))
        total = eigenvalues.sum()
        found.append(spread([v / total for v in eigenvalues if v > 1e-12 * total]) if total > 0 else 0.0)
    return found


# expressivity and progressivity


@pytest.mark.parametrize("build", NETWORKS)
def test_expressivity_and_progressivity(build: Build) -> None:
    s = entropies(build)
    assert score(Expressivity(batch_size=B), build) == pytest.approx(sum(s), rel=1e-5)
    steps = [after - before for before, after in pairwise(s)]
    assert score(Progressivity(batch_size=B), build) == pytest.approx(min(steps), rel=1e-4, abs=1e-5)


def test_they_share_one_pass() -> None:
    assert (
        Expressivity().passes() == Progressivity().passes() == (PassSpec(ForwardSpec("kaiming", "gaussian")),)
    )


def test_without_a_signal_only_the_stem_is_expressive() -> None:
    """Constant features have entropy 0, so the worst step is the stem's whole entropy lost."""
    stem = entropies(cell(NOTHING))[0]
    assert stem > 0
    assert score(Expressivity(batch_size=B), cell(NOTHING)) == pytest.approx(stem, rel=1e-5)
    assert score(Progressivity(batch_size=B), cell(NOTHING)) == pytest.approx(-stem, rel=1e-5)


class Stem(Softmax):
    """No block behind the stem, which leaves the three colours as they are."""

    def features(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.stem(x_BCHW)
        return y_BCHW


def test_a_stem_alone() -> None:
    (stem,) = entropies(Stem)
    assert 0.9 * math.log(3) < stem < math.log(3)
    assert score(Expressivity(batch_size=B), Stem) == pytest.approx(stem, rel=1e-5)
    assert math.isnan(score(Progressivity(batch_size=B), Stem))
    assert math.isnan(score(Trainability(batch_size=B), Stem))


@pytest.mark.parametrize(
    ("eigenvalues", "expected"),
    [
        ([1, 1, 1, 1], math.log(4)),
        ([1, 1, 0, 0], math.log(2)),
        ([5, 0, 0], 0.0),
        ([1, 2, 1], 1.5 * math.log(2)),  # quarters and a half
        ([3, 1], 2 * math.log(2) - 0.75 * math.log(3)),
        ([0, 0], 0.0),
        ([1, 1, -1e-7], math.log(2)),
    ],
)
def test_entropy_by_hand(eigenvalues: list[float], expected: float) -> None:
    assert entropy(torch.tensor(eigenvalues, dtype=torch.float64).diag()) == pytest.approx(
        expected, abs=1e-12
    )


@settings(max_examples=30, deadline=None)
@given(
    eigenvalues=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=8),
    scale=st.floats(1e-6, 1e6),
    seed=st.integers(0, 1000),
)
def test_entropy_knows_neither_scale_nor_basis(eigenvalues: list[float], scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((len(eigenvalues),) * 2))
    total = sum(eigenvalues)
    value = entropy(torch.from_numpy(scale * q @ np.diag(eigenvalues) @ q.T))
    assert value == pytest.approx(spread([v / total for v in eigenvalues]), abs=1e-9)
    assert 0 <= value <= math.log(len(eigenvalues)) + 1e-9


def test_raw_eigenvalues() -> None:
    """Single precision, and NaN as soon as a negative share outweighs the guard of the logarithm."""

    def raw(*eigenvalues: float) -> float:
        return raw_entropy(torch.tensor(eigenvalues, dtype=torch.float32).diag())

    assert raw(1, 2, 1) == pytest.approx(1.5 * math.log(2), rel=1e-6)
    assert raw(1, 1, -1e-9) == pytest.approx(math.log(2), rel=1e-6)
    assert math.isnan(raw(1, 1, -1e-6))
    assert math.isnan(raw(0, 0))
    assert math.isnan(raw(math.inf, 1))
    y = batch()[0]
    rows = y.movedim(1, 0).flatten(1).numpy()
    np.testing.assert_allclose(raw_covariance(y).numpy(), np.cov(rows, bias=True), rtol=1e-12)


def test_raw_eigenvalues_in_a_pass() -> None:
    """Where no eigenvalue is near zero the readings agree; without a signal they do not."""
    for proxy in (Expressivity, Progressivity):
        plain, raw = (proxy(batch_size=B, eigenvalues=e) for e in ("clamped", "raw"))  # type: ignore[arg-type]
        assert score(raw, Smooth) == pytest.approx(score(plain, Smooth), rel=1e-4, abs=1e-6)
        assert math.isfinite(score(plain, cell(NOTHING)))
        assert math.isnan(score(raw, cell(NOTHING)))


def test_features_that_are_not_numbers() -> None:
    assert math.isnan(entropy(torch.full((2, 2), torch.nan)))
    assert math.isnan(entropy(torch.tensor([[torch.inf, 0], [0, 1]])))


# trainability


class Spy(Observer):
    """The random gradients the engine drew, and what it made of them."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[Tensor, Tensor]] = {}

    def on_block_gradient(self, name: str, block: nn.Module, g_in: Tensor, g_out: Tensor) -> None:
        self.seen[name] = g_in.double(), g_out.double()

    def record(self) -> Record:
        return self.seen


def block_gradients(build: Build) -> Mapping[str, tuple[Tensor, Tensor]]:
    spec = PassSpec(ForwardSpec("kaiming", "gaussian", B, R), "features", "blocks")
    engine = Engine(build(), {"d": CLASSES}, Fixed(), KEY, torch.device("cpu"))
    (outcome,) = engine.run([Request(spec, None, lambda net, spec: Spy())])
    assert outcome.error is None
    assert outcome.record is not None
    return outcome.record


def trainability(network: Network, g_out: Mapping[str, tuple[Tensor, Tensor]]) -> float:
    """The formula, pixel by pixel, from the engine's random gradients alone."""
    x = network.stem(batch()[0]).detach()
    values = []
    for i, block in enumerate(network.cells):
        x = x.requires_grad_()
        y, g = block(x), g_out[f"cells.{i}"][1]
        (g_in,) = torch.autograd.grad(y, x, g, allow_unused=True) if y.requires_grad else (None,)
        g_in = torch.zeros_like(x) if g_in is None else g_in
        r = x.shape[2] // y.shape[2]
        total = np.zeros((x.shape[1] * r * r, y.shape[1]))
        for n in range(B):
            for h in range(y.shape[2]):
                for w in range(y.shape[3]):
                    patch = g_in[n, :, r * h : r * (h + 1), r * w : r * (w + 1)].flatten().numpy()
                    total += np.outer(patch, g[n, :, h, w].numpy())
        s = np.linalg.svd(total / (B * y.shape[2] * y.shape[3]))[1].max()
        values.append(-math.inf if g_in.shape == g.shape and bool((g_in == g).all()) else 2 - s - 1 / s)
        x = y.detach()
    return sum(values) / len(values)


@pytest.mark.parametrize("build", [cell(MIXED), cell(DOUBLE), Chain, Smooth])
def test_trainability(build: Build) -> None:
    network, seen = twin(build, "kaiming"), block_gradients(build)
    for _, g_out in seen.values():
        assert set(g_out.flatten().tolist()) == {-1.0, 1.0}
    expected = trainability(network, seen)
    assert math.isfinite(expected)
    assert score(Trainability(batch_size=B), build) == pytest.approx(expected, rel=1e-4)


# In the last, the convolution beside the skip reads zeros.
@pytest.mark.parametrize("text", [NOTHING, IDENTITY, DEAD_BRANCH])
def test_a_cell_that_does_nothing_or_all_of_it_is_minus_infinity(text: str) -> None:
    assert score(Trainability(batch_size=B), cell(text)) == -math.inf


def test_a_doubling_block_is_no_identity() -> None:
    (g_in, g_out), *_ = (pair for name, pair in block_gradients(cell(DOUBLE)).items() if name == "cells.0")
    assert torch.equal(g_in, 2 * g_out)
    assert math.isfinite(score(Trainability(batch_size=B), cell(DOUBLE)))


def hadamard_gradient(channels: int, side: int) -> Tensor:
    """±1 gradients (1, C, side, side) whose mean of gᵀg is the identity exactly."""
    rows = torch.from_numpy(hadamard(side * side)).double()[:, :channels]
    return rows.T.reshape(1, channels, side, side)


def of_one_block(g_in: Tensor, g_out: Tensor) -> float:
    network = Spatial()
    proxy = Trainability()
    observer = proxy.observe(network, proxy.passes()[0])
    observer.on_block_gradient("cells.0", network.cells[0], g_in, g_out)
    return proxy.score([observer.record()])["score"]


def orthogonal(size: int, seed: int) -> Tensor:
    return torch.from_numpy(np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0])


@settings(max_examples=20, deadline=None)
@given(c=st.floats(0.05, 20), seed=st.integers(0, 100))
def test_a_scaled_rotation(c: float, seed: int) -> None:
    """y = cQx has s = c; the score is the same for c and 1/c and largest at 1."""
    g_out = hadamard_gradient(4, 4)

    def value(scale: float) -> float:
        q = orthogonal(4, seed)
        return of_one_block(scale * torch.einsum("oc,bohw->bchw", q, g_out), g_out)

    assert value(c) == pytest.approx(2 - c - 1 / c, rel=1e-9, abs=1e-9)
    assert value(c) == pytest.approx(value(1 / c), rel=1e-9, abs=1e-9)
    assert value(c) <= 1e-9


def test_a_rotation_of_patches() -> None:
    """A 2x2 kernel with stride 2 whose rows are orthogonal, of lengths 3 and 1/2: s is the larger one."""
    lengths = torch.tensor([3.0, 0.5]).double()
    conv = nn.Conv2d(2, 2, 2, stride=2, bias=False).double()
    with torch.no_grad():
        conv.weight.copy_((lengths[:, None] * orthogonal(8, 5)[:2]).reshape(2, 2, 2, 2))
    x = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
    g_out = hadamard_gradient(2, 4)
    (g_in,) = torch.autograd.grad(conv(x), x, g_out)
    assert correlation(g_in, g_out).shape == (8, 2)
    singular = torch.linalg.svdvals(correlation(g_in, g_out))
    torch.testing.assert_close(singular, lengths)
    assert of_one_block(g_in, g_out) == pytest.approx(2 - 3 - 1 / 3)


def test_an_identity_and_what_is_nearly_one() -> None:
    g_out = hadamard_gradient(4, 4)
    assert of_one_block(g_out.clone(), g_out) == -math.inf
    assert of_one_block(torch.zeros_like(g_out), g_out) == -math.inf
    assert of_one_block(g_out * (1 + 1e-12), g_out) == pytest.approx(0, abs=1e-9)
    assert math.isnan(of_one_block(g_out * torch.nan, g_out))


def test_a_resolution_that_is_no_multiple() -> None:
    with pytest.raises(Undefined, match="7, 7"):
        correlation(torch.ones(1, 2, 7, 7), torch.ones(1, 2, 3, 3))
