"""Draws the table of searches: for the terminal, in Markdown and in LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from nasbench_eval.report.draw import EMPTY, latex_escape, wrapped
from nasbench_eval.report.search.judge import COLUMNS, LEAST_PAIRS
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.wording import shortened

TITLE = "What the searches found"
_FOUND = ["algorithm", "guide", "seeds", "evals", "val", "test", "regret", "> random", "p"]
_FOUND_WIDTHS = [6, 7, 14, 14, 7, 9, 10]
_COST = ["algorithm", "guide", "proxy s", "simulated s", "wall s", "paper", "paper s"]
_COST_WIDTHS = [10, 12, 10, 17, 10]
# What is left of the terminal's width for the algorithm and the guide; the former has half of it at least.
_NAMES = 33
_CLOCKS = ("proxy_seconds", "simulated_seconds", "wall_seconds")
# Shorter than in the CSV.
_WORDS = {"random search": EMPTY, "no random search": "no random"}
VALIDATION = (
    "v: published as an accuracy of CIFAR-10 without saying which. It can only be validation accuracy, since "
    "the median cell's test accuracy is higher; compare it with the column val."
)
_SIGNS = {"±": r"$\pm$", "<": "$<$", ">": "$>$"}
_PAPER = (
    "Paper: TEG-NAS (Chen et al.), Tables 2 and 5, four seeds and the paper's own GPU seconds. Its rows "
    "without TEG train every architecture for one epoch, which is neither of the guides val and accuracy_12. "
    "For REINFORCE guided by accuracy_12: NAS-Bench-201 (Dong & Yang), 500 runs."
)


def draw_text(table: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """For the terminal, at most 100 columns wide."""
    lines = [TITLE]
    for dataset, part in _sections(table):
        names = name_widths(part)
        lines += ["", _head(dataset, part), *grid(_FOUND, [*names, *_FOUND_WIDTHS], map(_found, part))]
        head, widths, body = _dense(part)
        if len(head) > 2:
            lines += ["", *grid(head, [*names, *widths], body)]
    lines += ["", *wrapped(caption(table))]
    for note in notes:
        lines += wrapped(f"- {note}", "  ")
    return "\n".join(lines) + "\n"


def draw_markdown(table: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """One table a data set."""
    lines = [f"# {TITLE}", "", caption(table), ""]
    for dataset, part in _sections(table):
        head, _, cost = _dense(part)
        heads = _FOUND + head[2:]
        body = [[*_found(row), *more[2:]] for row, more in zip(part, cost, strict=True)]
        lines += [f"## {_head(dataset, part)}", ""]
        lines += ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
        lines += ["| " + " | ".join(map(markdown_cell, row)) + " |" for row in body] + [""]
    lines += [f"- {markdown_cell(note)}" for note in notes]
    return "\n".join(lines).rstrip() + "\n"


def draw_latex(table: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """One floating table a data set; the document must load `booktabs`."""
    lines = [r"% needs \usepackage{booktabs}"]
    for number, (dataset, part) in enumerate(_sections(table)):
        head, _, cost = _dense(part)
        heads = _FOUND + head[2:]
        body = [[*_found(row), *more[2:]] for row, more in zip(part, cost, strict=True)]
        text = f"{TITLE}: {_head(dataset, part)}. {caption(table)}"
        text += "".join(f" {note}." for note in notes) if number == 0 else ""
        lines += [
            "",
            r"\begin{table*}[htbp]",
            r"\centering\scriptsize",
            rf"\begin{{tabular}}{{ll{'r' * (len(heads) - 2)}}}",
            r"\toprule",
            " & ".join(map(tex_cell, heads)) + r" \\",
            r"\midrule",
            *(" & ".join(map(tex_cell, row)) + r" \\" for row in body),
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{tex_cell(text)}}}",
            r"\end{table*}",
        ]
    return "\n".join(lines) + "\n"


def caption(table: pd.DataFrame) -> str:
    """What the columns are, in a few sentences."""
    text = (
        "Mean ± standard deviation over seeds of the accuracy of the architecture that a search ends with, "
        "in percent; no search has seen test accuracy. evals: architectures evaluated. regret: to the best "
        "mean test accuracy of the space. > random: share of seeds whose answer is better on test than that "
        "of random search with the same seed after as many evaluations. p: Wilcoxon signed-rank test of "
        "these pairs, or why there is none."
    )
    if (table["published_row"] != "").any():
        text += f" {_PAPER}"
    if (table["published_split"] == "val").any():
        text += f" {VALIDATION}"
    return text


def _sections(table: pd.DataFrame) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for dataset in dict.fromkeys(table["dataset"]):
        yield dataset, table.loc[table["dataset"] == dataset, COLUMNS].to_dict("records")


def _head(dataset: str, rows: Sequence[dict[str, Any]]) -> str:
    bests = sorted({f"{row['best_test_accuracy']:.2f}" for row in rows})
    return f"{DATASETS.get(dataset, dataset)} (best mean test accuracy of the space {', '.join(bests)})"


def _found(row: dict[str, Any]) -> list[str]:
    seeds = f"{row['seeds']}" if row["answers"] == row["seeds"] else f"{row['answers']}/{row['seeds']}"
    why = str(row["no_comparison"])
    return [
        row["algorithm"],
        row["guide"],
        seeds,
        f"{row['evaluations']:,.0f}",
        spread(row["val_accuracy"], row["val_std"]),
        spread(row["test_accuracy"], row["test_std"]),
        _number(row["regret"], 2),
        _share(row["share_beats_random"], row["pairs"]),
        _WORDS.get(why, why) if why else _p(row["p_random"]),
    ]


def _share(share: float, pairs: int) -> str:
    """A share of pairs, in percent unless there are too few of them for that."""
    if math.isnan(share):
        return EMPTY
    return f"{100 * share:.0f} %" if pairs >= LEAST_PAIRS else f"{round(share * pairs)} of {pairs}"


def _dense(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[int], list[list[str]]]:
    """Costs and the paper's figures, without the columns that no row has a figure in."""
    body = [_cost(row) for row in rows]
    kept = [place for place in range(len(_COST)) if place < 2 or any(row[place] != EMPTY for row in body)]
    return (
        [_COST[place] for place in kept],
        [_COST_WIDTHS[place - 2] for place in kept[2:]],
        [[row[place] for place in kept] for row in body],
    )


def _cost(row: dict[str, Any]) -> list[str]:
    mark = " v" if row["published_split"] == "val" else ""
    paper = spread(row["published_accuracy"], row["published_std"])
    return [
        row["algorithm"],
        row["guide"],
        *(seconds_cell(row[clock]) for clock in _CLOCKS),
        paper + mark,
        EMPTY if math.isnan(row["published_seconds"]) else seconds_cell(row["published_seconds"]),
    ]


def spread(mean: float, std: float) -> str:
    """`93.21 ± 0.45`; the mean alone of a single seed."""
    return _number(mean, 2) if math.isnan(std) else f"{mean:.2f} ± {std:.2f}"


def _number(value: float, decimals: int) -> str:
    return EMPTY if math.isnan(value) else f"{value:.{decimals}f}"


def seconds_cell(value: float) -> str:
    """Seconds with three digits at least; a dash for none."""
    return EMPTY if not value > 0 else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def name_widths(rows: Sequence[dict[str, Any]], room: int = _NAMES) -> tuple[int, int]:
    """Of the columns of the algorithm and of the guide, a blank included; both together have so much room."""
    algorithm = max(len("algorithm"), *(len(row["algorithm"]) for row in rows)) + 1
    guide = max(len("guide"), *(len(row["guide"]) for row in rows)) + 1
    algorithm = min(algorithm, max(room // 2, room - guide))
    return algorithm, min(guide, room - algorithm)


def grid(head: Sequence[str], widths: Sequence[int], body: Any) -> list[str]:
    """Lines of a table: the first two columns are names, shortened to their widths, the others figures."""

    def line(cells: Sequence[str]) -> str:
        names = "".join(
            f"{shortened(cell, width - 1):<{width}}"
            for cell, width in zip(cells[:2], widths[:2], strict=True)
        )
        figures = zip(cells[2:], widths[2:], strict=True)
        return names + "".join(f"{cell:>{width}}" for cell, width in figures)

    rule = "─" * sum(widths)
    return [rule, line(head), rule, *(line(row) for row in body), rule]


def markdown_cell(text: str) -> str:
    """Text as Markdown shows it."""
    return text.replace("_", r"\_").replace("|", r"\|").replace("<", r"\<")


def tex_cell(text: str) -> str:
    """Text as LaTeX sets it; what `latex_escape` leaves alone is put in its place afterwards."""
    for number, sign in enumerate(_SIGNS):
        text = text.replace(sign, f"\0{number}")
    text = latex_escape(text.replace("…", "..."))
    for number, command in enumerate(_SIGNS.values()):
        text = text.replace(f"\0{number}", command)
    return text
