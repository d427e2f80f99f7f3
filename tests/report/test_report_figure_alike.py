"""Which proxies rank alike, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from nasbench_eval.report import FORMATS
from nasbench_eval.report.figure.alike import WRITTEN, draw_alike
from nasbench_eval.report.figure.style import save
from nasbench_eval.report.statistics.between import Between, between
from nasbench_eval.report.statistics.panel import panel


def made_up(size: int) -> Between:
    generator = np.random.default_rng(0)
    common = generator.normal(size=40)
    scores = pd.DataFrame(
        {f"p{i}": common * (-1) ** i + 0.5 * generator.normal(size=40) for i in range(size)}
    )
    return between(panel(scores, pd.Series(generator.normal(size=40)), "worst"))


def test_every_pair_has_a_square_and_its_value(tmp_path: Path) -> None:
    found = made_up(5)
    figure = draw_alike(found, "cifar10")
    assert figure is not None
    _, axes, _ = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(found.tau.index)
    np.testing.assert_allclose(axes.images[0].get_array(), found.tau)
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert len(written) == 5 * 4
    assert written[1, 0] == f"{100 * found.tau.iloc[0, 1]:.0f}".replace("-", "−")
    assert save(figure, tmp_path, "alike", FORMATS) == ["alike.png", "alike.pdf", "alike.svg"]


def test_many_proxies_are_shown_without_values() -> None:
    figure = draw_alike(made_up(WRITTEN + 1), "cifar10")
    assert figure is not None
    assert not figure.axes[1].texts
    assert figure.axes[2].get_ylabel() == "Kendall τ between scores"


def test_two_proxies_make_no_figure() -> None:
    assert draw_alike(made_up(2), "cifar10") is None


def test_proxies_that_all_rank_the_same_have_no_tree() -> None:
    scores = pd.DataFrame({name: np.arange(5.0) for name in "abc"})
    figure = draw_alike(between(panel(scores, pd.Series(np.arange(5.0)), "worst")), "cifar10")
    assert figure is not None
    assert not figure.axes[0].collections
