"""From Hydra's configuration to typed objects, with errors that name what was held wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from nasbench_eval import registry, sampling
from nasbench_eval.scoring.classes import representatives
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError, shown
from nasbench_eval.work.execution import Work, device_named, given, space_named, work_of
from nasbench_eval.options.typed import RunOptions, fields_of, options_of, plain, typed
from nasbench_eval.passes.spec import IN_HALF
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.run.record import LATER, fingerprint
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.data.folder import data_folder
from nasbench_eval.scoring.worker import Job

if TYPE_CHECKING:
    from nasbench_eval.benchmark.table import Benchmark


@dataclass(frozen=True)
class Run(Work):
    """A configuration ready to run.

    Attributes:
        job: what to score.
        benchmark: the benchmark of one's own that it is about; None for the official ones.
    """

    options: RunOptions
    job: Job
    benchmark: Benchmark | None

    def identity(self) -> dict[str, Any]:
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
    space = space_named(parts.get("space"))
    datasets = {
        name: typed(DataSet, {"name": name, **values}, name)
        for name, values in _items("dataset", parts.get("dataset")).items()
    }
    benchmark = None if options.truth is None else _benchmark(options.truth, space, datasets)
    if benchmark is not None:
        space, datasets = benchmark.space, {benchmark.dataset.name: benchmark.dataset}
    proxies = _proxies(_items("proxy", parts.get("proxy")), _shared(parts.get("options")))
    job = Job(space, datasets, proxies, options.seed, precision=options.precision)
    device = device_named(options.device)
    _check_precision(job, device)
    sample = _sample(options, job, device, benchmark)
    work = work_of(options, sample, device, _run_name(job, options))
    return Run(**{**vars(work), "options": options}, job=job, benchmark=benchmark)


def _benchmark(name: str, space: SearchSpace, datasets: Mapping[str, DataSet]) -> Benchmark:
    """The benchmark that is asked for, unless something else is asked for besides."""
    from nasbench_eval.benchmark.table import load  # brings pandas and SciPy, which few runs need

    benchmark = load(name)
    if space not in (NASBench201(), benchmark.space):
        raise UsageError(
            f"truth={name} brings its own networks, {benchmark.space}; leave the options of space= out"
        )
    if datasets.keys() - {"cifar10", benchmark.dataset.name}:
        raise UsageError(f"truth={name} is about {benchmark.dataset.name}; leave dataset= out")
    return benchmark


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


def _sample(
    options: RunOptions, job: Job, device: torch.device, benchmark: Benchmark | None
) -> tuple[int, ...]:
    """The architectures asked for: of the space, or of those that a benchmark of one's own is about."""
    every: Sequence[int] = range(len(job.space)) if benchmark is None else benchmark.indices
    size = len(every)
    if options.indices is not None:
        _refuse_stratified(options, "indices=")
        named = given(options.indices, len(job.space))
        if unknown := set(named).difference(every):
            raise UsageError(
                f"indices={sorted(unknown)}: not among the {size} architectures of truth={options.truth}"
            )
        return named
    n: int | str = options.n
    if n == "auto":
        n = "all" if device.type == "cuda" else min(options.cpu_sample, size)
    if isinstance(n, str):
        _refuse_stratified(options, "n=all")
        return tuple(every)
    if n > size:
        where = "the space" if benchmark is None else f"truth={options.truth}"
        raise UsageError(f"n={n}: {where} has {size} architectures; n=all takes them all")
    if options.sampling == "uniform":
        return tuple(every[position] for position in sampling.uniform(size, n, options.sample_seed))
    drawn = sampling.stratified(_accuracy(options, job, benchmark), n, options.sample_seed)
    if len(drawn) < n:
        raise UsageError(f"n={n}: only {len(drawn)} architectures have an accuracy to be drawn by")
    return drawn


def _refuse_stratified(options: RunOptions, given: str) -> None:
    if options.sampling == "stratified":
        raise UsageError(f"sampling=stratified draws a sample; {given} leaves nothing to draw, n=500 would")


def _accuracy(options: RunOptions, job: Job, benchmark: Benchmark | None) -> NDArray[np.float64]:
    """The test accuracies that a stratified sample is drawn by."""
    if len(job.datasets) > 1:
        raise UsageError(
            f"sampling=stratified draws by the accuracies of one data set, not of {', '.join(job.datasets)}"
        )
    dataset = next(iter(job.datasets))
    if benchmark is not None:
        return benchmark.accuracy(dataset, "test")
    from nasbench_eval.truth import tables  # brings SciPy's statistics, and other samples need none

    table = tables.load_table(job.space.name, data_folder(options.data))
    return tables.accuracy(table, dataset, "test")
