"""From a composed configuration to the frozen `Plan`: space, guide, algorithm, seeds and budget."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import SearchOptions, made, plain, search_options_of, typed
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.scoring.config import images_of, items_of, shared_of
from nasbench_eval.scoring.job import Job
from nasbench_eval.search.algorithms.base import Algorithm, Problem, Search
from nasbench_eval.search.guides import Guide, guide_of
from nasbench_eval.search.history import CLOCKS
from nasbench_eval.search.loop import Budget
from nasbench_eval.search.moves import Moves, Restricted, moves_of
from nasbench_eval.work.execution import Work, device_named, folder_of, space_named, workers_of
from nasbench_eval.work.subject import Subject, chosen


@dataclass(frozen=True)
class Plan(Work):
    """A search ready to run.

    Attributes:
        subject: the space and the one data set, or a benchmark of one's own.
        dataset: that data set.
        guide: what the algorithm is told.
        algorithm: what proposes.
        label: the algorithm's name on the command line.
        seeds: those of the searches.
        job: what decides the scores of the guide's proxies; None if it has none.
        images: folder of the images that they read, if any.
    """

    options: SearchOptions
    subject: Subject
    dataset: DataSet
    guide: Guide
    algorithm: Algorithm
    label: str
    seeds: tuple[int, ...]
    job: Job | None
    images: Path | None

    @property
    def budget(self) -> Budget:
        """When the search ends."""
        clocks = [getattr(self.options, f"{clock}_seconds") or np.inf for clock in CLOCKS]
        return Budget(self.options.steps, np.array(clocks), self.options.wall_seconds or np.inf)

    def moves(self, members: Any = None) -> Moves:
        """What can be done with the architectures, or with some of them alone."""
        moves = moves_of(self.subject.space, self.options.mutation)
        return moves if members is None else Restricted(moves, members)

    def begin(self, members: Any = None) -> Search:
        """The search before its first step.

        Raises:
            UsageError: if the algorithm cannot search this space with this guide.
        """
        return self.algorithm.begin(
            Problem(self.moves(members), self.guide.judge, len(self.seeds), self.options.steps)
        )

    def identity(self) -> dict[str, Any]:
        """What decides the scores, as a run of scores has it."""
        return _identity(self.subject, self.guide.proxies, self.options.seed)

    def course(self) -> dict[str, Any]:
        """What decides the history beside the scores."""
        return _course(self.algorithm, self.label, self.guide, self.seeds, self.options)


def resolve(config: DictConfig) -> Plan:
    """Check a composed configuration and build what it names.

    Raises:
        UsageError: naming what is wrong.
    """
    options, parts = search_options_of(config), plain(config)
    datasets = {
        name: typed(DataSet, {"name": name, **values}, name)
        for name, values in items_of("dataset", parts.get("dataset")).items()
    }
    subject = chosen(options.truth, space_named(parts.get("space")), datasets)
    if len(subject.datasets) > 1:
        raise UsageError(f"a search is on one data set; -m dataset={','.join(datasets)} searches on each")
    [dataset] = subject.datasets.values()
    guide = guide_of(options, shared_of(parts.get("options")))
    label, algorithm = _algorithm(parts.get("algorithm"))
    seeds = _seeds(options.seeds)
    job = Job(subject.space, subject.datasets, guide.proxies, options.seed) if guide.proxies else None
    device = device_named(options.device)
    workers = workers_of(options, device) if job else 0
    identity = json.dumps(
        [_identity(subject, guide.proxies, options.seed), _course(algorithm, label, guide, seeds, options)],
        sort_keys=True,
    )
    digits = hashlib.sha256(identity.encode()).hexdigest()[:8]
    name = f"{subject.space.name}-{dataset.name}-{label}-{guide.name}-{digits}"
    images = images_of(job, subject, options.data) if job and options.reuse != "only" else None
    plan = Plan(
        options, device, workers, folder_of(options, name), subject, dataset, guide, algorithm, label, seeds,
        job, images,
    )  # fmt: skip
    plan.begin()  # says what the algorithm cannot do
    return plan


def _algorithm(node: Any) -> tuple[str, Algorithm]:
    if not isinstance(node, Mapping) or "name" not in node:
        raise UsageError("no algorithm is chosen; choose one with algorithm=NAME")
    given = dict(node)
    label = str(given.pop("label", None) or given["name"])
    return label, made("algorithms", given, label)


def _seeds(given: int | tuple[int, ...]) -> tuple[int, ...]:
    seeds = tuple(range(given)) if isinstance(given, int) else given
    if not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds={list(seeds)}: name at least one, and each once")
    return seeds


def _identity(subject: Subject, proxies: Mapping[str, Proxy], seed: int) -> dict[str, Any]:
    return Job(subject.space, subject.datasets, proxies, seed).identity()


def _course(
    algorithm: Algorithm, label: str, guide: Guide, seeds: tuple[int, ...], options: SearchOptions
) -> dict[str, Any]:
    return {
        "algorithm": {"label": label, "name": algorithm.info.name, **asdict(algorithm)},  # type: ignore[call-overload]
        "guide": {
            "name": guide.name,
            "kind": guide.kind,
            "values": list(guide.values),
            "ranks": getattr(guide.judge, "rank", None),
        },
        "seeds": list(seeds),
        "lag": options.lag,
        "mutation": options.mutation,
        "fork": _fork(options),
    }


def _fork(options: SearchOptions) -> dict[str, Any] | None:
    """Where the history begins that is gone on with."""
    if (options.fork is None) != (options.fork_step is None):
        raise UsageError("fork= and fork_step= go together: the folder of a search, and a step of it")
    return None if options.fork is None else {"parent": options.fork.name, "step": options.fork_step}
