"""Does a search pay?  Searches with InTrain, and their answers trained against random networks.

The networks are thin: genotypes of the DARTS space, or structures of the MobileNetV2 space under a budget of
FLOPs.  Each answer has a random network of about its FLOPs for a rival; both are trained alike, from the same
seed, on scikit-learn's digits or on images of CIFAR-10.  It prints the accuracies and what to make of them,
and writes both into the folder of the run.  Interrupted, it continues where it stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from nasbench_eval import load_search
from nasbench_eval.errors import Parser, UsageError, guard
from nasbench_eval.retrain import outcome
from nasbench_eval.spaces.darts import DARTS
from nasbench_eval.spaces.mobilenetv2 import MobileNetV2

CLASSES = 10
# Digits are learnt in the recipe `smoke`; in thousands of photographs narrow networks learn sooner by AdamW.
RECIPES = {
    "digits": (),
    "cifar10": ("recipe.optimizer=adamw", "recipe.learning_rate=0.002", "recipe.weight_decay=0.05"),
}
# Random networks that rivals are chosen from.
_DRAWS = 2000


@dataclass(frozen=True)
class Thin:
    """A search space of thin networks, and how it is searched.

    Attributes:
        space: the space.
        words: what makes it of the commands' options.
        algorithm: what searches it.
        side: pixels a side of the images that are scored and trained with.
    """

    space: DARTS | MobileNetV2
    words: tuple[str, ...]
    algorithm: str
    side: int

    def flops(self, text: str) -> int:
        """Multiply-accumulates of one image."""
        arch = self.space.parse(text)
        return self.space.flops(arch, resolution=self.side, num_classes=CLASSES)  # type: ignore[arg-type]


def main() -> int:
    """Run the demonstration; returns the exit code."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--results", type=Path, default=Path("results"), help="folder of runs (results)")
    add("--run", default="demo-search", help="folder of this one in it (demo-search)")
    add("--space", choices=("darts", "mobilenetv2"), default="darts", help="where to search (darts)")
    add("--train-on", choices=tuple(RECIPES), default="digits", help="what to train with (digits)")
    add("--networks", type=int, default=3, help="searches, and so networks of either kind (3)")
    add("--steps", type=int, default=60, help="networks that each search scores (60)")
    add("--epochs", type=int, default=12, help="of each training (12)")
    add("--images", type=int, default=400, help="to train with (400)")
    add("--batch-size", type=int, default=16, help="of each training (16)")
    add("--channels", type=int, default=4, help="C of the thin DARTS networks (4)")
    add("--layers", type=int, default=5, help="their cells (5)")
    add("--max-layers", type=int, default=9, help="MobileNetV2's depth: deep and narrow ones learn late (9)")
    add("--max-flops", type=int, default=200_000_000, help="MobileNetV2's budget at 224 pixels (200 million)")
    add("--at-once", type=int, default=2, help="trainings at the same time, a core each (2)")
    return guard(lambda: _demo(parser.parse_args()))


def thin(asked: argparse.Namespace) -> Thin:
    """The space of that name, in the size that was asked for."""
    if asked.space == "darts":
        size = f"space.channels={asked.channels}", f"space.layers={asked.layers}"
        space = DARTS(channels=asked.channels, layers=asked.layers)
        return Thin(space, ("space=darts", *size), "regularized_evolution", side=32)
    # Its networks halve their images five times.
    limits = {"max_flops": asked.max_flops, "max_layers": asked.max_layers}
    words = "space=mobilenetv2", *(f"space.{name}={value}" for name, value in limits.items())
    return Thin(MobileNetV2(**limits), words, "aznas_small", side=64)


def _demo(asked: argparse.Namespace) -> int:
    if asked.networks < 2:
        raise UsageError("--networks is at least 2: of one pair there is no interval")
    among = thin(asked)
    folder: Path = asked.results / asked.run
    place = [*among.words, f"results={asked.results}"]
    search = ["dataset=cifar10", "guide=intrain", f"algorithm={among.algorithm}", f"steps={asked.steps}"]
    search += [f"seeds={asked.networks}", "proxy.batch_size=16", f"proxy.resolution={among.side}"]
    _command("search", *place, *search, f"run={asked.run}/search")
    found = [str(text) for text in load_search(folder / "search").arch]
    networks = pd.DataFrame(
        [
            {"name": f"{kind}-{pair}", "kind": kind, "pair": pair, "arch": text, "flops": among.flops(text)}
            for kind, texts in (("found", found), ("random", rivals_of(among, found)))
            for pair, text in enumerate(texts)
        ]
    )
    train = [f"images={asked.train_on}", f"resolution={among.side}", f"train_images={asked.images}"]
    train += ["val_images=0", f"recipe.epochs={asked.epochs}", f"recipe.batch_size={asked.batch_size}"]
    train += [*RECIPES[asked.train_on], "threads=1", "device=cpu"]

    def trained(name: str, arch: str, pair: int) -> float:
        run = f"{asked.run}/{name}"
        _command("retrain", *place, *train, f"arch={arch}", f"seed={pair}", f"run={run}")
        return float(outcome.read(asked.results / run)["result"]["last"]["test"])

    with ThreadPoolExecutor(asked.at_once) as threads:
        networks["test"] = list(threads.map(trained, networks.name, networks.arch, networks.pair))
    for row in networks.itertuples():
        print(f"{row.name:10} {row.test:6.2f} %  {row.flops / 1e6:5.2f} M multiply-accumulates  {row.arch}")
    of = networks.set_index(["kind", "pair"]).test
    said = verdict(of["found"].tolist(), of["random"].tolist())
    print(said)
    networks.to_csv(folder / "pairs.csv", index=False)
    (folder / "verdict.txt").write_text(said + "\n")
    return 0


def rivals_of(among: Thin, found: Sequence[str]) -> list[str]:
    """For each architecture a random one, the nearest in FLOPs that is not taken yet."""
    rng = np.random.default_rng(0)
    space = among.space
    drawn = dict.fromkeys(space.format(space.sample(rng)) for _ in range(_DRAWS))  # type: ignore[arg-type]
    counted = {text: among.flops(text) for text in drawn if text not in found}
    rivals: list[str] = []
    for text in found:
        wanted = among.flops(text)
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
