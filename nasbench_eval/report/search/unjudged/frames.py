"""What searches found that no table of accuracies judges: what was told of it, its sizes, its stages.

Shape legend: S seeds, T steps of the longest seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nasbench_eval.report.search.read import Floats, Numbers, SearchRun
from nasbench_eval.report.search.rows import Row, rows_of
from nasbench_eval.report.tables import Truth
from nasbench_eval.spaces.base import Counts, Sizes, Stage, StagedSpace
from nasbench_eval.spaces.open import Budgeted, space_of

SEED_MEANINGS = {
    "dataset": "the data set",
    "algorithm": "the algorithm's label; in parentheses what tells the row from others of that label",
    "guide": "what the search was told",
    "run": "name of the folder",
    "run_seed": "the run's seed",
    "seed": "the search's seed",
    "evaluations": "steps of the search",
    "architectures": "different ones among them",
    "proxy_seconds": "measured seconds of proxies",
    "wall_seconds": "seconds to the last trial",
    "arch": "the answer",
    "params": "its parameters",
    "macs": "its multiply-accumulates for one image of the data set",
    "budgeted": "the number that the space's limit of FLOPs is about; `macs` where it has none",
}
MEANINGS = {
    "dataset": "the data set",
    "algorithm": "the algorithm's label; in parentheses what tells the row from others of that label",
    "guide": "what the search was told",
    "seeds": "how many searches",
    "answers": "how many different architectures they end with",
    "evaluations": "steps of a search, mean over seeds",
    "told": "what a guide of one value told of the answer, mean over seeds",
    "told_std": "its standard deviation",
    "params": "parameters of the answer, mean over seeds",
    "macs": "its multiply-accumulates for one image, mean over seeds",
    "budgeted": "its number that the space's limit of FLOPs is about, mean over seeds",
    "proxy_seconds": "measured seconds of proxies a search, mean over seeds",
    "wall_seconds": "seconds from the start of a search to its last trial, mean over seeds",
}
STAGE_MEANINGS = {
    "dataset": "the data set",
    "algorithm": "the algorithm's label",
    "guide": "what the search was told",
    "run_seed": "the run's seed",
    "seed": "the search's seed",
    "pixels": "height and width of what the stage puts out",
    "layers": "layers of the answer in this stage, in the search space's own count",
    "width": "channels of the last of them",
    "blocks": "what its blocks are: layers, type, widths of bottleneck and output",
}
_UNTOLD = Truth(None, lambda dataset, split: np.full(1, np.nan))


def unjudged_rows(runs: Sequence[SearchRun]) -> list[Found]:
    """The rows of a report, in the order of the runs, by data set.

    Raises:
        UsageError: if two folders hold the same seed of the same search.
    """
    return [Found(row) for row in rows_of(runs, [_UNTOLD] * len(runs))]


@dataclass(frozen=True)
class Found:
    """What the searches of a row found.

    Attributes:
        row: the searches.
    """

    row: Row

    @cached_property
    def space(self) -> Any:
        """The search space, with the options of the first run."""
        return space_of(self.row.runs[0].record["space"])

    @property
    def image(self) -> tuple[int, int]:
        """Pixels of the data set's images, and its classes."""
        about = self.row.runs[0].record["datasets"][self.row.dataset]
        return int(about["resolution"]), int(about["num_classes"])

    @cached_property
    def texts(self) -> Mapping[int, str]:
        """The text of each architecture, by its number."""
        found: dict[int, str] = {}
        for run in self.row.runs:
            for index, arch in (("index", "arch"), ("incumbent_index", "incumbent")):
                named = run.trials[[index, arch]].drop_duplicates(index)
                found.update(zip(named[index].tolist(), named[arch].astype(str), strict=True))
        return found

    def sizes(self, text: str) -> dict[str, float]:
        """Parameters, multiply-accumulates, the number that is budgeted, and what the space counts besides.

        They are NaN where the space counts none in closed form.
        """
        arch, (pixels, classes) = self.space.parse(text), self.image
        params = macs = math.nan
        if isinstance(self.space, Sizes):
            params = float(self.space.params(arch, num_classes=classes))
            macs = float(self.space.flops(arch, resolution=pixels, num_classes=classes))
        budgeted = self.space.budgeted(arch) if isinstance(self.space, Budgeted) else macs
        found = {"params": params, "macs": macs, "budgeted": budgeted}
        if isinstance(self.space, Counts):
            found |= self.space.counts(arch, resolution=pixels, num_classes=classes)
        return found

    def stages(self, text: str) -> Sequence[Stage]:
        """The stages of an architecture; none where the space does not tell them."""
        arch = self.space.parse(text)
        if not isinstance(self.space, StagedSpace):
            return ()
        return self.space.stages(arch, resolution=self.image[0])

    def budgeted_ST(self) -> Floats:
        """The budgeted number of each seed's answer after each step."""
        known: dict[int, float] = {}
        incumbents: Numbers = self.row.trials.incumbent
        for number in np.unique(incumbents).tolist():
            known[number] = self.sizes(self.texts[number])["budgeted"]
        numbers, places = np.unique(incumbents, return_inverse=True)
        of_numbers = np.array([known[number] for number in numbers.tolist()])
        found: Floats = of_numbers[places].reshape(incumbents.shape)
        return found

    def best_ST(self) -> Floats | None:
        """What was told of each seed's answer after each step; None of a guide of several values."""
        if len(self.row.guide.values) != 1:
            return None
        told_ST = self.row.trials.told[..., 0]
        best: Floats = np.fmax.accumulate(np.where(np.isnan(told_ST), -np.inf, told_ST), 1)
        return best

    @property
    def limit(self) -> float:
        """The limit of what is budgeted; NaN for none."""
        limit = self.space.max_flops if isinstance(self.space, Budgeted) else None
        return math.nan if limit is None else float(limit)

    @cached_property
    def seeds(self) -> pd.DataFrame:
        """What each seed ended with: the columns of `SEED_MEANINGS`, `told_<value>`, counts of the space."""
        return _per_seed(self)


def _per_seed(found: Found) -> pd.DataFrame:
    row, trials = found.row, found.row.trials
    names = [run.name for run in row.runs for _ in run.trials["seed"].unique()]
    lines = []
    for place, (run_seed, seed) in enumerate(trials.seeds):
        length = int(trials.lengths[place])
        index, answer = trials.index[place, :length], int(trials.incumbent[place, -1])
        text = found.texts[answer]
        # The answer of a policy, its most probable architecture, may never have been tried.
        told = trials.told[place, :length][index == answer]
        told_V = told[0] if len(told) else np.full(trials.told.shape[-1], np.nan)
        lines.append(
            {
                "dataset": row.dataset,
                "algorithm": row.algorithm,
                "guide": row.guide.name,
                "run": names[place],
                "run_seed": run_seed,
                "seed": seed,
                "evaluations": length,
                "architectures": len(np.unique(index)),
                "proxy_seconds": trials.proxy[place].sum(),
                "wall_seconds": trials.wall[place, -1],
                "arch": text,
                **found.sizes(text),
                **{f"told_{value}": told_V[column] for column, value in enumerate(row.guide.values)},
            }
        )
    return pd.DataFrame(lines)


def table_of(rows: Sequence[Found]) -> pd.DataFrame:
    """A line a row: the columns of `MEANINGS`."""
    lines = []
    for found in rows:
        seeds, values = found.seeds, found.row.guide.values
        told = seeds[f"told_{values[0]}"] if len(values) == 1 else pd.Series([math.nan])
        lines.append(
            {
                "dataset": found.row.dataset,
                "algorithm": found.row.algorithm,
                "guide": found.row.guide.name,
                "seeds": len(seeds),
                "answers": seeds["arch"].nunique(),
                "evaluations": seeds["evaluations"].mean(),
                "told": told.mean(),
                "told_std": told.std(),
                **{name: seeds[name].mean() for name in ("params", "macs", "budgeted")},
                "proxy_seconds": seeds["proxy_seconds"].mean(),
                "wall_seconds": seeds["wall_seconds"].mean(),
            }
        )
    return pd.DataFrame(lines, columns=list(MEANINGS))


def stage_table(rows: Sequence[Found]) -> pd.DataFrame:
    """A line a stage of each seed's answer: where layers and channels lie."""
    lines = []
    for found in rows:
        for seed in found.seeds.to_dict("records"):
            for stage in found.stages(str(seed["arch"])):
                lines.append(
                    {key: seed[key] for key in ("dataset", "algorithm", "guide", "run_seed", "seed")}
                    | {"pixels": stage.pixels, "layers": stage.layers, "width": stage.width}
                    | {"blocks": ", ".join(map(str, stage.blocks))}
                )
    return pd.DataFrame(lines, columns=list(STAGE_MEANINGS))
