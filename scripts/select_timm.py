"""Print the architectures of timm that are small and were trained on ImageNet-1k alone.

The list can be given to commands as `archs=FILE`: an architecture a line, with comments.  The comments say
how well size and slowness alone rank these architectures by accuracy; no accuracy is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import Parser, guard
from nasbench_eval.truth import timm

# Fewer architectures than these say little about a recipe.
FEWEST = 10


def main() -> int:
    """Print the list; returns the exit code."""
    parser = Parser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the data folder")
    parser.add_argument("--max-params", type=float, default=30e6, metavar="N", help="most parameters")
    parser.add_argument("--max-gmacs", type=float, default=2.0, metavar="X", help="most GMACs of an image")
    parser.add_argument(
        "--kinds", default=",".join(timm.KINDS), metavar="KIND,...", help="kinds of recipes that count"
    )
    args = parser.parse_args()
    folder, kinds = data_folder(args.data), args.kinds.split(",")
    table = timm.selected(folder, args.max_params, args.max_gmacs, kinds)
    print(
        f"# {len(table)} architectures of timm with at most {args.max_params / 1e6:g} M parameters and "
        f"{args.max_gmacs:g} GMACs, trained on ImageNet-1k alone ({', '.join(kinds)})."
    )
    print("# Kendall's tau-b with top-1 accuracy, and n:")
    for name, column in (("best recipe", "imagenet1k_test"), ("mean of recipes", "imagenet1k_test_mean")):
        print(f"# {name}: {_told(timm.baselines(table, column))}")
    rows = timm.recipes(folder, kinds)
    rows = rows[rows["arch"].isin(table["arch"])]
    for tag, group in rows[rows["tag"] != "in1k"].groupby("tag"):
        if len(group) >= FEWEST:
            print(f"# recipe {tag}: {_told(timm.baselines(group, 'top1'))}")
    print("\n".join(table["arch"]))
    return 0


def _told(baselines: object) -> str:
    rows = baselines.to_dict("records")  # type: ignore[attr-defined]
    return ", ".join(f"{row['baseline']} {row['tau']:.3f}" for row in rows) + f" (n = {rows[0]['n']})"


if __name__ == "__main__":
    raise SystemExit(guard(main))
