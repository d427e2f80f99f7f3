"""What the habits of docs/explanation/performance.md are worth: each measured against doing without it.

All in one run.

    python scripts/bench_habits.py [--cells 3]

Every comparison alternates the two sides on the same cells and prints the ratio of their medians.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from benchmark.costs import score
from benchmark.readings import compose
from benchmark.unit import SPACE, Size, bare_pass, network_and_batch

from nasbench_eval.sampling import uniform
from nasbench_eval.scoring.process import Scorer
from nasbench_eval.work.compute import configure_process

ROUNDS = 5


def hessian_product(index: int) -> Callable[[], object]:
    """H·g at B = 64, R = 32, by the framework's second derivatives."""
    network, x, labels = network_and_batch(index)
    parameters = [p for p in network.parameters() if p.ndim > 1]

    def run() -> object:
        loss = F.cross_entropy(network(x), labels)
        g = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
        product = torch.stack([(a.detach() * a).sum() for a in g]).sum()
        return torch.autograd.grad(product, parameters, allow_unused=True)

    return run


def grasp(scorer: Scorer, index: int) -> Callable[[], object]:
    """Scoring a cell with GraSP, which wants no more of H·g than its product with the weights."""
    return lambda: score(scorer, index)


def sample_gradients(index: int, *, batched: bool) -> Callable[[], object]:
    """Gradients of 8 samples' logits through a batch of 64: by one batched backward pass, or one by one."""
    network, x, _ = network_and_batch(index)
    parameters = list(network.parameters())
    objective_B, cotangents = network(x).sum(1), torch.eye(64)[:8]

    def gradients(v: torch.Tensor) -> object:
        return torch.autograd.grad(
            objective_B, parameters, v, retain_graph=True, is_grads_batched=v.ndim > 1, allow_unused=True
        )

    return lambda: gradients(cotangents) if batched else [gradients(v) for v in cotangents]


def ratio(pairs: Sequence[tuple[Callable[[], object], Callable[[], object]]]) -> float:
    """Median over cells of (seconds of the first) / (seconds of the second), taken in turn."""
    found = []
    for first, second in pairs:
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for side, action in enumerate((first, second)):
                start = time.perf_counter()
                action()
                seconds[side].append(time.perf_counter() - start)
        found.append(statistics.median(seconds[0][1:]) / statistics.median(seconds[1][1:]))
    return statistics.median(found)


def allocator_seconds(cells: int, *, kept: bool) -> float:
    """Seconds of forward-backward passes in a process of its own, since an allocator cannot be set back."""
    command = [sys.executable, __file__, "--cells", str(cells), "--allocator", "kept" if kept else "default"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def time_allocator(cells: Sequence[int], *, kept: bool) -> float:
    """The child's part of `allocator_seconds`: three rounds after two that are not counted."""
    torch.set_num_threads(1)
    if kept:
        configure_process(torch.device("cpu"))
    runs = [bare_pass(i, Size(resolution=64)) for i in cells]
    start = 0.0
    for round_ in range(5):
        start = time.perf_counter() if round_ == 2 else start
        for run in runs:
            run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, default=3, help="cells to take the median over (3)")
    parser.add_argument("--allocator", choices=["kept", "default"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cells = uniform(len(SPACE), arguments.cells, 1)
    if arguments.allocator:
        print(time_allocator(cells, kept=arguments.allocator == "kept"))
        return
    default = [allocator_seconds(len(cells), kept=False) for _ in range(2)]
    kept = [allocator_seconds(len(cells), kept=True) for _ in range(2)]
    print(f"freed memory handed back / kept, forward-backward at R = 64: {min(default) / min(kept):.2f}")
    configure_process(torch.device("cpu"))
    formats = [(bare_pass(i, memory_format=torch.contiguous_format), bare_pass(i)) for i in cells]
    print(f"contiguous / channels-last, forward-backward at R = 32: {ratio(formats):.2f}")
    scorer = Scorer(compose("proxy=grasp").job, None, torch.device("cpu"))
    derivatives = [(hessian_product(i), grasp(scorer, i)) for i in cells]
    print(f"H·g by the framework's second derivatives / all of GraSP, at R = 32: {ratio(derivatives):.2f}")
    samples = [(sample_gradients(i, batched=True), sample_gradients(i, batched=False)) for i in cells]
    print(f"batched backward pass / one by one, 8 samples of 64 at R = 32: {ratio(samples):.2f}")


if __name__ == "__main__":
    main()
