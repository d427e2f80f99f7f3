"""The command `nasbench-report`: correlates a run's scores with accuracies and writes tables."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nasbench_eval import __version__
from nasbench_eval.errors import UsageError, guard
from nasbench_eval.report.correlation import CONFIDENCE
from nasbench_eval.report.draw import draw_latex, draw_markdown, draw_text
from nasbench_eval.report.scores import Scores, read_runs
from nasbench_eval.report.spec import load_table_spec, table_names
from nasbench_eval.report.tables import Reporter, Settings, Table, Truth
from nasbench_eval.truth import tables as truth_tables
from nasbench_eval.truth.folder import data_folder

# What a run's record is expected to say about itself; folders of the machine it ran on stay out.
RECORDED = ("space", "datasets", "proxies", "seed", "cells", "versions", "commit", "device")
TABLES = "table1,table3"


def main() -> int:
    """Run the command; returns its exit code, 2 for a request that cannot be met, 130 if interrupted."""
    return guard(lambda: report(_arguments()), "run the same command again for the tables")


def report(arguments: argparse.Namespace) -> int:
    """Compute, print and write the tables."""
    if arguments.resamples < 0:
        raise UsageError("--resamples must be 0 or more")
    scores = read_runs(arguments.run)
    wished = [name for names in arguments.table or [TABLES] for name in names.split(",")]
    specs = [load_table_spec(name) for name in dict.fromkeys(wished)]
    splits = ("test", "val") if arguments.split == "both" else (arguments.split,)
    if arguments.cells == "live":
        scores = scores.live()
    settings = Settings(arguments.failures, arguments.resamples, arguments.seed, arguments.cells)
    wanted = {spec.space for _, spec in specs} & set(scores.spaces())
    truths = {space: load_truth(space, arguments.data) for space in sorted(wanted)}
    reporter = Reporter(scores, truths, settings)
    tables = [reporter.table(name, spec, splits) for name, spec in specs]
    for table in tables:
        print(draw_text(table, table.splits[0]))
    default = arguments.run[0] / "tables"
    folder = arguments.out or (default if arguments.cells == "all" else default / arguments.cells)
    try:
        write_tables(tables, scores, folder)
    except OSError as error:
        where = error.filename or folder
        raise UsageError(
            f"cannot write {where}: {error.strerror or error}; choose a folder with --out"
        ) from error
    print(f"written to {folder}: " + ", ".join(f"{table.name}.csv/.md/.tex" for table in tables))
    return 0


def load_truth(space: str, folder: Path | None) -> Truth:
    """The accuracies of a space from the data folder."""
    frame = truth_tables.load_table(space, data_folder(folder))

    def accuracy(dataset: str, split: str) -> npt.NDArray[np.float64]:
        return truth_tables.accuracy(frame, dataset, split)

    return Truth(list(frame["arch"]) if "arch" in frame.columns else None, accuracy)


def write_tables(tables: Sequence[Table], scores: Scores, folder: Path) -> None:
    """Write each table as CSV, Markdown and LaTeX, and `report.json` that says how they were made."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        table.csv().to_csv(folder / f"{table.name}.csv", index=False)
        (folder / f"{table.name}.md").write_text(draw_markdown(table), encoding="utf-8")
        (folder / f"{table.name}.tex").write_text(draw_latex(table), encoding="utf-8")
    text = json.dumps(record(tables, scores), indent=1, ensure_ascii=False) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")


def record(tables: Sequence[Table], scores: Scores) -> dict[str, Any]:
    """How the tables were made: settings, runs, and for every measured row its counts, ties included."""
    counts = ["proxy", "dataset", "split", "n", "n_failed", "n_tied"]
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
        "runs": [
            {"run": run.name, **{key: run.config[key] for key in RECORDED if key in run.config}}
            for run in scores.runs
        ],
        "tables": {
            table.name: {
                "truth": table.spec.truth,
                "splits": list(table.splits),
                "notes": list(table.notes),
                "rows": json.loads(table.rows.loc[table.rows["n"] > 0, counts].to_json(orient="records")),
            }
            for table in tables
        },
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nasbench-report",
        description="Correlate a run's scores with the benchmark's accuracies and write the tables.",
    )
    add = parser.add_argument
    add("run", nargs="+", type=Path, help="a run's folder; several are read as one")
    add(
        "--table",
        action="append",
        metavar="NAME[,NAME]",
        help=f"tables: {', '.join(table_names())}, or the path of a YAML file; may be repeated ({TABLES})",
    )
    add("--split", choices=["test", "val", "both"], default="both", help="accuracies to judge by (both)")
    add("--resamples", type=int, default=1000, help="bootstrap resamples; 0 for no intervals (1000)")
    add("--seed", type=int, default=0, help="seed of the bootstrap (0)")
    add(
        "--failures",
        choices=["worst", "omit"],
        default="worst",
        help="rank failed scores below all others, or leave them out (worst)",
    )
    add(
        "--cells",
        choices=["all", "live"],
        default="all",
        help="judge all cells, or the live ones alone: every operation on a path from input to output; "
        "their tables go to tables/live (all)",
    )
    add("--data", type=Path, help="folder of the ground-truth tables (NASBENCH_EVAL_DATA)")
    add("--out", type=Path, help="folder to write to (tables/ in the first run)")
    return parser.parse_args()
