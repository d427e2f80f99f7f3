"""Architectures in, score rows out.  Knows spaces, proxies, data and passes; knows nothing of accuracies."""

from __future__ import annotations

import atexit
import ctypes
import gc
import math
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nasbench_eval.data.batches import Batches
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.passes import Engine, Outcome, PassSpec, Request
from nasbench_eval.passes.spec import Precision
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.training import Diverged

Row = dict[str, Any]
Key = tuple[str, PassSpec, str | None]  # label, pass, data set


class Task(NamedTuple):
    """A score asked for: the data set and the label under which the proxy goes in this run."""

    dataset: str
    label: str


@dataclass(frozen=True)
class Job:
    """Everything that decides the scores of a run.

    Attributes:
        space: the search space.
        datasets: data sets by name.
        proxies: proxies with their options, by label.
        seed: seed of weights, inputs and labels.
        imageless: data sets whose images are absent; proxies that read images leave them out.
        precision: of convolutions and products: `float32`, `tf32` (a GPU's short mantissa) or `bf16`.
    """

    space: SearchSpace
    datasets: Mapping[str, DataSet]
    proxies: Mapping[str, Proxy]
    seed: int
    imageless: frozenset[str] = frozenset()
    precision: Precision = "float32"

    def tasks(self) -> tuple[Task, ...]:
        """Every data set with every proxy, but those that would read images which are absent."""
        every = (Task(dataset, label) for dataset in self.datasets for label in self.proxies)
        return tuple(t for t in every if t.dataset not in self.imageless or not self.reads_images(t.label))

    def reads_images(self, label: str) -> bool:
        """Whether a proxy is shown real images, or its networks are trained on them."""
        forwards = [spec.forward for spec in self.proxies[label].passes()]
        return any(f.source == "images" or f.training is not None for f in forwards)

    def passes(self, task: Task) -> list[tuple[PassSpec, str | None]]:
        """A task's passes with the resolution filled in, and the data set where the pass depends on it."""
        resolved = []
        for spec in self.proxies[task.label].passes():
            forward = spec.forward
            if forward.resolution is None:
                forward = replace(forward, resolution=self.datasets[task.dataset].resolution)
            shared = spec.objective == "features" and forward.source != "images"
            resolved.append((replace(spec, forward=forward), None if shared else task.dataset))
        return resolved


def score_architecture(
    job: Job,
    index: int,
    tasks: Sequence[Task],
    batches: Batches,
    device: torch.device,
    checkpoints: Path | None = None,
) -> list[Row]:
    """One row a task for the architecture at an index.  A failure is a row with its status and error.

    Such a row has its stack trace besides, as `traceback`, which is for the log.  `checkpoints` is a folder
    where trainings leave their state while they run.
    """
    outcomes = _run_passes(job, index, tasks, batches, device, checkpoints)
    rows = []
    for task in tasks:
        mine = [outcomes[task.label, spec, dataset] for spec, dataset in job.passes(task)]
        rows.append(_row(job, index, task, _score(job.proxies[task.label], mine)))
    return rows


def failure(
    job: Job, index: int, tasks: Sequence[Task], status: str, error: str, seconds: float
) -> list[Row]:
    """The rows of an architecture whose process brought none."""
    rows = []
    for task in tasks:
        columns = dict.fromkeys((*job.proxies[task.label].info.columns, "score"), math.nan)
        rows.append(_row(job, index, task, {**columns, "seconds": seconds, "status": status, "error": error}))
    return rows


def _row(job: Job, index: int, task: Task, scored: Row) -> Row:
    text = job.space.format(job.space.arch(index))
    place = {"dataset": task.dataset, "label": task.label, "index": index, "arch": text, "seed": job.seed}
    return {**place, **scored, "proxy_version": job.proxies[task.label].info.version}


def _run_passes(
    job: Job,
    index: int,
    tasks: Sequence[Task],
    batches: Batches,
    device: torch.device,
    checkpoints: Path | None,
) -> dict[Key, Outcome]:
    """What came of each pass, by label; tasks that share a pass with no data set of its own share it here."""
    requests = {
        (task.label, spec, dataset): Request(spec, dataset, job.proxies[task.label].observe)
        for task in tasks
        for spec, dataset in job.passes(task)
    }
    sizes: dict[tuple[int | None, int | None], list[Key]] = {}
    for key, request in requests.items():
        sizes.setdefault((request.spec.forward.channels, request.spec.forward.cells), []).append(key)
    outcomes: dict[Key, Outcome] = {}
    engines: list[Engine] = []
    for (channels, cells), keys in sizes.items():
        own = channels is None and cells is None
        space = job.space if own else job.space.resized(channels=channels, cells=cells)
        mine = [requests[key] for key in keys]
        found = _run_network(job, space, index, mine, batches, device, checkpoints, engines)
        outcomes.update(zip(keys, found, strict=True))
    for engine in engines:  # only now: an interrupt before this costs no training
        engine.forget()
    return outcomes


def _run_network(
    job: Job,
    space: SearchSpace,
    index: int,
    requests: Sequence[Request],
    batches: Batches,
    device: torch.device,
    checkpoints: Path | None,
    engines: list[Engine],
) -> Sequence[Outcome]:
    """What came of the passes through one network of the architecture."""
    arch = space.arch(index)
    classes = {name: info.num_classes for name, info in job.datasets.items()}
    started = time.perf_counter()
    try:
        network = space.build(arch, num_classes=next(iter(classes.values())))
        # No size in it: a thin network's weights begin like the wide one's, each draw being a tensor's own.
        key = (job.seed, space.format(arch))
        engine = Engine(network, classes, batches, key, device, checkpoints, job.precision)
    except Exception as error:  # no network, hence no pass
        return [Outcome(None, time.perf_counter() - started, error)] * len(requests)
    engines.append(engine)
    return engine.run(requests)


def _score(proxy: Proxy, outcomes: Sequence[Outcome]) -> Row:
    names = (*proxy.info.columns, "score")
    columns: dict[str, float] = dict.fromkeys(names, math.nan)
    seconds = sum(outcome.seconds for outcome in outcomes)
    error = next((outcome.error for outcome in outcomes if outcome.error is not None), None)
    if error is None:
        try:
            values = proxy.score([outcome.record for outcome in outcomes if outcome.record is not None])
            if values.keys() != set(names):
                raise ValueError(f"gave {sorted(values)}, not the columns it declares, {sorted(names)}")
            columns = {name: float(values[name]) for name in names}
        except Exception as raised:
            error = raised
    status, message = status_of(columns["score"], error)
    row = {**columns, "seconds": seconds, "status": status, "error": message}
    return row if error is None else {**row, "traceback": "".join(traceback.format_exception(error))}


def status_of(score: float, error: Exception | None) -> tuple[str, str | None]:
    """The status of a row by its score, or by the error that came instead; and that error's first line."""
    if error is None:
        status = "ok" if math.isfinite(score) else "nan" if math.isnan(score) else "inf"
        return status, None
    text = f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]
    if isinstance(error, Diverged):  # it would every time
        return "nan", text
    out_of_memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in text
    return ("oom" if out_of_memory else "error"), text


def configure_process(device: torch.device, precision: Precision = "float32") -> None:
    """Settle what a scoring process computes with: one thread, no reduced precision, memory kept for reuse.

    One thread a process beats several on the small layers of these networks, and makes scores independent
    of the number of cores.
    """
    torch.set_num_threads(1)
    atexit.register(gc.freeze)  # at its end as well, no time on a search for garbage (see `errors.guard`)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
    elif sys.platform == "linux":
        _keep_memory()


def _keep_memory() -> None:
    """Have glibc keep freed memory: handing activations back after each layer costs more than the layer."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, -1)  # as size_t: never
