"""The benchmarks of several runs: each search space and data set, with the accuracies it is judged by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.paths import config_folder, configured
from nasbench_eval.registry import UnknownName
from nasbench_eval.report import PAPERS_TABLES
from nasbench_eval.report.scores import Part, Run, Scores, read_runs
from nasbench_eval.report.spec import RowSpec, load_aggregate, load_table_spec
from nasbench_eval.report.tables import Truth, matched_accuracy
from nasbench_eval.report.titles import DATASETS, SPLITS
from nasbench_eval.report.truths import Ground, benchmark_of, truth_of
from nasbench_eval.report.values import require_members, row_values
from nasbench_eval.truth.given import Given

# What a proxy is shown, which runs on slow machines make smaller.
PROTOCOL = ("batch_size", "resolution", "input")


@dataclass(frozen=True)
class Benchmark:
    """A search space and a data set of one run, judged by the accuracies that belong to the run.

    Attributes:
        name: unique among the benchmarks of a report.
        title: of the data set, for readers.
        space, dataset, split: what is judged, and by which accuracies.
        scores: of the run.
        truth: the accuracies.
        words: what the accuracies are; those of the split if empty.
    """

    name: str
    title: str
    space: str
    dataset: str
    split: str
    scores: Scores
    truth: Truth
    words: str = ""

    @property
    def run(self) -> Run:
        """The run that the scores are of."""
        return self.scores.runs[0]

    def values(self, row: RowSpec) -> pd.DataFrame | None:
        """A row's values by architecture (see `row_values`), with a column `accuracy`; None without scores.

        Raises:
            UsageError: if scores and accuracies do not belong together.
        """
        values, _ = row_values(self.scores, self.space, row, self.dataset)
        if values is None:
            return None
        part = Part(self.space, self.dataset, row.label)
        return values.assign(accuracy=matched_accuracy(self.truth, part, values, self.split))


def benchmarks_of(
    folders: Sequence[Path], data: Path | None, split: str, *, live: bool = False
) -> list[Benchmark]:
    """The benchmarks of runs, in the order of the runs; each run is judged by its own accuracies.

    Args:
        folders: of the runs, each read by itself.
        data: folder of the official tables; None for the environment's.
        split: `test`, `val`, or `both`: test accuracy where there is one, else validation accuracy.
        live: keep to the architectures all of whose operations have a bearing on the output.

    Raises:
        UsageError: if a run is given twice, or nothing that it scored has accuracies.
    """
    given = [folder.resolve() for folder in folders]
    for folder, whole in zip(folders, given, strict=True):
        if given.count(whole) > 1:
            raise UsageError(f"{folder} is given twice; give each run once")
    known: dict[str, Truth] = {}
    found = [each for folder in folders for each in _of_run(folder, data, split, live, known)]
    return _told_apart(found)


def _told_apart(found: Sequence[Benchmark]) -> list[Benchmark]:
    """With names that nothing else has: where need be with that of the run, or with the way to its folder."""
    names = [each.name for each in found]
    for beside in (lambda run: run.name, lambda run: str(run.folder)):
        times = Counter(names)
        names = [
            f"{each.name} ({beside(each.run)})" if times[name] > 1 else name
            for each, name in zip(found, names, strict=True)
        ]
    return [replace(each, name=name) for each, name in zip(found, names, strict=True)]


def _of_run(
    folder: Path, data: Path | None, split: str, live: bool, known: dict[str, Truth]
) -> Iterator[Benchmark]:
    """The benchmarks of a run; official tables that were read already are in `known`."""
    scores = read_runs([folder])
    own = benchmark_of(None, scores, data)
    if live:
        scores = scores.live()
    places = list(dict.fromkeys((part.space, part.dataset) for part in scores.frames))
    if own is not None:
        places = [place for place in places if place[0] == own.space.name and place[1] in own.datasets]
    judged = False
    for space, dataset in sorted(places, key=_usual_order):
        if own is not None:
            truth = truth_of(space, data, live, own)
        else:
            truth = known[space] = known.get(space) or truth_of(space, data, live, None)
        title = DATASETS.get(dataset, dataset)
        found = _split(truth, dataset, _splits(split, own))
        if found is not None:
            judged = True
            words = (own.splits if isinstance(own, Given) else SPLITS)[found]
            yield Benchmark(f"{space}/{dataset}", title, space, dataset, found, scores, truth, words)
    if not judged:
        kind = "" if split == "both" else f"{split} "
        where = ", ".join(f"{space} on {dataset}" for space, dataset in places)
        raise UsageError(f"{folder} holds scores of {where}, of which no {kind}accuracies are known")


def _usual_order(place: tuple[str, str]) -> tuple[str, int, str]:
    space, dataset = place
    order = list(DATASETS)
    return space, order.index(dataset) if dataset in order else len(order), dataset


def _splits(wish: str, own: Ground | None) -> Sequence[str]:
    """What to judge by, the first that there is: as a table has it, else test accuracy before validation."""
    if wish != "both":
        return (wish,)
    return own.judged if isinstance(own, Given) else ("test", "val")


def _split(truth: Truth, dataset: str, splits: Sequence[str]) -> str | None:
    """The split to judge by; None if there is none."""
    for split in splits:
        try:
            accuracy = truth.accuracy(dataset, split)
        except UsageError:
            continue
        if np.isfinite(accuracy).any():
            return split
    return None


def rows_of(benchmark: Benchmark, aggregates: Sequence[str] = ()) -> list[RowSpec]:
    """The rows that a benchmark may have: its labels, then what is made of several, or of their columns.

    Aggregates are those of the configuration, of the papers' tables and those asked for; of the tables also
    the rows that show another column than the score.  A row whose scores are missing stays without values.

    Args:
        benchmark: whose labels.
        aggregates: names, or paths of YAML files.
    """
    labels = benchmark.scores.labels(benchmark.space)
    made = {row.name: row for row in combined_rows(aggregates) if row.name not in labels}
    return [*(RowSpec(label) for label in labels), *made.values()]


def combined_rows(aggregates: Sequence[str] = ()) -> list[RowSpec]:
    """Rows of aggregates, and rows of the papers' tables that show another column (see `rows_of`)."""
    named = [load_aggregate(name) for name in aggregates]
    own = {name: RowSpec(name, aggregate=aggregate) for name, aggregate in named}
    return list({**_usual_rows(), **own}.values())


@cache
def _usual_rows() -> dict[str, RowSpec]:
    """Those of the configuration and of the papers' tables."""
    named = [load_aggregate(name) for name in configured("aggregate")]
    rows = {name: RowSpec(name, aggregate=aggregate) for name, aggregate in named}
    for table in PAPERS_TABLES:
        _, spec = load_table_spec(table)
        # A table about the parts of one proxy is no source of rows for all.
        if all(row.value == "score" for row in spec.rows) or spec.others:
            for row in [*spec.rows, *spec.ours]:
                if row.aggregate is not None or row.value != "score":
                    rows.setdefault(row.name, replace(row, published=""))
    return rows


def require_aggregates(benchmarks: Sequence[Benchmark], aggregates: Sequence[str]) -> None:
    """Make sure that each aggregate asked for has its members on some benchmark, and a name of its own.

    Raises:
        UnknownName: naming the first member without scores anywhere.
        UsageError: if another row has the name.
    """
    for wish in aggregates:
        name, aggregate = load_aggregate(wish)
        usual = _usual_rows().get(name)
        if any(name in each.scores.labels(each.space) for each in benchmarks) or (
            usual is not None and usual.aggregate != aggregate
        ):
            raise UsageError(f"another row is called '{name}'; rename {wish}")
        lacking: list[UnknownName] = []
        for benchmark in benchmarks:
            try:
                require_members(benchmark.scores, benchmark.space, name, aggregate)
            except UnknownName as error:
                lacking.append(error)
        if len(lacking) == len(benchmarks):
            raise lacking[0]


@dataclass(frozen=True)
class Facts:
    """What a reader has to know of a benchmark; it holds no accuracies.

    Attributes:
        name, title, space, dataset, split: as of `Benchmark`.
        judged: what the accuracies are in words.
        run: the name of the run.
        other: where its proxies were shown something else than their defaults; empty for nowhere.
        date: the day on which the run was last finished; empty if its record does not say.
    """

    name: str
    title: str
    space: str
    dataset: str
    split: str
    judged: str
    run: str
    other: str
    date: str


def facts_of(benchmark: Benchmark) -> Facts:
    """What a reader has to know of a benchmark."""
    return Facts(
        name=benchmark.name,
        title=benchmark.title,
        space=benchmark.space,
        dataset=benchmark.dataset,
        split=benchmark.split,
        judged=benchmark.words or SPLITS[benchmark.split],
        run=benchmark.run.name,
        other=protocol(benchmark),
        date=str(benchmark.run.config.get("finished", ""))[:10],
    )


def protocol(benchmark: Benchmark) -> str:
    """Where the run's proxies were shown something else than their defaults, in words; empty for nowhere.

    Of each option the commonest value and how many labels have it.
    """
    defaults = _defaults()
    said = []
    labels = benchmark.scores.labels(benchmark.space)
    parts = [Part(benchmark.space, benchmark.dataset, label) for label in labels]
    for option in PROTOCOL:
        values: Counter[str] = Counter()
        for part in parts:
            options = benchmark.scores.options(part) if part in benchmark.scores.frames else {}
            usual = defaults.get(part.label, {})
            if option in options and option in usual and options[option] != usual[option]:
                values[str(options[option])] += 1
        said += [f"{option.replace('_', ' ')} {value} ({count})" for value, count in values.most_common()]
    return ", ".join(said)


@cache
def _defaults() -> dict[str, dict[str, Any]]:
    """The options of each label as the files of `configs/proxy` have them."""
    from omegaconf import OmegaConf

    found: dict[str, dict[str, Any]] = {}
    for name in configured("proxy"):
        path = config_folder() / "proxy" / f"{name}.yaml"
        node = OmegaConf.to_container(OmegaConf.load(path))
        if isinstance(node, dict) and "name" in node:
            found[name] = {str(key): value for key, value in node.items()}
    return found


def sizes(counts: Sequence[int]) -> str:
    """How many architectures, "1,000" or "500 to 1,000"."""
    every = sorted(set(counts))
    return " to ".join(f"{n:,}" for n in dict.fromkeys([*every[:1], *every[-1:]])) or "0"
