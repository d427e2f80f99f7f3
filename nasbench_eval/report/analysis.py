"""Everything that is computed of a report's rows beside their tables: statistics by data set and split."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.report.apart import Apart
from nasbench_eval.report.scores import Part, Scores
from nasbench_eval.report.spec import RowSpec
from nasbench_eval.report.statistics.correlation import Failures
from nasbench_eval.report.statistics.resampled import SECONDS, Resamples
from nasbench_eval.report.statistics.seeds import seed_stability
from nasbench_eval.report.statistics.summary import Statistics, statistics
from nasbench_eval.report.tables import Settings, Table, Truth, matched_accuracy
from nasbench_eval.report.values import row_values

SEED_COLUMNS = (
    "seeds",
    "n",
    "n_failed",
    "n_lowest",
    "relative_deviation",
    "icc",
    "icc_ranks",
    "tau_mean",
    "tau_sd",
)


class Place(NamedTuple):
    """Where rows are judged."""

    space: str
    dataset: str
    split: str


class Column(NamedTuple):
    """A row's values on a data set: what it is, and the frame of `row_values`."""

    row: RowSpec
    values: pd.DataFrame

    def by_architecture(self) -> pd.Series[float]:
        """The values, indexed by the benchmark's index."""
        return self.values.set_index("index")["value"]


@dataclass(frozen=True)
class Analysis:
    """Statistics of all measured rows: the frames of `Statistics`, `space`, `dataset` and `split` in front.

    Attributes:
        metrics, strata, paired, paired_given: see `Statistics`.
        between: `proxy`, `other`, τ between them and the numbers it is of; in cluster order.
        by_place: the statistics of each place, for figures.
    """

    metrics: pd.DataFrame
    strata: pd.DataFrame
    paired: pd.DataFrame
    paired_given: pd.DataFrame
    between: pd.DataFrame
    by_place: dict[Place, Statistics]

    def frames(self) -> dict[str, pd.DataFrame]:
        """The frames by name, as they are written; none where nothing was measured."""
        every = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "by_place"}
        return every if self.by_place else {}


class _Judged(NamedTuple):
    """The rows of one data set with the accuracies of each split: what statistics are made of."""

    places: list[Place]
    scores: list[dict[str, pd.Series[float]]]
    accuracies: list[pd.Series[float]]
    failures: Failures
    known: Resamples


def analyse(
    tables: Sequence[Table],
    scores: Scores,
    truths: Mapping[str, Truth],
    settings: Settings,
    resamples: Resamples | None = None,
    apart: Apart | None = None,
) -> Analysis:
    """All statistics of the tables' measured rows, a row that several tables have once.

    A space's rows are judged on the data sets and splits of its tables. `resamples` is what is known of the
    resamples already, such as those of the tables; `apart` is where the data sets are judged.
    """
    known = resamples or Resamples(settings.resamples, settings.seed)
    judged: dict[tuple[str, str], _Judged] = {}
    places = _places(tables)
    for place in places:
        columns = _columns(tables, scores, place)
        if columns:
            # The splits of a data set share what proxies have to do with each other.
            of = judged.setdefault(place[:2], _Judged([], [], [], settings.failures, known))
            of.places.append(place)
            of.scores.append({name: column.by_architecture() for name, column in columns.items()})
            of.accuracies.append(_accuracy(truths[place.space], place, columns.values()))
    parts = list(judged.values())
    sizes = sum(len(column) for part in parts for columns in part.scores for column in columns.values())
    seconds = sizes * settings.resamples * SECONDS
    done = (apart or Apart()).map(_statistics, parts, seconds)
    by_place = {
        place: statistics_
        for part, each in zip(parts, done, strict=True)
        for place, statistics_ in zip(part.places, each, strict=True)
    }
    found = {place: by_place[place] for place in places if place in by_place}
    return Analysis(
        metrics=_joined({place: s.metrics.reset_index() for place, s in found.items()}),
        strata=_joined({place: s.strata.reset_index() for place, s in found.items()}),
        paired=_joined({place: s.paired.reset_index() for place, s in found.items()}),
        paired_given=_joined({place: s.paired_given.reset_index() for place, s in found.items()}),
        between=_joined({place: _long(s) for place, s in found.items()}),
        by_place=found,
    )


def _statistics(part: _Judged) -> list[Statistics]:
    return [
        statistics(scores, accuracy, failures=part.failures, known=part.known)
        for scores, accuracy in zip(part.scores, part.accuracies, strict=True)
    ]


def seeds_of(runs: Sequence[Scores]) -> list[int]:
    """The seed of each of several runs.

    Raises:
        UsageError: if a run does not record one, two have the same, or a proxy has other options in one.
    """
    seeds = []
    for scores in runs:
        mine = {run.config.get("seed") for run in scores.runs}
        if len(mine) > 1 or not isinstance(seed := mine.pop(), int):
            folders = ", ".join(str(run.folder) for run in scores.runs)
            raise UsageError(f"run.json does not say which one seed {folders} had")
        seeds.append(seed)
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"the runs have the seeds {', '.join(map(str, seeds))}; each needs one of its own")
    for other in runs[1:]:
        for part in other.frames.keys() & runs[0].frames.keys():
            ours, theirs = runs[0].options(part), other.options(part)
            if ours and theirs and ours != theirs:
                raise UsageError(
                    f"'{part.label}' was run with different options in {runs[0].origin[part].folder} and "
                    f"{other.origin[part].folder}: that is no matter of seeds"
                )
    return seeds


def over_seeds(
    tables: Sequence[Table], runs: Sequence[Scores], truths: Mapping[str, Truth], settings: Settings
) -> pd.DataFrame:
    """How much the tables' rows depend on the seed: one row a proxy and place.

    Args:
        tables: whose rows are compared.
        runs: the same proxies' scores, each under a seed of its own (see `seeds_of`).
        truths, settings: as for the tables.

    Returns:
        `space`, `dataset`, `split`, `proxy`, `seeds`, `n` architectures scored under every seed, `n_failed`,
        `n_lowest`, `relative_deviation`, `icc`, `icc_ranks`, `tau_mean`, `tau_sd`, `tau_of_mean` (see
        `SeedStability`).

    Raises:
        UsageError: as `seeds_of`, or if none of the rows is in all of the runs.
    """
    seeds, rows = seeds_of(runs), []
    for place in _places(tables):
        by_run = [_columns(tables, run, place) for run in runs]
        for name in by_run[0]:
            if not all(name in columns for columns in by_run):
                continue
            mine = [columns[name] for columns in by_run]
            scores: dict[Hashable, pd.Series[float]] = {
                seed: column.by_architecture() for seed, column in zip(seeds, mine, strict=True)
            }
            accuracy = _accuracy(truths[place.space], place, mine)
            found = seed_stability(scores, accuracy, failures=settings.failures, resamples=0)
            values = {key: getattr(found, key) for key in SEED_COLUMNS}
            rows.append({**place._asdict(), "proxy": name, **values, "tau_of_mean": found.of_mean.tau})
    if not rows:
        raise UsageError("no row of the tables has scores in all runs of --seeds")
    return pd.DataFrame(rows)


def _places(tables: Sequence[Table]) -> list[Place]:
    every = (
        Place(table.spec.space, dataset, split)
        for table in tables
        for dataset in table.spec.datasets
        for split in table.splits
    )
    return list(dict.fromkeys(every))


def _columns(tables: Sequence[Table], scores: Scores, place: Place) -> dict[str, Column]:
    """Every row with scores at a place, by name; a name that means two things is told apart by its table."""
    columns: dict[str, Column] = {}
    meanings: dict[tuple[str, str], None] = {}
    for table in tables:
        if table.spec.space != place.space or place.dataset not in table.spec.datasets:
            continue
        for row in _rows(table):
            meaning = (row.label, str(row.aggregate or row.value))
            if meaning in meanings:
                continue
            values, _ = row_values(scores, place.space, row, place.dataset)
            if values is not None and len(values):
                meanings[meaning] = None
                name = row.name if row.name not in columns else f"{row.name} ({table.name})"
                columns[name] = Column(row, values)
    return columns


def _rows(table: Table) -> list[RowSpec]:
    """The rows of a table, those appended for the run's other proxies included."""
    named = [*table.spec.rows, *table.spec.ours]
    known = {row.name for row in named}
    return named + [RowSpec(name) for name in dict.fromkeys(table.rows["proxy"]) if name not in known]


def _accuracy(truth: Truth, place: Place, columns: Iterable[Column]) -> pd.Series[float]:
    """Accuracies of the architectures that any of the columns has, which have to be the same in all."""
    parts = []
    for column in columns:
        part = Part(place.space, place.dataset, column.row.label)
        accuracy = matched_accuracy(truth, part, column.values, place.split)
        parts.append(pd.Series(accuracy, index=column.values["index"].to_numpy()))
    every = pd.concat(parts)
    return every[~every.index.duplicated()].sort_index()


def _long(statistics_: Statistics) -> pd.DataFrame:
    alike = statistics_.between
    columns = {"kendall_tau": alike.tau, "n": alike.n, "n_failed": alike.n_failed}
    frames = {key: frame.rename_axis("proxy").rename_axis("other", axis=1) for key, frame in columns.items()}
    return pd.concat({key: f.stack(future_stack=True) for key, f in frames.items()}, axis=1).reset_index()


def _joined(frames: Mapping[Place, pd.DataFrame]) -> pd.DataFrame:
    if not frames:
        return pd.DataFrame()
    placed = []
    for place, frame in frames.items():
        for position, (column, value) in enumerate(place._asdict().items()):
            frame.insert(position, column, value)
        placed.append(frame)
    return pd.concat(placed, ignore_index=True)
