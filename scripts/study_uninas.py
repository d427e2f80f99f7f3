"""Say whether any proxy ranks UniNAS networks: within convolutional, hybrid and transformer ones, and across.

    python scripts/study_uninas.py results/uninas

It reads tables of accuracies that `nasbench-train` made (`digits` and, where they are, `digits_again`, some
of the networks from other seeds, and `cifar10`) and the proxies' scores of the networks (`scores`) in that
folder.  It writes to `tables`: how well two trainings agree (`runs.csv`), τ of each proxy with 95 % intervals
(`families.csv`), sizes and accuracies by family (`sizes.csv`), and a figure of the accuracies.  Where the
answers of searches were scored again with other weights (`search`, `again-*`), these go to `again.csv`.

A network without attention is convolutional, one with attention in every block a transformer, others hybrid.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nasbench_eval.data.batches import Batches
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import Parser, UsageError, guard
from nasbench_eval.files import write_whole
from nasbench_eval.networks.adapted import Adapted
from nasbench_eval.passes import Engine, Request
from nasbench_eval.proxies.vkdnw import Vkdnw, decile_entropy
from nasbench_eval.report.figure.style import COLOURS, PAGE, paper_style, save
from nasbench_eval.report.frames import load_scores
from nasbench_eval.report.statistics.correlation import correlate
from nasbench_eval.report.statistics.rank import kendall_tau
from nasbench_eval.spaces.open import index_of
from nasbench_eval.spaces.uninas import UniNAS
from nasbench_eval.truth.own import load

FAMILIES = ("convolutional", "hybrid", "transformer")
SPACE, SMALL = UniNAS(), UniNAS(resolution=64)
# Draws of tensors that VKDNW is told for.
DRAWS = 200
CLASSES = 10
CPU = torch.device("cpu")
# Formed of the proxies' scores.
AGGREGATES = ("az_nas", "vkdnw_agg")
# Fewer networks say little.
FEWEST = 10


def main() -> int:
    """Run the study; returns the exit code."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of tables and scores, such as results/uninas")
    parser.add_argument("--draws", action="store_true", help="tell how VKDNW scatters over draws of tensors")
    arguments = parser.parse_args()
    run = arguments.run
    runs = accuracies(run, "digits")
    if (run / "digits_again").is_dir():
        runs = runs.join(accuracies(run, "digits_again"), rsuffix="_again")
    judged = {"digits": runs.mean(axis=1)}
    if (run / "cifar10").is_dir():
        judged["cifar10"] = accuracies(run, "cifar10").mean(axis=1)
    families = pd.Series({text: family(text) for text in runs.index})
    scores = scored(run, list(families.index))
    tables = {
        "runs": agreements(runs, families),
        "families": pd.DataFrame(ranked(scores, judged, families)),
        "sizes": sizes(judged, families, scores),
    }
    if found := sorted(run.glob("again-*/scores")):
        tables["again"] = again(run, [scores.parent for scores in found])
    if arguments.draws:
        tables["draws"] = pd.DataFrame(map(drawn_tensors, *zip(*SMALL.known_networks(), strict=True)))
    folder = run / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_whole(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g").encode())
        print(f"{name}\n{table.round(3).to_string(index=False, na_rep='')}\n")
    with paper_style():
        save(drawn(judged, families), folder, "accuracies")
    print(f"written to {folder}: {', '.join(f'{name}.csv' for name in tables)}, accuracies.png")
    return 0


def accuracies(run: Path, name: str) -> pd.DataFrame:
    """Test accuracies in percent, a network a row and a training a column."""
    if not (run / name).is_dir():
        raise UsageError(f"{run / name} is not there; nasbench-train writes it")
    table = load(run / name).table
    table = table.set_index("arch")
    return table[[column for column in table if "_test_run" in column]]


def scored(run: Path, texts: Sequence[str]) -> pd.DataFrame:
    """The proxies' scores, a network a row, indexed by its text."""
    if not (run / "scores").is_dir():
        raise UsageError(f"{run / 'scores'} is not there; nasbench-score writes it")
    return _by_text(run / "scores", texts, AGGREGATES)


def again(run: Path, folders: Sequence[Path]) -> pd.DataFrame:
    """What known networks and answers of searches are worth with other weights: mean and range over seeds."""
    seeds = pd.read_csv(run / "search" / "seeds.csv")
    names = {SMALL.format(arch): name for name, arch in SMALL.known_networks()}
    names |= dict(zip(seeds["arch"], seeds["algorithm"], strict=True))
    told = dict(zip(seeds["arch"], seeds["told_vkdnw"], strict=True))
    frames = [_by_text(folder, list(names)) for folder in folders]
    lines = []
    for text, name in names.items():
        line: dict[str, object] = {"network": name, "told": told.get(text, math.nan)}
        for proxy in frames[0]:
            values = [float(each.loc[text, proxy]) for each in frames]
            line |= {proxy: np.mean(values), f"{proxy}_low": min(values), f"{proxy}_high": max(values)}
        lines.append(line)
    return pd.DataFrame(lines)


def _by_text(run: Path, texts: Sequence[str], aggregates: Sequence[str] = ()) -> pd.DataFrame:
    """A run's scores of some networks, by their texts."""
    frame = load_scores(run, aggregates=aggregates).select_dtypes("number")
    return frame.reindex([index_of(SPACE.name, text) for text in texts]).set_axis(list(texts), axis=0)


def drawn_tensors(name: str, arch: object) -> dict[str, object]:
    """VKDNW of a known network over draws of the tensors that count, of which there are 128."""
    network = Adapted(SMALL.build(arch, num_classes=CLASSES), (3, 64, 64))
    proxy = Vkdnw(batch_size=16, resolution=64, choose="all", dead="drop")
    described = DataSet("noise", CLASSES, 64, (0.5,) * 3, (0.5,) * 3)
    batches = Batches(0, {"noise": described}, None, CPU)
    engine = Engine(network, {"noise": CLASSES}, batches, (0, SMALL.format(arch)), CPU)
    (outcome,) = engine.run([Request(proxy.passes()[0], "noise", proxy.observe)])
    assert outcome.record is not None, outcome.error
    fisher = outcome.record["fisher"]
    scores = []
    for seed in range(DRAWS):
        kept = sorted(Random(seed).sample(range(len(fisher)), proxy.tensors))
        scores.append(decile_entropy(fisher[kept][:, kept]))
    return {
        "network": name,
        "live_tensors": len(fisher),
        "all": decile_entropy(fisher),
        "draws": DRAWS,
        "mean": np.mean(scores),
        "std": np.std(scores, ddof=1),
        "low": min(scores),
        "high": max(scores),
    }


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
