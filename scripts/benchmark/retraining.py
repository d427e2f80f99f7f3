"""A step of `nasbench-retrain` in steps of a bare loop, how long it waits, and what a second process gains.

The images are noise in an npz file, cut and mirrored as NAS-Bench-201's recipe says.  The bare loop has one
batch in memory and nothing but forward, backward and the optimizer's step.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmark.unit import timed
from nasbench_eval.spaces.nasbench201 import NASBench201

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
SIZE = {"channels": 16, "cells_per_stage": 2}
BATCH, STEPS, EPOCHS, CLASSES, SIDE = 64, 20, 3, 10, 32
_CODE = "import sys; from nasbench_eval.cli import retrain; sys.exit(retrain())"
_CPU = torch.device("cpu")


def retraining(rounds: int, fresh: Callable[..., Any]) -> dict[str, Any]:
    """Seconds of an epoch by either loop and by two processes, the fastest of some rounds; what follows.

    Args:
        rounds: how often they take turns.
        fresh: calls a function in a process of its own.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _write_images(folder / "noise.npz")
        bare, one, two, waited = [], [], [], []
        for turn in range(rounds):
            bare.append(fresh(bare_epoch))
            seconds, share = _epoch(folder, f"one-{turn}")
            one.append(seconds)
            waited.append(share)
            two.append(_epoch(folder, f"two-{turn}", processes=2)[0])
    return {
        "batch": BATCH,
        "bare_seconds": min(bare) / STEPS,
        "seconds": min(one) / STEPS,
        "ratio": min(one) / min(bare),
        "waited": max(waited),
        "speedup": min(one) / min(two),
    }


def bare_epoch() -> float:
    """Seconds of as many steps as an epoch has, the fastest of a few times."""
    torch.set_num_threads(1)
    space = NASBench201(**SIZE)
    network = space.build(space.parse(CELL), num_classes=CLASSES).to(memory_format=torch.channels_last)
    for module in network.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    x = torch.randn(BATCH, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
    y = torch.randint(CLASSES, (BATCH,))

    def steps() -> None:
        for _ in range(STEPS):
            loss = F.cross_entropy(network(x), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return min(timed(steps, _CPU) for _ in range(EPOCHS))


def _write_images(path: Path) -> None:
    rng, count = np.random.default_rng(0), BATCH * STEPS + BATCH
    x = rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    np.savez(
        path, x=x, y=np.arange(count) % CLASSES, classes=np.array([f"class {k}" for k in range(CLASSES)])
    )


def _epoch(folder: Path, run: str, processes: int = 1) -> tuple[float, float]:
    """Seconds of the fastest epoch after the first, and the share of it that was spent waiting for images."""
    words = [f"arch={CELL}", *(f"space.{key}={value}" for key, value in SIZE.items())]
    words += ["recipe=nasbench201_200", f"recipe.epochs={EPOCHS}", f"recipe.batch_size={BATCH}"]
    words += ["images=noise.npz", f"test_images={BATCH}", "val_images=0", "device=cpu", "threads=1"]
    _run([*_launcher(processes), sys.executable, "-c", _CODE, *words, f"run={run}"], folder)
    with (folder / "results" / run / "curves.csv").open() as lines:
        rows = list(csv.DictReader(lines))[1:]
    fastest = min(rows, key=lambda row: float(row["seconds"]))
    return float(fastest["seconds"]), float(fastest["waited"]) / float(fastest["seconds"])


def _launcher(processes: int) -> list[str]:
    if processes == 1:
        return []
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"]
    return [*torchrun, f"--nproc-per-node={processes}"]


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"nasbench-retrain ended with {done.returncode}: {done.stderr[-500:]}")
