"""Say whether any proxy ranks UniNAS networks: within convolutional, hybrid and transformer ones, and across.

    python scripts/study_uninas.py results/uninas

It reads tables of accuracies that `nasbench-train` made (`digits` and, where they are, `digits_again`, some
of the networks from other seeds, and `cifar10`) and the proxies' scores of the networks (`scores`) in that
folder.  It writes to `tables`: how well two trainings agree (`runs.csv`), τ of each proxy with 95 % intervals
(`families.csv`), sizes and accuracies by family (`sizes.csv`), and a figure of the accuracies.

A network without attention is convolutional, one with attention in every block a transformer, others hybrid.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nasbench_eval.errors import Parser, UsageError, guard
from nasbench_eval.files import write_whole
from nasbench_eval.report.figure.style import COLOURS, PAGE, paper_style, save
from nasbench_eval.report.frames import load_scores
from nasbench_eval.report.statistics.correlation import correlate
from nasbench_eval.report.statistics.rank import kendall_tau
from nasbench_eval.spaces.uninas import UniNAS
from nasbench_eval.truth.own import load

FAMILIES = ("convolutional", "hybrid", "transformer")
SPACE = UniNAS()
# Fewer networks say little.
FEWEST = 10


def main() -> int:
    """Run the study; returns the exit code."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of tables and scores, such as results/uninas")
    run = parser.parse_args().run
    runs = accuracies(run, "digits")
    if (run / "digits_again").is_dir():
        runs = runs.join(accuracies(run, "digits_again"), rsuffix="_again")
    judged = {"digits": runs.mean(axis=1)}
    if (run / "cifar10").is_dir():
        judged["cifar10"] = accuracies(run, "cifar10").mean(axis=1)
    families = pd.Series({text: family(text) for text in runs.index})
    scores = scored(run)
    tables = {
        "runs": agreements(runs, families),
        "families": pd.DataFrame(ranked(scores, judged, families)),
        "sizes": sizes(judged, families, scores),
    }
    folder = run / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_whole(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g").encode())
        print(f"{name}\n{table.round(3).to_string(index=False, na_rep='')}\n")
    with paper_style():
        save(drawn(judged, families), folder / "accuracies", ["png"])
    print(f"written to {folder}: {', '.join(f'{name}.csv' for name in tables)}, accuracies.png")
    return 0


def accuracies(run: Path, name: str) -> pd.DataFrame:
    """Test accuracies in percent, a network a row and a training a column."""
    if not (run / name).is_dir():
        raise UsageError(f"{run / name} is not there; nasbench-train writes it")
    table = load(run / name).table
    table = table.set_index("arch")
    return table[[column for column in table if "_test_run" in column]]


def scored(run: Path) -> pd.DataFrame:
    """The proxies' scores, a network a row, indexed by its text."""
    if not (run / "scores").is_dir():
        raise UsageError(f"{run / 'scores'} is not there; nasbench-score writes it")
    frame = load_scores(run / "scores", failures="worst")
    frame = frame.set_index("arch") if "arch" in frame else frame.droplevel("index")
    return frame.select_dtypes("number")


def family(text: str) -> str:
    """What a network is, by how many of its blocks have attention."""
    arch = SPACE.parse(text)
    attending = [any("attention" in repr(half) for half in block) for stage in arch.blocks for block in stage]
    return FAMILIES[0] if not any(attending) else FAMILIES[2] if all(attending) else FAMILIES[1]


def groups(families: pd.Series) -> Iterator[tuple[str, pd.Index]]:
    """All networks, then those of each family, by their texts."""
    yield "all", families.index
    for name in FAMILIES:
        yield name, families.index[families == name]


def agreements(runs: pd.DataFrame, families: pd.Series) -> pd.DataFrame:
    """τ of the test accuracies of two trainings, the mean over pairs of seeds."""
    known = runs.dropna()
    lines = []
    for name, members in groups(families[known.index]):
        here = known.loc[members]
        pairs = (
            [kendall_tau(*here[[a, b]].to_numpy().T) for a, b in combinations(here, 2)]
            if len(here) > 2
            else []
        )
        spread = here.std(axis=1).mean() if here.shape[1] > 1 else math.nan
        lines.append(
            {
                "family": name,
                "n": len(here),
                "pairs": len(pairs),
                "tau": float(np.mean(pairs)) if pairs else math.nan,
                "std_of_a_network": spread,
                "std_between_networks": here.mean(axis=1).std(),
            }
        )
    return pd.DataFrame(lines)


def ranked(
    scores: pd.DataFrame, judged: dict[str, pd.Series], families: pd.Series
) -> Iterator[dict[str, object]]:
    """τ of each proxy on each data set: of all networks, of each family, and the mean over families.

    The mean is over the families with `FEWEST` networks on which the proxy is defined: what is left of a
    ranking when it cannot tell families apart.
    """
    for dataset, accuracy in judged.items():
        for proxy in scores:
            within = []
            for name, members in groups(families[accuracy.index]):
                score = scores[proxy].reindex(members)
                defined = score.notna().to_numpy()
                if defined.sum() < FEWEST:
                    continue
                found = correlate(_array(score[defined]), _array(accuracy[members][defined]))
                if name != "all":
                    within.append(found.tau)
                yield {
                    "dataset": dataset,
                    "proxy": proxy,
                    "family": name,
                    "n": found.n,
                    "tau": found.tau,
                    "low": found.tau_low,
                    "high": found.tau_high,
                }
            if within:
                yield {
                    "dataset": dataset,
                    "proxy": proxy,
                    "family": "mean within",
                    "n": len(within),
                    "tau": float(np.mean(within)),
                    "low": math.nan,
                    "high": math.nan,
                }


def _array(values: pd.Series) -> NDArray[np.float64]:
    return values.to_numpy(np.float64)


def sizes(judged: dict[str, pd.Series], families: pd.Series, scores: pd.DataFrame) -> pd.DataFrame:
    """How many networks of each family there are, their accuracies, and their parameters."""
    lines = []
    for dataset, accuracy in judged.items():
        for name, members in groups(families[accuracy.index]):
            here = accuracy[members]
            low, middle, high = here.quantile([0.05, 0.5, 0.95])
            line = {
                "dataset": dataset,
                "family": name,
                "n": len(here),
                "5 %": low,
                "median": middle,
                "95 %": high,
            }
            if "params" in scores:
                line["params_median_M"] = scores["params"].reindex(members).median() / 1e6
            lines.append(line)
    return pd.DataFrame(lines)


def drawn(judged: dict[str, pd.Series], families: pd.Series) -> Figure:
    """Accuracies of each family, a point a network."""
    figure = Figure((PAGE, 2.4), layout="constrained")
    rng = np.random.default_rng(0)
    for axes, (dataset, accuracy) in zip(
        figure.subplots(1, len(judged), squeeze=False)[0], judged.items(), strict=True
    ):
        for place, name in enumerate(FAMILIES):
            here = accuracy[families[accuracy.index] == name]
            spread = place + rng.uniform(-0.25, 0.25, len(here))
            axes.scatter(spread, here, s=7, color=COLOURS[place], linewidths=0)
        axes.set_xticks(range(len(FAMILIES)), FAMILIES)
        axes.set_ylabel(f"test accuracy, % ({dataset})")
    return figure


if __name__ == "__main__":
    sys.exit(guard(main))
