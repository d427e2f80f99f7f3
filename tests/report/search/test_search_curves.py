"""Anytime curves: means, intervals and clocks against a computation by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_searches import TRUTH, made_up_accuracy, trials, write
from scipy.stats import t as student

from nasbench_eval.report.search.curves import GRID, clock, curves, draw_curves
from nasbench_eval.report.search.read import read_search
from nasbench_eval.report.search.rows import Row, rows_of

TEST = made_up_accuracy("cifar10", "test")


def row(folder: Path) -> Row:
    return rows_of([read_search(folder)], [TRUTH])[0]


def test_mean_and_interval(tmp_path: Path) -> None:
    history = [
        trials([10, 20, 30], {"snip": [1, 2, 3]}, seed=0),
        trials([40, 50], {"snip": [2, 1]}, seed=1),
        trials([60, 70, 80], {"snip": [1, 1, 1]}, seed=2, incumbents=[None, 60, 80]),
    ]
    found = row(write(tmp_path / "a", history))
    [curve] = curves([found], ["test"], seconds=False)
    assert curve.at.tolist() == [1, 2, 3]
    # The second search has ended after two steps and keeps its answer.
    reached = np.array([TEST[[20, 40, 60]], TEST[[30, 40, 80]]])
    np.testing.assert_allclose(curve.mean, [np.nan, *reached.mean(1)])
    half = student.ppf(0.975, 2) * reached.std(1, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(curve.half, [np.nan, *half])
    assert (curve.seeds, curve.best) == (3, 90)


def test_fewer_than_three_seeds_have_no_band(tmp_path: Path) -> None:
    history = [trials([1, 2], {"snip": [1, 2]}, seed=seed) for seed in range(2)]
    [curve] = curves([row(write(tmp_path / "a", history))], ["val"], seconds=False)
    assert np.isnan(curve.half).all()


def test_seconds_add_up(tmp_path: Path) -> None:
    history = [
        trials([10, 20], {"snip": [1, 2]}, seed=0, proxy=1, simulated=3),
        trials([30, 40], {"snip": [1, 2]}, seed=1, proxy=2, simulated=8),
    ]
    [curve] = curves([row(write(tmp_path / "a", history))], ["test"], seconds=True)
    assert len(curve.at) == GRID
    assert (curve.at[0], curve.at[-1]) == pytest.approx((4, 20))
    known = np.isfinite(curve.mean)
    assert (curve.at[known] >= 10 - 1e-9).all()  # before that the second search has no answer
    assert curve.mean[known][0] == pytest.approx(TEST[[20, 30]].mean())
    assert curve.mean[-1] == pytest.approx(TEST[[20, 40]].mean())


def test_where_no_clock_runs_it_is_the_wall(tmp_path: Path) -> None:
    free = row(write(tmp_path / "a", [trials([10, 20], {"snip": [1, 2]}, proxy=0)]))
    assert clock([free]) == "wall seconds"
    [curve] = curves([free], ["test"], seconds=True)
    assert (curve.at[0], curve.at[-1]) == pytest.approx((0.5, 1))
    costly = row(write(tmp_path / "b", [trials([10, 20], {"snip": [1, 2]})], algorithm="random"))
    # Beside a search that spends seconds, one that spends none has no place on the axis.
    assert [curve.title for curve in curves([free, costly], ["test"], seconds=True)] == ["random, snip"]


def test_figures(multirun: Path) -> None:
    runs = [read_search(folder) for folder in sorted(multirun.iterdir())]
    found = curves(rows_of(runs, [TRUTH] * len(runs)), ["test", "val"], seconds=False)
    figure = draw_curves(found, "evaluations")
    assert figure is not None
    assert len(figure.axes) == 4  # two data sets, two splits
    assert figure.axes[0].get_xscale() == "log"
    assert "t-interval" in figure.legends[0].get_title().get_text()
    assert draw_curves([], "evaluations") is None
