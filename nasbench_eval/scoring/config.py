"""From a composed configuration to the frozen `Run`: space, job, sample, images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from nasbench_eval import registry
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.data.images import images_path
from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import RunOptions, fields_of, options_of, plain, typed
from nasbench_eval.passes.spec import IN_HALF, ForwardSpec
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.runs.parquet import column_fault
from nasbench_eval.runs.record import LATER, fingerprint
from nasbench_eval.scoring.classes import representatives
from nasbench_eval.scoring.job import Job
from nasbench_eval.spaces.base import CellSpace
from nasbench_eval.spaces.open import Known
from nasbench_eval.wording import first_line, shown
from nasbench_eval.work.execution import SampleWork, check_side, device_named, space_named, work_of
from nasbench_eval.work.sample import drawn, stratified
from nasbench_eval.work.subject import LISTED, Subject, chosen


@dataclass(frozen=True)
class Run(SampleWork):
    """A configuration ready to run: all that a command reads once it has begun.

    Attributes:
        subject: what is scored: a space and data sets, or a benchmark of one's own.
        job: what decides the scores.
        images: folder of the images; None if no proxy reads any, or they were not looked for.
    """

    options: RunOptions
    subject: Subject
    job: Job
    images: Path | None

    def identity(self) -> dict[str, Any]:
        return _identity(self.job, self.options)

    def stands_in(self) -> dict[int, int]:
        """For each architecture the one that is scored in its place: itself, or with dedupe its class's."""
        if self.options.dedupe == "isomorphic":
            return representatives(self.job.space, self.indices)
        return {index: index for index in self.indices}


def resolve(config: DictConfig) -> Run:
    """Check a composed configuration and build what it names; images are not looked for yet (see `located`).

    Raises:
        UsageError: naming the option that is unknown or of the wrong kind, and the nearest valid ones.
    """
    options, parts = options_of(config), plain(config)
    datasets = {
        name: typed(DataSet, {"name": name, **values}, name)
        for name, values in items_of("dataset", parts.get("dataset")).items()
    }
    subject = chosen(options.truth, space_named(parts.get("space")), datasets, options.data)
    proxies = proxies_of(items_of("proxy", parts.get("proxy")), shared_of(parts.get("options")))
    job = Job(subject.space, subject.datasets, proxies, options.seed, precision=options.precision)
    device = device_named(options.device)
    _check_precision(job, device)
    for task in job.tasks():
        for spec, _ in job.passes(task):
            if spec.forward.body == "whole":
                check_side(job.space, spec.forward.resolution or 8, "proxy.resolution")
            elif not isinstance(job.space, CellSpace):
                raise UsageError(
                    f"{task.label} runs a cell by itself, and the search space {job.space.name} has no "
                    "build_cell; leave it out"
                )
            _check_size(job.space, task.label, spec.forward)
    check_heads(job)
    n = _number(options, subject, device)
    if options.sampling == "stratified":
        sample = stratified(options, subject, n)
    else:
        sample = drawn(options, subject, n, options.sampling)
    work = work_of(options, sample, device, _run_name(job, options))
    return Run(**{**vars(work), "options": options}, subject=subject, job=job, images=None)


def located(run: Run) -> Run:
    """The run with the folder of its images and, if so asked, without the scores that would read absent ones.

    Raises:
        UsageError: naming the proxy that reads images which are not there.
    """
    job = _without_absent_images(run.job, run.subject, run.options)
    return replace(run, job=job, images=images_of(job, run.subject, run.options.data))


def items_of(group: str, node: Any) -> dict[str, dict[str, Any]]:
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


def shared_of(node: Any) -> dict[str, Any]:
    if node and not isinstance(node, dict):
        raise UsageError(f"options={shown(node)} will not do; options of proxies are set with proxy.X=VALUE")
    return node or {}


def proxies_of(given: Mapping[str, dict[str, Any]], shared: Mapping[str, Any]) -> dict[str, Proxy]:
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
        if fault := column_fault(classes[label].info.columns):
            raise UsageError(f"{label}: {fault}; the proxy has to give it another name")
        proxies[label] = typed(classes[label], {**node, **own}, label)
        _check_passes(label, proxies[label])
    return proxies


def _check_passes(label: str, proxy: Proxy) -> None:
    try:
        passes = proxy.passes()
    except ValueError as error:
        raise UsageError(f"{label}: {error}") from error
    for spec in passes:
        # Whether a network may have no cells but those between stages is the search space's to say.
        for option, least in (("batch_size", 1), ("resolution", 1), ("channels", 1), ("cells", 0)):
            value = getattr(spec.forward, option)
            if value is not None and value < least:
                raise UsageError(f"{label}: {option}={value} will not do; it should be at least {least}")


def _check_size(space: Any, label: str, forward: ForwardSpec) -> None:
    """Refuse networks of another size than the space's own where it cannot make them."""
    size = {"channels": forward.channels, "cells": forward.cells}
    wished = {option: value for option, value in size.items() if value is not None}
    if not wished:
        return
    if not callable(getattr(space, "resized", None)):
        raise UsageError(
            f"{label} scores networks of other sizes, and the search space {space.name} has no resized; "
            "leave it out"
        )
    try:
        space.resized(**size)
    except ValueError as error:
        wish = " ".join(f"{option}={value}" for option, value in wished.items())
        raise UsageError(f"{label}: {wish} will not do for {space.name}: {first_line(error)}") from error


def check_heads(job: Job) -> None:
    """Refuse images whose size the head of a task cannot take.

    Raises:
        UsageError: naming the proxy that would be shown them.
    """
    if isinstance(job.space, Known):  # which has no first architecture to try this on
        return
    for task in job.tasks():
        info = job.datasets[task.dataset]
        if info.task == "classification":
            continue
        for spec, _ in job.passes(task):
            side = spec.forward.resolution
            if spec.objective == "features" or side is None:
                continue
            try:
                job.sizes(task.dataset).flops(
                    job.space.arch(0), resolution=side, num_classes=info.num_classes
                )
            except ValueError as error:
                raise UsageError(f"{task.label} on {task.dataset}: {error}; set proxy.resolution") from None


def _check_precision(job: Job, device: torch.device) -> None:
    if job.precision == "tf32" and device.type == "cpu":
        raise UsageError("precision=tf32 is a GPU's; on the CPU there are float32 and bf16")
    if job.precision == "bf16":
        for label, proxy in job.proxies.items():
            unfit = sorted({spec.wrt for spec in proxy.passes()} - set(IN_HALF))
            if unfit or any(spec.forward.training is not None for spec in proxy.passes()):
                raise UsageError(f"precision=bf16: {label} can be computed in float32 only; leave it out")


def _number(options: RunOptions, subject: Subject, device: torch.device) -> int | str:
    """How many architectures are asked for; `auto` is all of them on a GPU, unless the space is huge."""
    if options.n != "auto":
        return options.n
    if subject.open is not None or options.archs is not None:
        return options.cpu_sample
    every = len(subject.sampled(options.sampling))
    return "all" if device.type == "cuda" and every <= LISTED else min(options.cpu_sample, every)


def _identity(job: Job, options: RunOptions) -> dict[str, Any]:
    return {**job.identity(), **{name: getattr(options, name) for name in LATER}}


def _run_name(job: Job, options: RunOptions) -> str:
    """A folder name that is the same for the same configuration, so that a repeated command continues."""
    what = "+".join(job.proxies) if len(job.proxies) < 4 else f"{len(job.proxies)}-proxies"
    return f"{job.space.name}-{'+'.join(job.datasets)}-{what}-{fingerprint(_identity(job, options))}"


def _without_absent_images(job: Job, subject: Subject, options: RunOptions) -> Job:
    """With missing_images=skip, the job without the scores that need images which are absent.

    Raises:
        UsageError: if nothing is left of it.
    """
    if options.missing_images == "refuse" or subject.own is not None:
        return job
    try:
        folder = subject.images(options.data)
        absent = {name for name in job.datasets if not images_path(folder, name).is_file()}
    except UsageError:
        absent = set(job.datasets)
    job = replace(job, imageless=frozenset(absent))
    if not job.tasks():
        raise UsageError("all proxies read images, and none are there: build them with nasbench-data")
    return job


def images_of(job: Job, subject: Subject, data: Path | None) -> Path | None:
    """The folder of the images that are read; None if none are.

    Raises:
        UsageError: naming the proxy that reads images which are not there.
    """
    imaged = job.imaged()
    if not imaged and subject.own is None:
        return None
    try:
        return subject.images(data)
    except UsageError as error:
        raise UsageError(
            f"{imaged[0].label} reads images of {imaged[0].dataset}: {error}; "
            "or ask for Gaussian inputs with proxy.input=gaussian"
        ) from error
