"""What scores know beyond a cost, and what they pick within a budget of it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import scored
from scipy.stats import kendalltau

from nasbench_eval.report.cli import main as report
from nasbench_eval.report.costs.draw import draw_fronts
from nasbench_eval.report.costs.table import BUDGETS, MEANINGS, Priced, best_within, cost_rows, frame, picked
from nasbench_eval.report.spec import RowSpec
from nasbench_eval.report.tables import Settings
from nasbench_eval.spaces import get
from nasbench_eval.truth import tables

N = 80
RNG = np.random.default_rng(0)
COST = RNG.uniform(1, 9, N)
ACCURACY = 50 + 3 * COST + RNG.normal(0, 3, N)


def priced(score: np.ndarray, name: str = "made") -> Priced:
    return Priced(RowSpec(name), score, ACCURACY, COST)


def row(score: np.ndarray, resamples: int = 100) -> dict[str, object]:
    [found] = cost_rows([priced(score)], "cifar10", "edgegpu_latency", Settings(resamples=resamples))
    return found


def test_the_partial_correlation_by_hand() -> None:
    score = ACCURACY + RNG.normal(0, 4, N)
    xy, xz, yz = (
        kendalltau(*pair).statistic for pair in ((score, ACCURACY), (score, COST), (ACCURACY, COST))
    )
    found = row(score)
    assert found["tau"] == pytest.approx(xy)
    assert found["tau_cost"] == pytest.approx(xz)
    assert found["tau_given"] == pytest.approx((xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2)))
    assert found["low"] < found["tau_given"] < found["high"]  # type: ignore[operator]
    assert np.isnan(row(score, resamples=0)["low"])  # type: ignore[call-overload]


def test_a_cost_knows_nothing_beyond_itself() -> None:
    found = row(COST)
    assert found["tau_cost"] == pytest.approx(1)
    assert np.isnan(found["tau_given"])  # type: ignore[call-overload]


def test_fronts_by_brute_force() -> None:
    score = RNG.normal(0, 1, N)
    each = priced(score)
    budgets = np.quantile(COST, BUDGETS)
    best = [max(a for a, c in zip(ACCURACY, COST, strict=True) if c <= budget) for budget in budgets]
    chosen = [
        max((s, a) for s, a, c in zip(score, ACCURACY, COST, strict=True) if c <= budget)[1]
        for budget in budgets
    ]
    np.testing.assert_allclose(best_within(ACCURACY, each), best)
    np.testing.assert_allclose(picked(each), chosen)
    assert row(score)["regret"] == pytest.approx(np.mean(np.subtract(best, chosen)))
    assert row(ACCURACY)["regret"] == 0


def test_ties_pick_the_mean() -> None:
    np.testing.assert_allclose(picked(priced(np.zeros(N)))[-1], ACCURACY.mean())


def test_the_table_puts_first_what_knows_most() -> None:
    held = [priced(RNG.normal(0, 1, N), "noise"), priced(ACCURACY + RNG.normal(0, 1, N), "good")]
    found = frame(cost_rows(held, "cifar10", "edgegpu_latency", Settings(resamples=0)))
    assert found["proxy"].tolist() == ["good", "noise"]
    assert list(found.columns) == list(MEANINGS)
    figure = draw_fronts(held, "cifar10", "latency in ms")
    assert figure.axes[0].get_xlabel() == "latency in ms: the budget"


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    space, rng = get("nasbench201"), np.random.default_rng(1)
    index = np.arange(len(space))
    archs = [space.format(space.arch(i)) for i in index]
    cost = pd.DataFrame({"index": index, "cifar10_edgegpu_latency": rng.uniform(1, 9, len(index))})
    truth = pd.DataFrame({"index": index, "arch": archs, "cifar10_test": rng.uniform(20, 90, len(index))})
    monkeypatch.setitem(tables.TABLES, "hw_nasbench201", lambda folder: cost)
    monkeypatch.setitem(tables.TABLES, "nasbench201", lambda folder: truth)
    scored(tmp_path / "run", "n=12", "proxy=[params,naswot]", "proxy.input=gaussian")

    capsys.readouterr()

    def call(*options: str) -> tuple[int, str, str]:
        words = ["nasbench-report", str(tmp_path / "run"), "--data", str(tmp_path), *options]
        monkeypatch.setattr(sys, "argv", words)
        return report(), *capsys.readouterr()

    code, out, err = call("--costs", "hw_nasbench201:edgegpu_latency", "--resamples", "20")
    assert (code, err) == (0, "")
    assert "CIFAR-10, latency in ms on an edge GPU" in out
    folder = tmp_path / "run" / "tables" / "costs"
    rows = pd.read_csv(folder / "costs.csv")
    assert set(rows["proxy"]) == {"params", "naswot"}
    assert (folder / "figures" / "front_cifar10_edgegpu_latency.png").is_file()
    for wish, said in (
        ("hw_nasbench201:edgegpu_latencies", "unknown cost of hw_nasbench201 'edgegpu_latencies'"),
        ("nasbench201", "--costs nasbench201: the table has no costs"),
        ("digits", "the runs hold no scores of nasbench201 on digits"),
        ("nowhere.csv", "there is no such file"),
    ):
        code, out, err = call("--costs", wish)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err
