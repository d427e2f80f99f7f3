"""Writes what a report computed: tables, figures, statistics, the record of how, and the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nasbench_eval import __version__
from nasbench_eval.report import FORMATS, PNG, SVG
from nasbench_eval.report.analysis import Analysis
from nasbench_eval.report.apart import Apart
from nasbench_eval.report.draw import draw_latex, draw_markdown
from nasbench_eval.report.scores import Run, Scores
from nasbench_eval.report.statistics.correlation import CONFIDENCE
from nasbench_eval.report.tables import Table, Truth
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.report.written import Written

# What a run's record is expected to say about itself; folders of the machine it ran on stay out.
RECORDED = (
    "space",
    "datasets",
    "proxies",
    "seed",
    "sampling",
    "dedupe",
    "cells",
    "versions",
    "commit",
    "device",
)

NO_PLOTLY = "the HTML page needs Plotly; pip install 'nasbench_eval[html]'"
STATISTICS, FIGURES, PAGE = "statistics", "figures", "report.html"
METRICS = (
    "n: architectures, failed ones included. Weighted τ: by accuracy. nDCG: with gain 2^accuracy − 1,"
    " accuracy in percent, over the first ndcg_p. Regret (percentage points) and overlap: of the "
    "proxy's first k with the best k. Partial correlations: given FLOPs and given parameters. Low and"
    " high: 95 % bootstrap intervals."
)
STRATA = "Kendall τ among the best tenth by accuracy, and in each decile, the first the worst."
PAIRED = (
    "Share of resamples, of the architectures that both have, in which the row's τ is above the column's."
)
SEEDS = (
    "Intraclass correlation of scores and of their ranks over seeds (1: the seed does not matter). τ:"
    " its mean and standard deviation over seeds, and that of the mean score."
)


@dataclass(frozen=True)
class Report:
    """All that was computed.

    Attributes:
        tables: in the order they were asked for, at least one.
        scores: what they were computed from.
        truths: of each space that a table is about.
        analysis: further statistics of the same rows; None if they were not wanted.
        seeds: how the rows depend on the seed, where runs of other seeds were given.
        other_seeds: these runs.
    """

    tables: Sequence[Table]
    scores: Scores
    truths: Mapping[str, Truth]
    analysis: Analysis | None = None
    seeds: pd.DataFrame | None = None
    other_seeds: Sequence[Scores] = ()


def write_report(
    report: Report,
    folder: Path,
    *,
    html: bool,
    command: str,
    formats: Sequence[str] = (PNG,),
    apart: Apart | None = None,
) -> list[str]:
    """Write all files of a report.

    Each table as CSV, Markdown and LaTeX, and its correlations as a figure; in `figures/` the other figures;
    in `statistics/` a CSV a kind of statistics; `report.json`, which says how they were made; with `html` the
    page `report.html`, made by `command`, for which SVGs are written too.

    Args:
        report: what was computed.
        folder: where to.
        html: whether to make the page.
        command: the one that the page says made it.
        formats: of the figures, some of `FORMATS`; none for no figures.
        apart: where figures are drawn.

    Returns:
        What was written, in words: a stem and its endings, or a folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_former(folder)
    # A page is better off with what can be made larger.
    every = [ending for ending in FORMATS if ending in formats or (html and formats and ending == SVG)]
    names = [table.name for table in report.tables]
    figures = _write_figures(report, folder, every, _former_digests(folder), apart)
    _remove_other_figures(folder, names, figures.names)
    said = []
    for table in report.tables:
        table.csv().to_csv(folder / f"{table.name}.csv", index=False)
        (folder / f"{table.name}.md").write_text(draw_markdown(table), encoding="utf-8")
        (folder / f"{table.name}.tex").write_text(draw_latex(table), encoding="utf-8")
        own = [Path(name).suffix for name in figures.names if Path(name).stem == table.name]
        said.append(table.name + "/".join([".csv", ".md", ".tex", *own]))
    if statistics := _statistics(report):
        _write_statistics(statistics, folder)
        said.append(f"{STATISTICS}/")
    if any(name.startswith(f"{FIGURES}/") for name in figures.names):
        said.append(f"{FIGURES}/")
    made = record(report.tables, report.scores, report.other_seeds) | {"figures": figures.digests}
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")
    if html:
        from nasbench_eval.report.html import write_html

        page = write_html(
            folder,
            tables=report.tables,
            scores=report.scores,
            truths=report.truths,
            record=made,
            figures=_on_page(figures.titled),
            sections=_sections(report),
            command=command,
        )
        said.append(page.name)
    return said


def _write_figures(
    report: Report, folder: Path, formats: Sequence[str], former: Mapping[str, Any], apart: Apart | None
) -> Written:
    """All figures of a report; none of them without a format."""
    if not formats:
        return Written()
    # Matplotlib takes its time to import, which help, mistaken requests and plain tables need not wait for.
    from nasbench_eval.report.figure import analysis_drawings, table_drawings, write_drawings

    drawings = [
        drawing
        for table in report.tables
        for drawing in table_drawings(table, report.scores, report.truths.get(table.spec.space))
    ]
    if report.analysis is not None:
        drawings += analysis_drawings(report.analysis)
    return write_drawings(drawings, folder, formats, former, apart)


def _former_digests(folder: Path) -> dict[str, Any]:
    """The digests of the figures that an earlier report recorded; none if there is no such record."""
    try:
        made = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return dict(made["figures"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _statistics(report: Report) -> dict[str, pd.DataFrame]:
    frames = {} if report.analysis is None else report.analysis.frames()
    return frames if report.seeds is None else {**frames, "seeds": report.seeds}


def _write_statistics(frames: Mapping[str, pd.DataFrame], folder: Path) -> None:
    place = folder / STATISTICS
    place.mkdir(exist_ok=True)
    for name, frame in frames.items():
        # The bounds of a stratum are accuracies, which do not belong in a folder that is shared.
        frame = frame.drop(columns=["accuracy_low", "accuracy_high"], errors="ignore")
        frame.round(6).to_csv(place / f"{name}.csv", index=False)


def _remove_former(folder: Path) -> None:
    """Take away what an earlier report wrote here and this one may not write anew."""
    if (folder / PAGE).exists():  # to delete it all the same is an error where nothing can be written
        (folder / PAGE).unlink()
    for path in (folder / STATISTICS).glob("*.csv"):
        path.unlink()


def _remove_other_figures(folder: Path, tables: Sequence[str], names: Sequence[str]) -> None:
    """Take away figures that are none of this report's, such as those in other formats."""
    for ending in FORMATS:
        others = [
            *(folder / FIGURES).glob(f"*.{ending}"),
            *(folder / f"{table}.{ending}" for table in tables),
        ]
        for path in others:
            if path.exists() and path.relative_to(folder).as_posix() not in names:
                path.unlink()


def _sections(report: Report) -> list[tuple[str, str, pd.DataFrame]]:
    """The first split's statistics as tables of a page: title, note and frame; all of them would slow it."""
    sections = []
    split = report.tables[0].splits[0]
    if report.seeds is not None:
        sections.append(("Seeds", SEEDS, _of_split(report.seeds, split)))
    if report.analysis is None or not report.analysis.by_place:
        return sections
    strata = report.analysis.strata
    by_stratum = strata.pivot(
        index=["proxy", "space", "dataset", "split"], columns="stratum", values="kendall_tau"
    )
    ordered = by_stratum[list(dict.fromkeys(strata["stratum"]))].reset_index()
    sections += [
        ("Statistics", METRICS, _of_split(report.analysis.metrics, split)),
        ("Within strata of accuracy", STRATA, _of_split(ordered, split)),
    ]
    for place, found in report.analysis.by_place.items():
        if place.split == split:
            names = found.metrics.index
            shares = found.paired["share_above"].unstack().reindex(index=names, columns=names)
            where = f"{place.space}, {DATASETS.get(place.dataset, place.dataset)}"
            title = f"Is the row better than the column? {where}"
            sections.append((title, PAIRED, shares.rename_axis(columns=None)))
    return sections


def _on_page(figures: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """The figures a page shows; with them all, that of a whole space would be larger than 10 MB.

    The page plots ranks itself, and which proxies rank alike differs little from data set to data set.
    """
    alike = [figure for figure in figures if figure[1].stem.startswith("alike_")]
    left_out = alike[1:]
    return [f for f in figures if "_scatter" not in f[1].stem and f not in left_out]


def _of_split(frame: pd.DataFrame, split: str) -> pd.DataFrame:
    return frame[frame["split"] == split].drop(columns="split").set_index("proxy")


def record(tables: Sequence[Table], scores: Scores, other_seeds: Sequence[Scores] = ()) -> dict[str, Any]:
    """How the tables were made: settings, runs, and for every measured row its counts, ties included."""
    counts = ["proxy", "dataset", "split", "n", "n_failed", "n_lowest", "n_tied"]
    return {
        "nasbench_eval": __version__,
        "confidence": CONFIDENCE,
        "interval": "percentile bootstrap over architectures",
        "settings": {
            "failures": tables[0].settings.failures,
            "resamples": tables[0].settings.resamples,
            "seed": tables[0].settings.seed,
            "cells": tables[0].settings.cells,
        },
        "runs": [_run(run) for run in scores.runs],
        **({"seeds": [_run(run) for other in other_seeds for run in other.runs]} if other_seeds else {}),
        "tables": {
            table.name: {
                "truth": table.spec.truth,
                "splits": list(table.splits),
                "noise_ceilings": [
                    {"dataset": dataset, "split": split, **asdict(ceiling)}
                    for (dataset, split), ceiling in table.ceilings.items()
                ],
                "notes": list(table.notes),
                "answers": [
                    {"dataset": dataset, "split": split, "said": list(said)}
                    for (dataset, split), said in table.answers.items()
                ],
                "aggregates": _aggregates(table),
                "rows": json.loads(table.rows.loc[table.rows["n"] > 0, counts].to_json(orient="records")),
            }
            for table in tables
        },
    }


def _run(run: Run) -> dict[str, Any]:
    return {"run": run.name, **{key: run.config[key] for key in RECORDED if key in run.config}}


def _aggregates(table: Table) -> dict[str, Any]:
    """Of each measured aggregate its definition and among how many architectures it was formed."""
    formed = table.rows[(table.rows["n_among"] > 0) & (table.rows["split"] == table.splits[0])]
    definitions = {row.name: row.aggregate for row in table.spec.rows + table.spec.ours if row.aggregate}
    return {
        name: {
            **asdict(definition),
            "n_among": {
                row["dataset"]: int(row["n_among"])
                for row in formed[formed["proxy"] == name].to_dict("records")
            },
        }
        for name, definition in definitions.items()
        if (formed["proxy"] == name).any()
    }
