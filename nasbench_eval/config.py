"""From Hydra's configuration to typed objects, with errors that name what was held wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from nasbench_eval import registry, sampling
from nasbench_eval.classes import representatives
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError, shown
from nasbench_eval.options import RunOptions, fields_of, options_of, plain, typed
from nasbench_eval.passes.spec import IN_HALF
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.record import LATER, fingerprint
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.split import Split, split_of
from nasbench_eval.truth.folder import data_folder
from nasbench_eval.worker import Job

# Bytes a process may take on a GPU: 2 GiB of activations (NAS-Bench-201's largest cell at B = 64, R = 64),
# as much again for kernels' workspaces and the driver.
_GPU_WORKER = 4 << 30


@dataclass(frozen=True)
class Run:
    """A configuration ready to run.

    Attributes:
        job: what to score.
        indices: which architectures, by the benchmark's index; of a shard, its own.
        sampled: how many were drawn, for all shards together.
        split: which shard this is; None for a run in one piece.
        options: how and where.
        device: where the passes run.
        workers: processes, no more than there are architectures; 0 to score in this one.
        whole: folder of the run; a shard's results go to a folder inside it.
    """

    job: Job
    indices: tuple[int, ...]
    sampled: int
    split: Split | None
    options: RunOptions
    device: torch.device
    workers: int
    whole: Path

    @property
    def folder(self) -> Path:
        return self.whole if self.split is None else self.split.folder(self.whole)

    def identity(self) -> dict[str, Any]:
        """What decides the scores and the sample, as plain data."""
        chosen = {name: getattr(self.options, name) for name in LATER}
        return {**_identity(self.job), **chosen}

    def stands_in(self) -> dict[int, int]:
        """For each architecture the one that is scored in its place: itself, or with dedupe its class's."""
        if self.options.dedupe == "isomorphic":
            return representatives(self.job.space, self.indices)
        return {index: index for index in self.indices}


def resolve(config: DictConfig) -> Run:
    """Check a composed configuration and build what it names.

    Raises:
        UsageError: naming the option that is unknown or of the wrong kind, and the nearest valid ones.
    """
    options, parts = options_of(config), plain(config)
    space = _space(parts.get("space"))
    datasets = {
        name: typed(DataSet, {"name": name, **values}, name)
        for name, values in _items("dataset", parts.get("dataset")).items()
    }
    proxies = _proxies(_items("proxy", parts.get("proxy")), _shared(parts.get("options")))
    job = Job(space, datasets, proxies, options.seed, precision=options.precision)
    device = _device(options.device)
    _check_precision(job, device)
    split = split_of(options.shard, options.shards)
    sample = _indices(options, job, device)
    indices = sample if split is None else split.take(sample)
    wished = _workers(device) if options.workers is None else options.workers
    workers = min(wished, len(indices))  # another would start for nothing
    name = _run_name(job, options) if options.run in (None, "") else _safe(str(options.run))
    return Run(job, indices, len(sample), split, options, device, workers, options.results / name)


def _items(group: str, node: Any) -> dict[str, dict[str, Any]]:
    """The chosen items of a group: their options by name."""
    if not node:
        raise UsageError(f"no {group} is chosen; choose one with {group}=NAME")
    if not isinstance(node, dict):
        raise UsageError(f"{group}={shown(node)} is no {group}; choose one with {group}=NAME")
    items = {}
    for name, options in node.items():
        if not isinstance(options, dict):
            raise UsageError(f"{group}.{name}={shown(options)} is no {group} with options")
        items[str(name)] = dict(options)
    return items


def _shared(node: Any) -> dict[str, Any]:
    if node and not isinstance(node, dict):
        raise UsageError(f"options={shown(node)} will not do; options of proxies are set with proxy.X=VALUE")
    return node or {}


def _space(node: Any) -> SearchSpace:
    if not isinstance(node, dict) or "name" not in node:
        raise UsageError("no search space is chosen; choose one with space=NAME")
    options = dict(node)
    name = options.pop("name")
    space: SearchSpace = typed(registry.find("spaces", name), options, name)
    return space


def _proxies(given: Mapping[str, dict[str, Any]], shared: Mapping[str, Any]) -> dict[str, Proxy]:
    """Proxies by label; an option in `shared` goes to each that has it.

    A label without a name holds options that an experiment sets for a proxy which was not chosen.
    """
    given = {label: node for label, node in given.items() if "name" in node}
    classes = {label: registry.find("proxies", node.pop("name")) for label, node in given.items()}
    every = {name for cls in classes.values() for name in fields_of(cls)}
    for key in shared:
        if key not in every:
            raise registry.UnknownName(f"option of {', '.join(classes)}", key, every)
    proxies = {}
    for label, node in given.items():
        own = {k: v for k, v in shared.items() if k in fields_of(classes[label])}
        proxies[label] = typed(classes[label], {**node, **own}, label)
        _check_passes(label, proxies[label])
    return proxies


def _check_passes(label: str, proxy: Proxy) -> None:
    try:
        passes = proxy.passes()
    except ValueError as error:
        raise UsageError(f"{label}: {error}") from error
    for spec in passes:
        for option in ("batch_size", "resolution", "channels", "cells"):
            value = getattr(spec.forward, option)
            if value is not None and value < 1:
                raise UsageError(f"{label}: {option}={value} will not do; it should be at least 1")


def _check_precision(job: Job, device: torch.device) -> None:
    if job.precision == "tf32" and device.type == "cpu":
        raise UsageError("precision=tf32 is a GPU's; on the CPU there are float32 and bf16")
    if job.precision == "bf16":
        for label, proxy in job.proxies.items():
            unfit = sorted({spec.wrt for spec in proxy.passes()} - set(IN_HALF))
            if unfit or any(spec.forward.training is not None for spec in proxy.passes()):
                raise UsageError(f"precision=bf16: {label} can be computed in float32 only; leave it out")


def _identity(job: Job) -> dict[str, Any]:
    return {
        "space": {"name": job.space.name, **asdict(job.space)},  # type: ignore[call-overload]
        "seed": job.seed,
        "datasets": {name: asdict(d) for name, d in job.datasets.items()},
        "proxies": {
            label: {"name": p.info.name, "version": p.info.version, **asdict(p)}  # type: ignore[call-overload]
            for label, p in job.proxies.items()
        },
    }


def _run_name(job: Job, options: RunOptions) -> str:
    """A folder name that is the same for the same configuration, so that a repeated command continues."""
    digits = fingerprint({**_identity(job), **{name: getattr(options, name) for name in LATER}})
    what = "+".join(job.proxies) if len(job.proxies) < 4 else f"{len(job.proxies)}-proxies"
    return f"{job.space.name}-{'+'.join(job.datasets)}-{what}-{digits}"


def _safe(name: str) -> str:
    """A run's name, which leads to a folder in that of the results and to no other."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UsageError(f"run={name} will not do; it names a folder in results=, which may be elsewhere")
    return name


def _workers(device: torch.device) -> int:
    """One a core: a single process leaves a GPU idle between small kernels.  No more than memory holds."""
    if device.type == "cpu":
        return _cores()
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(_cores(), free // _GPU_WORKER))


def _cores() -> int:
    """Cores this process may use, where the system tells; all of them elsewhere."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device=cuda: PyTorch sees no CUDA device here; device=cpu works everywhere")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _indices(options: RunOptions, job: Job, device: torch.device) -> tuple[int, ...]:
    size = len(job.space)
    if options.indices is not None:
        _refuse_stratified(options, "indices=")
        if not options.indices:
            raise UsageError("indices=[]: name at least one architecture")
        bad = [i for i in options.indices if not 0 <= i < size]
        if bad:
            raise UsageError(f"indices={bad}: the space has architectures 0 to {size - 1}")
        return tuple(dict.fromkeys(options.indices))
    n: int | str = options.n
    if n == "auto":
        n = "all" if device.type == "cuda" else min(options.cpu_sample, size)
    if isinstance(n, str):
        _refuse_stratified(options, "n=all")
        return tuple(range(size))
    if n > size:
        raise UsageError(f"n={n}: the space has {size} architectures; n=all takes them all")
    if options.sampling == "uniform":
        return sampling.uniform(size, n, options.sample_seed)
    drawn = sampling.stratified(_accuracy(options, job), n, options.sample_seed)
    if len(drawn) < n:
        raise UsageError(f"n={n}: only {len(drawn)} architectures have an accuracy to be drawn by")
    return drawn


def _refuse_stratified(options: RunOptions, given: str) -> None:
    if options.sampling == "stratified":
        raise UsageError(f"sampling=stratified draws a sample; {given} leaves nothing to draw, n=500 would")


def _accuracy(options: RunOptions, job: Job) -> NDArray[np.float64]:
    """The test accuracies that a stratified sample is drawn by."""
    if len(job.datasets) > 1:
        raise UsageError(
            f"sampling=stratified draws by the accuracies of one data set, not of {', '.join(job.datasets)}"
        )
    from nasbench_eval.truth import tables  # brings SciPy's statistics, and other samples need none

    table = tables.load_table(job.space.name, data_folder(options.data))
    return tables.accuracy(table, next(iter(job.datasets)), "test")
