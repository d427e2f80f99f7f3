"""Does a search pay?  Three searches with InTrain, and their answers trained against random networks.

The space is DARTS's, in thin networks; the images are scikit-learn's digits at 32 pixels.  Each answer has a
random network of about its FLOPs for a rival, and all are trained alike.  It prints the accuracies and what
to make of them.  Interrupted, it continues where it stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from scipy import stats

from nasbench_eval import load_search
from nasbench_eval.errors import Parser, UsageError, guard
from nasbench_eval.retrain import outcome
from nasbench_eval.spaces.darts import DARTS

SIDE, CLASSES = 32, 10
# Random genotypes that rivals are chosen from.
_DRAWS = 2000


def main() -> int:
    """Run the demonstration; returns the exit code."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--results", type=Path, default=Path("results"), help="folder of runs (results)")
    add("--run", default="demo-search", help="folder of this one in it (demo-search)")
    add("--networks", type=int, default=3, help="searches, and so networks of either kind (3)")
    add("--steps", type=int, default=60, help="networks that each search scores (60)")
    add("--epochs", type=int, default=12, help="of each training (12)")
    add("--images", type=int, default=400, help="to train with (400)")
    add("--channels", type=int, default=4, help="C of the thin networks (4)")
    add("--layers", type=int, default=5, help="their cells (5)")
    add("--at-once", type=int, default=2, help="trainings at the same time, a core each (2)")
    return guard(lambda: _demo(parser.parse_args()))


def _demo(asked: argparse.Namespace) -> int:
    space = DARTS(channels=asked.channels, layers=asked.layers)
    size = ["space=darts", f"space.channels={asked.channels}", f"space.layers={asked.layers}"]
    place = [f"results={asked.results}"]
    search = [*size, *place, "dataset=cifar10", "guide=intrain", "algorithm=regularized_evolution"]
    search += [f"steps={asked.steps}", f"seeds={asked.networks}", f"run={asked.run}/search"]
    _command("search", *search, "proxy.batch_size=16", f"proxy.resolution={SIDE}")
    found = [str(text) for text in load_search(asked.results / asked.run / "search").arch]
    rivals = rivals_of(space, found)
    train = [*size, *place, "images=digits", f"resolution={SIDE}", "val_images=0", "threads=1", "device=cpu"]
    train += [f"train_images={asked.images}", f"recipe.epochs={asked.epochs}", "recipe.batch_size=16"]
    named = {f"found-{n}": text for n, text in enumerate(found)}
    named |= {f"random-{n}": text for n, text in enumerate(rivals)}

    def trained(name: str) -> float:
        run = f"{asked.run}/{name}"
        _command("retrain", *train, f"arch={named[name]}", f"run={run}")
        return float(outcome.read(asked.results / run)["result"]["last"]["test"])

    with ThreadPoolExecutor(asked.at_once) as threads:
        accuracies = dict(zip(named, threads.map(trained, named), strict=True))
    for name, text in named.items():
        flops = space.flops(space.parse(text), resolution=SIDE, num_classes=CLASSES)
        print(f"{name:10} {accuracies[name]:6.2f} %  {flops / 1e6:5.2f} M multiply-accumulates  {text}")
    ours, theirs = ([accuracies[n] for n in named if n.startswith(kind)] for kind in ("found", "random"))
    print(verdict(ours, theirs))
    return 0


def rivals_of(space: DARTS, found: Sequence[str]) -> list[str]:
    """For each architecture a random one, the nearest in FLOPs that is not taken yet."""

    def flops(arch: object) -> int:
        return space.flops(arch, resolution=SIDE, num_classes=CLASSES)  # type: ignore[arg-type]

    rng = np.random.default_rng(0)
    drawn = dict.fromkeys(space.format(space.sample(rng)) for _ in range(_DRAWS))
    counted = {text: flops(space.parse(text)) for text in drawn if text not in found}
    rivals: list[str] = []
    for text in found:
        wanted = flops(space.parse(text))
        nearest = min((t for t in counted if t not in rivals), key=lambda t: abs(counted[t] - wanted))
        rivals.append(nearest)
    return rivals


def verdict(found: Sequence[float], random: Sequence[float]) -> str:
    """Whether the search paid: the mean difference of pairs, with Student's 95 % interval."""
    difference = float(np.mean(found) - np.mean(random))
    interval = stats.ttest_rel(found, random).confidence_interval(0.95)
    low, high = float(interval.low), float(interval.high)
    said = (
        "the search paid" if low > 0 else "the search did harm" if high < 0 else "too few to tell them apart"
    )
    return (
        f"found {np.mean(found):.2f} %, random {np.mean(random):.2f} %: {difference:+.2f} points "
        f"[{low:.2f}, {high:.2f}] over {len(found)} pairs of about the same FLOPs, one training each; {said}"
    )


def _command(name: str, *words: str) -> None:
    code = f"import sys; from nasbench_eval.cli import {name}; sys.exit({name}())"
    done = subprocess.run([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UsageError(f"nasbench-{name} ended with exit code {done.returncode}: {last}")


if __name__ == "__main__":
    sys.exit(main())
