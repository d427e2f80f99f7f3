"""From a composed configuration to the frozen `Plan`: space, guide, algorithm, seeds and budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import SearchOptions, plain, search_options_of, typed
from nasbench_eval.runs.record import fingerprint
from nasbench_eval.scoring.config import check_heads, images_of, items_of, shared_of
from nasbench_eval.scoring.job import Job
from nasbench_eval.search.course import Course, algorithm_of
from nasbench_eval.search.guides import Guide, guide_of
from nasbench_eval.search.history import CLOCKS
from nasbench_eval.search.loop import Budget
from nasbench_eval.spaces.open import Known
from nasbench_eval.work.execution import Work, device_named, folder_of, space_named, workers_of
from nasbench_eval.work.sample import uniform
from nasbench_eval.work.subject import Subject, chosen


@dataclass(frozen=True)
class Plan(Work):
    """A search ready to run.

    Attributes:
        subject: the space and the one data set, or a benchmark of one's own.
        dataset: that data set.
        guide: what the algorithm is told.
        course: what decides the history beside that.
        job: what decides the scores of the guide's proxies; None if it has none.
        images: folder of the images that they read; None if there are none, or they were not looked for.
    """

    options: SearchOptions
    subject: Subject
    dataset: DataSet
    guide: Guide
    course: Course
    job: Job | None
    images: Path | None

    @property
    def budget(self) -> Budget:
        """When the search ends."""
        clocks = [getattr(self.options, f"{clock}_seconds") or np.inf for clock in CLOCKS]
        return Budget(self.options.steps, np.array(clocks), self.options.wall_seconds or np.inf)

    @property
    def remote(self) -> torch.device:
        """Where the networks of workers on a Ray cluster are."""
        return torch.device("cuda") if self.options.device == "cuda" else self.device

    def identity(self) -> dict[str, Any]:
        """What decides the scores, as a run of scores has it."""
        return Job(
            self.subject.space, self.subject.datasets, self.guide.proxies, self.options.seed
        ).identity()


def resolve(config: DictConfig) -> Plan:
    """Check a composed configuration and build what it names; images are not looked for yet (see `located`).

    Raises:
        UsageError: naming what is wrong.
    """
    options, parts = search_options_of(config), plain(config)
    datasets = {
        name: typed(DataSet, {"name": name, **values}, name)
        for name, values in items_of("dataset", parts.get("dataset")).items()
    }
    subject = chosen(options.truth, space_named(parts.get("space")), datasets, options.data)
    if len(subject.datasets) > 1:
        raise UsageError(f"a search is on one data set; -m dataset={','.join(datasets)} searches on each")
    [dataset] = subject.datasets.values()
    guide = guide_of(options, shared_of(parts.get("options")))
    _check_clocks(options, guide)
    course = _course(parts.get("algorithm"), subject, guide, options)
    course.begin()  # says what the algorithm cannot do
    job = Job(subject.space, subject.datasets, guide.proxies, options.seed) if guide.proxies else None
    if job is not None:
        check_heads(job)
    scored = job is not None and options.reuse != "only"
    _check_ray(options, scored)
    # GPUs of a cluster need not be here.
    device = device_named("auto" if options.ray and options.device == "cuda" else options.device)
    plan = Plan(
        options=options,
        device=device,
        workers=workers_of(options, device) if scored and options.ray is None else 0,
        whole=Path(),
        subject=subject,
        dataset=dataset,
        guide=guide,
        course=course,
        job=job,
        images=None,
    )
    return replace(plan, whole=folder_of(options, _name(plan)))


def located(plan: Plan) -> Plan:
    """The search with the folder of the images that its proxies read, if any are scored.

    Raises:
        UsageError: naming the proxy that reads images which are not there.
    """
    if plan.job is None or plan.options.reuse == "only":
        return plan
    return replace(plan, images=images_of(plan.job, plan.subject, plan.options.data))


def _name(plan: Plan) -> str:
    """A folder name that is the same for the same search, whatever its budget."""
    course = plan.course
    digits = fingerprint({**plan.identity(), "search": course.as_record()})
    return f"{course.space.name}-{plan.dataset.name}-{course.label}-{course.guide}-{digits}"


def _course(node: Any, subject: Subject, guide: Guide, options: SearchOptions) -> Course:
    label, algorithm = algorithm_of(node)
    if (options.fork is None) != (options.fork_step is None):
        raise UsageError("fork= and fork_step= go together: the folder of a search, and a step of it")
    return Course(
        space=subject.space,
        algorithm=algorithm,
        label=label,
        guide=guide.name,
        kind=guide.kind,
        judge=guide.judge,
        seed=options.seed,
        seeds=_seeds(options.seeds),
        steps=options.steps,
        lag=options.lag,
        mutation=options.mutation,
        fork=None if options.fork is None else {"parent": options.fork.name, "step": options.fork_step},
        n=options.n,
        sample_seed=options.sample_seed,
        members=_members(subject, options),
    )


def _members(subject: Subject, options: SearchOptions) -> tuple[int, ...] | None:
    """The architectures that a search keeps to; None for the whole space."""
    if isinstance(subject.space, Known):
        if subject.benchmark is not None:
            raise UsageError(
                f"truth={options.truth} has trained networks of an open space, and no search keeps to them"
            )
        if options.n != "all":
            raise UsageError(f"n=: a search of {subject.space.name}, which is open, keeps to no sample of it")
        return None
    members = subject.architectures
    if isinstance(options.n, int) and options.n != len(members):
        if options.n > len(members):
            raise UsageError(f"n={options.n}: {subject.name} has {len(members)} architectures")
        members = uniform(members, options.n, options.sample_seed)
    return None if len(members) == len(subject.space) else tuple(sorted(members))


def _check_clocks(options: SearchOptions, guide: Guide) -> None:
    """Refuse a budget on a clock that stands still with this guide, and so would never end the search."""
    still = "simulated" if guide.proxies else "proxy"
    if getattr(options, f"{still}_seconds") is not None:
        why = "scores cost no training" if guide.proxies else "accuracies cost no scoring"
        raise UsageError(f"{still}_seconds= never ends a search guided by {guide.name}: {why}")


def _check_ray(options: SearchOptions, scored: bool) -> None:
    """Refuse a cluster that nothing would be done on."""
    if options.ray is None:
        if options.ray_gpus is not None:
            raise UsageError("ray_gpus= is about workers on a Ray cluster, which ray=ADDRESS names")
    elif not scored:
        raise UsageError(f"ray={options.ray}: this search scores nothing that a cluster could help with")
    elif options.workers == 0:
        raise UsageError("ray= has workers score, and workers=0 has none; leave one of them out")
    elif (gpus := options.ray_gpus) and options.device != "cuda":
        raise UsageError(f"ray_gpus={gpus:g}: GPUs are used with device=cuda, here it is {options.device}")
    elif gpus is not None and gpus > 1 and gpus % 1:
        raise UsageError(f"ray_gpus={gpus:g}: above 1 Ray gives whole GPUs alone")


def _seeds(given: int | tuple[int, ...]) -> tuple[int, ...]:
    seeds = tuple(range(given)) if isinstance(given, int) else given
    if not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds={list(seeds)}: name at least one, and each once")
    return seeds
