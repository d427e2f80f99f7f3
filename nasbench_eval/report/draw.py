"""Draws a computed table for the terminal, in Markdown and in LaTeX. Nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nasbench_eval.report.statistics.correlation import CONFIDENCE
from nasbench_eval.report.tables import Table
from nasbench_eval.report.titles import DATASETS, SPLITS
from nasbench_eval.truth.ceiling import WEAK

WIDTH = 100
LABEL_WIDTH = 20
FIGURE_WIDTHS = [7, 7, 8, 18, 7, 8, 18, 7]
EMPTY = "–"

_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "γ": r"$\gamma$",
    "τ": r"$\tau$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "θ": r"$\theta$",
    "κ": r"$\kappa$",
    "λ": r"$\lambda$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
}


@dataclass(frozen=True)
class Section:
    """The rows of one data set and split, as text: label, n, failed, then τ, interval, paper, ρ, ..."""

    title: str
    published: list[list[str]]
    ours: list[list[str]]
    measured: bool


def draw_text(table: Table, split: str) -> str:
    """One split for the terminal, at most 100 columns wide."""
    lines = [f"{table.spec.title} ({table.name})"]
    missing = []
    for section in _sections(table, split):
        if section.measured:
            lines += ["", *_text_section(section)]
        else:
            missing.append(section.title)
    if missing:
        lines += ["", *_wrap(f"No scores: {'; '.join(missing)}.")]
    lines += ["", *_wrap(caption(table))]
    for note in table.notes:
        lines += _wrap(f"- {note}", hanging="  ")
    return "\n".join(lines) + "\n"


def draw_seeds(frame: pd.DataFrame) -> str:
    """How much the rows depend on the seed, for the terminal, at most 100 columns wide."""
    first = frame[frame["split"] == frame["split"].iloc[0]]
    shown = first.drop(columns=["space", "split", "relative_deviation"]).rename(
        columns={
            "n_failed": "failed",
            "icc_ranks": "icc ranks",
            "tau_mean": "τ mean",
            "tau_sd": "τ sd",
            "tau_of_mean": "τ of mean",
        }
    )
    shown["proxy"] = [
        name if len(name) <= LABEL_WIDTH else name[: LABEL_WIDTH - 1] + "…" for name in shown["proxy"]
    ]
    text: str = shown.to_string(index=False, float_format="{:.3f}".format, line_width=WIDTH, na_rep=EMPTY)
    judged = SPLITS.get(frame["split"].iloc[0], frame["split"].iloc[0])
    return f"Over seeds, {judged} (icc: intraclass correlation, 1: the seed does not matter)\n\n{text}\n"


def draw_markdown(table: Table) -> str:
    """All splits in Markdown, one table a data set."""
    lines = [f"# {table.spec.title}", "", f"{caption(table)}", ""]
    for split in table.splits:
        for section in _sections(table, split):
            lines += [f"## {section.title}", "", *_markdown_section(section), ""]
    lines += [f"- {_markdown_escape(note)}" for note in table.notes]
    return "\n".join(lines).rstrip() + "\n"


def draw_latex(table: Table) -> str:
    """All splits in LaTeX, one floating table a data set; the document must load `booktabs`."""
    lines = [r"% needs \usepackage{booktabs}"]
    for number, section in enumerate(s for split in table.splits for s in _sections(table, split)):
        text = f"{table.spec.title}: {section.title}. {caption(table)}"
        if number == 0:
            text += "".join(f" {note}." for note in table.notes)
        lines += ["", *_latex_section(section, text)]
    return "\n".join(lines) + "\n"


LIVE = "live (every operation on a path from input to output) "


def caption(table: Table) -> str:
    """How the figures came about, in a few sentences."""
    settings = table.settings
    size = sample_size(table.rows) or "no"
    if settings.failures == "worst":
        rule = "Non-finite scores are counted as failed and rank below all others"
    else:
        rule = "Non-finite scores are counted as failed and left out"
    source = table.spec.paper
    paper = f" Paper: {source}. Rows marked ours are not the paper's." if source else ""
    return (
        f"Correlations of {size} {LIVE if settings.cells == 'live' else ''}architectures (n, failed ones "
        f"included) with {table.spec.truth}. "
        f"Kendall τ is τ-b. {rule}. In brackets: {100 * CONFIDENCE:.0f} % percentile bootstrap "
        f"over architectures, {settings.resamples:,} resamples, seed {settings.seed}.{_ceilings(table)}"
        f"{paper}"
    )


def _ceilings(table: Table) -> str:
    """How well runs agree, and how high correlations can be, in words; a space before, empty if unknown."""
    known = [
        (dataset, split, table.ceilings[dataset, split])
        for split in table.splits
        for dataset in table.spec.datasets
        if (dataset, split) in table.ceilings
    ]
    if not known:
        return ""
    kind = "live architectures" if table.settings.cells == "live" else "architectures"
    agree = "; ".join(
        f"τ {ceiling.agreement.kendall_tau:.3f}, ρ {ceiling.agreement.spearman_rho:.3f} "
        f"{_where(dataset, split)} ({ceiling.agreement.n:,} {kind})"
        for dataset, split, ceiling in known
    )
    highest = "; ".join(
        f"τ {ceiling.kendall_tau:.3f}, ρ {ceiling.spearman_rho:.3f} {_where(dataset, split)} "
        f"(means of {ceiling.runs:.3g} runs)"
        for dataset, split, ceiling in known
    )
    weak = [_where(dataset, split) for dataset, split, ceiling in known if ceiling.agreement.weak]
    low = f" Warning: runs agree to less than τ {WEAK} {' and '.join(weak)}." if weak else ""
    return (
        f" Agreement of two training runs: {agree}. Noise ceiling, estimated from it for a score without "
        f"error: {highest}.{low}"
    )


def _where(dataset: str, split: str) -> str:
    return f"with {SPLITS.get(split, split)} on {DATASETS.get(dataset, dataset)}"


def sample_size(rows: pd.DataFrame) -> str:
    """The n of the measured rows in words, "1,000" or "1,000 to 2,000"; empty if none is measured."""
    counts = sorted({int(n) for n in rows["n"] if n > 0})
    return " to ".join(f"{n:,}" for n in dict.fromkeys([*counts[:1], *counts[-1:]]))


def _sections(table: Table, split: str) -> Iterator[Section]:
    decimals = table.spec.decimals
    for dataset in table.spec.datasets:
        rows = table.rows[(table.rows["dataset"] == dataset) & (table.rows["split"] == split)]
        yield Section(
            title=f"{DATASETS.get(dataset, dataset)}, {SPLITS.get(split, split)}",
            published=[_cells(row, decimals) for _, row in rows[~rows["ours"]].iterrows()],
            ours=[_cells(row, decimals) for _, row in rows[rows["ours"]].iterrows()],
            measured=bool((rows["n"] > 0).any()),
        )


def _cells(row: pd.Series[Any], decimals: int) -> list[str]:
    cells = [str(row["title"]), str(row["n"]), str(row["n_failed"]) if row["n"] else EMPTY]
    for metric, stem in (("kendall_tau", "kendall"), ("spearman_rho", "spearman")):
        low, high = _number(row[f"{stem}_low"]), _number(row[f"{stem}_high"])
        published = row["published_" + metric.split("_")[1]]
        interval = (row["interval"] or EMPTY) if EMPTY in (low, high) else f"[{low}, {high}]"
        cells += [_number(row[metric]), interval, _number(published, decimals)]
    return cells


def _number(value: float, decimals: int = 3) -> str:
    return EMPTY if math.isnan(value) else f"{value:.{decimals}f}"


def _text_section(section: Section) -> list[str]:
    label_width = max(len(row[0]) for row in section.published + section.ours)
    label_width = max(8, min(LABEL_WIDTH, label_width))

    def line(cells: list[str]) -> str:
        label = cells[0] if len(cells[0]) <= label_width else cells[0][: label_width - 1] + "…"
        figures = (f"{cell:>{width}}" for cell, width in zip(cells[1:], FIGURE_WIDTHS, strict=True))
        return f"{label:<{label_width}}" + "".join(figures)

    head = line(["proxy", "n", "failed", "τ", "[95 %]", "paper", "ρ", "[95 %]", "paper"])
    width = len(head)
    lines = [section.title, "─" * width, head, "─" * width, *(line(row) for row in section.published)]
    if section.ours:
        lines += ["── ours " + "─" * (width - 8), *(line(row) for row in section.ours)]
    return [*lines, "─" * width]


def _wrap(text: str, hanging: str = "") -> list[str]:
    lines, current = [], ""
    for word in text.split():
        if current and len(current) + 1 + len(word) > WIDTH:
            lines.append(current)
            current = hanging + word
        else:
            current = f"{current} {word}" if current else word
    return [*lines, current]


def _markdown_section(section: Section) -> list[str]:
    head = ["proxy", "n", "failed", "τ", "τ 95 %", "τ paper", "ρ", "ρ 95 %", "ρ paper"]
    # Markdown knows no rule inside a table: a row that says whose rows follow stands for it.
    divider = [["**ours**"] + [""] * (len(head) - 1)] if section.ours else []
    body = [[_markdown_escape(cell) for cell in row] for row in section.published]
    body += divider + [[_markdown_escape(cell) for cell in row] for row in section.ours]
    widths = [max(len(row[column]) for row in [head, *body]) for column in range(len(head))]

    def line(cells: list[str]) -> str:
        figures = (f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True))
        return f"| {cells[0]:<{widths[0]}} | " + " | ".join(figures) + " |"

    rule = "|-" + "-" * widths[0] + "-|" + "|".join("-" * (w + 1) + ":" for w in widths[1:]) + "|"
    return [line(head), rule, *(line(row) for row in body)]


def _markdown_escape(text: str) -> str:
    return text.replace("_", r"\_").replace("|", r"\|")


def _latex_section(section: Section, text: str) -> list[str]:
    def line(cells: list[str]) -> str:
        # A bracket right after the row above's \\ would be read as an extra distance.
        guard = "{}" if cells[0].startswith("[") else ""
        return guard + " & ".join(_latex_cell(cell) for cell in cells) + r" \\"

    lines = [
        r"\begin{table}[htbp]",
        r"\centering\footnotesize",
        r"\begin{tabular}{lrrrcrrcr}",
        r"\toprule",
        r"& & & \multicolumn{3}{c}{Kendall $\tau$} & \multicolumn{3}{c}{Spearman $\rho$} \\",
        r"\cmidrule(lr){4-6}\cmidrule(lr){7-9}",
        r"proxy & $n$ & failed & measured & 95\,\% & paper & measured & 95\,\% & paper \\",
        r"\midrule",
        *(line(row) for row in section.published),
    ]
    if section.ours:
        lines += [r"\midrule", r"\multicolumn{9}{l}{\emph{ours}} \\", *(line(row) for row in section.ours)]
    return [*lines, r"\bottomrule", r"\end{tabular}", rf"\caption{{{latex_escape(text)}}}", r"\end{table}"]


def _latex_cell(cell: str) -> str:
    # A number's minus sign in text mode would be set as a hyphen.
    return latex_escape(cell.replace("-", "−") if cell[:1] in ("-", "[") else cell)


def latex_escape(text: str) -> str:
    """Text as LaTeX sets it literally; Greek letters and signs become mathematics."""
    return "".join(_TEX.get(character, character) for character in text)
