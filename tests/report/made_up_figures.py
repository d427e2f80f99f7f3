"""What the tests of figures have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from nasbench_eval.report.scores import Scores, read_runs
from nasbench_eval.report.spec import TableSpec, load_table_spec
from nasbench_eval.report.tables import Reporter, Settings, Table, Truth


def computed(
    folder: Path, truths: dict[str, Truth], spec: str | TableSpec = "table1", **settings: object
) -> tuple[Table, Scores]:
    """A table of a run, with few resamples, and the scores it is of."""
    scores = read_runs([folder])
    name, definition = load_table_spec(spec) if isinstance(spec, str) else ("own", spec)
    return Reporter(scores, truths, Settings(**{"resamples": 9, **settings})).table(name, definition), scores


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def assert_nothing_is_cut_off(figure: Figure) -> None:
    """All that is drawn, and every text in a panel, lies within the figure."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    slack = 1 / figure.dpi
    assert box.x0 >= -slack
    assert box.y0 >= -slack
    assert box.x1 <= width + slack
    assert box.y1 <= height + slack
    whole = figure.bbox
    for axes in figure.axes:
        for text in axes.texts:
            drawn = text.get_window_extent()
            assert whole.x0 - 1 <= drawn.x0 <= drawn.x1 <= whole.x1 + 1, text.get_text()
            assert whole.y0 - 1 <= drawn.y0 <= drawn.y1 <= whole.y1 + 1, text.get_text()


def assert_legends_cover_no_panel(figure: Figure) -> None:
    figure.draw_without_rendering()
    for legend in figure.legends:
        for axes in figure.axes:
            assert not legend.get_window_extent().overlaps(axes.get_window_extent())


def smallest_text(figure: Figure) -> float:
    """The smallest size of a text that is drawn, in points."""
    return float(np.min([text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip()]))
