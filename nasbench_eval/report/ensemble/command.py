"""What `nasbench-report --ensemble` does: combinations, chosen and judged on different architectures."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nasbench_eval.errors import UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.report.across.benchmarks import benchmarks_of, require_aggregates
from nasbench_eval.report.across.command import OTHERS, folder_of, run_records
from nasbench_eval.report.apart import Apart, cores
from nasbench_eval.report.ensemble.choose import FOLDS, LOG_RANK_SUM, RANK_SUM, SINGLE
from nasbench_eval.report.ensemble.draw import draw_markdown, draw_text
from nasbench_eval.report.ensemble.pool import RANK_KINDS, SHARED, Pool, pool_of, shared_pools
from nasbench_eval.report.ensemble.source import JOINT, REFERENCES, Options
from nasbench_eval.report.ensemble.study import Study, study
from nasbench_eval.report.folder import DECIMALS, Writing, refuse, write_record
from nasbench_eval.report.spec import load_aggregate
from nasbench_eval.wording import some

METHODS = (SINGLE, RANK_SUM, LOG_RANK_SUM)
_OTHERS: dict[str, Any] = {**OTHERS, "across": False, "measure": None, "format": "files", "failures": "worst"}


def report_ensemble(arguments: argparse.Namespace) -> int:
    """Compute, print and write."""
    refuse(arguments, _OTHERS, "without --ensemble")
    for name in ("ensemble", "passes"):
        wish = getattr(arguments, name)
        if wish is not None and wish < 1:
            raise UsageError(f"--{name} must be 1 or more; got {wish}")
    folder = folder_of(arguments, "ensemble")
    live = arguments.cells == "live"
    benchmarks = benchmarks_of(arguments.run, arguments.data, arguments.split, live=live)
    require_aggregates(benchmarks, arguments.aggregate)
    require_sums(arguments.aggregate)
    pools = _pools(arguments, benchmarks)
    own = [load_aggregate(name)[0] for name in arguments.aggregate]
    options = Options(
        most=arguments.ensemble,
        passes=arguments.passes,
        references=tuple(dict.fromkeys([*REFERENCES, *own])),
        seed=arguments.seed,
        resamples=arguments.resamples,
    )
    with Apart(cores()) as apart, Writing(folder):
        found = study(pools, options, apart.map)
        print(draw_text(found))
        _write(found, folder)
        settings = {**asdict(options), "folds": FOLDS, "cells": arguments.cells}
        unknown = {source.name: names for source in found.sources if (names := source.unknown(options))}
        for name, labels in unknown.items():
            print(f"{name}: passes are not known of {some(labels)}, which are not chosen with --passes")
        candidates = {pool.benchmark.name: list(pool.names[: pool.candidates]) for pool in pools}
        write_record(
            folder,
            {
                "settings": settings,
                "candidates": candidates,
                "passes_unknown": unknown,
                "runs": run_records(benchmarks),
            },
        )
    names = ["ensembles.csv/.md", "differences.csv", "folds.csv", "transfer.csv", "report.json"]
    print(f"written to {folder}: {', '.join(names)}")
    return 0


def require_sums(aggregates: Sequence[str]) -> None:
    """Refuse aggregates that cannot stand beside combinations, or whose name is that of a method.

    Raises:
        UsageError: naming the first.
    """
    for wish in aggregates:
        name, aggregate = load_aggregate(wish)
        if aggregate.aggregate not in RANK_KINDS or aggregate.weights:
            raise UsageError(f"--ensemble compares with rank sums without weights; {wish} is {aggregate}")
        if name in METHODS or name.startswith(JOINT):
            raise UsageError(f"'{name}' is the name of a method of choosing; rename {wish}")


def _pools(arguments: argparse.Namespace, benchmarks: list[Any]) -> list[Pool]:
    """What can be chosen on each benchmark."""
    wish = arguments.pool
    if wish and wish != SHARED and arguments.components:
        raise UsageError("--components adds columns to the usual pool; name them in --pool, as label.column")
    wished = [] if wish in (None, SHARED) else list(dict.fromkeys(wish.split(",")))
    pools = [
        pool_of(each, wished=wished, components=arguments.components, aggregates=arguments.aggregate)
        for each in benchmarks
    ]
    if wish == SHARED:
        names = shared_pools(pools)
        pools = [pool_of(each, wished=names, aggregates=arguments.aggregate) for each in benchmarks]
    return pools


def _write(found: Study, folder: Path) -> None:
    frames = {
        "ensembles": found.table,
        "differences": found.differences,
        "folds": found.folds,
        "transfer": found.transfer,
    }
    for name, frame in frames.items():
        frame.round(DECIMALS).to_csv(folder / f"{name}.csv", index=False)
    write_whole(folder / "ensembles.md", draw_markdown(found).encode())
