"""What `nasbench-report --across` does: proxies on the benchmarks of several runs, side by side."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.report.across.benchmarks import Benchmark, benchmarks_of, facts_of, require_aggregates
from nasbench_eval.report.across.draw import (
    TITLE,
    agreement_caption,
    caption,
    draw_latex,
    draw_markdown,
    draw_text,
)
from nasbench_eval.report.across.table import TAU, Across, across
from nasbench_eval.report.apart import Apart, cores
from nasbench_eval.report.folder import DECIMALS, Writing, draw_into, recorded, refuse, write_record
from nasbench_eval.report.scores import Run, Scores
from nasbench_eval.report.tables import Settings
from nasbench_eval.report.write import NO_PLOTLY, PAGE

# What other reports take, with the value that means it was not asked for.
OTHERS: dict[str, Any] = {
    "table": None,
    "seeds": [],
    "truth": None,
    "indicators": None,
    "epochs": None,
    "costs": None,
    "compare": None,
    "tau": None,
    "landscape": None,
    "all_rows": False,
}
_OF_ENSEMBLES: dict[str, Any] = {"ensemble": None, "pool": None, "components": False, "passes": None}


def report_across(arguments: argparse.Namespace) -> int:
    """Compute, print and write."""
    refuse(arguments, OTHERS, "without --across")
    refuse(arguments, _OF_ENSEMBLES, "with --ensemble")
    if arguments.format == "html" and find_spec("plotly") is None:
        raise UsageError(NO_PLOTLY)
    folder = folder_of(arguments, "across")
    live = arguments.cells == "live"
    benchmarks = benchmarks_of(arguments.run, arguments.data, arguments.split, live=live)
    require_aggregates(benchmarks, arguments.aggregate)
    settings = Settings(arguments.failures, arguments.resamples, arguments.seed, arguments.cells)
    with Apart(cores()) as apart, Writing(folder):
        table = across(
            benchmarks,
            settings,
            measure=arguments.measure or TAU,
            aggregates=arguments.aggregate,
            map_=apart.map,
        )
        print(draw_text(table))
        figures = draw_into(folder, _drawings(table), arguments.figures, apart) if arguments.figures else []
        _write(table, folder, figures)
        made = _made(table, benchmarks)
        write_record(folder, made)
        if arguments.format == "html":
            runs = {benchmark.run.name: benchmark.run for benchmark in benchmarks}
            _write_page(table, tuple(runs.values()), folder, made, figures, arguments.command)
        elif (folder / PAGE).exists():
            (folder / PAGE).unlink()  # an earlier report's
    endings = "/".join([".csv", ".md", ".tex", *sorted({Path(name).suffix for name in figures})])
    said = [f"across{endings}", "across_proxies.csv", "across_agreement.csv", "report.json"]
    print(f"written to {folder}: {', '.join([*said, *[PAGE] * (arguments.format == 'html')])}")
    return 0


def folder_of(arguments: argparse.Namespace, name: str) -> Path:
    """Where to write: `--out`, or of a single run a folder of this name in its tables.

    Raises:
        UsageError: if several runs are reported and `--out` does not say where.
    """
    if arguments.out is None and len(arguments.run) > 1:
        raise UsageError(f"several runs are reported together with --{name}: say where to with --out")
    return Path(arguments.out or arguments.run[0] / "tables" / name)


def run_records(benchmarks: Sequence[Benchmark]) -> list[dict[str, Any]]:
    """Of each benchmark what a reader has to know of its run."""
    return [
        {
            **asdict(facts_of(benchmark)),
            **recorded(benchmark.run),
        }
        for benchmark in benchmarks
    ]


def _drawings(table: Across) -> list[Any]:
    from nasbench_eval.report.across.figure import draw_across, draw_agreement
    from nasbench_eval.report.figure.write import Drawing

    return [
        Drawing(TITLE, "across", draw_across, (table,)),
        Drawing("Do the benchmarks agree?", "across_agreement", draw_agreement, (table,)),
    ]


def _write(table: Across, folder: Path, figures: Sequence[str]) -> None:
    frames = {
        "across": table.cells,
        "across_proxies": table.proxies,
        "across_agreement": table.agreement,
    }
    for name, frame in frames.items():
        frame.round(DECIMALS).to_csv(folder / f"{name}.csv", index=False)
    pictures = [name for name in figures if name.endswith(".png")]
    write_whole(folder / "across.md", draw_markdown(table, pictures).encode())
    write_whole(folder / "across.tex", draw_latex(table).encode())


def _made(table: Across, benchmarks: Sequence[Benchmark]) -> dict[str, Any]:
    return {
        "settings": {**asdict(table.settings), "measure": table.measure},
        "runs": run_records(benchmarks),
    }


def _write_page(
    table: Across,
    runs: tuple[Run, ...],
    folder: Path,
    made: Mapping[str, Any],
    figures: Sequence[str],
    command: str,
) -> None:
    from nasbench_eval.report.html import write_html

    values = table.values().rename_axis(columns=None)
    values["mean rank"] = table.proxies.set_index("proxy")["mean_rank"]
    values["on all"] = table.proxies.set_index("proxy")["everywhere"]
    values["worst"] = table.proxies.set_index("proxy")["worst"]
    sections: list[tuple[str, str, pd.DataFrame]] = [(TITLE, caption(table), values)]
    if len(table.benchmarks) > 1:
        square = pd.DataFrame(table.square(), table.names, table.names).rename_axis("benchmark")
        sections.append(("Do the benchmarks agree?", agreement_caption(table), square))
    cells = table.cells.set_index("proxy")
    sections.append(("All correlations", "With 95 % intervals, on test and validation accuracy.", cells))
    write_html(
        folder,
        tables=[],
        scores=Scores(runs, {}, {}),
        truths={},
        record=made,
        figures=[(name, folder / name) for name in figures],
        sections=sections,
        command=command,
        lead=f"{len(table.proxies)} proxies on {len(table.benchmarks)} benchmarks.",
    )
