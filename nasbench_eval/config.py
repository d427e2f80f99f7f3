"""From Hydra's configuration to typed objects, with errors that name what was held wrong."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from pydantic import TypeAdapter, ValidationError

from nasbench_eval import registry
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.worker import Job

T = TypeVar("T")


@dataclass(frozen=True)
class RunOptions:
    """Options of a run beside those of its space, data sets and proxies (see configs/config.yaml)."""

    n: int | Literal["all", "auto"]
    cpu_sample: int
    sample_seed: int
    indices: tuple[int, ...] | None
    seed: int
    device: str
    workers: int | None
    data: Path | None
    results: Path
    run: str | None


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
        """What decides the scores, as plain data."""
        return _identity(self.job)


def resolve(config: DictConfig) -> Run:
    """Check a composed configuration and build what it names.

    Raises:
        UsageError: naming the option that is unknown or of the wrong kind, and the nearest valid ones.
    """
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    shared = plain.pop("options", None) or {}
    groups = {group: plain.pop(group) for group in ("space", "dataset", "proxy")}
    options = typed(RunOptions, plain, "a run")
    space_options = dict(groups["space"])
    space = typed(registry.find("spaces", space_options.pop("name")), space_options, "the space")
    datasets = {name: typed(DataSet, {"name": name, **d}, name) for name, d in groups["dataset"].items()}
    proxies = {}
    given = {label: dict(node) for label, node in groups["proxy"].items()}
    classes = {label: registry.find("proxies", node.pop("name", label)) for label, node in given.items()}
    _check_shared(shared, classes)
    for label, node in given.items():
        own = {k: v for k, v in shared.items() if k in _options_of(classes[label])}
        proxies[label] = typed(classes[label], {**node, **own}, label)
    job = Job(space, datasets, proxies, options.seed)
    device = _device(options.device)
    workers = options.workers or (len(os.sched_getaffinity(0)) if device.type == "cpu" else 1)
    if workers < 1:
        raise UsageError(f"workers={workers}: at least one process has to work")
    folder = options.results / (options.run or _run_name(job))
    return Run(job, _indices(options, len(space), device), options, device, workers, folder)


def typed(cls: type[T], values: Mapping[str, Any], what: str) -> T:
    """A dataclass from plain values, checked against its annotations.

    Raises:
        UsageError: on an unknown field (naming the nearest), a missing one, or a value of the wrong kind.
    """
    for key in values:
        if key not in _options_of(cls):
            raise unknown(f"option of {what}", key, _options_of(cls))
    try:
        return TypeAdapter(cls).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][:1])
        said = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        raise UsageError(f"{what}: {place}={first['input']} will not do; it should be {said}") from error


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name nothing goes by, with the nearest that something does."""
    return registry.UnknownName(kind, name, known)


def _options_of(cls: Any) -> set[str]:
    return {f.name for f in fields(cls)}


def _check_shared(shared: Mapping[str, Any], classes: Mapping[str, Any]) -> None:
    every = {name for cls in classes.values() for name in _options_of(cls)}
    for key in shared:
        if key not in every:
            raise unknown(f"option of {', '.join(classes)}", key, every)


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


def _run_name(job: Job) -> str:
    """A folder name that is the same for the same configuration, so that a repeated command continues."""
    text = json.dumps(_identity(job), sort_keys=True)
    what = "+".join(job.proxies) if len(job.proxies) < 4 else f"{len(job.proxies)}-proxies"
    return f"{job.space.name}-{'+'.join(job.datasets)}-{what}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise UsageError(f"device={name} will not do; it should be auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device=cuda: PyTorch sees no CUDA device here; device=cpu works everywhere")
    return torch.device(name)


def _indices(options: RunOptions, size: int, device: torch.device) -> tuple[int, ...]:
    if options.indices is not None:
        bad = [i for i in options.indices if not 0 <= i < size]
        if bad:
            raise UsageError(f"indices={bad}: the space has architectures 0 to {size - 1}")
        return tuple(dict.fromkeys(options.indices))
    n: int | str = options.n
    if n == "auto":
        n = "all" if device.type == "cuda" else min(options.cpu_sample, size)
    if isinstance(n, str):
        return tuple(range(size))
    if not 1 <= n <= size:
        raise UsageError(f"n={n}: the space has 1 to {size} architectures to score, or n=all")
    return sample(size, n, options.sample_seed)


def sample(size: int, n: int, seed: int) -> tuple[int, ...]:
    """n of `size` indices at random without replacement; a smaller n is a prefix of a larger one."""
    order: Sequence[int] = np.random.default_rng(seed).permutation(size)[:n].tolist()
    return tuple(order)
