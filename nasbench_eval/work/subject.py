"""What a run is about: a search space and data sets, or ground truth of one's own that says more of it.

What scores asks here where images lie and which architectures there are.  So it need not know of ground
truth, and cannot: of accuracies nothing but the order of a stratified sample leaves this package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from nasbench_eval import registry
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import typed
from nasbench_eval.paths import config_folder, configured
from nasbench_eval.runs.record import Record
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.spaces.open import Known, space_of

if TYPE_CHECKING:
    from nasbench_eval.truth.given import Given
    from nasbench_eval.truth.own import Benchmark

# Larger spaces are never listed.
LISTED = 1_000_000


@dataclass(frozen=True)
class Subject:
    """What is worked on.

    Attributes:
        space: the search space.
        datasets: data sets by name.
        truth: what the ground truth is called that says which architectures there are; None for the space's
            own table.
        benchmark: this ground truth: a benchmark, which brings the space and the data set, or a table.
    """

    space: SearchSpace
    datasets: Mapping[str, DataSet]
    truth: str | None = None
    benchmark: Benchmark | Given | None = None

    @property
    def open(self) -> Known | None:
        """The space, if its architectures cannot be listed; those that a benchmark has trained can be."""
        return self.space if self.benchmark is None and isinstance(self.space, Known) else None

    @property
    def architectures(self) -> Sequence[int]:
        """What a sample is drawn from: the whole space, or what the benchmark has trained; by index."""
        return range(len(self.space)) if self.benchmark is None else self.benchmark.indices

    def sampled(self, sampling: str) -> Sequence[int]:
        """What a sample of this kind is drawn from.

        Args:
            sampling: `live` for the live architectures alone; `distinct` for one of each class of isomorphic
                ones, the one that stands for it if it is among them; else all of them.
        """
        if sampling not in ("live", "distinct"):
            return self.architectures
        self.require_list()
        if sampling == "distinct":
            return self._distinct()
        if not callable(getattr(self.space, "live", None)):
            raise UsageError(f"sampling=live: {self.space.name} does not tell which architectures are live")
        return [index for index in self.architectures if self.space.live(self.space.arch(index))]

    def _distinct(self) -> list[int]:
        """Of each class of isomorphic architectures the one that stands for it, or the first there is."""
        first: dict[int, int] = {}
        every = self.architectures
        for index in every:
            first.setdefault(self.space.index(self.space.canonical(self.space.arch(index))), index)
        there = every if isinstance(every, range) else set(every)
        return sorted(stands if stands in there else index for stands, index in first.items())

    def require_list(self) -> None:
        """Refuse to go through a space that is too large for it.

        Raises:
            UsageError: saying how many architectures there are.
        """
        if self.open is not None:
            raise UsageError(
                f"the architectures of {self.space.name} cannot be listed: n=1000 draws some of them, archs= "
                "names some"
            )
        if (size := len(self.architectures)) > LISTED:
            raise UsageError(
                f"{self.space.name} has {size:,} architectures, too many to go through; n=1000 draws some of "
                "them, indices= names some"
            )

    @property
    def title(self) -> str:
        """What the data sets are called in messages."""
        return ", ".join(self.datasets) if self.own is None else self.own.title

    @property
    def own(self) -> Benchmark | None:
        """The benchmark that brings the space, the data set and its images."""
        if self.benchmark is None:
            return None
        from nasbench_eval.truth.own import Benchmark  # there already

        return self.benchmark if isinstance(self.benchmark, Benchmark) else None

    @property
    def name(self) -> str:
        """What the architectures are those of, in messages."""
        return "the space" if self.benchmark is None else f"truth={self.truth}"

    def judged(self) -> set[str]:
        """The names of data sets on which a report has accuracies of these architectures."""
        if self.benchmark is not None:
            return set(self.datasets)
        files = [config_folder() / "table" / f"{name}.yaml" for name in configured("table")]
        tables: list[Any] = [OmegaConf.load(file) for file in files]
        found = {str(name) for table in tables if table.space == self.space.name for name in table.datasets}
        if found or self.space.name not in registry.names("truths"):
            return found
        from nasbench_eval.truth.tables import public  # brings pandas

        return set(public(self.space.name).info.datasets)

    def images(self, data: Path | None) -> Path:
        """The folder of images: the benchmark's own, or the data folder.  Raises UsageError without one."""
        return data_folder(data) if self.own is None else self.own.folder

    def accuracy(self, data: Path | None) -> NDArray[np.float64]:
        """Test accuracies in percent on the one data set, shape (architectures of the space,).

        Raises:
            UsageError: if they are not here.
        """
        [dataset] = self.datasets
        if self.benchmark is not None:
            return self.benchmark.accuracy(dataset, "test")
        from nasbench_eval.truth import tables  # brings SciPy's statistics, and other samples need none

        return tables.accuracy(tables.load_table(self.space.name, data_folder(data)), dataset, "test")


def chosen(
    truth: str | None, space: SearchSpace, datasets: Mapping[str, DataSet], data: Path | None = None
) -> Subject:
    """What a command is about.

    Args:
        truth: the benchmark or table, by name, folder or file; None for the space's own table.
        space: the search space that is asked for.
        datasets: the data sets that are asked for, by name.
        data: the folder of public tables; None for the environment's.

    Raises:
        UsageError: if there is no such ground truth, if it lacks a data set, or if a space or data set is
            asked for beside a benchmark that brings its own.
    """
    if truth is None:
        return Subject(space, datasets)
    benchmark = _named(truth, space, data)
    from nasbench_eval.truth.given import Given  # there already

    if isinstance(benchmark, Given):
        if lacking := sorted(datasets.keys() - set(benchmark.datasets)):
            raise UsageError(
                f"truth={truth} has nothing on {', '.join(lacking)}; it has {', '.join(benchmark.datasets)}"
            )
        return Subject(space, datasets, truth, benchmark)
    if space not in (NASBench201(), benchmark.space):
        raise UsageError(
            f"truth={truth} brings its own networks, {benchmark.space}; leave the options of space= out"
        )
    if datasets.keys() - {"cifar10", benchmark.dataset.name}:
        raise UsageError(f"truth={truth} is about {benchmark.dataset.name}; leave dataset= out")
    return Subject(benchmark.space, {benchmark.dataset.name: benchmark.dataset}, truth, benchmark)


def recorded(run: Record) -> Subject:
    """What a run of this record was about.

    Raises:
        UsageError: if the space or the benchmark is not here.
    """
    space = space_of(run["space"])
    datasets = {name: typed(DataSet, info, name) for name, info in run["datasets"].items()}
    if run.get("truth") is None:
        return Subject(space, datasets)
    truth = str(run["truth"])
    return Subject(space, datasets, truth, _named(truth, space, None))


def _named(name: str, space: SearchSpace, data: Path | None) -> Benchmark | Given:
    from nasbench_eval.truth.named import named  # brings pandas and SciPy, which few runs need

    return named(name, space, data)
