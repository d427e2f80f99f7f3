"""Print the architectures of a search space that there are published accuracies of, one a line.

The list can be given to commands as `archs=FILE`.  It has names alone, no accuracies.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nasbench_eval import registry
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
    args = parser.parse_args()
    if not is_open(registry.find("spaces", args.space)()):
        raise UsageError(f"{args.space} has an order, so that its architectures need no list: n=all has them")
    print("\n".join(load_table(args.space, data_folder(args.data))["arch"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(guard(main))
