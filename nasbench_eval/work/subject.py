"""What a run is about: a search space and data sets, or a benchmark of one's own that brings both.

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
    from nasbench_eval.truth.own import Benchmark

# Larger spaces are never listed.
LISTED = 1_000_000


@dataclass(frozen=True)
class Subject:
    """What is worked on.

    Attributes:
        space: the search space.
        datasets: data sets by name.
        truth: what the benchmark of one's own that brings both is called; None for the official ones.
        benchmark: this benchmark.
    """

    space: SearchSpace
    datasets: Mapping[str, DataSet]
    truth: str | None = None
    benchmark: Benchmark | None = None

    @property
    def open(self) -> Known | None:
        """The space, if its architectures cannot be listed; those that a benchmark has trained can be."""
        return self.space if self.benchmark is None and isinstance(self.space, Known) else None

    @property
    def architectures(self) -> Sequence[int]:
        """What a sample is drawn from: the whole space, or what the benchmark has trained; by index."""
        return range(len(self.space)) if self.benchmark is None else self.benchmark.indices

    def sampled(self, sampling: str) -> Sequence[int]:
        """What a sample of this kind is drawn from: with `live` the live architectures alone."""
        if sampling != "live":
            return self.architectures
        self.require_list()
        if not callable(getattr(self.space, "live", None)):
            raise UsageError(f"sampling=live: {self.space.name} does not tell which architectures are live")
        return [index for index in self.architectures if self.space.live(self.space.arch(index))]

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
        return ", ".join(self.datasets) if self.benchmark is None else self.benchmark.title

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
        return {str(name) for table in tables if table.space == self.space.name for name in table.datasets}

    def images(self, data: Path | None) -> Path:
        """The folder of images: the benchmark's own, or the data folder.  Raises UsageError without one."""
        return data_folder(data) if self.benchmark is None else self.benchmark.folder

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


def chosen(truth: str | None, space: SearchSpace, datasets: Mapping[str, DataSet]) -> Subject:
    """What a command is about.

    Args:
        truth: the benchmark of one's own, by name or folder; None for the official ones.
        space: the search space that is asked for.
        datasets: the data sets that are asked for, by name.

    Raises:
        UsageError: if there is no such benchmark, or another space or data set is asked for besides.
    """
    if truth is None:
        return Subject(space, datasets)
    benchmark = _load(truth)
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
    return Subject(space, datasets, truth, _load(truth))


def _load(name: str) -> Benchmark:
    from nasbench_eval.truth.own import load  # brings pandas and SciPy, which few runs need

    return load(name)
