"""Does correlation predict search?  Kendall τ of proxies against the accuracy found with each as guide."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import rankdata, spearmanr
from scipy.stats import t as student

from nasbench_eval.errors import UsageError
from nasbench_eval.paths import configured
from nasbench_eval.report.figure.labels import leader, place_labels
from nasbench_eval.report.figure.style import COLOURS, PAGE, SMALL, STYLE, lines, number, paper_style, short
from nasbench_eval.report.scores import Part, Scores, read_runs
from nasbench_eval.report.search.judge import per_seed
from nasbench_eval.report.search.read import Floats
from nasbench_eval.report.search.rows import Row
from nasbench_eval.report.spec import RowSpec, load_aggregate
from nasbench_eval.report.statistics.correlation import judged, kendall_tau
from nasbench_eval.report.tables import Truth, matched_accuracy
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.report.values import row_values
from nasbench_eval.wording import first_line

# With fewer guides a rank correlation says next to nothing.
LEAST_GUIDES = 3
# Of so many pairs every order is tried.
EXACT = 7
MEANINGS = {
    "algorithm": "the algorithm's label",
    "dataset": "the data set",
    "guide": "the guide, whose τ stands beside what was found with it",
    "kendall_tau": "Kendall's τ-b of the guide with test accuracy",
    "kendall_low": "lower end of its 95 % bootstrap interval, where it was read from a report's table",
    "kendall_high": "upper end",
    "seeds": "searches that ended with an architecture",
    "test_accuracy": "mean test accuracy found, in percent",
    "half_width": "half the width of its 95 % t-interval",
    "spearman_rho": "Spearman's ρ of `kendall_tau` and `test_accuracy` over the guides of the algorithm and "
    "data set",
    "spearman_p": "its two-sided p: over all orders of up to seven guides, by a t-distribution of more",
}
COLUMNS = list(MEANINGS)
# τ of a row's guide, with the ends of its interval; None where it is unknown.
Known = Callable[[Row], tuple[float, float, float] | None]


def known_taus(source: Path) -> Known:
    """Where the τ of proxies come from.

    Args:
        source: a CSV that `nasbench-report` wrote, or the folder of a run of scores: its tables are read, and
            what they lack is computed from its scores.

    Raises:
        UsageError: if there is nothing of the kind.
    """
    files = [source] if source.is_file() else sorted((source / "tables").glob("*.csv"))
    read: dict[tuple[str, str], tuple[float, float, float]] = {}
    for file in files:
        for key, tau in _read(file, required=source.is_file()).items():
            read.setdefault(key, tau)
    scores = read_runs([source]) if (source / "scores").is_dir() else None
    if scores is None and not read:
        raise UsageError(
            f"--tau {source}: neither a table of nasbench-report nor the folder of a run of scores"
        )

    def known(row: Row) -> tuple[float, float, float] | None:
        # A guide that is one proxy may have a name of its own.
        values = row.guide.values
        for name in dict.fromkeys([row.guide.name, *(values if len(values) == 1 else ())]):
            if (row.dataset, name) in read:
                return read[row.dataset, name]
            if scores and (tau := _computed(scores, row.truth, Part(row.space, row.dataset, name))):
                return tau
        return None

    return known


def _read(file: Path, required: bool) -> dict[tuple[str, str], tuple[float, float, float]]:
    wanted = ["proxy", "dataset", "split", "kendall_tau", "kendall_low", "kendall_high"]
    try:
        frame = pd.read_csv(file)
        lacking = [name for name in wanted if name not in frame.columns]
    except (OSError, ValueError) as error:
        raise UsageError(f"--tau: {file} cannot be read: {first_line(error)}") from None
    if lacking and required:
        raise UsageError(
            f"--tau: {file} has no column {' and '.join(lacking)}; is it a table of nasbench-report?"
        )
    if lacking:
        return {}
    held = frame[(frame["split"] == "test") & frame["kendall_tau"].notna()]
    return {
        (str(dataset), str(proxy)): (float(tau), float(low), float(high))
        for proxy, dataset, _, tau, low, high in held[wanted].itertuples(index=False)
    }


def _computed(scores: Scores, truth: Truth, part: Part) -> tuple[float, float, float] | None:
    row = RowSpec(part.label)
    if part not in scores.frames and part.label in configured("aggregate"):
        row = RowSpec(part.label, aggregate=load_aggregate(part.label)[1])
    values, _ = row_values(scores, part.space, row, part.dataset)
    if values is None:
        return None
    accuracy = matched_accuracy(truth, part, values, "test")
    sample = judged(values["value"].to_numpy(np.float64), accuracy)
    tau = kendall_tau(sample.codes, sample.accuracy)
    return None if math.isnan(tau) else (tau, math.nan, math.nan)


def tau_table(rows: Sequence[Row], known: Known) -> pd.DataFrame:
    """A line a row whose guide's τ is known: the columns of `COLUMNS`."""
    records = []
    for row in rows:
        tau = known(row)
        found = per_seed(row)["test_accuracy"].dropna()
        if tau is None or not len(found):
            continue
        factor = float(student.ppf(0.975, len(found) - 1)) if len(found) > 2 else math.nan
        records.append(
            {
                "algorithm": row.algorithm,
                "dataset": row.dataset,
                "guide": row.guide.name,
                **dict(zip(COLUMNS[3:6], tau, strict=True)),
                "seeds": len(found),
                "test_accuracy": found.mean(),
                "half_width": factor * found.std() / math.sqrt(len(found)),
            }
        )
    frame = pd.DataFrame(records, columns=COLUMNS)
    for _, part in frame.groupby(["algorithm", "dataset"]):
        if (
            len(part) >= LEAST_GUIDES
            and part["kendall_tau"].nunique() > 1
            and part["test_accuracy"].nunique() > 1
        ):
            pair = spearman(part["kendall_tau"].to_numpy(), part["test_accuracy"].to_numpy())
            frame.loc[part.index, "spearman_rho"], frame.loc[part.index, "spearman_p"] = pair
    return frame


def spearman(x: Floats, y: Floats) -> tuple[float, float]:
    """Spearman's ρ and its two-sided p: over all orders of up to seven pairs, by a t-distribution of more."""
    rho, p = map(float, spearmanr(x, y))
    if len(x) <= EXACT:
        first, second = rankdata(x), rankdata(y)
        # With the same ranks in every order the sum of products decides alone.
        products = np.array([first @ np.array(order) for order in permutations(second - second.mean())])
        observed = first @ (second - second.mean())
        p = float((np.abs(products) >= abs(observed) - 1e-9).mean())
    return rho, p


def draw_tau(table: pd.DataFrame) -> Figure | None:
    """One algorithm: a panel a data set, a point a guide; None without a panel of two guides.

    Args:
        table: the lines of `tau_table` with one algorithm.
    """
    datasets = [name for name in dict.fromkeys(table["dataset"]) if (table["dataset"] == name).sum() > 1]
    if not datasets:
        return None
    with paper_style():
        width = PAGE * min(1.0, 0.25 + 0.35 * len(datasets))
        figure = Figure((width, 3.1), dpi=STYLE["savefig.dpi"], layout="constrained")
        every = figure.subplots(1, len(datasets), squeeze=False)[0]
        for axes, dataset in zip(every, datasets, strict=True):
            part = table[table["dataset"] == dataset]
            axes.errorbar(
                part["kendall_tau"], part["test_accuracy"], yerr=part["half_width"].fillna(0).to_numpy(),
                xerr=_sides(part), fmt="o", color=COLOURS[0], ecolor="#999999", elinewidth=0.6, markersize=3,
            )  # fmt: skip
            rho = part["spearman_rho"].iloc[0]
            said = (
                ""
                if math.isnan(rho)
                else f"\nSpearman ρ = {number(rho)}, p = {part['spearman_p'].iloc[0]:.2g}"
            )
            axes.set_title(f"{DATASETS.get(dataset, dataset)}, {len(part)} guides{said}")
            axes.set_xlabel("Kendall τ of the guide with test accuracy", fontsize=SMALL)
            axes.grid(axis="y")
            axes.margins(0.14)
        every[0].set_ylabel("mean test accuracy found (%)")
        sentences = [f"Searches by {table['algorithm'].iloc[0]}, a point a guide."]
        sentences.append("Vertical whiskers: 95 % t-interval over three or more seeds.")
        if table["kendall_low"].notna().any():
            sentences.append("Horizontal whiskers: 95 % bootstrap interval over architectures.")
        figure.supxlabel(lines(sentences, figure.get_figwidth()), fontsize=SMALL)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for axes, dataset in zip(every, datasets, strict=True):
            _name(figure, axes, table[table["dataset"] == dataset])
    return figure


def _sides(part: pd.DataFrame) -> Floats:
    """How far the whiskers of τ reach to the left and to the right; shape (2, N)."""
    tau = part["kendall_tau"].to_numpy()
    reach: Floats = np.nan_to_num(
        np.maximum(np.stack([tau - part["kendall_low"].to_numpy(), part["kendall_high"].to_numpy() - tau]), 0)
    )
    return reach


def _name(figure: Figure, axes: Axes, part: pd.DataFrame) -> None:
    """Write each guide's name near its point."""
    unit = 72 / figure.dpi
    at = part[["kendall_tau", "test_accuracy"]].to_numpy(np.float64)
    points = axes.transData.transform(at) * unit
    texts = [figure.text(0, 0, short(name, 18), fontsize=SMALL) for name in part["guide"]]
    boxes = [text.get_window_extent() for text in texts]
    for text in texts:
        text.remove()
    sizes = np.array([(box.width, box.height) for box in boxes]) * unit + np.array([3.0, 1.0])
    box = axes.get_window_extent()
    bounds = np.array([box.x0, box.y0, box.x1, box.y1]) * unit
    obstacles = np.concatenate([points - 2.5, points + 2.5], axis=1)
    style = {"arrowstyle": "-", "linewidth": 0.4, "color": "#666666", "shrinkA": 0, "shrinkB": 1.5}
    for name, xy, point, place in zip(
        part["guide"], at, points, place_labels(points, sizes, bounds, obstacles), strict=True
    ):
        end = leader(point, place)
        if end is not None:
            axes.annotate("", tuple(xy), tuple(end - point), textcoords="offset points", arrowprops=style)
        axes.annotate(
            short(name, 18), tuple(xy), tuple((place[:2] + place[2:]) / 2 - point),
            textcoords="offset points", fontsize=SMALL, ha="center", va="center", zorder=4,
        )  # fmt: skip
