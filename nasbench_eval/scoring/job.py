"""What decides the scores of a run: proxies with their options, data sets, a search space and a seed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, cast

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import made, typed, written
from nasbench_eval.passes import PassSpec
from nasbench_eval.passes.spec import Precision
from nasbench_eval.proxies.base import OfSize, Proxy
from nasbench_eval.runs.record import LATER, Record
from nasbench_eval.runs.rows import Task
from nasbench_eval.spaces.base import PIECES, SearchSpace, Sizes, TaskSpace
from nasbench_eval.spaces.open import space_of


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

    @cached_property
    def of_size(self) -> dict[str, OfSize]:
        """The proxies that need no pass on this search space, by label.

        A class that derives from one of them and changes how it scores, or from a space and changes its
        networks, has to bring its own closed form as well, or has none.
        """
        if not isinstance(self.space, Sizes) or not _together(self.space, ("params", "flops"), ("build",)):
            return {}
        passes = ("passes", "observe", "score")
        return {
            label: proxy
            for label, proxy in self.proxies.items()
            if isinstance(proxy, OfSize) and _together(proxy, ("from_size",), passes)
        }

    def __post_init__(self) -> None:
        for name, info in self.datasets.items():
            known = self.space.tasks if isinstance(self.space, TaskSpace) else ("classification",)
            if info.task not in known:
                raise UsageError(
                    f"dataset={name} is for {info.task}, and networks of {self.space.name} do "
                    f"{', '.join(known)} alone"
                )

    def tasks(self) -> tuple[Task, ...]:
        """Every data set with every proxy, but those that would read images which are absent."""
        every = (Task(dataset, label) for dataset in self.datasets for label in self.proxies)
        return tuple(t for t in every if t.dataset not in self.imageless or not self.reads_images(t))

    def reads_images(self, task: Task) -> bool:
        """Whether a proxy is shown real images of a data set, or its networks are trained on them."""
        forwards = [spec.forward for spec in self.proxies[task.label].passes()]
        shown = self.datasets[task.dataset].input == "images"
        return any((f.imaged and shown) or f.training is not None for f in forwards)

    def imaged(self) -> list[Task]:
        """The tasks that read real images."""
        return [task for task in self.tasks() if self.reads_images(task)]

    def sizes(self, dataset: str) -> Sizes:
        """The sizes of the networks with the head for a data set, where the space tells them."""
        task = self.datasets[dataset].task
        if task != "classification" and isinstance(self.space, TaskSpace):
            return self.space.sizes(task)
        return cast(Sizes, self.space)

    def passes(self, task: Task) -> list[tuple[PassSpec, str | None]]:
        """A task's passes with the resolution filled in, and the data set where the pass depends on it."""
        resolved, info = [], self.datasets[task.dataset]
        for spec in self.proxies[task.label].passes():
            forward = spec.forward
            if forward.resolution is None:
                forward = replace(forward, resolution=info.resolution)
            if forward.imaged and info.input != "images":
                forward = replace(forward, source=info.input)
            if info.task == "jigsaw" and spec.objective != "features":
                forward = replace(forward, pieces=PIECES)
            shared = spec.objective == "features" and not forward.imaged
            resolved.append((replace(spec, forward=forward), None if shared else task.dataset))
        return resolved

    def identity(self) -> dict[str, Any]:
        """What decides the scores as plain data, as `run.json` holds it; `job_of` is the inverse."""
        return {
            "space": {"name": self.space.name, **asdict(self.space)},  # type: ignore[call-overload]
            "seed": self.seed,
            "datasets": {name: written(dataset) for name, dataset in self.datasets.items()},
            "proxies": {
                label: {"name": proxy.info.name, "version": proxy.info.version, **written(proxy)}
                for label, proxy in self.proxies.items()
            },
        }


def _together(thing: object, closed: Collection[str], others: Collection[str]) -> bool:
    """Whether the class that has the last word on any of these methods defines all of the closed form."""
    for cls in type(thing).__mro__:
        if not vars(cls).keys().isdisjoint((*closed, *others)):
            return vars(cls).keys() >= set(closed)
    return False


def job_of(run: Record, labels: Collection[str] | None = None) -> Job:
    """What a run scored, built anew from its record with the classes that are installed here.

    An option that a class has gained since has its default.  Whether the versions of the proxies are still
    those of the record is for the caller to ask (`proxy.info.version`).

    Args:
        run: the content of `run.json`.
        labels: the proxies wanted; None for all of them.

    Raises:
        UsageError: if a class is not installed, or no longer has an option of the record.
    """
    return Job(
        space_of(run["space"]),
        {name: typed(DataSet, info, name) for name, info in run["datasets"].items()},
        {label: proxy_of(run, label) for label in (run["proxies"] if labels is None else labels)},
        run["seed"],
        precision=run.get("precision", LATER["precision"]),
    )


def proxy_of(run: Record, label: str) -> Proxy:
    """A proxy of a record with its options.

    Raises:
        UsageError: if it is not installed, or no longer has an option of the record.
    """
    options = {key: value for key, value in run["proxies"][label].items() if key != "version"}
    proxy: Proxy = made("proxies", options, label)
    return proxy
