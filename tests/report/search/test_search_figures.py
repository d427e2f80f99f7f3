"""Cells, τ against accuracy found, landscapes and indicators."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_searches import NAMES, TRUTH, N, trials, write
from scipy.stats import kendalltau, spearmanr

from nasbench_eval.errors import UsageError
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.search import indicators as ind
from nasbench_eval.report.search.cells import Drawn, best_cells, draw_cells
from nasbench_eval.report.search.landscape import draw_landscapes, landscapes, one_hot, principal_axes
from nasbench_eval.report.search.read import read_search
from nasbench_eval.report.search.rows import Row, rows_of
from nasbench_eval.report.search.tau import draw_tau, known_taus, spearman, tau_table
from nasbench_eval.spaces.nasbench201 import EDGES, OPERATIONS, NASBench201

SPACE = NASBench201()


def rows(*folders: Path) -> list[Row]:
    return rows_of([read_search(folder) for folder in folders], [TRUTH] * len(folders))


def write_scores(folder: Path, index: list[int], **columns: list[float]) -> Path:
    """A run of scores on CIFAR-10."""
    for name, scores in columns.items():
        part = folder / "scores" / "space=nasbench201" / "dataset=cifar10" / f"proxy={name}"
        part.mkdir(parents=True)
        archs = [NAMES[i] for i in index]
        frame = pd.DataFrame({"index": index, "arch": archs, "seed": 0, "score": scores, "status": "ok"})
        frame.to_parquet(part / "part-0.parquet")
    (folder / "run.json").write_text("{}")
    return folder


def test_the_cell_that_most_seeds_end_with_is_drawn(tmp_path: Path) -> None:
    often = [trials([answer], {"snip": [value]}, seed=seed) for seed, (answer, value) in enumerate(
        [(4, 9.0), (5, 1.0), (5, 1.0)]
    )]  # fmt: skip
    [cell] = best_cells(rows(write(tmp_path / "a", often)))
    assert (cell.arch, cell.found, cell.seeds) == (NAMES[5], 2, 3)
    once = [trials([4 + seed], {"snip": [value]}, seed=seed) for seed, value in enumerate([1.0, 9.0, 2.0])]
    [cell] = best_cells(rows(write(tmp_path / "b", once)))
    assert (cell.arch, cell.found) == (NAMES[5], 1)


def test_both_spaces_are_drawn() -> None:
    five = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|none~2|"
    other = "|conv3x3~0|maxpool3x3~0~1|output~1~2|"
    figure = draw_cells(
        [Drawn("a", "nasbench201", five, 1, 2), Drawn("b", "nasbench101", other, 2, 2)], "cifar10"
    )
    assert figure is not None
    texts = [[text.get_text() for text in axes.texts] for axes in figure.axes[:2]]
    assert sorted(texts[0]) == sorted(["in", "1", "2", "out", "3×3", "none", "skip", "1×1", "avg", "none"])
    assert texts[1] == ["in", "3×3", "max", "out"]
    assert draw_cells([Drawn("a", "another", "x", 1, 1)], "cifar10") is None


def test_tau_is_read_from_a_report_or_computed(multirun: Path, tmp_path: Path) -> None:
    index = list(range(0, N, 1000))
    rng = np.random.default_rng(0)
    scores = {name: rng.normal(size=len(index)).tolist() for name in ("snip", "naswot")}
    run = write_scores(tmp_path / "scores", index, **scores)
    (run / "tables").mkdir()
    columns = ["proxy", "dataset", "split", "kendall_tau", "kendall_low", "kendall_high"]
    lines = [["snip", "cifar10", "test", 0.5, 0.4, 0.6], ["snip", "cifar10", "val", 0.9, 0.9, 0.9]]
    pd.DataFrame(lines, columns=columns).to_csv(run / "tables" / "table1.csv")
    found = rows(*sorted(multirun.iterdir()))
    table = tau_table(found, known_taus(run))
    tau = table.set_index(["dataset", "algorithm", "guide"])["kendall_tau"]
    assert set(tau.index.get_level_values("dataset")) == {"cifar10"}  # of the other there are no scores
    assert tau["cifar10", "random", "snip"] == 0.5
    accuracy = TRUTH.accuracy("cifar10", "test")[index]
    assert tau["cifar10", "random", "naswot"] == pytest.approx(
        kendalltau(scores["naswot"], accuracy).statistic
    )
    assert table["spearman_rho"].isna().all()  # two guides do not make a correlation
    one = tau_table(found, known_taus(run / "tables" / "table1.csv"))
    assert set(one["guide"]) == {"snip"}
    nothing, other = tmp_path / "nothing", run / "run.json"
    for wrong, said in ((nothing, "neither a table"), (other, "has no column|cannot be read")):
        with pytest.raises(UsageError, match=said):
            known_taus(wrong)


def test_tau_against_what_was_found(multirun: Path) -> None:
    found = rows(*sorted(multirun.iterdir()))
    taus = {"snip": 0.2, "naswot": 0.5, "synflow": 0.4}
    table = tau_table(found, lambda row: (taus[row.guide.name], taus[row.guide.name] - 0.1, float("nan")))
    part = table[(table["algorithm"] == "random") & (table["dataset"] == "cifar10")]
    expected = spearmanr(part["kendall_tau"], part["test_accuracy"]).statistic
    assert part["spearman_rho"].tolist() == pytest.approx([expected] * 3)
    figure = draw_tau(table[table["algorithm"] == "random"])
    assert figure is not None
    assert {text.get_text() for text in figure.axes[0].texts} >= {"snip", "naswot", "synflow"}
    assert "Spearman" in figure.axes[0].get_title()


def test_few_pairs_are_tested_over_all_orders() -> None:
    assert spearman(np.array([1.0, 2, 3]), np.array([4.0, 5, 6])) == pytest.approx((1, 2 / 6))
    x, y = np.random.default_rng(0).normal(size=(2, 9))
    assert spearman(x, y) == pytest.approx(tuple(spearmanr(x, y)))


def test_one_hot() -> None:
    cell = SPACE.parse("|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|")
    [features] = one_hot(np.array([SPACE.index(cell)]))
    assert np.flatnonzero(features).tolist() == [0, 6, 12, 18, 24, 25]


def test_principal_axes_are_those_of_the_covariance() -> None:
    cells = one_hot(np.random.default_rng(0).integers(0, N, 40))
    axes = principal_axes(cells)
    values = np.sort(np.linalg.eigvalsh(np.cov(cells.T)))[::-1]
    np.testing.assert_allclose(axes.explained, values[:2] / values.sum())
    np.testing.assert_allclose(axes.directions @ axes.directions.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(np.cov(axes.place(cells).T), np.diag(values[:2]), atol=1e-12)
    assert (axes.directions[[0, 1], np.abs(axes.directions).argmax(1)] > 0).all()
    with pytest.raises(UsageError, match="three different cells"):
        principal_axes(cells[[0, 0, 1]])


def test_over_the_whole_space_no_axis_explains_more_than_any_other() -> None:
    assert principal_axes(one_hot(np.arange(N))).explained == pytest.approx([1 / 24, 1 / 24])


def test_a_landscape_parts_where_two_seeds_do(tmp_path: Path) -> None:
    shared = [5, 9000, 40]
    history = [
        trials([*shared, *rest], {"snip": [1, 8, 3, *told]}, seed=seed)
        for seed, (rest, told) in enumerate([([7, 300], [9, 2]), ([800, 12000], [1, 10])])
    ]
    [found] = landscapes(rows(write(tmp_path / "a", history)), None)
    visited = [5, 9000, 40, 7, 300, 800, 12000]
    axes = principal_axes(one_hot(np.array(visited)))
    np.testing.assert_allclose(found.axes.explained, axes.explained)
    np.testing.assert_allclose(found.parent, axes.place(one_hot(np.array([9000]))))
    np.testing.assert_allclose(found.children[1], axes.place(one_hot(np.array([800, 12000]))))
    np.testing.assert_allclose(found.ends, axes.place(one_hot(np.array([7, 12000]))))
    assert "parted at step 3" in found.title
    assert len(found.ground) == 7
    figure = draw_landscapes([found])
    assert figure is not None
    assert f"({100 * axes.explained[0]:.1f} %)" in figure.axes[0].get_xlabel()


def test_forks_part_at_the_step_of_the_fork(tmp_path: Path) -> None:
    archs = [5, 9000, 40, 7]
    history = [trials([*archs, 100 + seed], {"snip": [1, 8, 3, 4, 5]}, seed=seed) for seed in (0, 1)]
    found = rows(write(tmp_path / "a", history, fork={"parent": "somewhere", "step": 2}))
    assert found[0].forked
    [landscape] = landscapes(found, None)
    assert "parted at step 2" in landscape.title
    assert [len(child) for child in landscape.children] == [3, 3]


def test_the_ground_of_a_landscape_are_scored_cells(three_values: Path, tmp_path: Path) -> None:
    index = list(range(0, N, 2000))
    column = np.arange(len(index), dtype=float).tolist()
    run = write_scores(tmp_path / "scores", index, kappa=column, regions=column, mse=column)
    [found] = landscapes(rows(three_values), read_runs([run]))
    assert len(found.ground) == len(index)
    np.testing.assert_allclose(found.ranks[:, 0], (np.arange(len(index)) + 1) / len(index))
    figure = draw_landscapes([found])
    assert figure is not None
    assert len(figure.axes) == 4  # three values and the scale


def test_landscapes_need_two_seeds(tmp_path: Path) -> None:
    alone = rows(write(tmp_path / "a", [trials([1, 2, 3], {"snip": [1, 2, 3]})]))
    with pytest.raises(UsageError, match="two seeds"):
        landscapes(alone, None)


def test_depth_is_the_longest_path() -> None:
    cells = [SPACE.arch(index) for index in range(0, N, 53)]
    operations = np.array([[OPERATIONS.index(o) for o in cell.operations] for cell in cells])

    def longest(used: list[tuple[int, int]], node: int) -> float:
        return 0 if node == 3 else max((1 + longest(used, t) for s, t in used if s == node), default=-np.inf)

    expected = [
        max(longest([edge for edge, o in zip(EDGES, cell.operations, strict=True) if o != "none"], 0), 0)
        for cell in cells
    ]
    assert ind.depths(operations).tolist() == expected


def whole_space(**columns: np.ndarray) -> ind.Indicators:
    operations = np.array(list(itertools.product(range(5), repeat=6)))
    ranks = np.stack([ind._shares(column) for column in columns.values()], 1)
    accuracy = ind._shares(-(operations == 0).sum(1).astype(float))
    return ind.Indicators("cifar10", tuple(columns), operations, ranks, ind._shares(ranks.sum(1)), accuracy)


def test_every_pair_that_differs_by_none_on_one_edge_is_a_case() -> None:
    operations = np.array(list(itertools.product(range(5), repeat=6)))
    empty = (operations == 0).sum(1)
    table = ind.none_table(whole_space(fewer=-empty.astype(float), more=empty.astype(float))).set_index(
        "indicator"
    )
    assert (table["pairs"] == 6 * 4 * 5**5).all()
    assert table.loc["fewer", ["share_lower", "share_agreeing"]].tolist() == [1, 1]
    assert table.loc["more", ["share_lower", "share_agreeing"]].tolist() == [0, 0]
    assert table.loc["test accuracy", "share_agreeing"] == 1
    assert table.loc["more", "rank_6"] == 1
    assert ind.draw_none(table.reset_index()) is not None


def test_what_one_indicator_alone_chooses() -> None:
    operations = np.array(list(itertools.product(range(5), repeat=6)))
    size = len(operations)
    first, second = np.zeros(size), np.zeros(size)
    first[:3], second[2:4] = 1, 1
    found = whole_space(first=first, second=second)
    chosen = dict(ind.exclusive(found, 2 / size))
    # The first indicator's three best are equal, so that it chooses three where two were asked for.
    assert chosen["first"].tolist() == [0, 1]
    assert chosen["second"].tolist() == [3]
    table = ind.exclusive_table(found, 2 / size).set_index("indicator")
    assert table.loc["second", "share_nor_conv_3x3"] == pytest.approx(1 / 6)
    assert table.loc["second", "share_none"] == pytest.approx(5 / 6)
    assert table.loc["all cells", [f"share_{o}" for o in OPERATIONS]].tolist() == pytest.approx([0.2] * 5)
    assert ind.draw_exclusive(table.reset_index()) is not None
