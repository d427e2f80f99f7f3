"""The correlations that papers report, as the packaged `published.csv` lists them."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

import pandas as pd


@lru_cache(maxsize=1)
def load_published() -> pd.DataFrame:
    """Every published figure in long form: source, table, space, dataset, item, metric, value, note.

    `value` is text, for a few entries hold several numbers ("3700/6600/17200" for three data sets).
    """
    file = resources.files("nasbench_eval.report").joinpath("published.csv")
    with file.open("r", encoding="utf-8") as stream:
        return pd.read_csv(stream, dtype=str, keep_default_na=False)


def published_correlation(
    source: str, table: str, space: str, dataset: str, item: str, metric: str
) -> float | None:
    """One published figure (`metric` is `kendall_tau` or `spearman_rho`), or None if the paper has none."""
    figures = load_published()
    wanted = {
        "source": source,
        "table": table,
        "space": space,
        "dataset": dataset,
        "item": item,
        "metric": metric,
    }
    match = pd.Series(True, index=figures.index)
    for column, value in wanted.items():
        match &= figures[column] == value
    values = figures.loc[match, "value"]
    return float(values.iloc[0]) if len(values) else None
