"""τ against cost: the seconds by hand, the places of the names, and what the figure shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import N, WriteRun
from made_up_figures import (
    assert_legends_cover_no_panel,
    assert_nothing_is_cut_off,
    computed,
    smallest_text,
    texts,
)
from matplotlib.text import Annotation

from nasbench_eval.report.figure.cost import costs, draw_cost, median_seconds
from nasbench_eval.report.figure.labels import leader, overlaps, place_labels
from nasbench_eval.report.figure.style import COLUMN, PAGE
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.spec import AggregateSpec, RowSpec, TableSpec
from nasbench_eval.report.tables import Truth
from nasbench_eval.truth.ceiling import Agreement, Ceiling

SPACE = "nasbench201"


def own(*rows: RowSpec, others: bool = True) -> TableSpec:
    return TableSpec("t", SPACE, "made up", ["cifar10"], ours=list(rows), others=others)


def timed(seed: int, seconds: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"score": rng.normal(size=N), "seconds": seconds * rng.uniform(0.9, 1.1, size=N)}


# Seconds -----------------------------------------------------------------------------------------------


def test_seconds_by_hand(write_run: WriteRun) -> None:
    parts = {
        ("a", "cifar10"): {"score": [1.0] * 5, "gamma": [2.0] * 5, "seconds": [1.0, 2, 3, 40, 50]},
        ("b", "cifar10"): {"score": [1.0] * 4, "seconds": [10.0, 30, 20, 100]},
        ("untimed", "cifar10"): {"score": [1.0] * 5},
    }
    scores = read_runs([write_run(parts)])

    def seconds(*members: str) -> float:
        aggregate = AggregateSpec("rank_sum", list(members)) if members[1:] else None
        return median_seconds(scores, SPACE, RowSpec(members[0], aggregate=aggregate), "cifar10")

    assert seconds("a") == 3
    # On the four networks that both have: 11, 32, 23, 140.
    assert seconds("a", "b") == (23 + 32) / 2
    # The second member is of a label that is counted already.
    assert seconds("a", "b", "a.gamma") == (23 + 32) / 2
    assert seconds("a.score", "a.gamma") == 3
    assert np.isnan(seconds("a", "untimed"))
    assert np.isnan(seconds("a", "missing"))
    assert np.isnan(seconds("missing"))


def test_crashes_take_no_time(write_run: WriteRun) -> None:
    status = ["oom", "nan", "ok", "error"]
    parts = {("a", "cifar10"): {"score": [1.0] * 4, "seconds": [90.0, 2, 4, 80], "status": status}}
    assert median_seconds(read_runs([write_run(parts)]), SPACE, RowSpec("a"), "cifar10") == 3


def test_rows_are_the_tables(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    parts = {("a", "cifar10"): timed(0, 1), ("b", "cifar10"): timed(1, 2), ("c", "cifar10"): timed(2, 4)}
    parts["b", "cifar10"]["score"] = np.ones(N)  # no correlation
    del parts["c", "cifar10"]["seconds"]
    mix = RowSpec("mix", title="Mixed", aggregate=AggregateSpec("rank_sum", ["a", "b"]))
    table, scores = computed(write_run(parts), truths, own(mix))
    rows = costs(table, scores, "cifar10")
    assert rows["proxy"].tolist() == ["mix", "a"]
    assert rows["title"].tolist() == ["Mixed", "a"]
    assert rows["aggregate"].tolist() == [True, False]
    expected = table.rows[(table.rows["split"] == "test") & table.rows["proxy"].isin(["mix", "a"])]
    for column in ("kendall_tau", "kendall_low", "kendall_high"):
        assert rows[column].tolist() == expected[column].tolist()
    assert rows["seconds"].tolist() == pytest.approx([3, 1], rel=0.05)


# Names -------------------------------------------------------------------------------------------------


def test_a_lonely_name_stands_beside_its_point() -> None:
    point, size, bounds = np.array([[50.0, 50.0]]), np.array([[30.0, 8.0]]), np.array([0.0, 0, 100, 100])
    mark = np.array([[48.0, 48, 52, 52]])
    [box] = place_labels(point, size, bounds, mark)
    assert box[2:] - box[:2] == pytest.approx(size[0])
    assert overlaps(box[None], mark).sum() == 0
    assert leader(point[0], box) is None


def test_names_of_a_crowd_cover_neither_each_other_nor_points() -> None:
    points = np.random.default_rng(1).uniform([60, 40], [180, 160], size=(16, 2))
    sizes, bounds = np.tile([36.0, 8.0], (16, 1)), np.array([0.0, 0, 240, 200])
    marks = np.concatenate([points - 2, points + 2], axis=1)
    boxes = place_labels(points, sizes, bounds, marks)
    assert overlaps(boxes, boxes)[~np.eye(16, dtype=bool)].max() == 0
    assert overlaps(boxes, marks).max() == 0
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= bounds[2:]).all()
    assert np.array_equal(place_labels(points, sizes, bounds, marks), boxes)


def test_names_of_one_place_are_told_apart() -> None:
    points, sizes = np.full((3, 2), 50.0), np.full((3, 2), 12.0)
    boxes = place_labels(points, sizes, np.array([0.0, 0, 100, 100]), np.array([[48.0, 48, 52, 52]]))
    assert overlaps(boxes, boxes)[~np.eye(3, dtype=bool)].max() == 0


def test_where_a_leader_ends() -> None:
    box = np.array([10.0, 10, 20, 14])
    assert leader(np.array([0.0, 12.0]), box).tolist() == [10, 12]
    assert leader(np.array([30.0, 30.0]), box).tolist() == [20, 14]
    assert leader(np.array([15.0, 8.0]), box) is None
    assert leader(np.array([15.0, 12.0]), box) is None


# The figure --------------------------------------------------------------------------------------------


def crowd(write_run: WriteRun, size: int = 16) -> Path:
    rng = np.random.default_rng(3)
    parts = {
        (f"proxy_{number}", "cifar10"): timed(number, 10 ** rng.uniform(-2, 0)) for number in range(size)
    }
    return write_run(parts)


def test_every_row_is_a_named_point(write_run: WriteRun, truth: Truth) -> None:
    noisy = {
        SPACE: replace(truth, ceiling=lambda dataset, split: Ceiling(0.9, 0.98, 2, Agreement(0.8, 0.9, 1, N)))
    }
    mix = RowSpec("mix", aggregate=AggregateSpec("rank_sum", ["proxy_0", "proxy_1"]))
    table, scores = computed(crowd(write_run), noisy, own(mix))
    rows = costs(table, scores, "cifar10")
    figure = draw_cost(rows, table, "cifar10")
    assert figure is not None
    [axes] = figure.axes
    assert figure.get_figwidth() == COLUMN
    assert axes.get_xscale() == "log"
    single, mixed = (line for line in axes.lines if line.get_marker() in ("o", "s"))
    assert list(single.get_xdata()) == rows["seconds"].tolist()[1:]
    assert list(single.get_ydata()) == rows["kendall_tau"].tolist()[1:]
    assert list(mixed.get_xdata()) == rows["seconds"].tolist()[:1]
    names = [text for text in axes.texts if isinstance(text, Annotation) and text.get_text()]
    assert {text.get_text() for text in names} == {*rows["title"], "noise ceiling 0.900"}
    [ceiling] = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert list(ceiling.get_ydata()) == [0.9, 0.9]
    shown = texts(figure)
    assert "on the machine of the run" in shown
    assert "aggregate (sum of its members)" in shown
    assert "Whiskers: 95 %" in shown
    assert axes.get_title() == "CIFAR-10, n = 60"


def test_names_do_not_overlap_and_nothing_is_cut_off(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    table, scores = computed(crowd(write_run), truths, own())
    figure = draw_cost(costs(table, scores, "cifar10"), table, "cifar10")
    assert figure is not None
    assert_nothing_is_cut_off(figure)
    assert_legends_cover_no_panel(figure)
    assert smallest_text(figure) > 6
    names = [text for text in figure.axes[0].texts if text.get_text()]
    boxes = np.array([text.get_window_extent().extents for text in names])
    assert len(boxes) == 16
    assert overlaps(boxes, boxes)[~np.eye(16, dtype=bool)].max() == 0
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert {"0.01", "0.1", "1"} <= set(labels)


def test_more_rows_take_the_page(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    table, scores = computed(crowd(write_run, 31), truths, own(), resamples=0)
    figure = draw_cost(costs(table, scores, "cifar10"), table, "cifar10")
    assert figure is not None
    assert figure.get_figwidth() == PAGE
    assert "Whiskers" not in texts(figure)
    assert_nothing_is_cut_off(figure)


def test_a_sweep_is_lines(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    parts = {
        (f"{proxy}_{epochs}", "cifar10"): timed(epochs, 1 + epochs)
        for proxy in ("lga", "ntk_mean")
        for epochs in (0, 3, 10)
    }
    table, scores = computed(write_run(parts), truths, "lga")
    rows = costs(table, scores, "cifar10").set_index("proxy")
    figure = draw_cost(rows.reset_index(), table, "cifar10")
    assert figure is not None
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(lines) == ["lga", "ntk_mean"]
    expected = [rows.loc[f"lga_{epochs}", "kendall_tau"] for epochs in (0, 3, 10)]
    assert list(lines["lga"].get_ydata()) == expected
    assert "Along a line: epochs 0, 1, 3, 5, 10." in texts(figure)
    assert_nothing_is_cut_off(figure)


def test_what_tells_nothing_is_not_drawn(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    alone, scores = computed(write_run({("a", "cifar10"): timed(0, 1)}, name="alone"), truths, own())
    assert draw_cost(costs(alone, scores, "cifar10"), alone, "cifar10") is None
    parts = {("a", "cifar10"): timed(0, 1), ("b", "cifar10"): timed(1, 1)}
    parts["b", "cifar10"]["seconds"] = parts["a", "cifar10"]["seconds"]
    same, scores = computed(write_run(parts, name="same"), truths, own())
    assert draw_cost(costs(same, scores, "cifar10"), same, "cifar10") is None
    untimed = {(name, "cifar10"): {"score": np.random.default_rng(0).normal(size=N)} for name in ("a", "b")}
    table, scores = computed(write_run(untimed, name="untimed"), truths, own())
    assert costs(table, scores, "cifar10").empty
    assert draw_cost(costs(table, scores, "cifar10"), table, "cifar10") is None
