"""plain, l2_norm, epe_nas, swap, meco and near against loops, closed forms and NumPy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations, pairwise
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
    outputs_of,
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
from nasbench_eval.proxies.meco import MeCo, correlation, smallest_eigenvalue
from nasbench_eval.proxies.naswot import Naswot
from nasbench_eval.proxies.near import Near, effective_rank
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
    assert EpeNas().score([record])["score"] == 0  # one class has nothing to be compared with
    apart = 4 * abs(pair / 2 - one) / 3
    assert EpeNas(single="count").score([record])["score"] == pytest.approx(apart)
    record["labels"] = torch.tensor([1, 2, 3, 4])
    record["correlation"] = correlations * torch.tensor([1 - 1e-15, 1, 1, 1])
    for single in ("omit", "count"):  # no class has two images
        assert EpeNas(single=single).score([record])["score"] == 0


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
    assert found["score"] == pytest.approx(plain * math.exp(-((count / 1000 - 4.0) ** 2) / 2.5), rel=1e-9)
    assert 0 < found["score"] < plain
    exact = Swap(batch_size=B, regularised=True, mu=count / 1000, sigma=1e-3)
    assert score(exact, cell()) == pytest.approx(plain)


def test_swap_of_no_signal_and_of_no_relu() -> None:
    assert score(Swap(batch_size=B), cell(NOTHING)) == 1
    assert score(Swap(batch_size=B), Chain) == 0


def test_swap_refuses_a_width_of_zero() -> None:
    with pytest.raises(ValueError, match="sigma is above 0; got 0"):
        Swap(sigma=0)


# meco


def smallest(y: np.ndarray) -> float:
    """λ_min of the correlations between rows, undefined ones counted as 0."""
    with np.errstate(all="ignore"):
        correlations = np.corrcoef(y)
    return float(np.linalg.eigvalsh(np.nan_to_num(correlations))[0])


def maps(build: Build, *kinds: type[nn.Module], b: int = 1) -> list[np.ndarray]:
    """Outputs of modules as channels by positions, of an untouched network."""
    network = twin(build, "torch_default")
    with torch.no_grad(), outputs_of(network, *kinds) as seen:
        network.features(batch(b=b)[0])
    return [y.movedim(1, 0).flatten(1).numpy() for _, y in seen]


@pytest.mark.parametrize("b", [1, 3])
@pytest.mark.parametrize("build", [cell(MIXED), cell(DEAD_BRANCH), Chain, Smooth])
def test_meco(build: Build, b: int) -> None:
    """The outputs of a chain are four combinations of three inputs, and six of these: it counts 0."""
    expected = sum(smallest(y) for y in maps(build, nn.Conv2d, b=b))
    assert (expected > 1e-3) == (build is not Chain)
    assert score(MeCo(batch_size=b), build) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_meco_of_all_modules() -> None:
    """Blocks and what is in them; containers that are never called have no output."""
    expected = sum(smallest(y) for y in maps(cell(), nn.Module))
    found = score(MeCo(layers="all"), cell())
    assert found == pytest.approx(expected, rel=1e-3)
    assert found > score(MeCo(), cell())


def test_meco_of_two_channels_is_one_minus_their_correlation() -> None:
    """Of a chain's 4 and 6 channels 2 are drawn, which count 4/2- and 6/2-fold: one of all possible sums."""
    possible = []
    for y in maps(Chain, nn.Conv2d):
        r = np.corrcoef(y)
        possible.append([len(y) / 2 * (1 - abs(r[i, j])) for i, j in combinations(range(len(y)), 2)])
    found = score(MeCo(channels=2), Chain)
    assert min(abs(found - a - b) for a in possible[0] for b in possible[1]) < 1e-5
    assert score(MeCo(channels=2), Chain) == found


def test_meco_of_more_channels_than_there_are() -> None:
    assert score(MeCo(channels=8), Chain) == score(MeCo(), Chain)
    assert score(MeCo(channels=4), Chain) != score(MeCo(), Chain)
    with pytest.raises(ValueError, match="channels are at least 2; got 1"):
        MeCo(channels=1)


def test_meco_of_no_signal_is_that_of_the_stem() -> None:
    stem, *_ = maps(cell(NOTHING), nn.Conv2d)
    assert score(MeCo(), cell(NOTHING)) == pytest.approx(smallest(stem), rel=1e-3)


def test_a_constant_channel_correlates_with_nothing() -> None:
    """Its mean is not exact in floating point, so that a quotient of rounding errors would be left."""
    y = torch.randn(3, 50, generator=torch.Generator().manual_seed(1))
    y[1] = 0.1
    found = correlation(y)
    assert (found[1] == 0).all()
    assert (found[:, 1] == 0).all()
    assert float(found[0, 2]) == pytest.approx(float(np.corrcoef(y[0], y[2])[0, 1]))
    assert smallest_eigenvalue(found) == 0
    y[2, 3] = math.inf
    assert math.isnan(smallest_eigenvalue(correlation(y)))


# near


def erank(y: np.ndarray) -> float:
    sigma = np.linalg.svd(y, compute_uv=False)
    p = [s / sigma.sum() for s in sigma if s > 1e-12 * sigma[0]]
    return math.exp(-sum(v * math.log(v) for v in p)) if p else 0.0


def rows_of(y: Tensor, square: bool) -> np.ndarray:
    y_NC = y.movedim(1, -1).reshape(-1, y.shape[1]).numpy()
    return y_NC[: y_NC.shape[1]] if square else y_NC


@pytest.mark.parametrize("rows", ["all", "square"])
@pytest.mark.parametrize("text", [MIXED, DEAD_BRANCH, NOTHING])
def test_near(text: str, rows: Any) -> None:
    network = twin(cell(text), "kaiming")
    with torch.no_grad(), outputs_of(network, nn.ReLU) as seen:
        network(batch()[0])
    expected = sum(erank(rows_of(a, rows == "square")) for pair in seen for a in pair)
    assert score(Near(batch_size=B, rows=rows), cell(text)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("rows", ["all", "square"])
def test_near_of_layers_with_weights(rows: Any) -> None:
    kinds = (nn.ReLU, nn.Conv2d, nn.BatchNorm2d, nn.Linear)
    network = twin(cell(), "kaiming")
    with torch.no_grad(), outputs_of(network, *kinds) as seen:
        network(batch()[0])
    assert seen[-1][1].ndim == 2  # the classifier's
    expected = sum(erank(rows_of(y, rows == "square")) for _, y in seen)
    found = score(Near(batch_size=B, rows=rows, layers="weighted"), cell())
    assert found == pytest.approx(expected, rel=1e-4)


def test_near_without_activations() -> None:
    assert score(Near(batch_size=B), Chain) == 0
    assert score(Near(batch_size=B, layers="weighted"), Chain) > 3


@pytest.mark.parametrize("sigma", [(1.0,), (1.0, 1.0, 1.0), (3.0, 1.0), (2.0, 1.0, 0.0, 0.0)])
def test_effective_rank_of_known_singular_values(sigma: tuple[float, ...]) -> None:
    """They are put between random rotations; equal ones give their number, zeros count for nothing."""
    n, generator = len(sigma), torch.Generator().manual_seed(2)
    left = torch.linalg.qr(torch.randn(9, n, generator=generator, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]
    p = [s / sum(sigma) for s in sigma if s]
    expected = math.exp(-sum(v * math.log(v) for v in p))
    assert effective_rank(left @ torch.tensor(sigma).double().diag() @ right) == pytest.approx(
        expected, rel=1e-6
    )


def test_effective_rank_of_nothing_and_of_no_number() -> None:
    assert effective_rank(torch.zeros(5, 3)) == 0
    assert math.isnan(effective_rank(torch.full((5, 3), math.nan)))


def test_effective_rank_does_not_depend_on_scale_and_grows_with_directions() -> None:
    y = torch.randn(40, 6, generator=torch.Generator().manual_seed(3))
    assert effective_rank(1e3 * y) == pytest.approx(effective_rank(y), rel=1e-6)
    found = [effective_rank(y[:, :width]) for width in range(1, 7)]
    assert all(a < b for a, b in pairwise(found))
    assert found[0] == 1
