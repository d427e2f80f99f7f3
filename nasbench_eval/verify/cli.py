"""The command line of `nasbench-verify`.

What the command does is imported only when it does it: its help need not wait for PyTorch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nasbench_eval import __version__
from nasbench_eval.errors import Parser, guard

_EPILOG = """\
A line a check: ok, FAIL or skip with the reason.  Exit code: 0 if no check fails, 1 if one does,
2 for a request that cannot be met.  A skipped check is no failure: it says what cannot be told
here, such as the scores of a proxy whose version has been raised since, or which reads images
that are not there.

Scores are compared bit for bit if the run was made on a CPU with the PyTorch, instruction set and
(where recorded) model of processor that are used here, else within --rtol.
"""


def main() -> int:
    """Run the command.

    Returns:
        0 if no check fails, 1 if one does, 2 for a request that cannot be met, 130 if interrupted.
    """
    return guard(lambda: _verify(_arguments()), "nothing was changed")


def _verify(arguments: argparse.Namespace) -> int:
    from nasbench_eval.verify.command import verify

    return verify(arguments)


def _arguments() -> argparse.Namespace:
    return _parser().parse_args(Parser.words(sys.argv[1:]))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="nasbench-verify",
        description="Check finished runs: record, files, completeness, versions; score a few cells again.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--version", action="version", version=f"%(prog)s {__version__}")
    add("run", nargs="+", type=Path, help="a run's folder, or one that holds runs")
    add(
        "--cells",
        type=_positive,
        default=8,
        metavar="N",
        help="cells to score again of each proxy and data set (8)",
    )
    add("--seed", type=_natural, default=0, metavar="N", help="seed of the draw of these cells (0)")
    add("--scores", action=argparse.BooleanOptionalAction, default=True, help="score cells again (yes)")
    add(
        "--skip",
        action="append",
        default=[],
        metavar="LABEL[,LABEL]",
        help="proxies not to score again, such as those that train; may be repeated",
    )
    add("--rtol", type=_tolerance, default=1e-3, help="tolerance where bits may differ, relative (1e-3)")
    add("--near", action="store_true", help="compare within --rtol even where bits should agree")
    add("--data", type=Path, metavar="FOLDER", help="folder of the images (NASBENCH_EVAL_DATA)")
    return parser


def _positive(text: str) -> int:
    if (number := _natural(text)) < 1:
        raise argparse.ArgumentTypeError("should be at least 1")
    return number


def _natural(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 0 on")
    return number


def _tolerance(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 0 to 1")
    return number
