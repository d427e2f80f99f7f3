"""Draws the table of searches without accuracies: for the terminal, in Markdown and in LaTeX."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from nasbench_eval.report.draw import EMPTY, wrapped
from nasbench_eval.report.search.draw import grid, markdown_cell, name_widths, seconds_cell, tex_cell
from nasbench_eval.report.search.unjudged.published import TITLE as PUBLISHED
from nasbench_eval.report.titles import DATASETS

TITLE = "What the searches found, as their guides see it"
CAPTION = (
    "Of the architecture that a search ends with, mean ± standard deviation over seeds: what its guide told "
    "of it (where the guide tells one number; numbers of different guides cannot be compared), parameters, "
    "multiply-accumulates (MACs) and the FLOPs that the search space limits (budget), in millions. evals: "
    "architectures evaluated. With an open search space no accuracies are joined: nothing here says how good "
    "these networks are once they are trained."
)
_STAGES = "Layers of the answer by stage (its pixels) x width of the last of them, means over seeds"


def _million(value: float, decimals: int = 0) -> str:
    if math.isnan(value):
        return EMPTY
    if 0 < value < 1e7:  # thin networks
        decimals = 4 if value < 1e5 else max(decimals, 1)
    return f"{value / 1e6:,.{decimals}f}"


def _told(row: dict[str, Any]) -> str:
    mean, std = row["told"], row["told_std"]
    if math.isnan(mean):
        return EMPTY
    if abs(mean) >= 1e5:
        return f"{mean:.4g}" if math.isnan(std) else f"{mean:.4g} ± {std:.2g}"
    decimals = 0 if abs(mean) >= 1000 else 1 if abs(mean) >= 100 else 3
    shown = f"{mean:,.{decimals}f}"
    return shown if math.isnan(std) else f"{shown} ± {std:,.{decimals}f}"


_COLUMNS: list[tuple[str, int, Callable[[dict[str, Any]], str]]] = [
    ("seeds", 6, lambda row: f"{row['seeds']}"),
    ("evals", 7, lambda row: f"{row['evaluations']:,.0f}"),
    ("told", 20, _told),
    ("params", 7, lambda row: _million(row["params"], 1)),
    ("MACs", 7, lambda row: _million(row["macs"])),
    ("budget", 7, lambda row: _million(row["budgeted"])),
    ("proxy s", 8, lambda row: seconds_cell(row["proxy_seconds"])),
    ("wall s", 7, lambda row: seconds_cell(row["wall_seconds"])),
]


def draw_text(
    table: pd.DataFrame, stages: pd.DataFrame, published: pd.DataFrame, notes: Sequence[str] = ()
) -> str:
    """For the terminal, at most 100 columns wide."""
    lines = [TITLE]
    for dataset in dict.fromkeys(table["dataset"]):
        rows = table[table["dataset"] == dataset].to_dict("records")
        names = name_widths(rows, 100 - sum(width for _, width, _ in _COLUMNS))
        head = ["algorithm", "guide", *(name for name, _, _ in _COLUMNS)]
        widths = [*names, *(width for _, width, _ in _COLUMNS)]
        lines += ["", DATASETS.get(dataset, dataset), *grid(head, widths, map(_line, rows))]
        head, body = by_stage(rows, stages)
        if body:
            wide = name_widths(rows, 100 - 13 * (len(head) - 2))
            lines += ["", _STAGES, *grid(head, [*wide, *[13] * (len(head) - 2)], body)]
    if len(published):
        head, body = _published(published)
        lines += ["", PUBLISHED, *grid(head, [14, 34, *(len(name) + 2 for name in head[2:])], body)]
    lines += ["", *wrapped(CAPTION)]
    for note in notes:
        lines += wrapped(f"- {note}", "  ")
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> list[str]:
    return [row["algorithm"], row["guide"], *(shown(row) for _, _, shown in _COLUMNS)]


def _published(published: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of the table of published networks."""
    columns = ["network", "as published"]
    columns += [str(name) for name in published if name not in ("space", *columns)]
    lines = [[str(cell) or EMPTY for cell in line] for line in published[columns].to_numpy().tolist()]
    return columns, lines


def by_stage(rows: Sequence[dict[str, Any]], stages: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of the table of stages: mean layers, and mean width, of each; no lines without any."""
    if not len(stages):
        return [], []
    pixels = sorted(stages["pixels"].unique().tolist(), reverse=True)
    body = []
    for row in rows:
        key = [row["dataset"], row["algorithm"], row["guide"]]
        mine = stages[(stages[["dataset", "algorithm", "guide"]] == key).all(axis="columns")]
        seeds = len(mine[["run_seed", "seed"]].drop_duplicates())
        cells = []
        for size in pixels:
            here = mine[mine["pixels"] == size]
            layers, width = here["layers"].sum() / max(seeds, 1), here["width"].mean()
            cells.append(f"{layers:.1f} x {width:,.0f}" if len(here) else EMPTY)
        body.append([row["algorithm"], row["guide"], *cells])
    return ["algorithm", "guide", *(f"{size} px" for size in pixels)], body


def draw_markdown(
    table: pd.DataFrame, stages: pd.DataFrame, published: pd.DataFrame, notes: Sequence[str] = ()
) -> str:
    """One table a data set, one of stages, and one of published networks."""
    lines = [f"# {TITLE}", "", CAPTION, ""]
    for dataset in dict.fromkeys(table["dataset"]):
        rows = table[table["dataset"] == dataset].to_dict("records")
        head = ["algorithm", "guide", *(name for name, _, _ in _COLUMNS)]
        lines += [f"## {DATASETS.get(dataset, dataset)}", "", *_markdown(head, list(map(_line, rows))), ""]
        head, body = by_stage(rows, stages)
        if body:
            lines += [f"{_STAGES}:", "", *_markdown(head, body), ""]
    if len(published):
        lines += [f"## {PUBLISHED}", "", *_markdown(*_published(published)), ""]
    lines += [f"- {markdown_cell(note)}" for note in notes]
    return "\n".join(lines).rstrip() + "\n"


def _markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    rule = "|---|---|" + "---:|" * (len(head) - 2)
    rows = ("| " + " | ".join(map(markdown_cell, row)) + " |" for row in body)
    return ["| " + " | ".join(head) + " |", rule, *rows]


def draw_latex(table: pd.DataFrame) -> str:
    """One floating table a data set; the document must load `booktabs`."""
    lines = [r"% needs \usepackage{booktabs}"]
    for dataset in dict.fromkeys(table["dataset"]):
        rows = table[table["dataset"] == dataset].to_dict("records")
        head = ["algorithm", "guide", *(name for name, _, _ in _COLUMNS)]
        lines += [
            "",
            r"\begin{table*}[htbp]",
            r"\centering\scriptsize",
            rf"\begin{{tabular}}{{ll{'r' * len(_COLUMNS)}}}",
            r"\toprule",
            " & ".join(map(tex_cell, head)) + r" \\",
            r"\midrule",
            *(" & ".join(map(tex_cell, _line(row))) + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{tex_cell(f'{TITLE}: {DATASETS.get(dataset, dataset)}. {CAPTION}')}}}",
            r"\end{table*}",
        ]
    return "\n".join(lines) + "\n"
