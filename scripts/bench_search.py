"""How many steps a second the search algorithms make on stored scores, on one core.

    python scripts/bench_search.py [--seeds 100] [--steps 1000] [NAME ...]
    python scripts/bench_search.py --archive 100000

Scores are made up: one number for each cell of NAS-Bench-201, and three for guides that add up ranks.  Every
step is proposed, told and answered, as a search that notes its incumbents does.  Seconds are of the process,
which other jobs on the machine lengthen less than those of the clock.  With `--archive` it is AZ-NAS's
evolution on MobileNetV2 below 450 million FLOPs with so many members, guided by one or four random numbers:
what a search costs besides its proxies, the counting of FLOPs and the storing of its history included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from scipy.stats import rankdata

from nasbench_eval.paths import config_folder, configured
from nasbench_eval.search.algorithms.aznas import AZNAS
from nasbench_eval.search.algorithms.base import Algorithm, Problem
from nasbench_eval.search.course import algorithm_of
from nasbench_eval.search.draws import Draws
from nasbench_eval.search.guide import ByRanks, ByValue, Judge
from nasbench_eval.search.history import CLOCKS, History
from nasbench_eval.search.moves import Cells201, moves_of
from nasbench_eval.search.scores import Known
from nasbench_eval.search.stored import HistoryFiles, Trace
from nasbench_eval.spaces.base import Names
from nasbench_eval.spaces.mobilenetv2 import MobileNetV2
from nasbench_eval.spaces.open import known

CELLS = 15625
ONE, THREE = ByValue(("value",)), ByRanks(("a", "b", "c"))
# Optuna's samplers take milliseconds a step.
SLOW = {"tpe": 20, "nsga2": 20}


def algorithm(name: str) -> Algorithm:
    """The algorithm that a YAML file describes."""
    options: Any = OmegaConf.to_container(OmegaConf.load(config_folder() / "algorithm" / f"{name}.yaml"))
    return algorithm_of(options)[1]


def seconds(what: Algorithm, judge: Judge, seeds: int, steps: int) -> float:
    """The process's seconds of a search."""
    table = np.random.default_rng(0).random((CELLS, len(judge.values)))
    moves, free = Cells201(), np.zeros((seeds, len(CLOCKS)))
    moves.encode(np.zeros(1, np.int64))  # the table of cells is made once
    start = time.process_time()
    search = what.begin(Problem(moves, judge, seeds, steps))
    draws, history = Draws(0, range(seeds), search.uniforms), History(seeds, len(judge.values))
    for step in range(steps):
        history.propose(search.propose(history.past(step), draws.of(step)))
        history.tell(step, table[history.archs_TS[step]], free)
        search.answer(history.past(step + 1))
    return time.process_time() - start


def cases(names: list[str]) -> Iterator[tuple[str, Judge]]:
    """Algorithms, each with the guides that it takes."""
    for name in names:
        if name == "prune" or (name in SLOW and find_spec("optuna") is None):
            continue  # supernets have other moves
        judges = [THREE] if name == "successive_halving" else [ONE, THREE]
        yield from ((name, judge) for judge in judges if not (name == "reinforce_nats" and judge is THREE))


def after(members: int, values: int, steps: int) -> float:
    """The process's seconds of some steps of a search on MobileNetV2 whose archive has so many members."""
    space = known(MobileNetV2(max_flops=450_000_000), ())
    names = tuple(f"v{place}" for place in range(values))
    judge: Judge = ByValue(names) if values == 1 else ByRanks(names, "log")
    search = AZNAS().begin(Problem(moves_of(space), judge, 1, members + steps))
    draws, history, free = Draws(0, range(1), search.uniforms), History(1, values), np.zeros((1, len(CLOCKS)))
    told, rng = Known(values), np.random.default_rng(0)
    trace = Trace(history, [], [], np.array([-1]))
    start = 0.0
    with tempfile.TemporaryDirectory() as folder:
        files = HistoryFiles(Path(folder), (0,), names, Names(space))
        for step in range(members + steps):
            if step == members:
                files.write(trace)
                start = time.process_time()
            archs_S = search.propose(history.past(step), draws.of(step))
            history.propose(archs_S)
            for column in range(values):
                told.add(column, archs_S.tolist(), rng.random(1).tolist(), free)
            history.tell(step, told.of(archs_S, range(values))[0], free)
            trace.answers_TS.append(search.answer(history.past(step + 1)).copy())
            trace.wall_T.append(0.0)
        files.write(trace)
        return time.process_time() - start


def ranked_anew(members: int, times: int = 5) -> float:
    """The process's seconds of ranking four values of so many members, and adding up the logarithms."""
    values, start = np.random.default_rng(0).random((members, 4)), time.process_time()
    for _ in range(times):
        np.log(rankdata(values, axis=0) / members).sum(1).argsort()
    return (time.process_time() - start) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="searches in lockstep")
    parser.add_argument("--steps", type=int, default=1000, help="trials of each")
    parser.add_argument("names", nargs="*", default=configured("algorithm"), help="YAML files of algorithms")
    parser.add_argument("--archive", type=int, help="members of an archive: MobileNetV2 in place of cells")
    arguments = parser.parse_args()
    if arguments.archive is not None:
        for values in (1, 4):
            taken = after(arguments.archive, values, arguments.steps)
            speed = f"{arguments.steps / taken:,.0f} steps/s"
            print(f"aznas, archive of {arguments.archive:,}, {values} values: {speed}")
        print(f"all ranked anew by SciPy, 4 values: {1 / ranked_anew(arguments.archive):,.0f} steps/s")
        return
    print(f"{'algorithm':24}{'guide':>10}{'seeds':>7}{'steps':>7}{'seconds':>9}{'steps/s':>11}")
    for name, judge in cases(arguments.names):
        share = SLOW.get(name, 1)
        seeds, steps = max(arguments.seeds // share, 1), max(arguments.steps // share, 1)
        taken = seconds(algorithm(name), judge, seeds, steps)
        guide = "value" if judge is ONE else "3 ranks"
        print(f"{name:24}{guide:>10}{seeds:>7}{steps:>7}{taken:>9.2f}{seeds * steps / taken:>11,.0f}")


if __name__ == "__main__":
    main()
