"""The command line of `nasbench-merge`.

What the command does is imported only when it does it: its help need not wait for PyTorch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nasbench_eval import __version__
from nasbench_eval.errors import Parser, guard

_EPILOG = """\
The shards are those that nasbench-score shard=0/8, 1/8 ... left in RUN/shards.  What is finished
of them is merged, also while others are being scored: the same command takes the rest later, and
no row twice.  Rows that RUN has already stay.  What is missing is told shard by shard, with the
command that scores it; a list too long for a line stands in RUN/missing.txt.

Exit code: 0 if nothing is missing, 1 if something is (what is there was merged), 2 for a request
that cannot be met, such as shards of different configurations; then nothing was written.
"""


def main() -> int:
    """Run the command.

    Returns:
        0 if nothing is missing, 1 if something is, 2 for a request that cannot be met, 130 if interrupted.
    """
    return guard(lambda: _merge(_arguments()), "the same command merges the rest")


def _merge(arguments: argparse.Namespace) -> int:
    from nasbench_eval.merge.command import merge

    return merge(arguments.run, check=arguments.check, remove=arguments.remove, data=arguments.data)


def _arguments() -> argparse.Namespace:
    return _parser().parse_args(Parser.words(sys.argv[1:]))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="nasbench-merge",
        description="Join the shards of a run: its scores in one file a proxy, and what is missing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--version", action="version", version=f"%(prog)s {__version__}")
    add("run", type=Path, metavar="RUN", help="the run's folder, which holds `shards`")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--check", action="store_true", help="say what is missing, and write nothing")
    either.add_argument(
        "--remove",
        action="store_true",
        help="delete each shard that is complete, once its rows are found in the merged run",
    )
    add(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="folder of the accuracies, which say what a stratified sample holds (NASBENCH_EVAL_DATA)",
    )
    return parser
