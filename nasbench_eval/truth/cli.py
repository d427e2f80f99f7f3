"""The command `nasbench-data`: builds or checks the folder of ground truth and images.

What builds it is imported only when it is to be built: the help need not wait for pandas and SciPy.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nasbench_eval import __version__
from nasbench_eval.data.folder import VARIABLE, output_folder
from nasbench_eval.errors import Parser, UsageError, guard

# Stands for no file being named after --nasbench101.
_DOWNLOAD = Path()


def main() -> int:
    """Run `nasbench-data` with the arguments of the process; returns the exit code."""
    return guard(_run)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="nasbench-data",
        description="Build the folder of ground-truth tables and images from public or official files.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "tables",
        nargs="*",
        metavar="TABLE",
        help="public tables to build, and nothing else; --list names them (default: the table of "
        "NAS-Bench-201 and the images)",
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="say which public tables there are, from where, their licences and sizes, and build nothing",
    )
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help=f"the data folder (default: ${VARIABLE}, else ./data)"
    )
    # What it was called first.
    parser.add_argument("--out", dest="data", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument(
        "--nats",
        type=Path,
        metavar="PATH",
        help="official NATS-tss folder or file (default: public CSVs); gives the 12-epoch trainings "
        "of all cells as well",
    )
    parser.add_argument(
        "--imagenet16", type=Path, metavar="FOLDER", help="official ImageNet16 folder, for imagenet16_120"
    )
    parser.add_argument("--check", action="store_true", help="check the folder and build nothing")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--tables-only", action="store_true", help="build no images")
    only.add_argument("--images-only", action="store_true", help="build no tables")
    only.add_argument(
        "--short",
        action="store_true",
        help="build the table of the 12-epoch trainings of NAS-Bench-201's cells 0 to 999 and nothing else "
        "(downloads 1.2 MB; its source states no licence)",
    )
    only.add_argument(
        "--timm",
        action="store_true",
        help="build the tables of timm's ImageNet-1k accuracies and inference speeds and nothing else "
        "(downloads 0.2 MB, Apache-2.0)",
    )
    only.add_argument(
        "--darts",
        action="store_true",
        help="build the table of 1,000 genotypes of the DARTS space with accuracies on CIFAR-10 and nothing "
        "else (downloads 0.4 MB; its source states no licence)",
    )
    only.add_argument(
        "--nasbench101",
        type=Path,
        nargs="?",
        const=_DOWNLOAD,
        metavar="FILE",
        help="build NAS-Bench-101's table and nothing else, from nasbench_only108.tfrecord or "
        "nasbench_full.tfrecord (default: download the former, 523 MB)",
    )
    return parser


def _run() -> int:
    args = _parser().parse_args(Parser.words(sys.argv[1:]))
    alone = [name for name in ("nasbench101", "short", "timm", "darts") if getattr(args, name)]
    if alone and (args.check or args.nats or args.imagenet16):
        raise UsageError(f"--{alone[0]} builds its table alone; leave out --check, --nats and --imagenet16")
    if args.tables and (
        alone or args.check or args.list or args.tables_only or args.images_only or args.nats
    ):
        raise UsageError(f"{args.tables[0]} names a table to build alone; leave out the options but --data")
    from nasbench_eval.data.images import FORMATS
    from nasbench_eval.truth import build

    folder = output_folder(args.data)
    say(f"data folder {folder}")
    if args.list:
        build.list_tables(folder, say)
        return 0
    if args.tables:
        for name in dict.fromkeys(args.tables):
            build.build_public(folder, name, say)
        return 0
    if args.check:
        return build.check_folder(folder, say)
    if args.short:
        build.build_sample(folder, say)
        return 0
    if args.timm:
        build.build_timm(folder, say)
        return 0
    if args.darts:
        build.build_darts(folder, say)
        return 0
    if args.nasbench101 is not None:
        build.build_nasbench101(folder, None if args.nasbench101 is _DOWNLOAD else args.nasbench101, say)
        return 0
    if not args.images_only:
        build.build_table(folder, args.nats, say)
    if not args.tables_only:
        # What needs no network comes first, so that a failing one leaves as much as possible.
        for dataset in sorted(FORMATS, key=lambda name: name != "imagenet16_120"):
            build.build_images(folder, dataset, args.imagenet16, say)
    return 0


def say(line: str) -> None:
    """Print a line at once, so that it is seen before a long step."""
    print(line, flush=True)
