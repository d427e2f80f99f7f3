"""The published figures that a row of searches can be put beside: TEG-NAS, Tables 2 and 5; NAS-Bench-201.

Chen et al., "Understanding and Accelerating Neural Architecture Search with Training-Free and Theory-Grounded
Metrics" (TEG-NAS).  Dong & Yang, "NAS-Bench-201", ICLR 2020: REINFORCE guided by trainings of 12 epochs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nasbench_eval.report.published import load_published
from nasbench_eval.report.search.rows import Row

SOURCE, SPACE = "teg-nas", "nasbench201"
# By the algorithm's name, what the paper calls it.
_METHODS = {
    "reinforce": "REINFORCE",
    "evolution_teg": "Evolution",
    "regularized_evolution": "Evolution",
    "fp_nas": "FP-NAS",
    "prune": "TE-NAS",
}
# The paper's three indicators, by what the names of our readings of them begin with.
_INDICATORS = ("ntk_condition", "linear_regions", "ntk_mse")
_DATASETS = ("cifar10", "cifar100", "imagenet16_120")
# Rows whose figure on CIFAR-10 can only be validation accuracy: as test accuracies they would be below that
# of the median cell, and the authors' scripts log validation accuracy.
_VALIDATION = ("REINFORCE", "REINFORCE + TEG", "Evolution", "Evolution + TEG")


@dataclass(frozen=True)
class Published:
    """A row of the paper on one data set.

    Attributes:
        row: table and row.
        accuracy, std: in percent, over its four seeds.
        split: what the accuracy is.
        seconds: of a search.
    """

    row: str = ""
    accuracy: float = math.nan
    std: float = math.nan
    split: str = ""
    seconds: float = math.nan


def published(row: Row) -> Published | None:
    """The paper's figures for an algorithm and a guide; None where it has none."""
    method, indicators = _METHODS.get(row.method), _indicators(row)
    if row.space != SPACE or method is None or row.dataset not in _DATASETS:
        return None
    if row.guide.kind == "accuracy_12" and method == "REINFORCE":
        return _read("baselines", method, row.dataset, source="nas-bench-201")
    plain = row.guide.kind in ("val", "accuracy_12")
    if plain or indicators == _INDICATORS:
        if method == "TE-NAS" and plain:
            return None
        item = method if plain else f"{method} + TEG"
        return _read("table2", item, row.dataset)
    if method == "TE-NAS" and indicators == _INDICATORS[:2]:
        return _read("table2", method, row.dataset)
    if method == "REINFORCE" and indicators and row.dataset == "cifar100":
        return _read("table5", "+".join(indicators), row.dataset)
    return None


def _indicators(row: Row) -> tuple[str, ...]:
    """Which of the paper's indicators a guide tells, in the paper's order; none if it tells others too."""
    values = row.guide.values
    found = tuple(name for name in _INDICATORS if any(value.startswith(name) for value in values))
    return found if len(found) == len(values) else ()


def _read(table: str, item: str, dataset: str, source: str = SOURCE) -> Published | None:
    figures = load_published()
    rows = figures[(figures["source"] == source) & (figures["table"] == table) & (figures["item"] == item)]

    def one(metric: str) -> str:
        held = rows[(rows["metric"] == metric) & rows["dataset"].isin([dataset, ""])]
        return str(held["value"].iloc[0]) if len(held) else "nan"

    accuracy = float(one("test_accuracy_mean"))
    if math.isnan(accuracy):
        return None
    seconds = one("search_gpu_seconds").split("/")
    took = seconds[_DATASETS.index(dataset)] if len(seconds) == len(_DATASETS) else seconds[0]
    validation = source == SOURCE and dataset == "cifar10" and item in _VALIDATION
    number = {"table2": "Table 2", "table5": "Table 5", "baselines": "NAS-Bench-201"}[table]
    return Published(
        f"{number}: {item}",
        accuracy,
        float(one("test_accuracy_std")),
        "val" if validation else "test",
        float(took),
    )
