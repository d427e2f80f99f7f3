"""Put what searches on MobileNetV2 found beside published networks, random ones and InTrain's Table 2.

    python scripts/study_intrain_nas.py results/intrain_nas --list structures.txt --full full.txt
    python scripts/study_intrain_nas.py results/intrain_nas --table2
    python scripts/study_intrain_nas.py results/intrain_nas
    python scripts/study_intrain_nas.py results/intrain_nas_ten_minutes --clock

The first lists the networks that are to be scored again, one a line: finds, published ones, some of the
archive, random ones; and 64 of them that are to be scored at the published size.  The second puts InTrain's
finds into its Table 2.  The third reads the scores from `again-*` and `full` in the same folder, as
`make reproduce-intrain-nas` leaves them there, and writes all tables to `tables/study`.  The last tells how
far one search had come after so many seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from nasbench_eval.errors import Parser, UsageError, guard
from nasbench_eval.files import write_whole
from nasbench_eval.report.search.frames import load_search
from nasbench_eval.report.search.unjudged import study

GUIDES = ("intrain", "intrain_cell", "az_nas", "zico", "zen", "params", "flops")
# Seconds at which a search is looked at.
CLOCK = (15, 30, 60, 120, 200, 400, 600)
# The search whose archive gives networks to compare.
ARCHIVE = "450-intrain"


def main() -> int:
    """Run the study; returns the exit code."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of the searches, such as results/intrain_nas")
    parser.add_argument("--list", type=Path, metavar="FILE", help="write the networks to score, and stop")
    parser.add_argument("--full", type=Path, metavar="FILE", help="write 64 to score at the published size")
    parser.add_argument("--table2", action="store_true", help="InTrain's Table 2 alone")
    parser.add_argument("--clock", action="store_true", help="what one search, RUN, had found by the clock")
    arguments = parser.parse_args()
    if arguments.clock:
        trials = load_search(arguments.run, history=True)
        _write({"clock": study.on_the_clock(trials, "intrain", CLOCK)}, arguments.run)
        return 0
    seeds = _seeds(arguments.run)
    if arguments.table2:
        _write({"table2": study.table2(seeds)}, arguments.run)
        return 0
    pool = _pool(arguments.run, seeds)
    if arguments.list or arguments.full:
        _list(pool["arch"], arguments.list)
        _list(study.sixty_four(pool), arguments.full)
        return 0
    small = study.scores_of(sorted(arguments.run.glob("again-*")))
    guides = [guide for guide in GUIDES if guide in study.guided(small)]
    trials = load_search(arguments.run / ARCHIVE, history=True)
    tables = {
        "passed": study.passed(pool, small, trials, "intrain"),
        "again": study.scored_again(seeds, small),
        "ranks": study.ranks_by_group(pool, small, guides),
        "table2": study.table2(seeds),
    }
    if (arguments.run / "full").is_dir():
        tables["settings"] = study.settings(pool, small, study.scores_of([arguments.run / "full"]), "intrain")
    _write(tables, arguments.run)
    return 0


def _list(archs: Iterable[str], file: Path | None) -> None:
    if file is not None:
        lines = [f"{arch}\n" for arch in archs]
        write_whole(file, "".join(lines).encode())
        print(f"{len(lines)} networks in {file}")


def _write(tables: dict[str, pd.DataFrame], run: Path) -> None:
    folder = run / "tables" / "study"
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_whole(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g").encode())
        text = study.table2_text(table) if name == "table2" else table.round(2).to_string(index=False) + "\n"
        print(f"{name}\n{text}")
    print(f"written to {folder}: {', '.join(f'{name}.csv' for name in tables)}")


def _seeds(run: Path) -> pd.DataFrame:
    """What each seed of each search found, as its report has it."""
    file = run / "tables" / "seeds.csv"
    if not file.is_file():
        raise UsageError(f"{file} is not there: nasbench-report {run}/*/ --out {run}/tables writes it")
    return pd.read_csv(file)


def _pool(run: Path, seeds: pd.DataFrame) -> pd.DataFrame:
    trials = load_search(run / ARCHIVE, history=True)
    return study.structures(seeds, trials[trials["seed"] == trials["seed"].min()])


if __name__ == "__main__":
    sys.exit(guard(main))
