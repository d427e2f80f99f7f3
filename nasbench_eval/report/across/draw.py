"""Draws proxies by benchmarks for the terminal, in Markdown and in LaTeX. Nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nasbench_eval.report.across.benchmarks import sizes
from nasbench_eval.report.across.table import COUNTED, MEASURES, Across
from nasbench_eval.report.draw import EMPTY, LABEL_WIDTH, latex_escape, wrapped
from nasbench_eval.report.statistics.correlation import CONFIDENCE

TITLE = "Proxies across benchmarks"
# Of a correlation that does not count.
MARK = "*"
# Columns of the terminal's table: as many benchmarks as a line holds stand beside each other.
_CELL, _MOST = 8, 8


@dataclass(frozen=True)
class Row:
    """What is said of a proxy beside its correlations.

    Attributes:
        name: its label.
        rank: its mean rank; in parentheses where it is over fewer benchmarks.
        worst, worst_place: its lowest correlation, and on which benchmark; NaN and None if it has none.
    """

    name: str
    rank: str
    worst: float
    worst_place: int | None


def marked(table: Across) -> npt.NDArray[np.str_]:
    """A mark for each correlation that does not count, else an empty text; shape (proxies, benchmarks)."""
    values, _, _ = table.estimates()
    return np.where(np.isfinite(values) & ~table.counted(), MARK, "")


def rows_of(table: Across) -> list[Row]:
    """The proxies, in the table's order."""
    found = []
    for row in table.proxies.to_dict("records"):
        rank = f"{row['mean_rank']:.1f}" if row["everywhere"] else f"({row['mean_rank']:.1f})"
        known = bool(row["benchmarks"])
        place = table.names.index(str(row["worst_benchmark"])) if known else None
        found.append(Row(str(row["proxy"]), rank if known else EMPTY, float(row["worst"]), place))
    return found


def draw_text(table: Across) -> str:
    """For the terminal, at most 100 columns wide; benchmarks are numbered."""
    places = range(len(table.benchmarks))
    lines = [TITLE, ""]
    for place in places:
        lines += wrapped(f"{place + 1:>2}  {_said(table, place)}", hanging="    ")
    for start in places[::_MOST]:
        lines += ["", *_grid(table, places[start : start + _MOST])]
    lines += ["", *wrapped(caption(table))]
    if len(places) > 1:
        lines += ["", "Kendall τ between the benchmarks' orders of the proxies that both have"]
        square = table.square()
        for start in places[::_MOST]:
            shown = places[start : start + _MOST]
            lines += ["", "  " + "".join(f"{place + 1:>{_CELL}}" for place in shown)]
            for row in places:
                cells = [number(square[row, place], 2) for place in shown]
                lines.append(f"{row + 1:>2}" + "".join(f"{cell:>{_CELL}}" for cell in cells))
        lines += ["", f"mean {number(table.mean_agreement)}"]
    return "\n".join(lines) + "\n"


def _grid(table: Across, shown: range) -> list[str]:
    """Proxies by some of the benchmarks; beside the last of them what is said of all."""
    (values, _, _), marks = table.estimates(), marked(table)
    last = shown[-1] == len(table.benchmarks) - 1
    width = max(8, min(LABEL_WIDTH, max(len(row.name) for row in rows_of(table))))
    head = f"{'proxy':<{width}}" + "".join(f"{place + 1:>{_CELL}}" for place in shown)
    head += f"{'rank':>{_CELL}}{'worst':>{_CELL}}" if last else ""
    rule = "─" * len(head)
    lines = [rule, head, rule]
    for place, row in enumerate(rows_of(table)):
        name = row.name if len(row.name) <= width else row.name[: width - 1] + "…"
        cells = [number(values[place, column]) + (marks[place, column] or " ") for column in shown]
        cells += [row.rank, f"{number(row.worst)}"] if last else []
        lines.append(f"{name:<{width}}" + "".join(f"{cell:>{_CELL}}" for cell in cells))
    return [*lines, rule]


def draw_markdown(table: Across, figures: Sequence[str] = ()) -> str:
    """The benchmarks, the table, and how the benchmarks agree.

    Args:
        table: to be drawn.
        figures: PNG files beside the page, to be shown on it.
    """
    sign, measure, _ = MEASURES[table.measure]
    places = range(len(table.benchmarks))
    numbers = [str(place + 1) for place in places]
    lines = [f"# {TITLE}", "", caption(table), "", "## Benchmarks", ""]
    head = ["", "search space", "data set", "judged by", "n", "other than the defaults", "run", "date"]
    lines += _markdown(head, [_facts(table, place) for place in places])
    lines += ["", f"## {measure}", "", *(f"![{name}]({name})\n" for name in figures)]
    estimates, marks = table.estimates(), marked(table)
    body = []
    for line, row in enumerate(rows_of(table)):
        cells = [
            _estimate(*(float(each[line, place]) for each in estimates)) + marks[line, place]
            for place in places
        ]
        where = f" ({row.worst_place + 1})" if row.worst_place is not None else ""
        body.append([row.name, *cells, row.rank, number(row.worst) + where])
    lines += _markdown(["proxy", *numbers, "mean rank", f"worst {sign}"], body)
    if len(places) > 1:
        square, shared = table.square(), table.square("proxies")
        lines += ["", "## Do the benchmarks agree?", "", agreement_caption(table), ""]
        both = [
            [EMPTY if i == j else f"{number(square[i, j], 2)} ({shared[i, j]:.0f})" for j in places]
            for i in places
        ]
        lines += _markdown(["", *numbers], [[numbers[i], *both[i]] for i in places])
    return "\n".join(lines).rstrip() + "\n"


def draw_latex(table: Across) -> str:
    """One floating table with shaded cells; the document must load `booktabs` and `[table]{xcolor}`."""
    _, measure, _ = MEASURES[table.measure]
    estimates, marks, columns = table.estimates(), marked(table), len(table.names)
    lines = [
        r"% needs \usepackage{booktabs} and \usepackage[table]{xcolor}",
        r"\begin{table}[htbp]",
        r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{tabular}}{{l{'c' * columns}rr}}",
        r"\toprule",
        " & ".join(["proxy", *(str(place + 1) for place in range(columns)), "rank", "worst"]) + r" \\",
        r"\midrule",
    ]
    for place, row in enumerate(rows_of(table)):
        cells = [
            _latex_cell(*(float(each[place, column]) for each in estimates)) + str(marks[place, column])
            for column in range(columns)
        ]
        # A bracket right after the row above's \\ would be read as an extra distance.
        guard = "{}" if row.name.startswith("[") else ""
        ends = [latex_escape(row.rank), latex_escape(number(row.worst))]
        lines.append(guard + " & ".join([latex_escape(row.name), *cells, *ends]) + r" \\")
    places = "; ".join(f"{place + 1}: {_said(table, place)}" for place in range(columns))
    text = latex_escape(f"{TITLE}: {measure}. {caption(table)} {places}.")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", rf"\caption{{{text}}}", r"\end{table}", ""])


def _latex_cell(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "--"
    colour = "violet" if value >= 0 else "orange"
    interval = "" if math.isnan(low) else rf" {{\tiny [{number(low, 2)}, {number(high, 2)}]}}"
    text = f"{number(value, 2)}{interval}".replace("−", "$-$")
    return rf"\cellcolor{{{colour}!{round(60 * abs(value))}}}{text}"


def caption(table: Across) -> str:
    """How the figures came about."""
    sign, measure, _ = MEASURES[table.measure]
    settings = table.settings
    field = int(table.proxies["everywhere"].sum())
    treated = "rank below all others" if settings.failures == "worst" else "are left out"
    live = " of live architectures" if settings.cells == "live" else ""
    interval = (
        f" In brackets: {100 * CONFIDENCE:.0f} % percentile bootstrap over architectures, "
        f"{settings.resamples:,} resamples, seed {settings.seed}."
        if settings.resamples
        else ""
    )
    return (
        f"{measure}{live} with accuracy; {EMPTY}: not scored, or the score is constant. {MARK}: of less than "
        f"{100 * COUNTED:.0f} % of the benchmark's largest n; it counts for nothing else here. Failed scores "
        f"{treated}.{interval} Rank: mean over benchmarks of the place among the {field} proxies that count "
        f"on all {len(table.benchmarks)} (1: best). In parentheses: the same for a proxy that counts on some "
        "of them alone, which is not comparable with the others, because benchmarks differ in how far apart "
        f"their proxies are. Worst: the lowest {sign}."
    )


def agreement_caption(table: Across) -> str:
    """What the agreement of benchmarks is."""
    _, measure, _ = MEASURES[table.measure]
    return (
        f"Kendall τ between the {measure} of the proxies on two benchmarks, over the proxies that both have "
        f"(in parentheses: how many). Mean over pairs: {number(table.mean_agreement)}."
    )


def _facts(table: Across, place: int) -> list[str]:
    benchmark = table.benchmarks[place]
    return [
        str(place + 1),
        benchmark.space,
        benchmark.title,
        benchmark.judged,
        sizes(table.counts(benchmark.name)),
        benchmark.other or "none",
        benchmark.run,
        benchmark.date or EMPTY,
    ]


def _said(table: Across, place: int) -> str:
    """A benchmark in a line."""
    _, space, title, split, n, other, run, day = _facts(table, place)
    return f"{space}, {title}, {split}, n = {n}, run {run} of {day}; not the defaults: {other}"


def _markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    rule = "|---|" + "---:|" * (len(head) - 1)
    rows = [[cell.replace("_", r"\_").replace("|", r"\|") for cell in row] for row in body]
    return [f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(row)} |" for row in rows)]


def _estimate(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return EMPTY
    return number(value) + ("" if math.isnan(low) else f" [{number(low)}, {number(high)}]")


def number(value: float, decimals: int = 3) -> str:
    """A correlation with a proper minus sign, which no zero has; a dash where there is none."""
    return EMPTY if math.isnan(value) else f"{value:z.{decimals}f}".replace("-", "−")
