"""From Hydra's configuration to typed objects, with errors that name what was held wrong."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, TypeAdapter, ValidationError

from nasbench_eval import registry, sampling
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.truth import tables
from nasbench_eval.truth.folder import data_folder
from nasbench_eval.worker import Job

T = TypeVar("T")


@dataclass(frozen=True)
class RunOptions:
    """Options of a run beside those of its space, data sets and proxies (see configs/config.yaml)."""

    n: Annotated[int, Field(ge=1)] | Literal["all", "auto"]
    cpu_sample: Annotated[int, Field(ge=1)]
    sample_seed: Annotated[int, Field(ge=0)]
    sampling: Literal["uniform", "stratified"]
    indices: tuple[int, ...] | None
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    device: Literal["auto", "cpu", "cuda"]
    workers: Annotated[int, Field(ge=1)] | None
    data: Path | None
    missing_images: Literal["refuse", "skip"]
    results: Path
    run: str | int | None


@dataclass(frozen=True)
class Run:
    """A configuration ready to run.

    Attributes:
        job: what to score.
        indices: which architectures, by the benchmark's index.
        options: how and where.
        device: where the passes run.
        workers: processes.
        folder: where the results go.
    """

    job: Job
    indices: tuple[int, ...]
    options: RunOptions
    device: torch.device
    workers: int
    folder: Path

    def identity(self) -> dict[str, Any]:
        """What decides the scores and the sample, as plain data."""
        return {**_identity(self.job), "sampling": self.options.sampling}


def resolve(config: DictConfig) -> Run:
    """Check a composed configuration and build what it names.

    Raises:
        UsageError: naming the option that is unknown or of the wrong kind, and the nearest valid ones.
    """
    try:
        plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:  # a reference to nothing
        raise UsageError(str(error).splitlines()[0]) from error
    shared = plain.pop("options", None) or {}
    space = _space(plain.pop("space", None))
    datasets = {
        name: typed(DataSet, {"name": name, **options}, name)
        for name, options in _items("dataset", plain.pop("dataset", None)).items()
    }
    proxies = _proxies(_items("proxy", plain.pop("proxy", None)), shared)
    options = typed(RunOptions, plain, "the run")
    job = Job(space, datasets, proxies, options.seed)
    device = _device(options.device)
    workers = options.workers or (_cores() if device.type == "cpu" else 1)
    folder = options.results / (_run_name(job, options) if options.run in (None, "") else str(options.run))
    return Run(job, _indices(options, job, device), options, device, workers, folder)


def typed(cls: type[T], values: Mapping[str, Any], what: str) -> T:
    """A dataclass from plain values, checked against its annotations.

    Raises:
        UsageError: on an unknown field (naming the nearest), a missing one, or a value of the wrong kind.
    """
    for key in values:
        if key not in _options_of(cls):
            raise unknown(f"option of {what}", key, _options_of(cls))
    try:
        # As JSON, because pydantic's strict mode then takes lists for tuples and texts for paths,
        # but still no truth value, text or fraction for a whole number.
        return TypeAdapter(cls).validate_json(json.dumps(dict(values), default=str), strict=True)
    except ValidationError as error:
        raise UsageError(f"{what}: {_explained(error)}") from error


def _explained(error: ValidationError) -> str:
    """The first field that is wrong, with all that it might have been."""
    first, *rest = error.errors()
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ")
    field = first["loc"][0]
    if first["type"] == "missing":
        return f"the option {field} has no value"
    kinds = [e["msg"] for e in (first, *rest) if e["loc"][:1] == (field,)]
    should = " or ".join(dict.fromkeys(kind.removeprefix("Input should be ") for kind in kinds))
    return f"{field}={first['input']} will not do; it should be {should}"


def _items(group: str, node: Any) -> dict[str, dict[str, Any]]:
    """The chosen items of a group: their options by name."""
    if not node:
        raise UsageError(f"no {group} is chosen; choose one with {group}=NAME")
    items = {}
    for name, options in node.items():
        if not isinstance(options, dict):
            raise UsageError(f"{group}.{name}={options} is no {group} with options")
        items[name] = dict(options)
    return items


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
    every = {name for cls in classes.values() for name in _options_of(cls)}
    for key in shared:
        if key not in every:
            raise unknown(f"option of {', '.join(classes)}", key, every)
    proxies = {}
    for label, node in given.items():
        own = {k: v for k, v in shared.items() if k in _options_of(classes[label])}
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


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name nothing goes by, with the nearest that something does."""
    return registry.UnknownName(kind, name, known)


def _options_of(cls: Any) -> set[str]:
    return {f.name for f in fields(cls)}


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
    text = json.dumps(_identity(job), sort_keys=True) + options.sampling.removeprefix("uniform")
    what = "+".join(job.proxies) if len(job.proxies) < 4 else f"{len(job.proxies)}-proxies"
    return f"{job.space.name}-{'+'.join(job.datasets)}-{what}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


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
    table = tables.load_table(job.space.name, data_folder(options.data))
    return tables.accuracy(table, next(iter(job.datasets)), "test")
