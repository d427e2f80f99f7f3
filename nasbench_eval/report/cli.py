"""The command `nasbench-report`: correlates a run's scores with accuracies and writes tables."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nasbench_eval import __version__, registry
from nasbench_eval.errors import UsageError, guard
from nasbench_eval.registry import UnknownName
from nasbench_eval.report.correlation import CONFIDENCE
from nasbench_eval.report.draw import draw_latex, draw_markdown, draw_text
from nasbench_eval.report.scores import Scores, read_runs
from nasbench_eval.report.spec import (
    RowSpec,
    TableSpec,
    aggregate_names,
    load_aggregate,
    load_table_spec,
    table_names,
)
from nasbench_eval.report.tables import Reporter, Settings, Table, Truth
from nasbench_eval.report.values import require_members
from nasbench_eval.spaces.base import Names
from nasbench_eval.truth import tables as truth_tables
from nasbench_eval.truth.folder import data_folder

# What a run's record is expected to say about itself; folders of the machine it ran on stay out.
RECORDED = ("space", "datasets", "proxies", "seed", "cells", "versions", "commit", "device")
# The papers' tables, of which a run's space decides which are made.
TABLES = ("table1", "table3", "figure2")


def main() -> int:
    """Run the command; returns its exit code, 2 for a request that cannot be met, 130 if interrupted."""
    return guard(lambda: report(_arguments()), "run the same command again for the tables")


def report(arguments: argparse.Namespace) -> int:
    """Compute, print and write the tables."""
    if arguments.resamples < 0:
        raise UsageError("--resamples must be 0 or more")
    scores = read_runs(arguments.run)
    specs = wished_tables(arguments.table, scores)
    for aggregate in dict.fromkeys(arguments.aggregate):
        specs = with_aggregate(specs, aggregate, scores)
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
        written = write_tables(tables, scores, folder)
    except OSError as error:
        where = error.filename or folder
        raise UsageError(
            f"cannot write {where}: {error.strerror or error}; choose a folder with --out"
        ) from error
    print(f"written to {folder}: " + ", ".join(f"{name}{'/'.join(ends)}" for name, ends in written.items()))
    return 0


def wished_tables(wish: Sequence[str] | None, scores: Scores) -> list[tuple[str, TableSpec]]:
    """The tables that are named, comma-separated; without a wish the papers' on the spaces of the scores."""
    if wish:
        return [load_table_spec(name) for name in dict.fromkeys(",".join(wish).split(","))]
    every = [load_table_spec(name) for name in TABLES]
    fitting = [(name, spec) for name, spec in every if spec.space in scores.spaces()]
    if not fitting:
        spaces = ", ".join(scores.spaces())
        raise UsageError(f"no table of the package is about {spaces}; define one and name it with --table")
    return fitting


def with_aggregate(
    specs: Sequence[tuple[str, TableSpec]], wish: str, scores: Scores
) -> list[tuple[str, TableSpec]]:
    """The tables with an aggregate's row, named by its file's stem, at the end of ours.

    A table whose space has no scores of some member stays as it is, and so does one that has the row already.

    Raises:
        UsageError: if the aggregate is not defined, if no table's space has scores of all members, or if the
            name is taken by another row or by a label of the run.
    """
    name, aggregate = load_aggregate(wish)
    spaces = dict.fromkeys(spec.space for _, spec in specs)
    lacking: dict[str, UnknownName] = {}
    for space in spaces:
        try:
            require_members(scores, space, name, aggregate)
        except UnknownName as error:
            lacking[space] = error
    if len(lacking) == len(spaces):
        raise next(iter(lacking.values()))
    extended = []
    for table, spec in specs:
        taken = {row.name: row.aggregate for row in spec.rows + spec.ours}
        if spec.space not in lacking and taken.get(name) != aggregate:
            if name in taken:
                raise UsageError(f"table '{table}' has another row named '{name}'; rename {wish}")
            if name in scores.labels(spec.space):
                raise UsageError(f"the run has a proxy labelled '{name}' already; rename {wish}")
            spec = replace(spec, ours=[*spec.ours, RowSpec(name, aggregate=aggregate)])
        extended.append((table, spec))
    return extended


def load_truth(space: str, folder: Path | None) -> Truth:
    """The accuracies of a space from the data folder."""
    frame = truth_tables.load_table(space, data_folder(folder))

    def accuracy(dataset: str, split: str) -> npt.NDArray[np.float64]:
        return truth_tables.accuracy(frame, dataset, split)

    return Truth(Names(registry.find("spaces", space)()), accuracy)


def write_tables(tables: Sequence[Table], scores: Scores, folder: Path) -> dict[str, list[str]]:
    """Write each table as CSV, Markdown, LaTeX and, if any row is measured, as a figure (PNG and PDF).

    `report.json` says how they were made. Returns the endings written, by table.
    """
    # Matplotlib takes its time to import, which `--help` and mistaken requests need not wait for.
    from nasbench_eval.report.figure import write_figure

    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for table in tables:
        table.csv().to_csv(folder / f"{table.name}.csv", index=False)
        (folder / f"{table.name}.md").write_text(draw_markdown(table), encoding="utf-8")
        (folder / f"{table.name}.tex").write_text(draw_latex(table), encoding="utf-8")
        written[table.name] = [".csv", ".md", ".tex", *write_figure(table, folder)]
    text = json.dumps(record(tables, scores), indent=1, ensure_ascii=False) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")
    return written


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
                "aggregates": _aggregates(table),
                "rows": json.loads(table.rows.loc[table.rows["n"] > 0, counts].to_json(orient="records")),
            }
            for table in tables
        },
    }


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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nasbench-report",
        description="Correlate a run's scores with the benchmark's accuracies; write tables and figures.",
    )
    add = parser.add_argument
    add("run", nargs="+", type=Path, help="a run's folder; several are read as one")
    add(
        "--table",
        action="append",
        metavar="NAME[,NAME]",
        help=f"tables: {', '.join(table_names())}, or the path of a YAML file; may be repeated "
        f"({', '.join(TABLES)}, as far as they are about the run's space)",
    )
    add(
        "--aggregate",
        action="append",
        default=[],
        metavar="NAME",
        help=f"add a row: {', '.join(aggregate_names())}, or the path of a YAML file; may be repeated",
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
