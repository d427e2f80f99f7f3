"""The best accuracy found: against enumeration, and what the figure shows."""

from __future__ import annotations

from itertools import combinations, pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import N, WriteRun
from made_up_figures import (
    assert_legends_cover_no_panel,
    assert_nothing_is_cut_off,
    computed,
    smallest_text,
    texts,
)

from nasbench_eval.report.figure.found import best_found, draw_found, expected_best
from nasbench_eval.report.figure.rows import ScoredRow, scored_rows
from nasbench_eval.report.figure.style import COLUMN
from nasbench_eval.report.statistics.correlation import Failures, judged
from nasbench_eval.report.tables import Truth


def row(
    score: object, accuracy: object, index: object = None, title: str = "a", tau: float = 0.5
) -> ScoredRow:
    score, accuracy = np.asarray(score, dtype=float), np.asarray(accuracy, dtype=float)
    return ScoredRow(
        title, tau, np.arange(len(score)) if index is None else np.asarray(index), score, accuracy
    )


def by_enumeration(score: list[float], accuracy: list[float]) -> list[float]:
    """Mean over all orders that agree with the score of the best accuracy among the first k."""
    key = [-np.inf if not np.isfinite(value) else value for value in score]
    curves = [
        np.maximum.accumulate([accuracy[i] for i in order])
        for order in permutations(range(len(score)))
        if all(key[a] >= key[b] for a, b in pairwise(order))
    ]
    return list(np.mean(curves, axis=0))


def test_a_curve_by_hand() -> None:
    found = best_found([row([5, 4, 3, 2, 1], [70, 60, 90, 80, 95])])
    assert found is not None
    assert found.k.tolist() == [1, 2, 3, 4, 5]
    assert found.curves[0].best.tolist() == [70, 70, 90, 90, 95]
    assert found.highest == 95
    assert found.n == 5


def test_random_is_the_expected_maximum_of_draws_without_replacement() -> None:
    accuracy = [70.0, 60, 90, 80, 95, 60]
    found = best_found([row([6, 5, 4, 3, 2, 1], accuracy)])
    assert found is not None
    expected = [np.mean([max(drawn) for drawn in combinations(accuracy, int(k))]) for k in found.k]
    assert found.random == pytest.approx(expected)


@given(
    st.lists(
        st.tuples(st.sampled_from([1.0, 2.0, np.nan, np.inf]), st.integers(0, 5)), min_size=2, max_size=6
    )
)
def test_ties_are_taken_in_random_order(drawn: list[tuple[float, int]]) -> None:
    score, accuracy = [s for s, _ in drawn], [float(a) for _, a in drawn]
    k = np.arange(1, len(drawn) + 1)
    curve = expected_best(judged(np.array(score), np.array(accuracy)), k)
    assert curve == pytest.approx(by_enumeration(score, accuracy))
    assert (np.diff(curve) >= -1e-12).all()
    assert curve[-1] == max(accuracy)


def test_a_constant_score_is_chance() -> None:
    accuracy = np.random.default_rng(0).normal(size=N)
    found = best_found([row(np.zeros(N), accuracy), row(accuracy, accuracy)])
    assert found is not None
    assert found.curves[0].best == pytest.approx(found.random)
    assert (found.curves[1].best == accuracy.max()).all()


@pytest.mark.parametrize(("failures", "curve"), [("worst", [60, 70, 95, 95]), ("omit", [60, 70])])
def test_failed_ones_come_last_or_not_at_all(failures: Failures, curve: list[float]) -> None:
    score, accuracy = [1.0, 2, np.nan, np.inf], [70.0, 60, 95, 95]
    found = best_found([row(score, accuracy)], failures)
    assert found is not None
    assert found.curves[0].best[: len(curve)].tolist() == curve
    assert np.isnan(found.curves[0].best[len(curve) :]).all()
    nothing = judged(np.array([np.nan, np.inf]), np.array([1.0, 2.0]), "omit")
    assert np.isnan(expected_best(nothing, np.array([1, 2]))).all()


def test_rows_are_compared_on_what_all_of_them_have() -> None:
    accuracy = np.arange(1000.0)
    whole = row(accuracy, accuracy, title="whole")
    half = row(-accuracy[::2], accuracy[::2], np.arange(0, 1000, 2), title="half")
    few = row(accuracy[:499], accuracy[:499], np.arange(499), title="few")
    found = best_found([few, half, whole])
    assert found is not None
    assert found.n == 500
    assert [curve.title for curve in found.curves] == ["half", "whole"]
    assert found.left_out == ("few",)
    assert found.highest == 998
    assert found.curves[0].best[0] == 0
    assert found.curves[1].best[0] == 998
    assert found.k[0] == 1
    assert found.k[-1] == 500
    assert (np.diff(found.k) > 0).all()


def test_without_architectures_there_is_nothing() -> None:
    assert best_found([]) is None
    assert best_found([row([1.0], [1.0])]) is None


def run_of(write_run: WriteRun, size: int) -> Path:
    return write_run(
        {
            (f"proxy_{number}", "cifar10"): {"score": np.random.default_rng(number).normal(size=N)}
            for number in range(size)
        }
    )


def test_the_best_rows_are_in_colour(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    table, scores = computed(run_of(write_run, 9), truths)
    found = best_found(scored_rows(table, scores, truths["nasbench201"], "cifar10"))
    figure = draw_found(found, table, "cifar10")
    assert found is not None
    assert figure is not None
    assert figure.get_figwidth() == COLUMN
    rows = table.rows[(table.rows["split"] == "test") & table.rows["kendall_tau"].notna()]
    leaders = rows.nlargest(6, "kendall_tau")["proxy"].tolist()
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == [*leaders, "other rows (3)", "random, expected"]
    [axes] = figure.axes
    assert axes.get_xscale() == "log"
    curves = {line.get_label(): line for line in axes.lines}
    expected = next(curve for curve in found.curves if curve.title == leaders[0])
    assert list(curves[leaders[0]].get_ydata()) == expected.best.tolist()
    assert list(curves["random, expected"].get_ydata()) == found.random.tolist()
    assert len({str(curves[name].get_linestyle()) + str(curves[name].get_color()) for name in leaders}) == 6
    assert axes.get_title() == "CIFAR-10, n = 60"
    assert f"best of the n: {found.highest:.2f} %" in texts(figure)
    assert "best test accuracy among the k (%)" in texts(figure)
    assert "equal scores in random order" in texts(figure)
    assert_nothing_is_cut_off(figure)
    assert_legends_cover_no_panel(figure)
    assert smallest_text(figure) > 6


def test_one_row_is_drawn_beside_chance(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    table, scores = computed(run_of(write_run, 1), truths)
    found = best_found(scored_rows(table, scores, truths["nasbench201"], "cifar10"))
    figure = draw_found(found, table, "cifar10")
    assert figure is not None
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["proxy_0", "random, expected"]
    assert draw_found(None, table, "cifar10") is None


def test_a_sample_of_equals_can_be_drawn(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    table, _ = computed(run_of(write_run, 1), truths)
    found = best_found([row([1, 2, 3], [80, 80, 80])])
    figure = draw_found(found, table, "cifar10")
    assert figure is not None
    assert_nothing_is_cut_off(figure)
