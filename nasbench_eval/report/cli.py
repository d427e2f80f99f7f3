"""The command line of `nasbench-report`.

What the command does is imported only when it does it: its help need not wait for pandas and SciPy.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from nasbench_eval import __version__
from nasbench_eval.errors import Parser, guard
from nasbench_eval.paths import configured
from nasbench_eval.report import FORMATS, PAPERS_TABLES, PNG

# Folders of a machine, which a page does not tell.
FOLDERS = ("data", "out")


def main() -> int:
    """Run the command; returns its exit code, 2 for a request that cannot be met, 130 if interrupted."""
    return guard(lambda: _report(_arguments()), "run the same command again for the tables")


def _report(arguments: argparse.Namespace) -> int:
    from nasbench_eval.report.command import report

    return report(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="nasbench-report",
        description="Correlate a run's scores with the benchmark's accuracies, or say what searches found or "
        "what a training came to; write tables and figures.",
    )
    add = parser.add_argument
    add("--version", action="version", version=f"%(prog)s {__version__}")
    add(
        "run",
        nargs="+",
        type=Path,
        help="a run's folder; several are read as one; or searches, or nasbench-retrain's folders",
    )
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
        help=f"tables: {', '.join(configured('table'))}, or the path of a YAML file; may be repeated "
        f"({', '.join(PAPERS_TABLES)}, as far as they are about the run's space)",
    )
    add(
        "--aggregate",
        action="append",
        default=[],
        metavar="NAME",
        help=f"add a row: {', '.join(configured('aggregate'))}, or the path of a YAML file; may be repeated",
    )
    add(
        "--figures",
        type=_formats,
        default=PNG,
        metavar="FORMAT[,FORMAT]",
        help=f"formats of the figures: {', '.join(FORMATS)}; none for no figures (png)",
    )
    add(
        "--split",
        default="both",
        metavar="NAME[,NAME]",
        help="accuracies to judge by: test, val or both; or the splits of a table that --truth names (both)",
    )
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
    add(
        "--truth",
        metavar="NAME",
        help="accuracies to judge by: a CSV or parquet file of your own, a public table that nasbench-data "
        "--list names, digits (embedded), or the folder of a benchmark that nasbench-train made (those that "
        "the run was scored on)",
    )
    add("--all-rows", action="store_true", help="draw the rows that nobody scored as well (no)")
    add(
        "--tau",
        type=Path,
        metavar="RUN",
        help="of searches: a run of scores with a report, or one CSV of it; does the τ of a guide predict "
        "what is found with it?",
    )
    add(
        "--landscape",
        metavar="RUN",
        help="of searches on nasbench201: draw two seeds, or two forks of one search, on their principal "
        "axes, above the cells of a run of scores; none for the cells they visited alone",
    )
    add(
        "--indicators",
        metavar="LABEL,LABEL",
        help="of a run of scores on nasbench201: compare these scores with each other, with their rank sum "
        "and with accuracy",
    )
    add(
        "--epochs",
        metavar="PROXY",
        help="of a run of scores of one proxy after several numbers of epochs of training: what it says of "
        "bad, middling and good architectures over the epochs",
    )
    add(
        "--costs",
        metavar="TABLE[:COST,COST]",
        help="of a run of scores: what they know of accuracy beyond a cost of inference, and what they pick "
        "within a budget of it, such as hw_nasbench201:edgegpu_latency",
    )
    add(
        "--compare",
        type=Path,
        metavar="JSON",
        help="of a run of scores on nasbench201 or transnas_micro: how far do they rank cells as those of a "
        "file of NAS-Bench-Suite-Zero, such as zc_nasbench201.json, do?",
    )
    add(
        "--across",
        action="store_true",
        help="one table of proxies by benchmarks: each run, on each of its data sets, is judged by its own "
        "accuracies; with mean ranks, worst cases, and how far the benchmarks agree",
    )
    add(
        "--measure",
        choices=["tau", "rho"],
        help="with --across: Kendall τ or Spearman ρ (tau)",
    )
    add(
        "--ensemble",
        type=int,
        metavar="K",
        help="combinations of up to K proxies, chosen and judged on different architectures, then on the "
        "other benchmarks of the runs",
    )
    add(
        "--pool",
        metavar="LABEL[,LABEL]",
        help="with --ensemble: the proxies, or their columns LABEL.COLUMN, to choose from; shared for those "
        "that all benchmarks have (of each benchmark what was scored on half of its architectures or more)",
    )
    add(
        "--components",
        action="store_true",
        help="with --ensemble: the columns of proxies can be chosen as well (no)",
    )
    add("--passes", type=int, metavar="N", help="with --ensemble: combinations of up to N passes (any)")
    add("--data", type=Path, help="folder of the ground-truth tables (NASBENCH_EVAL_DATA)")
    add("--out", type=Path, help="folder to write to (tables/ in the first run)")
    return parser


def _formats(text: str) -> tuple[str, ...]:
    """The formats of `png,pdf`, or none of them, in the order of `FORMATS`."""
    wished = set(text.split(",")) - {"none"}
    if unknown := wished - set(FORMATS):
        known = f"{', '.join(FORMATS)}, or none"
        raise argparse.ArgumentTypeError(
            f"there is no format {', '.join(sorted(unknown))}; there are {known}"
        )
    return tuple(ending for ending in FORMATS if ending in wished)


def _arguments() -> argparse.Namespace:
    return parsed(sys.argv[1:])


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options that arguments name.  Raises UsageError."""
    words = Parser.words(arguments)
    return _parser().parse_args(words, argparse.Namespace(command=_shown(words)))


def _shown(words: Sequence[str]) -> str:
    """The command without folders of this machine."""
    kept = [
        word
        for before, word in pairwise(["", *words])
        if not {before, word.partition("=")[0]} & {f"--{name}" for name in FOLDERS}
    ]
    return shlex.join(["nasbench-report", *kept])
