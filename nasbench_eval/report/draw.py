"""Draws a computed table for the terminal, in Markdown and in LaTeX. Nothing is computed here."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nasbench_eval.report.statistics.correlation import CONFIDENCE
from nasbench_eval.report.tables import GROUPS, PAPER, Table
from nasbench_eval.report.titles import DATASETS, SPLITS
from nasbench_eval.truth.ceiling import WEAK

WIDTH = 100
LABEL_WIDTH = 20
HEADS = ["proxy", "n", "failed", "τ", "[95 %]", "paper", "ρ", "[95 %]", "paper"]
WIDTHS = ["7", "7", "8", "18", "7", "8", "18", "7"]
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
    "∞": r"$\infty$",
    "–": "--",
}


@dataclass(frozen=True)
class Section:
    """The rows of one data set and split, as text.

    Attributes:
        title: says which.
        columns: those that are shown, as places in the full list: label, n, failed, then τ, interval, paper,
            ρ, interval, paper.
        groups: the rows of each group and what stands above them; of a sorted table one group alone.
        measured: whether any row was scored.
        answers: which row is the best, and which is given FLOPs; none where that is not asked.
    """

    title: str
    columns: list[int]
    groups: list[tuple[str, list[list[str]]]]
    measured: bool
    answers: tuple[str, ...] = ()

    def cells(self, row: Sequence[str]) -> list[str]:
        """Those of a row that are shown, or of the heads."""
        return [row[column] for column in self.columns]


def draw_text(table: Table, *splits: str) -> str:
    """Some splits for the terminal, at most 100 columns wide."""
    lines = [f"{table.spec.title} ({table.name})"]
    missing = []
    for section in (section for split in splits for section in _sections(table, split)):
        if section.measured:
            lines += [
                "",
                *_text_section(section),
                *(line for said in section.answers for line in wrapped(said)),
            ]
        else:
            missing.append(section.title)
    if missing:
        lines += ["", *wrapped(f"No scores: {'; '.join(missing)}.")]
    lines += ["", *wrapped(table.unscored()), *wrapped(caption(table))]
    for note in table.notes:
        lines += wrapped(f"- {note}", hanging="  ")
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
    lines = [f"# {table.spec.title}", "", " ".join(filter(None, [table.unscored(), caption(table)])), ""]
    for split in table.splits:
        for section in _sections(table, split):
            if section.measured or table.all_rows:
                answers = [*(f"- {_markdown_escape(said)}" for said in section.answers), ""]
                lines += [f"## {section.title}", "", *_markdown_section(section), ""]
                lines += answers if section.answers else []
    lines += [f"- {_markdown_escape(note)}" for note in table.notes]
    return "\n".join(lines).rstrip() + "\n"


def draw_latex(table: Table) -> str:
    """All splits in LaTeX, one floating table a data set; the document must load `booktabs`."""
    lines = [r"% needs \usepackage{booktabs}"]
    every = [s for split in table.splits for s in _sections(table, split) if s.measured or table.all_rows]
    for number, section in enumerate(every):
        text = f"{table.spec.title}: {section.title}. {caption(table)}"
        text += "".join(f" {said[:1].upper()}{said[1:]}." for said in section.answers)
        if number == 0:
            text += f" {unscored}" if (unscored := table.unscored()) else ""
            text += "".join(f" {note}." for note in table.notes)
        lines += ["", *_latex_section(section, text)]
    return "\n".join(lines) + "\n"


LIVE = "live (every operation on a path from input to output) "


def caption(table: Table) -> str:
    """How the figures came about, in a few sentences."""
    settings = table.settings
    size = sample_size(table.rows) or "no"
    treated = "rank below all others" if settings.failures == "worst" else "are left out"
    rule = f"Failed scores (NaN, +∞ or a crash) {treated}"
    source = table.spec.paper
    paper = f" Paper: {source}." if source and table.compared else ""
    # Without resamples there is no interval that would have to be explained.
    brackets = (
        f" In brackets: {100 * CONFIDENCE:.0f} % percentile bootstrap over architectures, "
        f"{settings.resamples:,} resamples, seed {settings.seed}."
        if settings.resamples
        else ""
    )
    return (
        f"Correlations of {size} {LIVE if settings.cells == 'live' else ''}architectures (n, failed ones "
        f"included) with {table.spec.truth}. "
        f"Kendall τ is τ-b. {rule}.{brackets}{_ceilings(table)}{paper}"
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


# Of the full list of columns, those that may be left out where none of their cells says anything.
_INTERVALS, _PUBLISHED = (4, 7), (5, 8)


def _sections(table: Table, split: str) -> Iterator[Section]:
    for dataset in table.spec.datasets:
        rows = table.drawn(dataset, split)
        cells = {group: _texts(rows[rows["group"] == group], table.spec.decimals) for group in GROUPS}
        if not table.compared:  # the best first, whoever it is of
            cells = {PAPER: _texts(rows, table.spec.decimals)}
        every = [row for group in cells.values() for row in group]
        optional = _PUBLISHED if table.settings.resamples else (*_INTERVALS, *_PUBLISHED)
        empty = {place for place in optional if all(row[place] in ("no resamples", EMPTY) for row in every)}
        yield Section(
            title=f"{DATASETS.get(dataset, dataset)}, {SPLITS.get(split, split)}",
            columns=[place for place in range(len(HEADS)) if place not in empty],
            groups=[(GROUPS[group], found) for group, found in cells.items() if found],
            measured=bool((rows["n"] > 0).any()),
            answers=table.answers.get((dataset, split), ()),
        )


def _texts(rows: pd.DataFrame, decimals: int) -> list[list[str]]:
    return [_cells(row, decimals) for _, row in rows.iterrows()]


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
    label_width = max(len(row[0]) for _, rows in section.groups for row in rows)
    label_width = max(8, min(LABEL_WIDTH, label_width))

    def line(cells: Sequence[str]) -> str:
        label = cells[0] if len(cells[0]) <= label_width else cells[0][: label_width - 1] + "…"
        shown = zip(section.cells(cells)[1:], section.cells(["", *WIDTHS])[1:], strict=True)
        return f"{label:<{label_width}}" + "".join(f"{cell:>{width}}" for cell, width in shown)

    head = line(HEADS)
    width = len(head)
    lines = [section.title, "─" * width, head, "─" * width]
    for title, rows in section.groups:
        lines += [f"── {title} ".ljust(width, "─")] if title else []
        lines += [line(row) for row in rows]
    return [*lines, "─" * width]


def wrapped(text: str, hanging: str = "") -> list[str]:
    """Lines of the terminal's width; those after the first begin with `hanging`."""
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )


def _markdown_section(section: Section) -> list[str]:
    head = section.cells(["proxy", "n", "failed", "τ", "τ 95 %", "τ paper", "ρ", "ρ 95 %", "ρ paper"])
    body: list[list[str]] = []
    for title, rows in section.groups:
        # Markdown knows no rule inside a table: a row that says whose rows follow stands for it.
        body += [[f"**{title}**"] + [""] * (len(head) - 1)] if title else []
        body += [[_markdown_escape(cell) for cell in section.cells(row)] for row in rows]
    widths = [max(len(row[column]) for row in [head, *body]) for column in range(len(head))]

    def line(cells: list[str]) -> str:
        figures = (f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True))
        return f"| {cells[0]:<{widths[0]}} | " + " | ".join(figures) + " |"

    rule = "|-" + "-" * widths[0] + "-|" + "|".join("-" * (w + 1) + ":" for w in widths[1:]) + "|"
    return [line(head), rule, *(line(row) for row in body)]


def _markdown_escape(text: str) -> str:
    return text.replace("_", r"\_").replace("|", r"\|")


def _latex_section(section: Section, text: str) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        # A bracket right after the row above's \\ would be read as an extra distance.
        guard = "{}" if cells[0].startswith("[") else ""
        return guard + " & ".join(_latex_cell(cell) for cell in section.cells(cells)) + r" \\"

    places = section.columns
    tau, rho = (sum(place in part for place in places) for part in ((3, 4, 5), (6, 7, 8)))
    heads = ["proxy", "$n$", "failed", *2 * ["measured", r"95\,\%", "paper"]]
    lines = [
        r"\begin{table}[htbp]",
        r"\centering\footnotesize",
        rf"\begin{{tabular}}{{{''.join(section.cells(list('lrrrcrrcr')))}}}",
        r"\toprule",
        rf"& & & \multicolumn{{{tau}}}{{c}}{{Kendall $\tau$}} & "
        rf"\multicolumn{{{rho}}}{{c}}{{Spearman $\rho$}} \\",
        rf"\cmidrule(lr){{4-{3 + tau}}}\cmidrule(lr){{{4 + tau}-{3 + tau + rho}}}",
        " & ".join(section.cells(heads)) + r" \\",
        r"\midrule",
    ]
    for number, (title, rows) in enumerate(section.groups):
        lines += [r"\midrule"] if number else []
        lines += [rf"\multicolumn{{{len(places)}}}{{l}}{{\emph{{{title}}}}} \\"] if title else []
        lines += [line(row) for row in rows]
    return [*lines, r"\bottomrule", r"\end{tabular}", rf"\caption{{{latex_escape(text)}}}", r"\end{table}"]


def _latex_cell(cell: str) -> str:
    # A number's minus sign in text mode would be set as a hyphen.
    return latex_escape(cell.replace("-", "−") if cell[:1] in ("-", "[") else cell)


def latex_escape(text: str) -> str:
    """Text as LaTeX sets it literally; Greek letters and signs become mathematics."""
    return "".join(_TEX.get(character, character) for character in text)
