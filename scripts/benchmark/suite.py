"""The sections of a benchmark run, and what each of them measures."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmark import memory, networks, operators, readings, retraining, startup, throughput, training
from benchmark.costs import Figures, measure
from benchmark.processes import Processes

ON_ANY_DEVICE = ("proxies", "targets", "operators")
SECTIONS = ("startup", "throughput", "training", "retraining", *ON_ANY_DEVICE, "networks", "memory")


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        repeats: of the start of a command.
        throughput: cells and rounds of each side.
        flat: after how many cells a worker's memory is looked at.
        trained: cells that are trained.
        rounds: of the training of one network.
    """

    repeats: int = 3
    throughput: tuple[int, int] = (80, 2)
    flat: tuple[int, int] = (100, 2000)
    trained: int = 30
    rounds: int = 3


FULL = Extent()
QUICK = Extent(repeats=1, throughput=(8, 1), flat=(5, 20), trained=2, rounds=1)


class Suite:
    """Measures sections; what two of them need is measured once.

    Args:
        device: cpu or cuda.
        cells: over which costs are measured, by index.
        extent: of everything else.
        quick: keep one process for all costs and profiles.
    """

    def __init__(self, device: str, cells: tuple[int, ...], extent: Extent, *, quick: bool) -> None:
        self.device, self.cells, self.extent = device, cells, extent
        self._fresh, self._for_costs = Processes(), Processes(shared=quick)
        self._measured: dict[str, Figures] = {}

    def run(self, section: str) -> dict[str, Any]:
        """The figures of a section of `SECTIONS`."""
        measured: dict[str, Any] = getattr(self, section)()
        return measured

    def close(self) -> None:
        """End the processes."""
        self._for_costs.close()

    def costs(self, asked: Iterable[readings.Reading]) -> dict[str, Figures]:
        """The figures of each reading by its title."""
        return {reading.title: self._cost(reading) for reading in asked}

    def _cost(self, reading: readings.Reading) -> Figures:
        if reading.title not in self._measured:
            started = time.perf_counter()
            figures = self._for_costs(measure, reading.job, self.cells, self.device)
            self._measured[reading.title] = figures
            own, reference = (figures[unit]["together"] for unit in ("own", "reference"))
            seconds = time.perf_counter() - started
            say(f"{reading.title}: {own:.2f} bare passes of its size, {reference:.2f} ({seconds:.0f} s)")
        return {**self._measured[reading.title], "alike": list(reading.alike)}

    def proxies(self) -> dict[str, Figures]:
        """Every proxy alone, and the groups."""
        return self.costs([*readings.alone(), *readings.named(readings.GROUPS)])

    def targets(self) -> dict[str, Figures]:
        """The costs that targets are set for."""
        return self.costs(readings.judged())

    def operators(self) -> dict[str, Any]:
        """The largest operators of a bare pass and of the few-pass group."""
        job = readings.compose(readings.FEW_PASS_OPTION).job
        found = {}
        for title, profiled in (
            ("A bare pass at B = 64, R = 32", operators.profile_bare_pass),
            ("The few-pass group", operators.profile_job),
        ):
            found[title] = self._for_costs(profiled, job, self.cells, self.device)
        return found

    def throughput(self) -> dict[str, Any]:
        """A real run against one process with PyTorch's defaults."""
        return throughput.throughput(*self.extent.throughput, self._fresh)

    def training(self) -> dict[str, Any]:
        """How many cells are trained in an hour."""
        return training.training(self.extent.trained, cores(), "cpu")

    def retraining(self) -> dict[str, Any]:
        """What a step of the training of one network costs."""
        return retraining.retraining(self.extent.rounds, self._fresh)

    def startup(self) -> dict[str, Any]:
        """Seconds until a command has done something."""
        return startup.startup(self.extent.repeats)

    def networks(self) -> dict[str, Any]:
        """The cost of `nasbench_eval.score` on networks that people use."""
        found = {}
        for title, asked in networks.ASKED.items():
            costs = self._fresh(networks.costs, title, asked, self.extent.repeats)
            base = self._fresh(networks.peak, title, None)
            ratios = {what: self._fresh(networks.peak, title, of) / base for what, of in asked.items()}
            found[title] = {"costs": costs, "bare_peak_bytes": base, "peak_ratios": ratios}
            say(f"{title}: " + ", ".join(f"{what} {cost['ratio']:.2f}" for what, cost in costs.items()))
        return found

    def memory(self) -> dict[str, Any]:
        """A worker's memory over a run, and its peak."""
        flat = self._fresh(memory.flatness, memory.small_job(), *self.extent.flat)
        peak = self._fresh(memory.peak, readings.compose("proxy=intrain").job, memory.LARGEST_CELL)
        return {"flat": flat, "peak": peak}


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def say(line: str) -> None:
    """Tell how far it is, on standard error."""
    print(line, file=sys.stderr, flush=True)
