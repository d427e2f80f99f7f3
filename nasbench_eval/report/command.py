"""What `nasbench-report` does: correlates a run's scores with accuracies and writes tables."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

from nasbench_eval.errors import UsageError
from nasbench_eval.paths import configured
from nasbench_eval.registry import UnknownName
from nasbench_eval.report import PAPERS_TABLES
from nasbench_eval.report.analysis import analyse, over_seeds, seeds_of
from nasbench_eval.report.answer import with_answers
from nasbench_eval.report.apart import Apart, cores
from nasbench_eval.report.draw import draw_seeds, draw_text
from nasbench_eval.report.folder import ACROSS, refuse
from nasbench_eval.report.scores import Scores, read_runs
from nasbench_eval.report.search.command import (
    refuse_options,
    report_comparison,
    report_epochs,
    report_indicators,
    report_searches,
)
from nasbench_eval.report.search.read import search_folders
from nasbench_eval.report.spec import RowSpec, TableSpec, load_aggregate, load_table_spec
from nasbench_eval.report.tables import Reporter, Settings
from nasbench_eval.report.titles import SPLITS
from nasbench_eval.report.truths import Ground, benchmark_of, splits_of, table_of, truth_of
from nasbench_eval.report.values import require_members
from nasbench_eval.report.write import NO_PLOTLY, Report, write_report
from nasbench_eval.retrain.outcome import RECORD, told
from nasbench_eval.truth.given import Given


def report(arguments: argparse.Namespace) -> int:
    """Compute, print and write."""
    if arguments.resamples < 0:
        raise UsageError(f"--resamples must be 0 or more; got {arguments.resamples}")
    if arguments.seed < 0:
        raise UsageError(f"--seed must be 0 or more; got {arguments.seed}")
    if trained := [
        run for run in arguments.run if os.path.isfile(run / RECORD)
    ]:  # no error on what is no name
        if other := [run for run in arguments.run if run not in trained]:
            raise UsageError(f"{trained[0]} is a trained network, and {other[0]} is none; report them apart")
        print("\n\n".join("\n".join(told(run)) for run in trained))
        return 0
    if arguments.ensemble is not None:
        from nasbench_eval.report.ensemble.command import report_ensemble

        return report_ensemble(arguments)
    if arguments.across:
        from nasbench_eval.report.across.command import report_across

        return report_across(arguments)
    refuse(arguments, ACROSS, "with --across or --ensemble")
    if searches := search_folders(arguments.run):
        return report_searches(arguments, searches)
    refuse_options(arguments)
    if arguments.compare:
        return report_comparison(arguments)
    if arguments.indicators:
        return report_indicators(arguments)
    if arguments.epochs:
        return report_epochs(arguments)
    scores = read_runs(arguments.run)
    if arguments.costs:
        from nasbench_eval.report.costs.command import NOT_OF_COSTS, report_costs

        refuse(arguments, NOT_OF_COSTS, "without --costs")
        scores = scores.live() if arguments.cells == "live" else scores
        return report_costs(arguments, scores, wished_tables(arguments.table, scores, ("test", "val"))[0][1])
    benchmark = benchmark_of(arguments.truth, scores, arguments.data)
    splits = splits_of(arguments.split, benchmark)
    if isinstance(benchmark, Given):
        SPLITS.update(benchmark.splits)
    if benchmark is not None and not arguments.table:
        specs = [table_of(benchmark, scores, splits)]
    else:
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
    with Apart(cores()) as apart:
        return _made(arguments, apart, scores, specs, splits, others, benchmark)


def _made(
    arguments: argparse.Namespace,
    apart: Apart,
    scores: Scores,
    specs: Sequence[tuple[str, TableSpec]],
    splits: Sequence[str],
    others: Sequence[Scores],
    benchmark: Ground | None,
) -> int:
    found = compute(arguments, scores, specs, splits, others, benchmark, apart)
    for table in found.tables:
        # The paper's figures are of the test split; where there are none, both are what was asked for.
        print(draw_text(table, *(table.splits[:1] if table.compared else table.splits)))
    if found.seeds is not None:
        print(draw_seeds(found.seeds))
    default = arguments.run[0] / "tables"
    folder = arguments.out or (default if arguments.cells == "all" else default / arguments.cells)
    try:
        written = write_report(
            found,
            folder,
            html=arguments.format == "html",
            command=arguments.command,
            formats=arguments.figures,
            apart=apart,
        )
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
    benchmark: Ground | None = None,
    apart: Apart | None = None,
) -> Report:
    """The tables and statistics of the scores; `others` are those of other seeds."""
    apart = apart or Apart()
    settings = Settings(arguments.failures, arguments.resamples, arguments.seed, arguments.cells)
    wanted = {spec.space for _, spec in specs} & set(scores.spaces())
    live = arguments.cells == "live"
    truths = {space: truth_of(space, arguments.data, live, benchmark) for space in sorted(wanted)}
    reporter = Reporter(scores, truths, settings, apart=apart)
    tables = [
        replace(reporter.table(name, spec, splits), all_rows=arguments.all_rows) for name, spec in specs
    ]
    analysis = None
    if arguments.statistics:
        analysis = analyse(tables, scores, truths, settings, reporter.resamples, apart)
    if analysis is not None:
        tables = [with_answers(table, analysis) for table in tables]
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
    every = [load_table_spec(name) for name in PAPERS_TABLES]
    about = [(name, spec) for name, spec in every if spec.space in scores.spaces()]
    fitting = [(name, spec) for name, spec in about if set(spec.splits) & set(splits)]
    if not about:
        spaces = ", ".join(scores.spaces())
        raise UsageError(
            f"no accuracies of {spaces} are known: nasbench-train space={scores.spaces()[0]} makes a "
            "benchmark; score with truth= and its folder, and report that run"
        )
    held = {(part.space, part.dataset) for part in scores.frames}
    judged = {(spec.space, dataset) for _, spec in about for dataset in spec.datasets}
    if not held & judged:
        lacking, there = (", ".join(sorted({dataset for _, dataset in each})) for each in (judged, held))
        raise UsageError(
            f"no scores on {lacking}: the runs hold {', '.join(scores.spaces())} on {there} alone, of which "
            "no accuracies are known"
        )
    if not fitting:
        raise UsageError(f"no table about {', '.join(scores.spaces())} has the split {', '.join(splits)}")
    return fitting


def with_aggregate(
    specs: Sequence[tuple[str, TableSpec]], wish: str, scores: Scores
) -> list[tuple[str, TableSpec]]:
    """The tables with an aggregate's row, named by its file's stem, below those of the paper.

    A table that takes no further rows stays as it is if another one takes them. So does a table whose space
    has no scores of some member, and one that has the row already.

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
    open_ = [table for table, spec in specs if spec.others and spec.space not in lacking]
    for table, spec in specs:
        if open_ and table not in open_:
            extended.append((table, spec))
            continue
        taken = {row.name: row.aggregate for row in spec.rows + spec.ours}
        if spec.space not in lacking and taken.get(name) != aggregate:
            if name in taken:
                raise UsageError(f"table '{table}' has another row named '{name}'; rename {wish}")
            if name in scores.labels(spec.space):
                raise UsageError(f"the run has a proxy labelled '{name}' already; rename {wish}")
            yours = [name] if wish not in configured("aggregate") else []
            ours = [*spec.ours, RowSpec(name, aggregate=aggregate)]
            spec = replace(spec, ours=ours, yours=[*spec.yours, *yours])
        extended.append((table, spec))
    return extended
