"""Say why proxies rank timm's networks as they do: over all, within recipes, by family, given size and depth.

Reads a run of scores (`nasbench-score experiment=timm`) and the published accuracies; prints tables and
writes them to `tables/study` of the run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import Parser, guard
from nasbench_eval.files import write_whole
from nasbench_eval.report import study
from nasbench_eval.report.frames import load_scores
from nasbench_eval.spaces.timm import Timm


def main() -> int:
    """Run the study; returns the exit code."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run's folder, such as results/timm")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the data folder")
    arguments = parser.parse_args()
    data = data_folder(arguments.data)
    frame = study.joined(arguments.run, data)
    names = [*study.PUBLISHED, *load_scores(arguments.run, space="timm")]
    tables = {
        "overall": study.overall(frame, names).sort_values("tau", ascending=False),
        "recipes": study.by_recipe(frame, names, data),
        "families": study.by_family(frame, names, Timm().family),
    }
    folder = arguments.run / "tables" / "study"
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_whole(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.4f").encode())
    text = "\n".join(study.markdown(name, table) for name, table in tables.items())
    write_whole(folder / "study.md", f"# What ranks timm's small networks\n\n{text}".encode())
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(guard(main))
