"""The noise ceiling against a definition written out, and the published value."""

from __future__ import annotations

import os
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from nasbench_eval.truth import nasbench201
from nasbench_eval.truth.ceiling import agreement, noise_ceiling
from nasbench_eval.truth.own import load
from nasbench_eval.truth.tables import load_table, runs

DATA = Path(os.environ.get("NASBENCH_EVAL_DATA") or "/nowhere")


def tau_b(a: np.ndarray, b: np.ndarray) -> float:
    signs = np.array(
        [(np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in combinations(range(len(a)), 2)]
    )
    x, y = signs.T
    return float((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))


def test_against_the_definition() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(40, 1)) + rng.normal(scale=0.5, size=(40, 3))
    table = table.round(1)  # ties
    table[5:9, 1] = np.nan
    table[7:20, 2] = np.nan
    table[30, :2] = np.nan
    taus, rhos = [], []
    for i, j in combinations(range(3), 2):
        both = table[~np.isnan(table[:, [i, j]]).any(axis=1)][:, [i, j]]
        taus.append(tau_b(*both.T))
        rhos.append(spearmanr(*both.T).statistic)
    found = agreement(table)
    assert found is not None
    assert found.kendall_tau == pytest.approx(np.mean(taus), abs=1e-12)
    assert found.spearman_rho == pytest.approx(np.mean(rhos), abs=1e-12)
    assert (found.pairs, found.n) == (3, int((~np.isnan(table)).sum(axis=1).__ge__(2).sum()))


def test_runs_that_agree() -> None:
    ceiling = noise_ceiling(np.arange(10.0)[:, None] * [1, 2])
    assert ceiling is not None
    assert (ceiling.kendall_tau, ceiling.spearman_rho, ceiling.runs) == pytest.approx((1, 1, 2))
    found = ceiling.agreement
    assert (found.kendall_tau, found.spearman_rho, found.pairs, found.n) == pytest.approx((1, 1, 1, 10))


@pytest.mark.parametrize(
    "table",
    [
        np.zeros((0, 0)),
        np.zeros((5, 0)),
        np.arange(5.0)[:, None],
        np.full((5, 3), np.nan),
        np.array([[1.0, np.nan], [np.nan, 2.0], [3.0, 4.0]]),  # one architecture in common
        np.column_stack([np.arange(5.0), np.full(5, np.nan)]),
        np.column_stack([np.arange(5.0), np.ones(5)]),
    ],
)
def test_no_two_runs_to_compare(table: np.ndarray) -> None:
    assert noise_ceiling(table) is None


def test_runs_without_a_partner_change_nothing() -> None:
    pair = np.random.default_rng(0).normal(size=(50, 2))
    assert noise_ceiling(np.column_stack([pair, np.full(50, np.nan)])) == noise_ceiling(pair)


def test_as_many_cells_as_nasbench101_has() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(423_624, 1)) + rng.normal(scale=0.1, size=(423_624, 3))
    start = time.process_time()
    found = noise_ceiling(table.round(3))
    assert time.process_time() - start < 5
    assert found is not None
    # τ = 2/π arcsin(ρ) of two normal variables; here ρ = 1 / (1 + 0.1²).
    assert found.agreement.kendall_tau == pytest.approx(2 / np.pi * np.arcsin(1 / 1.01), abs=1e-3)


@pytest.mark.skipif(
    not (DATA / nasbench201.FILE).is_file(),
    reason="NASBENCH_EVAL_DATA names no folder with nasbench201.parquet",
)
def test_nasbench201() -> None:
    table = runs(load_table("nasbench201", DATA), "cifar10", "test")
    assert table.shape == (15625, 3)
    # 0.905, 0.910 and 0.909 of the three pairs: most cells have the first two runs or only one.
    first = agreement(table[:, :2])
    assert first is not None
    assert (first.kendall_tau, first.spearman_rho) == pytest.approx((0.905, 0.986), abs=5e-4)
    every = agreement(table)
    assert every is not None
    assert (every.kendall_tau, every.spearman_rho) == pytest.approx((0.908, 0.986), abs=5e-4)
    assert every.pairs == 3
    ceiling = noise_ceiling(table)
    assert ceiling is not None
    assert ceiling.kendall_tau == pytest.approx(0.96, abs=0.01)
    assert 1.5 < ceiling.runs < 3


def simulated(noise: float, runs: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of architectures, and as many runs of each as it has."""
    rng = np.random.default_rng(seed)
    value = rng.normal(size=len(runs))
    table = value[:, None] + noise * rng.normal(size=(len(runs), int(runs.max())))
    table[np.arange(table.shape[1]) >= runs[:, None]] = np.nan
    return value, table


@pytest.mark.parametrize("noise", [0.15, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("k", [2, 3, 8])
def test_the_ceiling_is_what_a_score_without_error_reaches(noise: float, k: int) -> None:
    value, table = simulated(noise, np.full(6000, k), seed=k)
    found = noise_ceiling(table)
    assert found is not None
    judged = np.nanmean(table, axis=1)
    assert found.runs == pytest.approx(k)
    assert found.kendall_tau == pytest.approx(kendalltau(value, judged).statistic, abs=0.015)
    assert found.spearman_rho == pytest.approx(spearmanr(value, judged).statistic, abs=0.015)
    assert found.kendall_tau > found.agreement.kendall_tau
    assert found.agreement.weak == (found.agreement.kendall_tau < 0.5)


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_architectures_with_fewer_runs_lower_the_ceiling(noise: float) -> None:
    runs = np.random.default_rng(9).choice([1, 2, 3], size=6000, p=[0.4, 0.3, 0.3])
    value, table = simulated(noise, runs, seed=1)
    found = noise_ceiling(table)
    assert found is not None
    assert found.runs == pytest.approx(1 / np.mean(1 / runs))
    expected = kendalltau(value, np.nanmean(table, axis=1)).statistic
    assert found.kendall_tau == pytest.approx(expected, abs=0.02)


def test_runs_that_do_not_agree_have_a_ceiling_of_nothing() -> None:
    found = noise_ceiling(np.column_stack([np.arange(9.0), -np.arange(9.0)]))
    assert found is not None
    assert (found.kendall_tau, found.spearman_rho) == (0, 0)


def test_the_embedded_benchmark() -> None:
    found = load("digits").ceiling("digits", "test")
    assert found is not None
    assert found.agreement.kendall_tau == pytest.approx(0.682, abs=5e-4)
    assert found.kendall_tau == pytest.approx(0.865, abs=5e-3)
