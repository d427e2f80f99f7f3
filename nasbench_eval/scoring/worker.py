"""Computes the rows of one architecture: runs its passes, then asks each proxy for its score.

The object that a worker process keeps between architectures is the `Scorer` of `scoring/process.py`, which
calls this module; `work/processes.py` starts the process.  Knows spaces, proxies, data and passes; knows
nothing of accuracies.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nasbench_eval.data.batches import Batches
from nasbench_eval.errors import Undefined, UsageError
from nasbench_eval.networks.adapted import Adapted, checked
from nasbench_eval.passes import (
    Body,
    Engine,
    ForwardSpec,
    Observer,
    Outcome,
    PassSpec,
    Request,
    seconds_of,
    span,
)
from nasbench_eval.proxies.base import Choosy, Proxy
from nasbench_eval.runs.rows import Row, Task, status_of
from nasbench_eval.scoring.job import Job
from nasbench_eval.seeding import seed_of
from nasbench_eval.spaces.base import CellSpace, Network, SearchSpace, weight_key

Key = tuple[str, PassSpec, str | None]  # label, pass, data set


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
    arch = job.space.arch(index)
    text = job.space.format(arch)
    sized = {task: row for task in tasks if (row := _from_size(job, arch, task)) is not None}
    others = [task for task in tasks if task not in sized]
    outcomes = _run_passes(job, index, others, batches, device, checkpoints) if others else {}
    rows = []
    for task in tasks:
        if task in sized:
            rows.append(_row(job, index, text, task, sized[task]))
            continue
        mine = [outcomes[task.label, spec, dataset] for spec, dataset in job.passes(task)]
        rows.append(_row(job, index, text, task, _score(job.proxies[task.label], mine)))
    return rows


def needs_passes(job: Job, index: int, tasks: Sequence[Task]) -> bool:
    """Whether any of the scores takes a pass through a network."""
    arch = job.space.arch(index)
    return any(_from_size(job, arch, task) is None for task in tasks)


def _from_size(job: Job, arch: object, task: Task) -> Row | None:
    """What a row holds of a proxy that knows its score from the size of the network; None for the others."""
    proxy = job.of_size.get(task.label)
    if proxy is None:
        return None
    started = time.perf_counter()
    try:
        found = proxy.from_size(job.sizes(task.dataset), arch, job.datasets[task.dataset])
        columns = {name: float(found[name]) for name in (*job.proxies[task.label].info.columns, "score")}
    except Exception:  # as of an image that the network does not take: the passes have the last word
        return None
    status, message = status_of(columns["score"], None)
    return {**columns, "seconds": time.perf_counter() - started, "status": status, "error": message}


def failure(
    job: Job, index: int, tasks: Sequence[Task], status: str, error: str, seconds: float
) -> list[Row]:
    """The rows of an architecture whose process brought none."""
    rows, text = [], job.space.format(job.space.arch(index))
    for task in tasks:
        columns = dict.fromkeys((*job.proxies[task.label].info.columns, "score"), math.nan)
        ended = {**columns, "seconds": seconds, "status": status, "error": error}
        rows.append(_row(job, index, text, task, ended))
    return rows


def _row(job: Job, index: int, text: str, task: Task, scored: Row) -> Row:
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
        (task.label, spec, dataset): Request(spec, dataset, partial(_observe, job.proxies[task.label]))
        for task in tasks
        for spec, dataset in job.passes(task)
    }
    sizes: dict[tuple[int | None, int | None, Body], list[Key]] = {}
    for key, request in requests.items():
        forward = request.spec.forward
        sizes.setdefault((forward.channels, forward.cells, forward.body), []).append(key)
    outcomes: dict[Key, Outcome] = {}
    engines: list[Engine] = []
    for keys in sizes.values():
        mine = [requests[key] for key in keys]
        found = _run_network(job, index, mine, batches, device, checkpoints, engines)
        outcomes.update(zip(keys, found, strict=True))
    for engine in engines:  # only now: an interrupt before this costs no training
        engine.forget()
    return outcomes


def _observe(proxy: Proxy, net: Network, spec: PassSpec) -> Observer:
    """A proxy's observer, once it has said that it is defined on a network that is of no space's making."""
    if isinstance(net, Adapted) and isinstance(proxy, Choosy):
        proxy.readings(net.traits)
    return proxy.observe(net, spec)


def built(space: SearchSpace, arch: Any, forward: ForwardSpec, num_classes: int) -> Network:
    """The network that a pass runs through: of its size, and the whole of it or the cell by itself.

    Raises:
        Undefined: if the space has no networks of other sizes or builds no cell by itself, or if what it
            builds is no network that passes can run through.
    """
    if forward.body == "cell" and not isinstance(space, CellSpace):
        raise Undefined("it runs a cell by itself, and this network has none; body=whole runs all of it")
    if forward.channels is not None or forward.cells is not None:
        if not hasattr(space, "resized"):
            raise Undefined(
                "it runs a thin network, and this one has one size; set channels and cells to null"
            )
        space = space.resized(channels=forward.channels, cells=forward.cells)
    if forward.body == "cell":
        assert isinstance(space, CellSpace)
        return space.build_cell(arch, num_classes=num_classes)
    network: nn.Module = space.build(arch, num_classes=num_classes)
    if isinstance(network, Network):
        return network
    assert forward.resolution is not None
    try:
        checked(network)
        return Adapted(network, (3, forward.resolution, forward.resolution))
    except UsageError as error:  # no classifier, or none of such images
        raise Undefined(str(error)) from None


def _run_network(
    job: Job,
    index: int,
    requests: Sequence[Request],
    batches: Batches,
    device: torch.device,
    checkpoints: Path | None,
    engines: list[Engine],
) -> Sequence[Outcome]:
    """What came of the passes through one network of the architecture."""
    arch = job.space.arch(index)
    classes = {name: info.num_classes for name, info in job.datasets.items()}
    started = time.perf_counter()
    try:
        network = built(job.space, arch, requests[0].spec.forward, next(iter(classes.values())))
        # No size in it: a thin network's weights begin like the wide one's, each draw being a tensor's own.
        key = (job.seed, weight_key(job.space, arch))
        states = _checkpoints(checkpoints, job.space.format(arch), key[1])
        tasks = {n: info.task for n, info in job.datasets.items() if info.task != "classification"}
        engine = Engine(network, classes, batches, key, device, states, job.precision, tasks)
    except (Exception, SystemExit) as error:  # no network, hence no pass
        return [Outcome(None, span(time.perf_counter() - started), error)] * len(requests)
    engines.append(engine)
    return engine.run(requests)


def _checkpoints(folder: Path | None, text: str, key: str) -> Path | None:
    """Where an architecture's trainings leave their state: by itself where others have the same weights."""
    return folder if folder is None or key == text else folder / f"{seed_of(text):016x}"


def _score(proxy: Proxy, outcomes: Sequence[Outcome]) -> Row:
    names = (*proxy.info.columns, "score")
    columns: dict[str, float] = dict.fromkeys(names, math.nan)
    seconds = seconds_of(outcomes)
    error = next((outcome.error for outcome in outcomes if outcome.error is not None), None)
    if error is None:
        try:
            values = proxy.score([outcome.record for outcome in outcomes if outcome.record is not None])
            if values.keys() != set(names):
                raise ValueError(f"gave {sorted(values)}, not the columns it declares, {sorted(names)}")
            columns = {name: float(values[name]) for name in names}
        except (Exception, SystemExit) as raised:
            error = raised
    status, message = status_of(columns["score"], error)
    row = {**columns, "seconds": seconds, "status": status, "error": message}
    return row if error is None else {**row, "traceback": "".join(traceback.format_exception(error))}
