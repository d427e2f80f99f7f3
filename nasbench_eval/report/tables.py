"""Computes a table: joins scores with accuracies and correlates them, row by row. Drawing is elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from nasbench_eval import registry
from nasbench_eval.errors import UsageError
from nasbench_eval.report.aggregate import AGGREGATES
from nasbench_eval.report.correlation import Correlation, Failures, correlate
from nasbench_eval.report.published import published_correlation
from nasbench_eval.report.scores import Part, Scores
from nasbench_eval.report.spec import RowSpec, TableSpec

CSV_COLUMNS = [
    "proxy",
    "dataset",
    "split",
    "n",
    "n_failed",
    "kendall_tau",
    "kendall_low",
    "kendall_high",
    "spearman_rho",
    "spearman_low",
    "spearman_high",
    "published_tau",
    "published_rho",
]


@dataclass(frozen=True)
class Truth:
    """What the architectures of a space reach, in index order.

    Attributes:
        archs: their names, to prove that a score's index means the same architecture here; None to trust it.
        accuracy: of a (dataset, split), one accuracy an architecture; percent, NaN where unknown.
    """

    archs: Sequence[str] | None
    accuracy: Callable[[str, str], npt.NDArray[Any]]


@dataclass(frozen=True)
class Settings:
    """How correlations are computed; recorded beside the tables."""

    failures: Failures = "worst"
    resamples: int = 1000
    seed: int = 0
    cells: str = "all"


@dataclass(frozen=True)
class Table:
    """A computed table.

    Attributes:
        name: its file stem.
        spec: its definition.
        settings: how it was computed.
        splits: the ones it holds.
        rows: the columns of the CSV, then `title` (str), `ours` (bool) and `n_tied` (int).
        notes: what a reader must know about single rows.
    """

    name: str
    spec: TableSpec
    settings: Settings
    splits: tuple[str, ...]
    rows: pd.DataFrame
    notes: tuple[str, ...]

    def csv(self) -> pd.DataFrame:
        """The rows with exactly the columns of the CSV, measured figures to six decimals."""
        return self.rows[CSV_COLUMNS].round(6)


@dataclass
class Reporter:
    """Computes tables from one set of scores; a correlation two tables share is computed once.

    Attributes:
        scores: of the runs.
        truths: of each space.
        settings: of the correlations.
    """

    scores: Scores
    truths: Mapping[str, Truth]
    settings: Settings = Settings()
    _known: dict[tuple[Part, str, str], Correlation] = field(default_factory=dict)

    def table(self, name: str, spec: TableSpec, splits: Sequence[str] | None = None) -> Table:
        """Compute one table. Rows without scores are kept, with n = 0.

        Raises:
            UsageError: if no score belongs to the table's space, if the table lacks all the splits, or if
                scores and accuracies do not belong together.
        """
        chosen = tuple(split for split in spec.splits if splits is None or split in splits)
        if not chosen:
            raise UsageError(f"table '{name}' has no such split; it has {', '.join(spec.splits)}")
        if not self.scores.labels(spec.space):
            spaces = ", ".join(self.scores.spaces())
            raise UsageError(f"table '{name}' is about {spec.space}, the scores are on {spaces}")
        ours = spec.ours + (self._others(spec) if spec.others else [])
        plan = [
            (row, dataset, split, row in ours)
            for dataset in spec.datasets
            for split in chosen
            for row in spec.rows + ours
        ]
        records: list[dict[str, Any]] = []
        notes: dict[str, None] = {}  # an ordered set: both splits complain alike
        for row, dataset, split, is_ours in tqdm(plan, desc=name, unit="row", leave=False, disable=None):
            found, complaints = self._correlation(spec.space, row, dataset, split)
            records.append(_record(spec, row, dataset, split, found, is_ours))
            notes.update(dict.fromkeys(complaints))
        rows = pd.DataFrame(records)
        explained = [f"{row.name}: {row.note}" for row in spec.rows + ours if row.note]
        return Table(name, spec, self.settings, chosen, rows, (*notes, *_tie_note(rows), *explained))

    def _others(self, spec: TableSpec) -> list[RowSpec]:
        named = {row.label for row in spec.rows + spec.ours} | {row.name for row in spec.rows + spec.ours}
        return [RowSpec(name=label) for label in self.scores.labels(spec.space) if label not in named]

    def _correlation(
        self, space: str, row: RowSpec, dataset: str, split: str
    ) -> tuple[Correlation, list[str]]:
        values, notes = row_values(self.scores, space, row, dataset)
        if values is None:
            return Correlation(n=0), notes
        part = Part(space, dataset, row.label)
        key = (part, row.aggregate + "+".join(row.components) or row.value, split)
        if key not in self._known:
            truth = self.truths[space]
            accuracy = _matched(truth, part, values, split)
            self._known[key] = correlate(
                values["value"].to_numpy(),
                accuracy,
                failures=self.settings.failures,
                resamples=self.settings.resamples,
                seed=self.settings.seed,
            )
        found = self._known[key]
        if found.constant:
            every = "no score is finite" if found.n_failed == found.n else "every score is the same"
            notes.append(f"{row.name} on {dataset}: {every}, so there is no correlation")
        return found, notes


def row_values(
    scores: Scores, space: str, row: RowSpec, dataset: str
) -> tuple[pd.DataFrame | None, list[str]]:
    """A row's value for every architecture with scores: columns `index`, `value` and, where stored, `arch`.

    Returns None in place of the values where the run has none, and notes for the reader.
    """
    part = Part(space, dataset, row.label)
    notes = _option_notes(scores, part, row)
    if row.aggregate:
        columns = {component: _component(scores, part, component) for component in row.components}
        found = [column for column in columns.values() if column is not None]
        if len(found) == len(columns):
            return _aggregate(row, found), notes
        # Nothing at all is a proxy that was not run, which the empty row says already; and what no proxy
        # gives cannot be had by running more.
        lacking = [name for name, column in columns.items() if column is None]
        if found and {*registry.names("proxies"), *scores.labels(space)}.issuperset(lacking):
            notes.append(f"{row.name}: not computed, there are no scores of {', '.join(lacking)}")
        return None, notes
    frame = scores.frames.get(part)
    if frame is None:
        return None, notes
    value = _evaluate(frame, row.value)
    if value is None:
        return None, [*notes, f"{row.name}: '{row.value}' needs a column that the scores do not have"]
    return _keyed(frame, value), notes


def _component(scores: Scores, part: Part, component: str) -> pd.DataFrame | None:
    own = scores.frames.get(part)
    if own is not None and component in own.columns:
        value = _evaluate(own, component)
        return None if value is None else _keyed(own, value)
    other = scores.frames.get(part._replace(label=component))
    if other is None:
        return None
    value = _evaluate(other, "score")
    return None if value is None else _keyed(other, value)


def _aggregate(row: RowSpec, components: list[pd.DataFrame]) -> pd.DataFrame:
    joined = components[0].rename(columns={"value": "value0"})
    for number, component in enumerate(components[1:], start=1):
        # Architectures that one component was never asked for are no failures, so they are left out.
        right = component[["index", "value"]].rename(columns={"value": f"value{number}"})
        joined = joined.merge(right, on="index", how="inner")
    columns = [joined[f"value{number}"].to_numpy(dtype=np.float64) for number in range(len(components))]
    combined = AGGREGATES[row.aggregate](columns)
    return joined.drop(columns=[f"value{number}" for number in range(len(components))]).assign(value=combined)


def _keyed(frame: pd.DataFrame, value: pd.Series[float]) -> pd.DataFrame:
    keys = [column for column in ("index", "arch") if column in frame.columns]
    return frame[keys].assign(value=value)


def _evaluate(frame: pd.DataFrame, expression: str) -> pd.Series[float] | None:
    """An expression over the numeric columns, NaN where a row failed; None if a column is missing."""
    numbers = frame.select_dtypes("number")
    # A status such as "nan" or "inf" speaks about the score, and another column can be sound where the score
    # is not; but a crash leaves nothing to read.
    whole = frame["status"] != "ok"
    failed = whole if expression == "score" else frame["status"].isin(["oom", "error"])
    if expression in numbers.columns:
        value: Any = numbers[expression]
    else:
        try:
            value = numbers.eval(expression, engine="python")
        except NameError:
            return None
        except (SyntaxError, TypeError, ValueError, KeyError, NotImplementedError, AttributeError) as error:
            raise UsageError(f"cannot evaluate '{expression}': {str(error).splitlines()[0]}") from None
    if not isinstance(value, pd.Series):
        raise UsageError(f"'{expression}' gives one number, not one an architecture")
    return value.astype("float64").mask(failed)


def _option_notes(scores: Scores, part: Part, row: RowSpec) -> list[str]:
    if part not in scores.frames:
        return []
    recorded = scores.options(part)
    return [
        f"{row.name}: was run with {key}={recorded[key]}, where the row says {key}={wanted}"
        for key, wanted in row.options.items()
        if key in recorded and recorded[key] != wanted
    ]


def _matched(truth: Truth, part: Part, values: pd.DataFrame, split: str) -> npt.NDArray[np.float64]:
    """The accuracies of the scored architectures, having checked that an index means the same in both."""
    accuracy = np.asarray(truth.accuracy(part.dataset, split), dtype=np.float64)
    index = values["index"].to_numpy(dtype=np.int64)
    if len(index) and (index.min() < 0 or index.max() >= len(accuracy)):
        raise UsageError(
            f"the scores of '{part.label}' on {part.dataset} reach architecture {index.max()}, "
            f"the accuracies of {part.space} end at {len(accuracy) - 1}"
        )
    if truth.archs is not None and "arch" in values.columns:
        known = np.asarray(truth.archs, dtype=object)[index]
        wrong = np.flatnonzero(known != values["arch"].to_numpy(dtype=object))
        if len(wrong):
            raise UsageError(
                f"architecture {index[wrong[0]]} of {part.space} is not the same in the scores of "
                f"'{part.label}' and in the table of accuracies"
            )
    matched: npt.NDArray[np.float64] = accuracy[index]
    return matched


def _tie_note(rows: pd.DataFrame) -> list[str]:
    measured = rows[rows["n"] > 0]
    shares = (measured["n_tied"] / measured["n"]).groupby(measured["proxy"], sort=False).max()
    ties = [f"{name} {share:.0%}" for name, share in shares.items() if share >= 0.01]
    return [f"architectures that share their score with another: {', '.join(ties)}"] if ties else []


def _record(
    spec: TableSpec, row: RowSpec, dataset: str, split: str, found: Correlation, is_ours: bool
) -> dict[str, Any]:
    figures: list[float | None] = [None, None]
    if row.published:
        figures = [
            published_correlation(spec.source, spec.table, spec.space, dataset, row.published, metric)
            for metric in ("kendall_tau", "spearman_rho")
        ]
    tau, rho = (np.nan if figure is None else figure for figure in figures)
    return {
        "proxy": row.name,
        "dataset": dataset,
        "split": split,
        "n": found.n,
        "n_failed": found.n_failed,
        "kendall_tau": found.tau,
        "kendall_low": found.tau_low,
        "kendall_high": found.tau_high,
        "spearman_rho": found.rho,
        "spearman_low": found.rho_low,
        "spearman_high": found.rho_high,
        "published_tau": tau,
        "published_rho": rho,
        "title": row.title or row.name,
        "ours": is_ours,
        "n_tied": found.n_tied,
    }
