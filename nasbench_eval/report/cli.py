"""The command `nasbench-report`: correlates a run's scores with accuracies and writes tables."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nasbench_eval import registry
from nasbench_eval.errors import UsageError, guard
from nasbench_eval.registry import UnknownName
from nasbench_eval.report.analysis import analyse, over_seeds, seeds_of
from nasbench_eval.report.draw import draw_seeds, draw_text
from nasbench_eval.report.scores import Scores, read_runs
from nasbench_eval.report.spec import (
    RowSpec,
    TableSpec,
    aggregate_names,
    load_aggregate,
    load_table_spec,
    table_names,
)
from nasbench_eval.report.tables import Reporter, Settings, Truth
from nasbench_eval.report.values import require_members
from nasbench_eval.report.write import NO_PLOTLY, Report, write_report
from nasbench_eval.spaces.base import Names
from nasbench_eval.truth import tables as truth_tables
from nasbench_eval.truth.ceiling import Ceiling, noise_ceiling
from nasbench_eval.truth.folder import data_folder

OPTION = re.compile(r"[a-z]+=")
# Folders of a machine, which a page does not tell.
FOLDERS = ("data", "out")
# The papers' tables, of which a run's space decides which are made.
TABLES = ("table1", "table3", "figure2")


def main() -> int:
    """Run the command; returns its exit code, 2 for a request that cannot be met, 130 if interrupted."""
    return guard(lambda: report(_arguments()), "run the same command again for the tables")


def report(arguments: argparse.Namespace) -> int:
    """Compute, print and write."""
    if arguments.resamples < 0:
        raise UsageError("--resamples must be 0 or more")
    scores = read_runs(arguments.run)
    splits = ("test", "val") if arguments.split == "both" else (arguments.split,)
    specs = wished_tables(arguments.table, scores, splits)
    for aggregate in dict.fromkeys(arguments.aggregate):
        specs = with_aggregate(specs, aggregate, scores)
    others = [read_runs([run]) for run in arguments.seeds]
    if others:
        seeds_of([scores, *others])
    if arguments.format == "html" and find_spec("plotly") is None:
        raise UsageError(NO_PLOTLY)
    if arguments.cells == "live":
        scores, others = scores.live(), [other.live() for other in others]
    found = compute(arguments, scores, specs, splits, others)
    for table in found.tables:
        print(draw_text(table, table.splits[0]))
    if found.seeds is not None:
        print(draw_seeds(found.seeds))
    default = arguments.run[0] / "tables"
    folder = arguments.out or (default if arguments.cells == "all" else default / arguments.cells)
    try:
        written = write_report(found, folder, html=arguments.format == "html", command=arguments.command)
    except OSError as error:
        where = error.filename or folder
        raise UsageError(
            f"cannot write {where}: {error.strerror or error}; choose a folder with --out"
        ) from error
    print(f"written to {folder}: {', '.join(written)}")
    return 0


def compute(
    arguments: argparse.Namespace,
    scores: Scores,
    specs: Sequence[tuple[str, TableSpec]],
    splits: Sequence[str],
    others: Sequence[Scores],
) -> Report:
    """The tables and statistics of the scores; `others` are those of other seeds."""
    settings = Settings(arguments.failures, arguments.resamples, arguments.seed, arguments.cells)
    wanted = {spec.space for _, spec in specs} & set(scores.spaces())
    live = arguments.cells == "live"
    truths = {space: load_truth(space, arguments.data, live) for space in sorted(wanted)}
    reporter = Reporter(scores, truths, settings)
    tables = [reporter.table(name, spec, splits) for name, spec in specs]
    analysis = analyse(tables, scores, truths, settings) if arguments.statistics else None
    seeds = over_seeds(tables, [scores, *others], truths, settings) if others else None
    return Report(tables, scores, truths, analysis, seeds, others)


def wished_tables(
    wish: Sequence[str] | None, scores: Scores, splits: Sequence[str]
) -> list[tuple[str, TableSpec]]:
    """The tables that are named, comma-separated; without a wish the papers' on the spaces of the scores.

    Raises:
        UsageError: if a table is not defined, or none of the papers' has the spaces and one of the splits.
    """
    if wish:
        return [load_table_spec(name) for name in dict.fromkeys(",".join(wish).split(","))]
    every = [load_table_spec(name) for name in TABLES]
    about = [(name, spec) for name, spec in every if spec.space in scores.spaces()]
    fitting = [(name, spec) for name, spec in about if set(spec.splits) & set(splits)]
    if not about:
        spaces = ", ".join(scores.spaces())
        raise UsageError(f"no table of the package is about {spaces}; define one and name it with --table")
    if not fitting:
        raise UsageError(f"no table about {', '.join(scores.spaces())} has the split {', '.join(splits)}")
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


def load_truth(space: str, folder: Path | None, live: bool = False) -> Truth:
    """The accuracies of a space from the data folder; noise ceilings of all cells or of the live ones."""
    frame = truth_tables.load_table(space, data_folder(folder))
    cells = registry.find("spaces", space)()

    def accuracy(dataset: str, split: str) -> npt.NDArray[np.float64]:
        return truth_tables.accuracy(frame, dataset, split)

    @cache
    def alive() -> npt.NDArray[np.bool_]:
        return np.array([cells.live(cells.arch(index)) for index in range(len(frame))])

    @cache
    def ceiling(dataset: str, split: str) -> Ceiling | None:
        runs = truth_tables.runs(frame, dataset, split)
        return noise_ceiling(runs[alive()] if live and runs.shape[1] > 1 else runs)

    return Truth(Names(cells), accuracy, ceiling)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nasbench-report",
        description="Correlate a run's scores with the benchmark's accuracies; write tables and figures.",
    )
    add = parser.add_argument
    add("run", nargs="+", type=Path, help="a run's folder; several are read as one")
    add(
        "--format",
        choices=["files", "html"],
        default="files",
        help="html adds report.html, one page with all tables, figures and an interactive plot; it holds the "
        "accuracies of the scored architectures (files)",
    )
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
        "--statistics",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write statistics/: paired differences, nDCG, regret, overlap, partial correlations (yes)",
    )
    add(
        "--seeds",
        nargs="+",
        type=Path,
        default=[],
        metavar="RUN",
        help="runs of the same proxies under other seeds: how much do scores and correlations depend on it?",
    )
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
    return parser


def _arguments() -> argparse.Namespace:
    # Options may be given as to the other commands: format=html.
    words = [f"--{w}" if OPTION.match(w) and not Path(w).exists() else w for w in sys.argv[1:]]
    return _parser().parse_args(words, argparse.Namespace(command=_shown(words)))


def _shown(words: Sequence[str]) -> str:
    """The command without folders of this machine."""
    kept = [
        word
        for before, word in pairwise(["", *words])
        if not {before, word.partition("=")[0]} & {f"--{name}" for name in FOLDERS}
    ]
    return shlex.join(["nasbench-report", *kept])
