"""vkdnw and vkdnw_single against a Jacobian taken logit by logit and sample by sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
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
    columns,
    score,
    twin,
)
from torch import Tensor, nn

from nasbench_eval.passes import Engine, ForwardSpec, PassSpec, Request
from nasbench_eval.proxies.vkdnw import Vkdnw, decile_entropy, first_entries
from nasbench_eval.proxies.vkdnw_single import VkdnwSingle
from nasbench_eval.spaces.nasbench201 import NASBench201

Matrix = npt.NDArray[np.float64]

BEHIND_A_CUT = "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|nor_conv_3x3~2|"


def narrow(text: str = MIXED) -> Build:
    """A cell whose classifier has four inputs, fewer than the five classes."""
    space = NASBench201(channels=1, cells_per_stage=1)
    return lambda: space.build(space.parse(text), num_classes=CLASSES)


FEW_CLASSES: list[Build] = [
    cell(MIXED),
    cell(DEAD_BRANCH),
    cell(IDENTITY),
    Chain,
    lambda: Chain(norms=True),
    Smooth,
]
MANY_CLASSES: list[Build] = [narrow(MIXED), narrow(DEAD_BRANCH), Softmax]


def fisher(build: Build, tensors: int = 128, names: Sequence[str] | None = None) -> Matrix:
    """F of the float64 twin, a backward pass for every logit of every sample.

    Of the first tensors, or of those with these names.
    """
    network = twin(build, "kaiming").eval()
    named = dict(network.named_parameters())
    parameters = list(named.values())[:tensors] if names is None else [named[name] for name in names]
    f = np.zeros((len(parameters),) * 2)
    for n in range(B):
        (logits,) = network(batch()[0][n : n + 1])
        j = np.zeros((CLASSES, len(parameters)))
        for k in range(CLASSES):
            gradients = torch.autograd.grad(logits[k], parameters, retain_graph=True, allow_unused=True)
            j[k] = [0.0 if g is None else float(g.flatten()[0]) for g in gradients]
        exponentials = np.exp(logits.detach().numpy())
        p = 0.95 * exponentials / exponentials.sum() + 0.05 / CLASSES
        f += j.T @ (np.diag(p) - np.outer(p, p)) @ j / B
    return f


def measured(build: Build, tensors: int = 128, **options: Any) -> Matrix:
    """F as the package has it."""
    proxy = Vkdnw(batch_size=B, resolution=R, tensors=tensors, **options)
    engine = Engine(build(), {"d": CLASSES}, Fixed(), KEY, torch.device("cpu"))
    (outcome,) = engine.run([Request(proxy.passes()[0], "d", proxy.observe)])
    assert outcome.error is None
    assert outcome.record is not None
    found: Matrix = outcome.record["fisher"].numpy()
    return found


@pytest.mark.parametrize("kinds", ["all", "weights"])
@pytest.mark.parametrize("dead", ["keep", "drop"])
@pytest.mark.parametrize("choose", ["first", "random", "all"])
@pytest.mark.parametrize("text", [MIXED, DEAD_BRANCH])
def test_which_tensors_count_is_a_matter_of_options(text: str, choose: Any, dead: Any, kinds: Any) -> None:
    build = cell(text)
    layers = dict(build().named_modules())
    names = [name for name, _ in build().named_parameters()]
    if kinds == "weights":
        products = (nn.Conv2d, nn.Linear)
        names = [
            n for n in names if n.endswith("weight") and isinstance(layers[n.rpartition(".")[0]], products)
        ]
    if dead == "drop":
        every = fisher(build, names=names)
        names = [name for name, own in zip(names, every.diagonal(), strict=True) if own > 0]
    most = 6
    if choose == "first":
        names = names[:most]
    elif choose == "random" and len(names) > most:
        names = [names[place] for place in sorted(Random(len(names)).sample(range(len(names)), most))]
    found = measured(build, most, choose=choose, dead=dead, kinds=kinds)
    expected = fisher(build, names=names)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-6 * np.abs(expected).max())


def test_no_live_entry_leaves_the_least_entropy() -> None:
    assert decile_entropy(torch.zeros(0, 0, dtype=torch.float64)) == 0


def expected_score(f: Matrix) -> float:
    deciles = [float(np.quantile(np.linalg.eigvalsh(f).clip(0), i / 10)) for i in range(1, 10)]
    return -math.fsum(d / sum(deciles) * math.log(d / sum(deciles)) for d in deciles if d > 0)


@pytest.mark.parametrize("build", [*FEW_CLASSES, *MANY_CLASSES])
def test_fisher_matrix(build: Build) -> None:
    f = fisher(build)
    np.testing.assert_allclose(measured(build), f, rtol=1e-3, atol=1e-5 * np.abs(f).max())
    assert score(Vkdnw(batch_size=B), build) == pytest.approx(expected_score(f), rel=1e-4)


@pytest.mark.parametrize("build", [cell(MIXED), narrow(MIXED)])
@pytest.mark.parametrize("tensors", [1, 7, 30])
def test_the_first_tensors_alone(build: Build, tensors: int) -> None:
    f = fisher(build, tensors)
    assert f.shape == (tensors, tensors)
    np.testing.assert_allclose(measured(build, tensors), f, rtol=1e-3, atol=1e-5 * np.abs(f).max())
    np.testing.assert_allclose(f, fisher(build)[:tensors, :tensors], rtol=1e-9)


def test_softmax_regression() -> None:
    """∂f_k/∂W[0, 0] = δ_k0 x̄_0 and ∂f_k/∂b[0] = δ_k0: F = mean_n p_0 (1 − p_0) [[x̄_0², x̄_0], [x̄_0, 1]]."""
    network = twin(Softmax, "kaiming")
    x_B = batch()[0].mean(dim=(2, 3))[:, 0].numpy()
    with torch.no_grad():
        p_B = 0.95 * network(batch()[0]).softmax(1)[:, 0].numpy() + 0.01
    v_B = p_B * (1 - p_B)
    f = np.array([[(v_B * x_B * x_B).mean(), (v_B * x_B).mean()], [(v_B * x_B).mean(), v_B.mean()]])
    np.testing.assert_allclose(measured(Softmax), f, rtol=1e-5)
    middle, half = f.trace() / 2, math.sqrt(((f[0, 0] - f[1, 1]) / 2) ** 2 + f[0, 1] ** 2)
    # Of two eigenvalues the deciles are evenly spaced between them.
    deciles = [middle - half + 2 * half * i / 10 for i in range(1, 10)]
    expected = -sum(d / sum(deciles) * math.log(d / sum(deciles)) for d in deciles)
    assert score(Vkdnw(batch_size=B), Softmax) == pytest.approx(expected, rel=1e-5)


def test_its_pass_is_in_eval_mode() -> None:
    forward = ForwardSpec("kaiming", "gaussian", bn="eval")
    assert Vkdnw().passes() == VkdnwSingle().passes() == (PassSpec(forward, "logits", "outputs"),)


# The deciles


def test_deciles_by_hand() -> None:
    def of(*eigenvalues: float) -> float:
        return decile_entropy(torch.tensor(eigenvalues, dtype=torch.float64).diag())

    assert of(*[3.0] * 5) == pytest.approx(math.log(9))
    assert of(0, 0, 0) == 0
    assert of(*[0.0] * 30, 1.0) == 0  # no decile sees it
    # Deciles of 0..10 are 1..9, whose sum is 45.
    assert of(*range(11)) == pytest.approx(-sum(i / 45 * math.log(i / 45) for i in range(1, 10)))
    # Only the highest decile is positive.
    assert of(*[0.0] * 9, 7.0, 7.0) == pytest.approx(0.0)
    assert of(*[0.0] * 9, *[1e-17] * 11, 1.0) == 0  # rounding errors of the largest are no information
    assert math.isnan(of(1.0, math.nan))


@settings(max_examples=30, deadline=None)
@given(
    eigenvalues=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=12),
    scale=st.floats(1e-6, 1e6),
    seed=st.integers(0, 1000),
)
def test_the_entropy_knows_neither_scale_nor_basis(eigenvalues: list[float], scale: float, seed: int) -> None:
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(eigenvalues),) * 2))
    turned = decile_entropy(torch.from_numpy(scale * q @ np.diag(eigenvalues) @ q.T))
    plain = decile_entropy(torch.tensor(eigenvalues, dtype=torch.float64).diag())
    assert turned == pytest.approx(plain, abs=1e-8)
    assert 0 <= plain <= math.log(9) + 1e-12


@pytest.mark.parametrize("text", [NOTHING, BEHIND_A_CUT])
def test_no_signal_has_no_entropy(text: str) -> None:
    """Of the convolutions none is met: what is left is the classifier's bias, one entry of many."""
    assert np.count_nonzero(measured(cell(text))) == 1
    assert score(Vkdnw(batch_size=B), cell(text)) == 0
    assert score(VkdnwSingle(batch_size=B), cell(text)) == len(list(cell(text)().parameters()))


# Layers


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3),
        nn.Conv2d(4, 6, 3, padding=1, stride=2),
        nn.Conv2d(4, 6, 1, stride=2, bias=False),
        nn.Conv2d(4, 6, (3, 5), padding=(2, 1), stride=(1, 3)),
        nn.Conv2d(4, 6, 3, padding=2, dilation=2),
        nn.Conv2d(4, 6, 3, padding=1, groups=2),
        nn.BatchNorm2d(4),
    ],
)
def test_first_entries(layer: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    layer = layer.double().eval()
    if isinstance(layer, nn.BatchNorm2d):
        layer.running_mean = torch.randn(4, generator=generator).double()
        layer.running_var = torch.rand(4, generator=generator).double() + 0.5
    x = torch.randn(3, 4, 9, 8, generator=generator).double()
    g = torch.randn(layer(x).shape, generator=generator).double()
    found = first_entries("layer", layer, x, g)
    for kind, parameter in layer.named_parameters():
        for n in range(3):
            (expected,) = torch.autograd.grad((layer(x[n : n + 1]) * g[n]).sum(), parameter)
            assert float(found[kind][n]) == pytest.approx(float(expected.flatten()[0]), rel=1e-9)


def test_first_entries_of_a_linear_layer() -> None:
    x, g = torch.tensor([[2.0, 3.0], [5.0, 7.0]]), torch.tensor([[11.0, 0.0], [13.0, 1.0]])
    found = first_entries("layer", nn.Linear(2, 2), x, g)
    assert found["weight"].tolist() == [22, 65]
    assert found["bias"].tolist() == [11, 13]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), (2, 4, 5, 5)),
        (nn.Conv2d(4, 4, 3, padding="same"), (2, 4, 5, 5)),
        (nn.PReLU(), (2, 4, 5, 5)),
    ],
)
def test_other_layers_are_refused(layer: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match=r"'stem\.0'"):
        first_entries("stem.0", layer, torch.ones(shape), torch.ones(shape))


def test_spatial_logits_are_refused() -> None:
    with pytest.raises(ValueError, match="logits"):
        score(Vkdnw(batch_size=B), Spatial)


def test_at_least_one_tensor() -> None:
    with pytest.raises(ValueError, match="tensors"):
        Vkdnw(tensors=0)


# vkdnw_single


def trainable(network: nn.Module) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]


@pytest.mark.parametrize("build", [cell(MIXED), cell(DEAD_BRANCH), narrow(MIXED), Smooth, Softmax])
def test_vkdnw_single(build: Build) -> None:
    entropy = score(Vkdnw(batch_size=B), build)
    tensors = sum(len(list(module.parameters())) for module in trainable(build()))
    for size, count in (("tensors", tensors), ("layers", len(trainable(build())))):
        found = columns(VkdnwSingle(batch_size=B, size=size), build)  # type: ignore[arg-type]
        assert found == {"entropy": entropy, "size": count, "score": count + entropy}


def test_the_size_counts_all_tensors() -> None:
    assert (
        columns(VkdnwSingle(batch_size=B, tensors=5), cell())["size"] == len(list(cell()().parameters())) > 5
    )


def test_the_sizes_of_nasbench201() -> None:
    """21 tensors in 14 layers around the cells; an edge with a convolution adds 3 in 2, once a cell."""
    for text, convolutions in ((NOTHING, 0), (MIXED, 4)):
        found = {
            size: columns(VkdnwSingle(batch_size=B, size=size), cell(text))["size"]  # type: ignore[arg-type]
            for size in ("tensors", "layers")
        }
        assert found == {"tensors": 21 + 3 * 3 * convolutions, "layers": 14 + 3 * 2 * convolutions}


def test_gradients_are_added_where_a_layer_is_met_twice() -> None:
    """A module shared by two places has one tensor, to which both lead."""

    class Twice(Softmax):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 3, 1, bias=False)

        def features(self, x_BCHW: Tensor) -> Tensor:
            y_BCHW: Tensor = self.stem(torch.tanh(self.stem(x_BCHW)))
            return y_BCHW

    f = fisher(Twice)
    np.testing.assert_allclose(measured(Twice), f, rtol=1e-3, atol=1e-5 * np.abs(f).max())
