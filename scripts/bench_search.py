"""How many steps a second the search algorithms make on stored scores, on one core.

    python scripts/bench_search.py [--seeds 100] [--steps 1000] [NAME ...]

Scores are made up: one number for each cell of NAS-Bench-201, and three for guides that add up ranks.  Every
step is proposed, told and answered, as a search that notes its incumbents does.  Seconds are of the process,
which other jobs on the machine lengthen less than those of the clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from nasbench_eval.paths import config_folder, configured
from nasbench_eval.search.algorithms.base import Algorithm, Problem
from nasbench_eval.search.course import algorithm_of
from nasbench_eval.search.draws import Draws
from nasbench_eval.search.guide import ByRanks, ByValue, Judge
from nasbench_eval.search.history import CLOCKS, History
from nasbench_eval.search.moves import Cells201

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="searches in lockstep")
    parser.add_argument("--steps", type=int, default=1000, help="trials of each")
    parser.add_argument("names", nargs="*", default=configured("algorithm"), help="YAML files of algorithms")
    arguments = parser.parse_args()
    print(f"{'algorithm':24}{'guide':>10}{'seeds':>7}{'steps':>7}{'seconds':>9}{'steps/s':>11}")
    for name, judge in cases(arguments.names):
        share = SLOW.get(name, 1)
        seeds, steps = max(arguments.seeds // share, 1), max(arguments.steps // share, 1)
        taken = seconds(algorithm(name), judge, seeds, steps)
        guide = "value" if judge is ONE else "3 ranks"
        print(f"{name:24}{guide:>10}{seeds:>7}{steps:>7}{taken:>9.2f}{seeds * steps / taken:>11,.0f}")


if __name__ == "__main__":
    main()
