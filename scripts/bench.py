"""What each proxy costs, in units of one bare forward-backward pass of the same network on the same machine.

    python scripts/bench.py [proxy ...] [--cells 6 | --indices 0 5] [--device cpu]

Proxies that watch the same passes are measured together.  The unit is taken next to every measurement, so
that the ratio holds where the machine's speed drifts.  Inputs are Gaussian throughout: a batch costs the same
whatever it shows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, replace
from typing import Any

import torch
import torch.nn.functional as F

from nasbench_eval import registry
from nasbench_eval.data.batches import Batches
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.passes.weights import draw
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.sampling import uniform
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.worker import Job, configure_process, score_architecture

CIFAR10 = DataSet("cifar10", 10, 32, (125.3, 123.0, 113.9), (63.0, 62.1, 66.7))


def timed(action: Callable[[], object], device: torch.device) -> float:
    """Seconds of an action, the device's queue emptied before and after."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def bare_pass(index: int, device: torch.device) -> Callable[[], object]:
    """One forward-backward pass at B = 64, R = 32 of a cell's network, with nothing around it."""
    space = NASBench201()
    network = space.build(space.arch(index), num_classes=10)
    draw(dict(network.named_modules()), "kaiming", "bench")
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(64, 3, 32, 32, device=device).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (64,), device=device)
    parameters = list(network.parameters())
    return lambda: torch.autograd.grad(F.cross_entropy(network(x), labels), parameters, allow_unused=True)


def on_gaussian_input(name: str) -> Proxy:
    """A proxy at its defaults, but on Gaussian input where it would read images."""
    proxy = registry.find("proxies", name)()
    reads_images = any(f.name == "input" for f in fields(proxy)) and proxy.input == "images"
    return replace(proxy, input="gaussian") if reads_images else proxy  # type: ignore[no-any-return]


def readings(names: Sequence[str]) -> dict[str, dict[str, Proxy]]:
    """What to measure: proxies that watch the same passes together, and the kernel's cheaper readings."""
    groups: dict[object, dict[str, Proxy]] = {}
    for name in names or registry.names("proxies"):
        proxy = on_gaussian_input(name)
        groups.setdefault(proxy.passes(), {})[name] = proxy
    found = {", ".join(group): group for group in groups.values()}
    if "ntk_condition" in (names or registry.names("proxies")):
        kernel: Any = on_gaussian_input("ntk_condition")
        others = {"bn=eval": {"bn": "eval"}, "bn=alone": {"bn": "alone"}, "thin": {"channels": 3, "cells": 1}}
        for title, options in others.items():
            found[f"ntk_condition, {title}"] = {"ntk_condition": replace(kernel, **options)}
    if not names:
        found["all of them"] = {name: on_gaussian_input(name) for name in registry.names("proxies")}
    return found


def measure(group: dict[str, Proxy], cells: Sequence[int], device_name: str) -> tuple[list[float], float]:
    """The costs of a group, a cell each, and this process's peak host memory in GiB."""
    device = torch.device(device_name)
    configure_process(device)
    ratios = []
    for index in cells:
        unit = bare_pass(index, device)
        timed(unit, device)
        job = Job(NASBench201(), {"cifar10": CIFAR10}, group, 0)
        batches = Batches(0, job.datasets, None, device)

        def score(job: Job = job, batches: Batches = batches, index: int = index) -> object:
            return score_architecture(job, index, job.tasks(), batches, device)

        score()  # makes the batches, and the memory the passes will use again
        before, seconds, after = timed(unit, device), timed(score, device), timed(unit, device)
        ratios.append(2 * seconds / (before + after))
    return ratios, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("proxies", nargs="*", help="which; all if none is named")
    parser.add_argument("--cells", type=int, default=6, help="cells to take the median over (6)")
    parser.add_argument("--indices", type=int, nargs="+", help="these cells instead, by index")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    cells = arguments.indices or uniform(len(NASBench201()), arguments.cells, 0)
    context = multiprocessing.get_context("spawn")
    median = f"forward-backward passes (median of {len(cells)} cells)"
    print(f"| proxy | {median} | range | peak host memory, GiB |\n|---|---:|---|---:|", flush=True)
    for title, group in readings(arguments.proxies).items():
        with ProcessPoolExecutor(1, context) as pool:  # a process each, whose peak of memory is its own
            ratios, peak = pool.submit(measure, group, cells, arguments.device).result()
        cost = f"{statistics.median(ratios):.1f} | {min(ratios):.1f} – {max(ratios):.1f}"
        print(f"| {title} | {cost} | {peak:.1f} |", flush=True)


if __name__ == "__main__":
    main()
