"""Definitions of tables and aggregates: one YAML each, in `table` and `aggregate` of the configuration."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf

from nasbench_eval.errors import UsageError
from nasbench_eval.paths import config_folder, configured
from nasbench_eval.registry import UnknownName
from nasbench_eval.report.aggregate import AGGREGATES
from nasbench_eval.wording import first_line

T = TypeVar("T")


@dataclass
class AggregateSpec:
    """One score made of several, over the architectures that have them all.

    Attributes:
        aggregate: `rank_sum`, `log_rank_sum` or `product`.
        members: labels of the run (their `score`), `label.column`, or columns of the row's own label.
        weights: one a member, finite and positive; empty for 1 each.
    """

    aggregate: str
    members: list[str]
    weights: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        weights = f" (weights {', '.join(f'{w:g}' for w in self.weights)})" if self.weights else ""
        return f"{self.aggregate} of {', '.join(self.members)}{weights}"


@dataclass
class RowSpec:
    """One row: which scores it shows, under which name, against which published figure.

    Attributes:
        name: what the CSV's `proxy` column says.
        title: what the drawn tables say; the name if empty.
        proxy: the label in the run; the name if empty.
        value: a column of the label's scores, or an arithmetic expression over its columns.
        aggregate: in place of `value`; in YAML a definition's name, its path as seen from the table's file,
            or the definition itself.
        options: what the label must have been run with, else a note says so.
        published: the item in `published.csv`; empty for none.
        note: explains the row beneath the table.
    """

    name: str
    title: str = ""
    proxy: str = ""
    value: str = "score"
    aggregate: AggregateSpec | None = None
    options: dict[str, Any] = field(default_factory=dict)
    published: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        return self.proxy or self.name


@dataclass
class SweepSpec:
    """Rows that differ in one option, a row `<proxy>_<value>` each; drawn as lines in place of bars.

    Attributes:
        proxies: one line each.
        option: the proxies' option that is varied.
        values: what it takes, ascending.
    """

    proxies: list[str]
    option: str
    values: list[int]

    def name(self, proxy: str, value: int) -> str:
        return f"{proxy}_{value}"

    def rows(self) -> list[RowSpec]:
        return [
            RowSpec(self.name(proxy, value), options={"name": proxy, self.option: value})
            for proxy in self.proxies
            for value in self.values
        ]


@dataclass
class TableSpec:
    """One table.

    Attributes:
        title: heads the drawn tables.
        space: the search space judged.
        truth: says in words what the accuracies are.
        datasets, splits: sections, in order.
        paper: how the drawn tables name the source of the published figures; empty for none.
        source, table: where `published.csv` has them; empty for none.
        decimals: how many the paper prints.
        percent: whether the accuracies are percentages, and not another measure of the task.
        rows: the published rows.
        sweep: further rows, appended to `rows` when the definition is loaded.
        ours: the rows below the rule.
        others: append the run's labels that no row names below the rule; rows of one's own stand last.
        yours: names of rows in `ours` that are one's own.
    """

    title: str
    space: str
    truth: str
    datasets: list[str]
    paper: str = ""
    source: str = ""
    table: str = ""
    decimals: int = 3
    percent: bool = True
    splits: list[str] = field(default_factory=lambda: ["test", "val"])
    rows: list[RowSpec] = field(default_factory=list)
    sweep: SweepSpec | None = None
    ours: list[RowSpec] = field(default_factory=list)
    others: bool = False
    yours: list[str] = field(default_factory=list)


def load_table_spec(name: str) -> tuple[str, TableSpec]:
    """A table's name and definition, from its name or from the path of a YAML file.

    Raises:
        UnknownName: if no table, or no aggregate that it refers to, goes by the name.
        UsageError: if a file is missing or does not define what it should.
    """
    path = _find("table", name)
    content = _read("table", path)
    for rows in (content.get("rows"), content.get("ours")):
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, dict) and isinstance(row.get("aggregate"), str):
                row["aggregate"] = asdict(load_aggregate(row["aggregate"], path.parent)[1])
    spec = _fill(TableSpec, content, "table", path)
    if spec.sweep:
        spec.rows += spec.sweep.rows()
    _check(spec, path)
    return path.stem, spec


def load_aggregate(name: str, folder: Path = Path()) -> tuple[str, AggregateSpec]:
    """An aggregate's name and definition, from its name or from a YAML file's path as seen from a folder.

    Raises:
        UnknownName: if no aggregate, or no kind of aggregate, goes by the name.
        UsageError: if the file is missing or does not define an aggregate.
    """
    path = _find("aggregate", name, folder)
    spec = _fill(AggregateSpec, _read("aggregate", path), "aggregate", path)
    _check_aggregate(spec, str(path))
    return path.stem, spec


def _find(kind: str, name: str, folder: Path = Path()) -> Path:
    if name.endswith((".yaml", ".yml")):
        path = folder / name
        if not os.path.isfile(path):  # unlike Path's, no error on what cannot be a name
            raise UsageError(f"there is no {kind} definition {path}")
        return path
    if name not in configured(kind):
        raise UnknownName(kind, name, configured(kind))
    return config_folder() / kind / f"{name}.yaml"


def _read(kind: str, path: Path) -> dict[str, Any]:
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:  # OmegaConf, its YAML parser and the file system each raise their own
        raise _undefined(kind, path, first_line(error)) from None
    if not isinstance(content, dict):
        raise _undefined(kind, path, "it holds no mapping")
    return {str(key): value for key, value in content.items()}


def _fill(schema: type[T], content: dict[str, Any], kind: str, path: Path) -> T:
    try:
        spec = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), content))
    except Exception as error:  # OmegaConf raises several unrelated kinds
        raise _undefined(kind, path, first_line(error)) from None
    assert isinstance(spec, schema)
    return spec


def _undefined(kind: str, path: Path, reason: str) -> UsageError:
    article = "an" if kind[0] in "aeiou" else "a"
    return UsageError(f"{path} does not define {article} {kind}: {reason}")


def _check(spec: TableSpec, path: Path) -> None:
    rows = spec.rows + spec.ours
    if not rows:
        raise UsageError(f"{path} has no rows")
    names = [row.name for row in rows]
    for row in rows:
        if names.count(row.name) > 1:
            raise UsageError(f"{path} has two rows named '{row.name}'")
        if row.published and not spec.source:
            raise UsageError(f"{path}: row '{row.name}' has a published figure, but the table has no source")
        if row.aggregate:
            _check_aggregate(row.aggregate, f"{path}: row '{row.name}'")
            if row.value != "score":
                raise UsageError(f"{path}: row '{row.name}' has both a value and an aggregate; choose one")


def _check_aggregate(spec: AggregateSpec, where: str) -> None:
    if spec.aggregate not in AGGREGATES:
        raise UnknownName("kind of aggregate", spec.aggregate, AGGREGATES)
    if not spec.members:
        raise UsageError(f"{where}: an aggregate needs members")
    for member in spec.members:
        if spec.members.count(member) > 1:
            raise UsageError(f"{where}: member '{member}' occurs twice; give it a weight instead")
    if spec.weights and len(spec.weights) != len(spec.members):
        raise UsageError(f"{where}: {len(spec.weights)} weights for {len(spec.members)} members")
    for member, weight in zip(spec.members, spec.weights, strict=False):
        if not (math.isfinite(weight) and weight > 0):
            raise UsageError(f"{where}: the weight of '{member}' is {weight:g}, not finite and positive")
