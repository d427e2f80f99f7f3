"""What the searches on MobileNetV2 found, beside published networks: scored again, ranked, and in Table 2.

A guide's best find owes part of its score to luck: of thousands of networks the one is found whose random
weights suited it.  So finds are scored again with other weights (other run seeds), and so are the networks
that others have published, and random ones.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, rankdata

from nasbench_eval.report.draw import EMPTY
from nasbench_eval.report.published import load_published
from nasbench_eval.runs.store import read_scores
from nasbench_eval.spaces.mobilenetv2 import MobileNetV2
from nasbench_eval.spaces.open import known

BUDGET = 450
# Guides of several values, which add up the logarithms of ranks.
AGGREGATES = {"az_nas": ("expressivity", "progressivity", "trainability", "flops")}
RANDOM, ARCHIVE = 24, 24
# Guides that no weights change.
SIZES = ("params", "flops")
# Random networks have at least so much of the budget, as what searches find has.
_LEAST = 0.9
_COUNTED = {
    "in-repo FLOPs without SE (budget)": "flops_in_repo",
    "ptflops without SE": "flops_ptflops",
    "ptflops with SE": "flops_ptflops_se",
}


def published_networks() -> pd.DataFrame:
    """Structures that others have published or logged: group, name, budget_millions, arch, source."""
    file = resources.files("nasbench_eval.report.search.unjudged").joinpath("networks.csv")
    with file.open("r", encoding="utf-8") as stream:
        return pd.read_csv(stream)


def structures(seeds: pd.DataFrame, archive: pd.DataFrame) -> pd.DataFrame:
    """The networks that are compared, all below 450 million FLOPs: group, name, arch; each arch once.

    Args:
        seeds: `seeds.csv` of the report of the searches.
        archive: the trials of one seed of a search, of which some at even distances are taken.
    """
    below = seeds[seeds["budgeted"] <= BUDGET * 1e6]
    finds = [
        (f"found by {row['algorithm']}, {row['guide']}", f"{row['guide']} seed {row['seed']}", row["arch"])
        for row in below.to_dict("records")
    ]
    others = published_networks()
    others = others[others["budget_millions"] <= BUDGET]
    taken = archive.sort_values("step")["arch"].drop_duplicates().astype(str).to_numpy()
    steps = np.linspace(0, len(taken) - 1, ARCHIVE).astype(int)
    rows = [
        *finds,
        *others[["group", "name", "arch"]].itertuples(index=False, name=None),
        *(("archive", f"archive {step}", taken[step]) for step in steps),
        *(("random", f"random {place}", arch) for place, arch in enumerate(random_networks())),
    ]
    return pd.DataFrame(rows, columns=["group", "name", "arch"]).drop_duplicates("arch", ignore_index=True)


def sixty_four(pool: pd.DataFrame) -> pd.Series[str]:
    """All but what searches found, and InTrain's finds, up to 64 networks."""
    found = pool["group"].str.startswith("found by")
    own = pool["name"].str.fullmatch(r"intrain seed \d+")
    chosen: pd.Series[str] = pd.concat([pool.loc[~found, "arch"], pool.loc[found & own, "arch"]])
    return chosen[:64]


def random_networks() -> list[str]:
    """Random networks of nearly as many FLOPs as the budget allows."""
    space = known(MobileNetV2(max_flops=BUDGET * 10**6), ())
    free, found, rng = MobileNetV2(), dict[str, None](), np.random.default_rng(0)
    while len(found) < RANDOM:
        arch = space.sample(rng)  # type: ignore[attr-defined]
        if free.budgeted(arch) >= _LEAST * BUDGET * 1e6:
            found[free.format(arch)] = None
    return list(found)


def scores_of(folders: Sequence[Path]) -> pd.DataFrame:
    """Scores by structure, run seed and label, in long form.

    Raises:
        UsageError: if a folder holds none.
    """
    parts = []
    for folder in folders:
        rows = read_scores(folder).rename(columns={"proxy": "label"})
        parts.append(rows[["arch", "seed", "label", "score", "seconds"]])
    return pd.concat(parts, ignore_index=True).astype({"arch": str, "label": str})


def guided(scores: pd.DataFrame) -> pd.DataFrame:
    """What each guide says of each network, means over run seeds: a row a network, a column a guide."""
    wide = scores.pivot_table(index="arch", columns="label", values="score", aggfunc="mean")
    for name, members in AGGREGATES.items():
        if set(members) <= set(wide.columns):
            ranks = wide[list(members)].apply(lambda column: rankdata(column.fillna(-np.inf)))
            wide[name] = np.log(ranks).sum(axis=1)
    return wide


def ranks_by_group(pool: pd.DataFrame, scores: pd.DataFrame, guides: Sequence[str]) -> pd.DataFrame:
    """Where each group of networks stands by each guide: mean percentile among all, 100 the best."""
    said = guided(scores).reindex(pool["arch"])
    table = pool[["group"]].copy()
    for guide in guides:
        ranks = rankdata(said[guide].fillna(-np.inf))
        table[guide] = 100 * (ranks - 1) / (len(ranks) - 1)
    groups = table.groupby("group", sort=False)
    return groups.mean().assign(networks=groups.size()).reset_index()


def scored_again(seeds: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """What a guide told of its finds, and what it says of them with other weights."""
    anew = scores.groupby(["arch", "label"])["score"].agg(["mean", "std"])
    rows = []
    for row in seeds.to_dict("records"):
        told = row.get(f"told_{row['guide']}", np.nan)
        key = (row["arch"], row["guide"])
        if np.isnan(told) or row["guide"] in SIZES or key not in anew.index:
            continue
        mean, std = anew.loc[key]
        rows.append(
            {
                **{name: row[name] for name in ("algorithm", "guide", "seed")},
                "told": told,
                "again": mean,
                "again_std": std,
                "lost_percent": 100 * (1 - mean / told),
            }
        )
    return pd.DataFrame(rows)


def passed(pool: pd.DataFrame, scores: pd.DataFrame, trials: pd.DataFrame, guide: str) -> pd.DataFrame:
    """When each seed of a search was told of a better network than any that others published or logged.

    Args:
        pool: the networks that are compared.
        scores: of them, with several run seeds; the mean counts.
        trials: the history of the search.
        guide: the one value that its guide tells.
    """
    others = pool[pool["group"].isin(set(published_networks()["group"]))]
    mine = scores[(scores["label"] == guide) & scores["arch"].isin(others["arch"])]
    best = mine.groupby("arch")["score"].mean().max()
    rows = []
    for seed, part in trials.sort_values("step").groupby("seed"):
        above = part[f"told_{guide}"].to_numpy() > best
        candidates = int(above.argmax()) + 1 if above.any() else None
        seconds = part["proxy_seconds"].to_numpy()[:candidates].sum() if candidates else np.nan
        rows.append(
            {"seed": seed, "best_published": best, "candidates": candidates, "proxy_seconds": seconds}
        )
    return pd.DataFrame(rows)


def on_the_clock(trials: pd.DataFrame, guide: str, seconds: Sequence[float]) -> pd.DataFrame:
    """How far each seed of a search had come after so many seconds on the clock.

    Args:
        trials: the history of the search.
        guide: the one value that its guide tells.
        seconds: since its start.
    """
    rows = []
    for seed, part in trials.sort_values("step").groupby("seed"):
        for limit in seconds:
            past = part[part["wall_seconds"] <= limit]
            best = past[f"told_{guide}"].max() if len(past) else np.nan
            rows.append({"seed": seed, "seconds": limit, "candidates": len(past), "best": best})
    return pd.DataFrame(rows)


def settings(pool: pd.DataFrame, small: pd.DataFrame, full: pd.DataFrame, label: str) -> pd.DataFrame:
    """How far small batches of small images rank networks as the published setting does.

    Between the run seeds of the small setting, and between each of them and the full one.
    """
    kept = small[(small["label"] == label) & small["arch"].isin(set(full["arch"]) & set(pool["arch"]))]
    wide = kept.pivot_table(index="arch", columns="seed", values="score")
    reference = full[full["label"] == label].set_index("arch")["score"].reindex(wide.index)
    columns: Mapping[str, pd.Series] = {f"small, seed {seed}": wide[seed] for seed in wide}
    columns = {**columns, "small, mean of seeds": wide.mean(axis="columns"), "full": reference}
    rows = []
    for one, other in combinations(columns, 2):
        if "mean" in one + other and "full" not in (one, other):
            continue
        both = columns[one].notna() & columns[other].notna()
        tau = kendalltau(columns[one][both], columns[other][both])[0]
        rows.append({"one": one, "other": other, "networks": int(both.sum()), "tau": tau})
    return pd.DataFrame(rows)


def table2(seeds: pd.DataFrame) -> pd.DataFrame:
    """The published rows of InTrain's Table 2, and what the searches found, by budget."""
    figures = load_published()
    figures = figures[(figures["source"] == "intrain") & (figures["table"] == "table2")]
    rows = []
    for note, part in figures.groupby("note", sort=False):
        budget, _, kind = str(note).partition("; ")
        for item, held in part.groupby("item", sort=False):
            values = held.set_index("metric")["value"]
            rows.append(
                {
                    "budget": int(budget.removeprefix("budget ").removesuffix("M")),
                    "network": item,
                    "kind": kind,
                    "flops_published": float(values.get("flops_millions", "nan")),
                    "top1_published": float(values.get("top1_percent", "nan")),
                    "gpu_days_published": float(values.get("gpu_days", "nan")),
                }
            )
    for row in seeds.to_dict("records"):
        if row["guide"] != "intrain" or row["algorithm"].startswith("random"):
            continue
        told = re.search(r"max_flops=(\d+)", row["algorithm"])
        limit = int(told[1]) // 10**6 if told else BUDGET
        rows.append(
            {
                "budget": limit,
                "network": f"InTrain-NAS here, seed {row['seed']}",
                "kind": "small setting, not trained",
                **{short: row[name] / 1e6 for name, short in _COUNTED.items()},
                "macs": row["macs"] / 1e6,
                "params": row["params"] / 1e6,
                "cpu_days": row["proxy_seconds"] / 86400,
            }
        )
    return pd.DataFrame(rows).sort_values("budget", kind="stable", ignore_index=True)


def table2_text(table: pd.DataFrame) -> str:
    """Table 2 for the terminal, under 100 columns wide; days are those of a GPU, here of a CPU core."""
    lines = [
        "InTrain, Table 2: networks on ImageNet-1k.  FLOPs in millions: published, or as ptflops counts them",
        "without and with squeeze-and-excitation (SE), as the searches count them (budget), and MACs.",
    ]
    for budget, part in table.groupby("budget", sort=False):
        lines += ["", f"{budget} million FLOPs", _HEAD]
        lines += [_table2_line(row) for row in part.to_dict("records")]
    lines += ["", "*: found here in a small setting and not trained, so that it has no accuracy."]
    return "\n".join(lines) + "\n"


_HEAD = (
    f"{'network':32}{'FLOPs':>8}{'with SE':>9}{'budget':>8}{'MACs':>8}{'params':>8}{'top-1':>8}{'days':>9}"
)


def _table2_line(row: dict[Hashable, Any]) -> str:
    own = not pd.isna(row["macs"])
    flops = row["flops_ptflops"] if own else row["flops_published"]
    days = row["cpu_days"] if own else row["gpu_days_published"]
    cells = [
        (flops, 8, 0),
        (row["flops_ptflops_se"], 9, 0),
        (row["flops_in_repo"], 8, 0),
        (row["macs"], 8, 0),
        (row["params"], 8, 1),
        (row["top1_published"], 8, 1),
        (days, 9, 4 if own else 1),
    ]
    shown = "".join(f"{EMPTY if pd.isna(x) else f'{x:,.{digits}f}':>{width}}" for x, width, digits in cells)
    return f"{row['network'] + ' *' * own:32}{shown}"
