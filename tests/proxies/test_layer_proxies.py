"""meco and near against NumPy's correlations, eigenvalues and singular values."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from oracle import DEAD_BRANCH, MIXED, NOTHING, B, Build, Chain, Smooth, batch, cell, outputs_of, score, twin
from torch import Tensor, nn

from nasbench_eval.proxies.meco import MeCo, correlation, smallest_eigenvalue
from nasbench_eval.proxies.near import Near, effective_rank

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
