"""Print the architectures of a search space that there are published accuracies of, one a line.

The list can be given to commands as `archs=FILE`.  It has names alone, no accuracies.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nasbench_eval import registry, sampling
from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import Parser, UsageError, guard
from nasbench_eval.spaces.open import is_open
from nasbench_eval.truth.tables import load_table


def main() -> int:
    """Print the list; returns the exit code."""
    parser = Parser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("space", help="an open search space, such as darts or timm")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the data folder")
    parser.add_argument("--without", metavar="TEXT", help="leave out architectures whose text holds this")
    parser.add_argument(
        "--n", type=int, help="print so many of them, drawn at random, the same ones each time"
    )
    args = parser.parse_args()
    if not is_open(registry.find("spaces", args.space)()):
        raise UsageError(f"{args.space} has an order, so that its architectures need no list: n=all has them")
    archs = load_table(args.space, data_folder(args.data))["arch"].tolist()
    kept = [arch for arch in archs if args.without is None or args.without not in arch]
    if args.n is not None:
        if not 0 < args.n <= len(kept):
            raise UsageError(f"--n {args.n}: there are {len(kept):,} of them")
        kept = [kept[place] for place in sampling.uniform(len(kept), args.n, 0)]
    print("\n".join(kept))
    return 0


if __name__ == "__main__":
    raise SystemExit(guard(main))
