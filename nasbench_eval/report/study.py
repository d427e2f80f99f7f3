"""Why proxies rank timm's networks as they do: within one recipe, by family, by depth, given size.

An architecture's accuracy says as much about the recipe that it was trained by as about the architecture, so
that rankings within one recipe are told besides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasbench_eval.report.frames import load_scores
from nasbench_eval.report.statistics.correlation import correlate
from nasbench_eval.report.statistics.partial import partial
from nasbench_eval.report.statistics.rank import kendall_tau
from nasbench_eval.truth import timm

# Fewer architectures than these say little.
FEWEST = 10
PUBLISHED = {
    "published parameters": ("params_millions", 1),
    "published MACs": ("gmacs", 1),
    "published slowness": ("images_per_second", -1),
}
MEANINGS = {
    "score": "a proxy of the run, or a published number; slowness is the inverse of images a second",
    "n": "architectures that it is defined on",
    "tau": "Kendall's τ-b with the published top-1 accuracy, the best of an architecture's recipes",
    "low": "lower end of its 95 % bootstrap interval",
    "high": "upper end",
    "tau_given_params": "partial τ given the number of parameters",
    "tau_given_depth": "partial τ given the number of convolutions and linear layers",
    "tau_params": "τ with the number of parameters",
    "tau_depth": "τ with the number of layers",
}


def scores_of(run: Path) -> pd.DataFrame:
    """The run's scores and depths, by architecture."""
    scores = load_scores(run, space="timm")
    texts = load_texts(run)
    frame = scores.rename(index=texts)
    depth = load_scores(run, space="timm", value="layers").rename(index=texts)
    if "intrain_linear" in depth:
        frame["(depth)"] = depth["intrain_linear"]
    return frame


def load_texts(run: Path) -> Mapping[int, str]:
    """The names of the architectures by index."""
    rows = pd.read_parquet(run / "scores", columns=["index", "arch"]).drop_duplicates("index")
    return dict(zip(rows["index"], rows["arch"].astype(str), strict=True))


def joined(run: Path, data: Path) -> pd.DataFrame:
    """The scores beside the published numbers and the accuracy, a row an architecture."""
    truth = timm.load(data).set_index("arch")
    frame = scores_of(run).join(truth, how="inner")
    for name, (column, sign) in PUBLISHED.items():
        frame[name] = sign * frame[column]
    return frame


def overall(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """τ of each score over all architectures that it is defined on; `MEANINGS` has the columns."""
    return pd.DataFrame([_row(frame, name) for name in names], columns=list(MEANINGS))


def _row(frame: pd.DataFrame, name: str) -> dict[str, Any]:
    part = frame[frame[name].notna() & frame["imagenet1k_test"].notna()]
    x, y = part[name].to_numpy(float), part["imagenet1k_test"].to_numpy(float)
    found = correlate(x, y)
    row: dict[str, Any] = {
        "score": name,
        "n": found.n,
        "tau": found.tau,
        "low": found.tau_low,
        "high": found.tau_high,
    }
    for control, column in (("params", "params"), ("depth", "(depth)")):
        held = part[part[column].notna()] if column in part else part.iloc[:0]
        row |= {f"tau_given_{control}": math.nan, f"tau_{control}": math.nan}
        if len(held) < FEWEST:
            continue
        a, b, z = (held[key].to_numpy(float) for key in (name, "imagenet1k_test", column))
        xz = kendall_tau(a, z)
        given = partial(kendall_tau(a, b), xz, kendall_tau(b, z))
        row |= {f"tau_given_{control}": float(given), f"tau_{control}": xz}
    return row


def grouped(
    frame: pd.DataFrame, names: Sequence[str], groups: Mapping[str, pd.Series[float]]
) -> pd.DataFrame:
    """τ of each score within groups of architectures; a column a score, `n` architectures.

    Args:
        frame: of `joined`.
        names: the scores.
        groups: accuracies by architecture, of each group.
    """
    rows = []
    for group, accuracy in groups.items():
        part = frame.join(accuracy.rename("(accuracy)"), how="inner")
        row: dict[str, Any] = {"group": group, "n": len(part)}
        for name in names:
            held = part[part[name].notna()]
            enough = len(held) >= FEWEST
            row[name] = (
                kendall_tau(held[name].to_numpy(float), held["(accuracy)"].to_numpy(float))
                if enough
                else np.nan
            )
        rows.append(row)
    table = pd.DataFrame(rows, columns=["group", "n", *names])
    return table[table["n"] >= FEWEST].sort_values("n", ascending=False, ignore_index=True)


def by_recipe(frame: pd.DataFrame, names: Sequence[str], data: Path) -> pd.DataFrame:
    """τ within single recipes, by the accuracies that these reached."""
    rows = timm.recipes(data)
    groups = {str(tag): part.set_index("arch")["top1"] for tag, part in rows.groupby("tag")}
    return grouped(frame, names, groups)


def by_family(frame: pd.DataFrame, names: Sequence[str], family: Callable[[str], str]) -> pd.DataFrame:
    """τ within families, modules of timm, and between the families' means, which the last row has."""
    families = pd.Series({arch: family(str(arch)) for arch in frame.index})
    held = frame.groupby(families)
    groups = {str(name): part["imagenet1k_test"] for name, part in held}
    within = grouped(frame, names, groups)
    ranks = frame[list(names)].rank()
    means = ranks.groupby(families).mean()
    accuracy = held["imagenet1k_test"].mean()
    row: dict[str, Any] = {"group": "(means of families)", "n": len(means)}
    for name in names:
        both = means[name].notna()
        row[name] = kendall_tau(means[name][both].to_numpy(float), accuracy[both].to_numpy(float))
    return pd.concat([within, pd.DataFrame([row])], ignore_index=True)


def markdown(title: str, table: pd.DataFrame) -> str:
    """A table as Markdown, numbers with three decimals."""
    lines = [f"## {title}", "", f"| {' | '.join(map(str, table))} |", "|---" * len(table.columns) + "|"]
    for row in table.itertuples(index=False):
        lines.append(f"| {' | '.join(_said(value) for value in row)} |")
    return "\n".join(lines) + "\n"


def _said(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.3f}"
    return str(value)
