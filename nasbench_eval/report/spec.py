"""Table definitions: one YAML a table, in the folder `table` of the package's configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from nasbench_eval.errors import UsageError
from nasbench_eval.paths import config_folder
from nasbench_eval.registry import UnknownName
from nasbench_eval.report.aggregate import AGGREGATES


@dataclass
class RowSpec:
    """One row: which scores it shows, under which name, against which published figure.

    Attributes:
        name: what the CSV's `proxy` column says.
        title: what the drawn tables say; the name if empty.
        proxy: the label in the run; the name if empty.
        value: a column of the label's scores, or an arithmetic expression over its columns.
        aggregate: `rank_sum` or `log_rank_sum` of the components, in place of `value`; empty for none.
        components: columns of the label's own scores or, failing that, other labels (their `score`).
        options: what the label must have been run with, else a note says so.
        published: the item in `published.csv`; empty for none.
        note: explains the row beneath the table.
    """

    name: str
    title: str = ""
    proxy: str = ""
    value: str = "score"
    aggregate: str = ""
    components: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    published: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        return self.proxy or self.name


@dataclass
class TableSpec:
    """One table.

    Attributes:
        title: heads the drawn tables.
        paper: how the drawn tables name the source of the published figures.
        source, table: where `published.csv` has them.
        decimals: how many the paper prints.
        space: the search space judged.
        truth: says in words what the accuracies are.
        datasets, splits: sections, in order.
        rows: the published rows.
        ours: the rows below the rule.
        others: append the run's labels that no row names below the rule.
    """

    title: str
    paper: str
    source: str
    table: str
    space: str
    truth: str
    datasets: list[str]
    rows: list[RowSpec]
    decimals: int = 3
    splits: list[str] = field(default_factory=lambda: ["test", "val"])
    ours: list[RowSpec] = field(default_factory=list)
    others: bool = False


def table_names() -> list[str]:
    """The tables that come with the package."""
    return sorted(path.stem for path in (config_folder() / "table").glob("*.yaml"))


def load_table_spec(name: str) -> tuple[str, TableSpec]:
    """A table's name and definition, from its name or from the path of a YAML file.

    Raises:
        UnknownName: if no table goes by the name.
        UsageError: if the file is missing or does not define a table.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"there is no table definition {path}")
    else:
        path = config_folder() / "table" / f"{name}.yaml"
        if name not in table_names():
            raise UnknownName("table", name, table_names())
    try:
        merged = OmegaConf.merge(OmegaConf.structured(TableSpec), OmegaConf.load(path))
        spec = OmegaConf.to_object(merged)
    except Exception as error:  # OmegaConf, its YAML parser and the file system each raise their own
        raise UsageError(f"{path} does not define a table: {str(error).splitlines()[0]}") from None
    assert isinstance(spec, TableSpec)
    _check(spec, path)
    return path.stem, spec


def _check(spec: TableSpec, path: Path) -> None:
    names = [row.name for row in spec.rows + spec.ours]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{path} has two rows named '{name}'")
    for row in spec.rows + spec.ours:
        if row.aggregate and row.aggregate not in AGGREGATES:
            raise UnknownName("aggregate", row.aggregate, AGGREGATES)
        if bool(row.aggregate) != bool(row.components):
            raise UsageError(f"{path}: row '{row.name}' needs an aggregate and components, or neither")
