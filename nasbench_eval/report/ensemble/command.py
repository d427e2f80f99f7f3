"""What `nasbench-report --ensemble` does: combinations, chosen and judged on different architectures."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nasbench_eval.errors import UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.report.across.benchmarks import benchmarks_of, require_aggregates
from nasbench_eval.report.across.command import OTHERS, folder_of, run_records
from nasbench_eval.report.apart import Apart, cores
from nasbench_eval.report.ensemble.choose import FOLDS
from nasbench_eval.report.ensemble.draw import draw_markdown, draw_text
from nasbench_eval.report.ensemble.pool import SHARED, Pool, pool_of, shared_pools
from nasbench_eval.report.ensemble.source import REFERENCES, Options
from nasbench_eval.report.ensemble.study import Study, study
from nasbench_eval.report.folder import DECIMALS, Writing, refuse, write_record
from nasbench_eval.report.spec import load_aggregate

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
        candidates = {pool.benchmark.name: list(pool.names[: pool.candidates]) for pool in pools}
        write_record(
            folder, {"settings": settings, "candidates": candidates, "runs": run_records(benchmarks)}
        )
    names = ["ensembles.csv/.md", "differences.csv", "folds.csv", "transfer.csv", "report.json"]
    print(f"written to {folder}: {', '.join(names)}")
    return 0


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
