"""What `nasbench-report` does with searches, and with single questions about a run of scores."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.report.apart import Apart, cores
from nasbench_eval.report.draw import draw_latex as table_latex
from nasbench_eval.report.draw import draw_markdown as table_markdown
from nasbench_eval.report.draw import draw_text as table_text
from nasbench_eval.report.folder import DECIMALS, Writing, draw_into, recorded, refuse, write_record
from nasbench_eval.report.scores import Scores, read_runs
from nasbench_eval.report.search.draw import draw_latex, draw_markdown, draw_text
from nasbench_eval.report.search.judge import members_of, per_seed, table_of
from nasbench_eval.report.search.read import SearchRun, left_out, read_searches
from nasbench_eval.report.search.rows import Row, rows_of
from nasbench_eval.report.search.truths import Truths
from nasbench_eval.report.tables import Reporter, Settings
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.report.truths import benchmark_of, splits_of, truth_of
from nasbench_eval.report.write import RECORDED
from nasbench_eval.report.write import record as record_of_tables
from nasbench_eval.wording import counted

NONE = "none"
# What a report of scores takes and one of searches does not, with the value that means it was not asked for.
_OF_SCORES: dict[str, Any] = {
    "table": None,
    "aggregate": [],
    "seeds": [],
    "cells": "all",
    "format": "files",
    "failures": "worst",
    "indicators": None,
    "epochs": None,
    "costs": None,
    "compare": None,
}


def report_searches(arguments: argparse.Namespace, folders: Sequence[Path]) -> int:
    """Compute, print and write what searches found."""
    refuse(arguments, _OF_SCORES, "of scores")
    runs, without = read_searches(folders)
    said = [left_out(without)] if without else []
    if any(run.unjudged for run in runs):
        for line in said:
            print(line, file=sys.stderr)
        return _report_unjudged(arguments, runs)
    truths = Truths(arguments.data, arguments.truth)
    scores = None
    if arguments.landscape and arguments.landscape != NONE:
        scores = read_runs([Path(arguments.landscape)])
    every = rows_of(runs, [truths.of(run) for run in runs])
    rows = [row for row in every if not row.forked]
    if not rows and not arguments.landscape:
        raise UsageError("these searches all branch off from another one; --landscape draws them")
    splits = splits_of(arguments.split, None)
    notes = [*_notes(every), *said]
    taus = None
    if arguments.tau:
        taus = _taus(rows, arguments.tau)
    folder = _folder(arguments)
    table = table_of(rows)
    if rows:
        print(draw_text(table, notes))
    with Apart(cores()) as apart, Writing(folder):
        written = []
        if rows:
            written.append(_write_table(table, notes, folder))
        if taus is not None:
            taus.round(DECIMALS).to_csv(folder / "tau.csv", index=False)
            written.append("tau.csv")
        drawings = (
            _drawings(every, rows, splits, taus, arguments.landscape, scores) if arguments.figures else []
        )
        if draw_into(folder, drawings, arguments.figures, apart):
            written.append("figures/")
        write_record(folder, {"runs": [_run(run) for run in runs], "notes": notes})
    print(f"written to {folder}: {', '.join([*written, 'report.json'])}")
    return 0


def _report_unjudged(arguments: argparse.Namespace, runs: Sequence[SearchRun]) -> int:
    """Report searches in open spaces, with which no accuracies are joined."""
    from nasbench_eval.report.search.unjudged.command import Report

    if judged := [run for run in runs if not run.unjudged]:
        [other, *_] = [run for run in runs if run.unjudged]
        raise UsageError(
            f"accuracies are joined with searches of {judged[0].space}, and none with those of "
            f"{other.space}, which is open; report {judged[0].folder} and {other.folder} apart"
        )
    refuse(arguments, {"tau": None, "truth": None}, "of searches with accuracies")
    if arguments.landscape not in (None, NONE):
        raise UsageError("the landscape of an open space shows what was visited alone: --landscape none")
    report, folder = Report(runs), _folder(arguments)
    drawings = report.drawings(arguments.landscape is not None) if arguments.figures else []
    print(report.text())
    with Apart(cores()) as apart, Writing(folder):
        said = report.write(folder)
        if draw_into(folder, drawings, arguments.figures, apart):
            said.append("figures/")
        write_record(folder, {"runs": [_run(run) for run in runs]})
    print(f"written to {folder}: {', '.join([*said, 'report.json'])}")
    return 0


def report_indicators(arguments: argparse.Namespace) -> int:
    """Compare indicators of a run of scores: with accuracy, with each other, and on cells with `none`."""
    from nasbench_eval.report.search.indicators import exclusive_table, indicator_spec, indicators, none_table

    refuse(
        arguments,
        {key: _OF_SCORES[key] for key in ("table", "aggregate", "seeds", "format", "failures", "epochs")},
        "without it",
    )
    scores = read_runs(arguments.run)
    benchmark = benchmark_of(arguments.truth, scores, arguments.data)
    names = list(dict.fromkeys(arguments.indicators.split(",")))
    spec = indicator_spec(names, scores, benchmark)
    if arguments.cells == "live":
        scores = scores.live()
    truth = truth_of(spec.space, arguments.data, arguments.cells == "live", benchmark)
    settings = Settings(arguments.failures, arguments.resamples, arguments.seed, arguments.cells)
    folder = arguments.out or arguments.run[0] / "tables" / "indicators"
    with Apart(cores()) as apart, Writing(folder):
        table = Reporter(scores, {spec.space: truth}, settings, apart=apart).table(
            "indicators", spec, ["test"]
        )
        print(table_text(table, "test"))
        found = [indicators(spec, scores, truth, dataset) for dataset in spec.datasets]
        held = [each for each in found if each is not None]
        frames = {
            "exclusive": pd.concat([exclusive_table(each) for each in held] or [pd.DataFrame()]),
            "none": pd.concat([none_table(each) for each in held] or [pd.DataFrame()]),
        }
        table.csv().to_csv(folder / "indicators.csv", index=False)
        write_whole(folder / "indicators.md", table_markdown(table).encode())
        write_whole(folder / "indicators.tex", table_latex(table).encode())
        for name, frame in frames.items():
            frame.round(DECIMALS).to_csv(folder / f"{name}.csv", index=False)
        drawings = _indicator_drawings(table, scores, truth, frames) if arguments.figures else []
        figures = draw_into(folder, drawings, arguments.figures, apart)
        write_record(folder, record_of_tables([table], scores))
    said = ["indicators.csv/.md/.tex", "exclusive.csv", "none.csv", *(["figures/"] if figures else [])]
    print(f"written to {folder}: {', '.join([*said, 'report.json'])}")
    return 0


def report_epochs(arguments: argparse.Namespace) -> int:
    """What a proxy says of bad, middling and good architectures after each number of epochs of training."""
    from nasbench_eval.report.epochs import draw_markdown, draw_text, over_epochs, series

    asked = ("table", "aggregate", "seeds", "format", "failures")
    refuse(arguments, {key: _OF_SCORES[key] for key in asked}, "without --epochs")
    scores, name = read_runs(arguments.run), arguments.epochs
    benchmark, live = benchmark_of(arguments.truth, scores, arguments.data), arguments.cells == "live"
    if live:
        scores = scores.live()
    places = series(name, scores)
    folder = arguments.out or arguments.run[0] / "tables" / "epochs"
    with Apart(cores()) as apart, Writing(folder):
        truths = {space: truth_of(space, arguments.data, live, benchmark) for space, _ in places}
        table = pd.concat(over_epochs(held, scores, truths[space]) for (space, _), held in places.items())
        print(draw_text(table, name), end="")
        table.round(DECIMALS).to_csv(folder / "epochs.csv", index=False)
        write_whole(folder / "epochs.md", draw_markdown(table, name).encode())
        drawings = _epoch_drawings(table, name) if arguments.figures else []
        figures = draw_into(folder, drawings, arguments.figures, apart)
        write_record(folder, {"runs": [recorded(run) for run in scores.runs]})
    said = ["epochs.csv/.md", *(["figures/"] if figures else [])]
    print(f"written to {folder}: {', '.join([*said, 'report.json'])}")
    return 0


def report_comparison(arguments: argparse.Namespace) -> int:
    """How far our scores rank cells as those of a file of NAS-Bench-Suite-Zero do."""
    from nasbench_eval.report.compare import compare
    from nasbench_eval.report.compare import draw_markdown as comparison_markdown
    from nasbench_eval.report.compare import draw_text as comparison_text

    asked = ("table", "aggregate", "seeds", "format", "indicators", "epochs")
    refuse(arguments, {key: _OF_SCORES[key] for key in asked}, "without --compare")
    scores = read_runs(arguments.run)
    found = compare(
        scores.live() if arguments.cells == "live" else scores, arguments.compare, arguments.failures
    )
    folder = arguments.out or arguments.run[0] / "tables" / "compare"
    with Writing(folder):
        print(comparison_text(found))
        found.table.round(DECIMALS).to_csv(folder / "compare.csv", index=False)
        write_whole(folder / "compare.md", comparison_markdown(found).encode())
        write_record(folder, {"file": found.file, "runs": [recorded(run) for run in scores.runs]})
    print(f"written to {folder}: compare.csv/.md, report.json")
    return 0


def _epoch_drawings(table: pd.DataFrame, name: str) -> list[Any]:
    from nasbench_eval.report.figure.epochs import draw_over_epochs
    from nasbench_eval.report.figure.write import FOLDER, Drawing

    return [
        Drawing("Epochs", f"{FOLDER}/epochs_{dataset}", draw_over_epochs, (table, name, dataset))
        for dataset in dict.fromkeys(table["dataset"])
    ]


def refuse_options(arguments: argparse.Namespace) -> None:
    """Refuse the options of searches where the folders are those of runs of scores.

    Raises:
        UsageError: naming the first of them.
    """
    refuse(arguments, {"tau": None, "landscape": None}, "of searches")


def _folder(arguments: argparse.Namespace) -> Path:
    if arguments.out is None and len(arguments.run) > 1:
        raise UsageError("several folders of searches are reported together: say where to with --out")
    return Path(arguments.out or arguments.run[0] / "tables")


def _taus(rows: Sequence[Row], source: Path) -> pd.DataFrame:
    from nasbench_eval.report.search.tau import known_taus, tau_table

    table = tau_table(rows, known_taus(source))
    if not len(table):
        guides = ", ".join(dict.fromkeys(row.guide.name for row in rows))
        raise UsageError(f"--tau {source} has no τ of any guide of these searches ({guides})")
    return table


def _notes(rows: Sequence[Row]) -> list[str]:
    """What a reader has to know of single rows."""
    kept_to = {members_of(row) for row in rows}
    notes = []
    if len(kept_to) == 1 and (same := kept_to.pop()) is not None:
        notes.append(f"all searches keep to {same:,} architectures, of which scores are known")
    for row in rows:
        members, forked = members_of(row), row.runs[0].fork
        if members is not None and kept_to:
            known = f"the searches keep to {members:,} architectures, of which scores are known"
            notes.append(f"{row.title}: {known}")
        if row.guide.kind == "accuracy_12":
            whence = row.runs[0].search.get("whence") or ()
            notes += [f"guide {row.guide.name}: {line}" for line in whence if isinstance(line, str)]
        if forked:
            notes.append(
                f"{row.title}: {counted(len(row.trials.seeds), 'search', 'searches')} that branch off at "
                f"step {forked[1]} of another one are not in the table"
            )
        lacking = int(per_seed(row)["test_accuracy"].isna().sum())
        if lacking:
            notes.append(
                f"{row.title} on {DATASETS.get(row.dataset, row.dataset)}: {counted(lacking, 'seed')} "
                "without an architecture of known test accuracy for an answer; left out of the means"
            )
    return list(dict.fromkeys(notes))


def _write_table(table: pd.DataFrame, notes: Sequence[str], folder: Path) -> str:
    rounded = table.round(
        {name: DECIMALS for name in table.select_dtypes("float").columns if name != "p_random"}
    )
    rounded["p_random"] = [float(f"{p:.6g}") for p in table["p_random"].astype(float)]
    rounded.to_csv(folder / "search.csv", index=False)
    write_whole(folder / "search.md", draw_markdown(table, notes).encode())
    write_whole(folder / "search.tex", draw_latex(table, notes).encode())
    return "search.csv/.md/.tex"


def _drawings(
    every: Sequence[Row],
    rows: Sequence[Row],
    splits: Sequence[str],
    taus: pd.DataFrame | None,
    landscape: str | None,
    scores: Scores | None,
) -> list[Any]:
    # Matplotlib takes its time to import, which mistaken requests need not wait for.
    from nasbench_eval.report.figure.write import FOLDER, Drawing
    from nasbench_eval.report.search.cells import best_cells, draw_cells
    from nasbench_eval.report.search.curves import clock, curves, draw_curves
    from nasbench_eval.report.search.landscape import draw_landscapes, landscapes
    from nasbench_eval.report.search.tau import draw_tau

    drawings = []
    if rows:
        seconds, spent = clock(rows), curves(rows, splits, seconds=True)
        steps = curves(rows, splits, seconds=False)
        drawings += [
            Drawing("Evaluations", f"{FOLDER}/search_evaluations", draw_curves, (steps, "evaluations")),
            Drawing("Seconds", f"{FOLDER}/search_seconds", draw_curves, (spent, seconds)),
        ]
    for dataset in dict.fromkeys(row.dataset for row in rows):
        cells = best_cells([row for row in rows if row.dataset == dataset])
        drawings.append(Drawing("Cells", f"{FOLDER}/cells_{dataset}", draw_cells, (cells, dataset)))
    if taus is not None:
        for algorithm, part in taus.groupby("algorithm", sort=False):
            drawings.append(Drawing("τ", f"{FOLDER}/tau_{_stem(str(algorithm))}", draw_tau, (part,)))
    if landscape:
        chosen = [row for row in every if row.forked] or list(rows)
        groups: dict[str, list[Any]] = {}
        for found in landscapes(chosen, scores):
            groups.setdefault(_stem(found.name), []).append(found)
        drawings += [
            Drawing("Landscape", f"{FOLDER}/landscape_{name}", draw_landscapes, (held,))
            for name, held in groups.items()
        ]
    return drawings


def _indicator_drawings(
    table: Any, scores: Scores, truth: Any, frames: Mapping[str, pd.DataFrame]
) -> list[Any]:
    from nasbench_eval.report.figure.write import FOLDER, Drawing, table_drawings
    from nasbench_eval.report.search.indicators import draw_exclusive, draw_none

    return [
        *table_drawings(table, scores, truth),
        Drawing("Chosen by one", f"{FOLDER}/exclusive", draw_exclusive, (frames["exclusive"],)),
        Drawing("None", f"{FOLDER}/none", draw_none, (frames["none"],)),
    ]


def _stem(text: str) -> str:
    return re.sub(r"[^\w.=-]+", "_", text).strip("_")


def _run(run: SearchRun) -> dict[str, Any]:
    kept = {key: run.record[key] for key in RECORDED if key in run.record}
    return {"run": run.name, **kept, "search": run.record["search"]}
