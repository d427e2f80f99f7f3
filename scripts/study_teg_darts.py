"""Put genotypes that searches found beside the rows of TEG-NAS's Tables 3 and 4.

    python scripts/study_teg_darts.py results/teg_darts

It reads what `nasbench-report` wrote to `tables/seeds.csv` in that folder, and writes to `tables/study`: each
genotype with its sizes in the networks that the papers train, the sizes of random genotypes, how much two
seeds of a search have in common, and the published rows with ours.  Errors are the published ones: nothing
here was trained.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from nasbench_eval.errors import Parser, UsageError, guard
from nasbench_eval.files import write_whole
from nasbench_eval.report.published import load_published
from nasbench_eval.spaces.darts import DARTS

CIFAR, IMAGENET = DARTS(), DARTS("imagenet")
DAY = 86_400
# Genotypes drawn at random.
DRAWN = 1000
# Rows of TEG-NAS's tables in the space, by what our searches are called.
ROWS = {
    ("prune", "te_nas"): "TE-NAS",
    ("reinforce", "teg"): "REINFORCE + TEG",
    ("evolution_teg", "teg"): "Evolution + TEG",
    ("fp_nas", "teg"): "FP-NAS + TEG",
}


def main() -> int:
    """Run the study; returns the exit code."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of the searches, such as results/teg_darts")
    run = parser.parse_args().run
    file = run / "tables" / "seeds.csv"
    if not file.is_file():
        raise UsageError(f"{file} is not there: nasbench-report {run}/*/ --out {run}/tables writes it")
    seeds = pd.read_csv(file)
    tables = {"genotypes": genotypes(seeds), "drawn": drawn(), "agreement": agreement(seeds)}
    tables["table3"] = beside(tables["genotypes"], "table3", "cifar10", "test_error", "params_cifar_M")
    tables["table4"] = beside(tables["genotypes"], "table4", "imagenet", "top1_error", "params_imagenet_M")
    tables["courses"] = courses(run)
    folder = run / "tables" / "study"
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_whole(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g").encode())
        shown = table.drop(columns=["genotype"], errors="ignore").round(3)
        print(f"{name}\n{shown.to_string(index=False, na_rep='')}\n")
    print(f"written to {folder}: {', '.join(f'{name}.csv' for name in tables)}")
    return 0


def genotypes(seeds: pd.DataFrame) -> pd.DataFrame:
    """What each seed found: its sizes in the papers' networks, what it cost, and its text."""
    lines = []
    for seed in seeds.to_dict("records"):
        arch = CIFAR.parse(str(seed["arch"]))
        edges = [edge.operation for cell in arch.edges for edge in cell]
        lines.append(
            {key: seed[key] for key in ("algorithm", "guide", "run", "run_seed", "seed", "evaluations")}
            | {
                "params_cifar_M": CIFAR.params(arch, num_classes=10) / 1e6,
                "params_imagenet_M": IMAGENET.params(arch, num_classes=1000) / 1e6,
                "macs_imagenet_M": IMAGENET.flops(arch, resolution=224, num_classes=1000) / 1e6,
                "convolutions": sum(name.startswith(("sep", "dil")) for name in edges),
                "skips": edges.count("skip_connect"),
                "core_days": float(seed["proxy_seconds"]) / DAY,
                "wall_seconds": seed["wall_seconds"],
                "genotype": CIFAR.published(arch),
            }
        )
    return pd.DataFrame(lines)


def courses(run: Path) -> pd.DataFrame:
    """Medians of what guides told in the first and in the last quarter of each search's steps."""
    lines = []
    for folder in sorted(run.glob("*/history")):
        history = pd.read_parquet(folder)
        quarter = (history["step"].max() + 1) // 4
        first, last = history["step"] < quarter, history["step"] > history["step"].max() - quarter
        for name in (name for name in history if str(name).startswith("told_")):
            lines.append(
                {"run": folder.parent.name, "told": str(name).removeprefix("told_")}
                | {"first": history.loc[first, name].median(), "last": history.loc[last, name].median()}
                | {"best": history[name].max()}
            )
    return pd.DataFrame(lines)


def drawn() -> pd.DataFrame:
    """Sizes of genotypes that are drawn at random, which finds are to be compared with."""
    rng = np.random.default_rng(0)
    archs = [CIFAR.sample(rng) for _ in range(DRAWN)]
    sizes = pd.DataFrame(
        {
            "params_cifar_M": [CIFAR.params(arch, num_classes=10) / 1e6 for arch in archs],
            "params_imagenet_M": [IMAGENET.params(arch, num_classes=1000) / 1e6 for arch in archs],
        }
    )
    return sizes.quantile([0.05, 0.5, 0.95]).rename_axis("quantile").reset_index()


def agreement(seeds: pd.DataFrame) -> pd.DataFrame:
    """Of the 16 edges of two seeds' genotypes, how many have the same source, and the operation as well."""
    lines = []
    for (algorithm, guide), rows in seeds.groupby(["algorithm", "guide"], sort=False):
        archs = [CIFAR.parse(str(text)) for text in rows["arch"]]
        shared = []
        for one, other in combinations(archs, 2):
            nodes = list(zip(sum(one.cells, ()), sum(other.cells, ()), strict=True))
            sources = sum(len({e.source for e in a} & {e.source for e in b}) for a, b in nodes)
            shared.append((sources, sum(len(set(a) & set(b)) for a, b in nodes)))
        pairs = pd.DataFrame(shared, columns=["same_source", "same_edge"]).astype(float)
        lines.append(
            {"algorithm": algorithm, "guide": guide, "seeds": len(rows), "different": rows["arch"].nunique()}
            | {f"{name}_of_16": pairs[name].mean() for name in pairs}
        )
    return pd.DataFrame(lines)


def beside(found: pd.DataFrame, table: str, dataset: str, error: str, params: str) -> pd.DataFrame:
    """The published rows of a table, and beside them the sizes and the cost of what was found here."""
    every = load_published()
    mine = every[(every["source"] == "teg-nas") & (every["table"] == table) & (every["dataset"] == dataset)]
    wide = mine.pivot_table(index="item", columns="metric", values="value", aggfunc="first", sort=False)
    ours = {}
    for (algorithm, guide), rows in found.groupby(["algorithm", "guide"], sort=False):
        item = ROWS.get((str(algorithm).split(" (")[0], str(guide)), f"{algorithm} + {guide} (ours alone)")
        known = ours.setdefault(item, [])
        known.append(rows)
    lines = []
    for item in [*wide.index, *(name for name in ours if name not in wide.index)]:
        published = wide.loc[item] if item in wide.index else pd.Series(dtype=str)
        line = {"row": item, "published_error": pd.to_numeric(published.get(error)),
                "published_params_M": pd.to_numeric(published.get("params_M")),
                "published_gpu_days": pd.to_numeric(published.get("gpu_days"))}  # fmt: skip
        if item in ours:
            rows = pd.concat(ours[item])
            sizes = rows[params]
            line |= {"searches": len(rows), "params_M": sizes.mean(), "params_M_least": sizes.min(),
                     "params_M_most": sizes.max(), "core_days": rows["core_days"].mean()}  # fmt: skip
        lines.append(line)
    return pd.DataFrame(lines)


if __name__ == "__main__":
    sys.exit(guard(main))
