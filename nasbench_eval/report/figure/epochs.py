"""What a proxy says over epochs of training: a panel a value, a line a band of accuracy, quartiles shaded."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from nasbench_eval.report.epochs import BANDS, SAID, cells_of
from nasbench_eval.report.figure.style import COLOURS, MARKERS, PAGE, SMALL, STYLE, lines, paper_style
from nasbench_eval.report.titles import DATASETS

_PANELS = 3  # a line of the page


def draw_over_epochs(table: pd.DataFrame, name: str, dataset: str) -> Figure | None:
    """One data set's part of the table; None without rows."""
    part = table[table["dataset"] == dataset]
    values = list(dict.fromkeys(part["value"]))
    if not values:
        return None
    wide = min(len(values), _PANELS)
    tall = -(-len(values) // wide)
    with paper_style():
        width = PAGE * max(0.5, wide / _PANELS)
        figure = Figure(
            (width, 1.9 * tall + (0.75 if wide > 1 else 1.0)), dpi=STYLE["savefig.dpi"], layout="constrained"
        )
        every = figure.subplots(tall, wide, squeeze=False).ravel()
        for axes in every[len(values) :]:
            axes.set_visible(False)
        for axes, value in zip(every, values, strict=False):
            for place, band in enumerate(BANDS):
                rows = part[(part["value"] == value) & (part["band"] == band) & (part["n"] > 0)]
                if rows.empty:
                    continue
                x, colour = rows["epochs"], COLOURS[place]
                axes.fill_between(x, rows["lower"], rows["upper"], color=colour, alpha=0.15, linewidth=0)
                axes.plot(
                    x, rows["median"], color=colour, marker=MARKERS[place], markersize=3, linewidth=1,
                    label=f"{band}: {SAID[band]} ({cells_of(rows)} cells)",
                )  # fmt: skip
            axes.set_title(value)
            axes.set_xlabel("epochs of training")
            axes.grid(axis="y")
        handles, labels = every[0].get_legend_handles_labels()
        where = DATASETS.get(dataset, dataset)
        title = lines([f"{name} on {where}.", "Medians; quartiles are shaded."], width)
        figure.legend(
            handles, labels, title=title, title_fontsize=SMALL, fontsize=SMALL, loc="outside lower center",
            ncols=3 if wide > 1 else 1, frameon=False,
        )  # fmt: skip
    return figure
