"""The command line of `nasbench-show`.

What the command does is imported only when it does it: its help need not wait for PyTorch.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from nasbench_eval import __version__
from nasbench_eval.errors import Parser, guard
from nasbench_eval.registry import UnknownName
from nasbench_eval.wording import shown

_EPILOG = """\
ARCH is a text of the search space, in quotes for the shell, or for an enumerated space the number
of an architecture.  For nasbench101 the benchmark's hash will do as well.

MACs are multiply-accumulates of convolution and linear layers for one image.  Accuracies are told
where the tables are at hand, such as those that nasbench-data builds.
"""
_LARGEST, _MOST_CLASSES = 8192, 100_000


def main() -> int:
    """Run the command; returns its exit code, 2 for a request that cannot be met, 130 if interrupted."""
    return guard(lambda: _show(_arguments()), "nothing was changed")


def _show(arguments: argparse.Namespace) -> int:
    from nasbench_eval.show.command import show

    return show(arguments)


def _arguments() -> argparse.Namespace:
    parser = _parser()
    flags = {flag: action.nargs != 0 for action in parser._actions for flag in action.option_strings}
    words = _words(sys.argv[1:], [flag[2:] for flag, valued in flags.items() if valued])
    for word in words[: words.index("--")] if "--" in words else words:
        name = word.partition("=")[0]
        if name.startswith("--") and not any(flag.startswith(name) for flag in flags):
            raise UnknownName("flag", name, flags)
    return parser.parse_args(words)


def _words(arguments: Sequence[str], options: Sequence[str]) -> list[str]:
    """The arguments; options that are given as to the Hydra commands, `space=nasbench101`, as flags.

    Others stay, since the text of an architecture may have an `=` of its own.
    """
    given = re.compile(f"(?:{'|'.join(options)})=")
    flags = {f"--{name}" for name in options}
    return [
        f"--{word}" if given.match(word) and before not in flags else word
        for before, word in pairwise(["", *arguments])
    ]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="nasbench-show",
        description="Show an architecture: its name, the size of its network by stage, its cell, and its "
        "accuracies.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--version", action="version", version=f"%(prog)s {__version__}")
    add("arch", metavar="ARCH", help="a text or an index")
    add("--space", metavar="NAME", help="the search space (nasbench201)")
    add(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the space, such as channels=8; may be repeated",
    )
    add(
        "--dataset",
        metavar="NAME",
        help="the data set whose resolution and classes are taken (cifar10)",
    )
    add(
        "--resolution",
        type=_between(1, _LARGEST),
        metavar="PIXELS",
        help="height and width of the image (those of the data set)",
    )
    add("--classes", type=_between(1, _MOST_CLASSES), metavar="N", help="classes (those of the data set)")
    add(
        "--truth",
        metavar="NAME",
        help="a benchmark that brings space, data set and accuracies: digits (embedded), or the folder of "
        "one that nasbench-train made",
    )
    add("--figure", type=Path, metavar="FILE", help="draw the cell: FILE ends in .png, .pdf or .svg")
    add(
        "--diagnose",
        action="store_true",
        help="say which layers and gradients make InTrain's score of the network, and which are weakest",
    )
    add("--json", action="store_true", help="print one JSON object and nothing else")
    add("--data", type=Path, metavar="FOLDER", help="folder of the tables of accuracies (NASBENCH_EVAL_DATA)")
    return parser


def _between(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number between two others, both included."""

    def read(text: str) -> int:
        number = int(text) if re.fullmatch(r"-?[0-9]{1,12}", text) else None
        if number is None:
            raise argparse.ArgumentTypeError(f"{shown(text)} is no whole number")
        if not least <= number <= most:
            nearest = min(max(number, least), most)
            raise argparse.ArgumentTypeError(
                f"{number} is not from {least} to {most}; the nearest is {nearest}"
            )
        return number

    return read
