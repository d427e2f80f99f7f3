"""Rank against rank: ranks and densities by hand, and that every row gets its panel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import N, WriteRun
from made_up_figures import assert_nothing_is_cut_off, computed, smallest_text, texts
from matplotlib.figure import Figure

from nasbench_eval.report.figure.rows import ScoredRow, scored_rows
from nasbench_eval.report.figure.scatter import draw_scatter, rank_density, rank_panel
from nasbench_eval.report.figure.style import COLUMN, PAGE
from nasbench_eval.report.statistics.correlation import Failures
from nasbench_eval.report.tables import Truth
from nasbench_eval.truth.ceiling import Agreement, Ceiling


def row(score: list[float], accuracy: list[float]) -> ScoredRow:
    return ScoredRow("a", 0.5, np.arange(len(score)), np.array(score), np.array(accuracy))


def draw(folder: Path, truths: dict[str, Truth], failures: Failures = "worst") -> Figure | None:
    table, scores = computed(folder, truths, failures=failures)
    rows = scored_rows(table, scores, truths["nasbench201"], "cifar10")
    return draw_scatter([rank_panel(row, failures) for row in rows], table, "cifar10")


def normal(seed: int) -> dict[str, np.ndarray]:
    return {"score": np.random.default_rng(seed).normal(size=N)}


def test_ranks_by_hand() -> None:
    panel = rank_panel(row([3, 1, 1, 7], [90, 70, 80, 60]))
    assert panel.score.tolist() == [5 / 8, 2 / 8, 2 / 8, 7 / 8]  # the ties share ranks 1 and 2
    assert panel.accuracy.tolist() == [7 / 8, 3 / 8, 5 / 8, 1 / 8]
    assert panel.n == 4
    assert len(panel.failed) == 0


@pytest.mark.parametrize(("failures", "score"), [("worst", [5 / 8, 7 / 8]), ("omit", [1 / 4, 3 / 4])])
def test_failed_scores_are_apart(failures: Failures, score: list[float]) -> None:
    panel = rank_panel(row([np.nan, 1, np.inf, 7], [90, 70, 80, 60]), failures)
    assert panel.score.tolist() == score
    assert panel.accuracy.tolist() == [3 / 8, 1 / 8]
    assert panel.failed.tolist() == [7 / 8, 5 / 8]
    assert panel.n == 4


def test_density_of_an_even_spread_is_one() -> None:
    at = (np.arange(64) + 0.5) / 64
    x, y = (grid.ravel() for grid in np.meshgrid(at, at))
    assert rank_density(x, y) == pytest.approx(np.ones(64 * 64))
    assert rank_density(np.empty(0), np.empty(0)).shape == (0,)


def test_density_is_a_kernel_density_estimate() -> None:
    # Far from the edges, where nothing is reflected: the mean of a Gaussian around every point.
    x, y = 0.5 + 0.06 * np.random.default_rng(0).normal(size=(2, 4000)).clip(-3, 3)
    width = 4000 ** (-1 / 6) / np.sqrt(12)
    away = (x[:50, None] - x) ** 2 + (y[:50, None] - y) ** 2
    expected = np.exp(-away / (2 * width**2)).mean(axis=1) / (2 * np.pi * width**2)
    assert rank_density(x, y)[:50] == pytest.approx(expected, rel=0.02)


def test_points_gather_along_a_good_ranking() -> None:
    n = 1000
    ranks = (np.arange(n) + 0.5) / n
    shuffled = np.random.default_rng(0).permutation(ranks)
    assert rank_density(ranks, ranks).min() > 2
    assert rank_density(ranks, shuffled).mean() == pytest.approx(1, abs=0.15)


def test_a_panel_a_row(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    parts = {(name, "cifar10"): normal(seed) for seed, name in enumerate(["snip", "zen", "mine_$1_$2" * 3])}
    parts["zen", "cifar10"]["score"][:7] = np.nan
    parts["flops", "cifar10"] = {"score": np.ones(N)}  # constant, hence without a correlation
    folder = write_run(parts)
    figure = draw(folder, truths)
    table, _ = computed(folder, truths)
    assert figure is not None
    assert figure.get_figwidth() == COLUMN
    rows = table.rows[(table.rows["split"] == "test") & (table.rows["dataset"] == "cifar10")]
    tau = rows.set_index("proxy")["kendall_tau"].round(3)
    titles = [axes.get_title().replace("−", "-").split("\n") for axes in figure.axes[:3]]
    long = "mine_$1_$2" * 3
    assert [title[1] for title in titles] == [
        f"τ = {tau[name]:.3f}, n = 60" for name in ("snip", "zen", long)
    ]
    assert [title[0] for title in titles[:2]] == ["snip", "zen"]
    assert titles[2][0].endswith("…")
    assert len(titles[2][0]) > 15
    assert long.startswith(titles[2][0][:-1])
    points = [axes.collections[0].get_offsets() for axes in figure.axes[:3]]
    assert [len(found) for found in points] == [N, N - 7, N]
    assert points[1][:, 0].min() == pytest.approx(7.5 / N)
    dashes = figure.axes[1].collections[1].get_segments()
    assert len(dashes) == 7
    assert all(x < 0 for dash in dashes for x in dash[:, 0])
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["7 failed"]
    assert "failed scores, ranked lowest" in texts(figure)
    assert_nothing_is_cut_off(figure)
    assert smallest_text(figure) > 6


def test_what_the_figure_says(write_run: WriteRun, truth: Truth) -> None:
    parts = {("snip", "cifar10"): normal(0)}
    parts["snip", "cifar10"]["score"][3] = np.inf
    folder = write_run(parts)
    ceiling = Ceiling(0.9, 0.98, 3, Agreement(0.8, 0.9, 3, N))
    noisy = {"nasbench201": replace(truth, ceiling=lambda dataset, split: ceiling)}
    figure = draw(folder, noisy, "omit")
    assert figure is not None
    shown = texts(figure)
    assert "CIFAR-10, test accuracy" in shown
    assert "Agreement of two runs: τ = 0.800; noise ceiling: τ = 0.900." in " ".join(shown.split())
    assert "left out of τ" in shown
    assert_nothing_is_cut_off(figure)
    bare = draw(folder, {"nasbench201": truth})
    assert bare is not None
    assert "ceiling" not in texts(bare)


def test_many_rows_take_the_page(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    parts = {(f"proxy_with_a_name_{number}", "cifar10"): normal(number) for number in range(14)}
    figure = draw(write_run(parts), truths)
    assert figure is not None
    assert figure.get_figwidth() == PAGE
    shown = [axes for axes in figure.axes if axes.get_title()]
    assert len(shown) == 14
    # Every column has a scale below its last panel, every row one at its left.
    assert [axes.get_xlabel() for axes in shown] == [""] * 8 + ["rank by score"] * 6
    assert [place for place, axes in enumerate(shown) if axes.get_ylabel()] == [0, 6, 12]
    assert_nothing_is_cut_off(figure)


def test_without_rows_nothing_is_drawn(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    assert draw(write_run({("snip", "cifar10"): {"score": np.zeros(N)}}), truths) is None


def test_architectures_without_accuracy_are_left_out(write_run: WriteRun, truth: Truth) -> None:
    accuracy = np.arange(float(N))
    accuracy[:5] = np.nan
    partly = {"nasbench201": replace(truth, accuracy=lambda dataset, split: accuracy)}
    table, scores = computed(write_run({("snip", "cifar10"): normal(0)}), partly)
    [found] = scored_rows(table, scores, partly["nasbench201"], "cifar10")
    assert found.index.tolist() == list(range(5, N))
    assert found.accuracy.tolist() == accuracy[5:].tolist()
