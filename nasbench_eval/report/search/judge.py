"""What searches found: accuracies of their answers by seed, and over seeds, beside random search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from nasbench_eval.report.search.published import Published, published
from nasbench_eval.report.search.read import CLOCKS, Floats
from nasbench_eval.report.search.rows import RANDOM, Row
from nasbench_eval.sampling import cells_of

# With five pairs the smallest p of the test is 0.0625: fewer than six cannot tell anything.
LEAST_PAIRS = 6
MEANINGS = {
    "space": "the search space",
    "dataset": "the data set",
    "algorithm": "the algorithm's label; in parentheses what tells the row from others of that label",
    "guide": "what the search was told",
    "guide_kind": "`proxy`, `aggregate`, `val` or `accuracy_12`",
    "members": "how many architectures the searches kept to; empty: the whole space",
    "seeds": "how many searches",
    "answers": "of these, how many end with one architecture whose test accuracy is known",
    "evaluations": "architectures that a search evaluated, mean over seeds",
    "proxy_seconds": "measured seconds of proxies a search, mean over seeds",
    "simulated_seconds": "seconds of training a search as a table records them, mean over seeds",
    "wall_seconds": "seconds from the start of a search to its last trial, mean over seeds",
    "val_accuracy": "validation accuracy of the answer in percent, mean over seeds",
    "val_std": "its standard deviation over seeds",
    "test_accuracy": "test accuracy of the answer in percent, mean over seeds",
    "test_std": "its standard deviation over seeds",
    "best_test_accuracy": "the best mean test accuracy of the whole space",
    "regret": "`best_test_accuracy` less `test_accuracy`, in percentage points",
    "random_guide": "the guide of the random search that the row is compared with",
    "pairs": "seeds that both have",
    "share_beats_random": "of these, the share in which the answer's test accuracy is higher than that of "
    "random search with the same seed after as many evaluations",
    "share_ties": "the share in which both are equal",
    "p_random": "two-sided Wilcoxon signed-rank test of these pairs, equal ones left out",
    "no_comparison": "why there is no `p_random`: `random search` is the row itself, `no random search` of "
    "the guide's kind, `several` of them, `shorter` than the row's search, `n < 6` pairs, `ties`: fewer than "
    "6 pairs differ",
    "published_row": "the row of the paper; empty where it has none",
    "published_accuracy": "accuracy that the paper gives, in percent",
    "published_std": "its standard deviation",
    "published_split": "what that accuracy is: `test`, or `val` where it can only be validation accuracy",
    "published_seconds": "seconds of a search that the paper gives",
}
COLUMNS = list(MEANINGS)
SEED_MEANINGS = {
    "dataset": "the data set",
    "algorithm": "the algorithm's label",
    "guide": "what the search was told",
    "guide_kind": "its kind",
    "run": "name of the folder",
    "run_seed": "the run's seed",
    "seed": "the search's seed",
    "evaluations": "architectures that it evaluated",
    "proxy_seconds": "measured seconds of proxies",
    "simulated_seconds": "seconds of training, as a table records them",
    "wall_seconds": "seconds to the last trial",
    "index": "the answer's index in the benchmark, −1 if the answer is no single architecture",
    "arch": "the answer",
    "val_accuracy": "its validation accuracy in percent",
    "test_accuracy": "its test accuracy in percent",
    "regret": "the best mean test accuracy of the space less the answer's",
}


@dataclass(frozen=True)
class Comparison:
    """A row beside random search.

    Attributes:
        guide: of the random search.
        pairs: seeds that both have.
        better, ties: shares of them.
        p: of the paired test; NaN if there is none.
        why: there is none, in a word or two.
    """

    guide: str = ""
    pairs: int = 0
    better: float = math.nan
    ties: float = math.nan
    p: float = math.nan
    why: str = ""


def per_seed(row: Row) -> pd.DataFrame:
    """What each seed of a row ended with: the columns of `SEED_MEANINGS`."""
    trials, answers = row.trials, row.answers
    names = [run.name for run in row.runs for _ in run.trials["seed"].unique()]
    texts = [
        part["incumbent"].iloc[-1] for run in row.runs for _, part in run.trials.groupby("seed", sort=True)
    ]
    test = row.accuracy("test", answers)
    return pd.DataFrame(
        {
            "dataset": row.dataset,
            "algorithm": row.algorithm,
            "guide": row.guide.name,
            "guide_kind": row.guide.kind,
            "run": names,
            "run_seed": [run_seed for run_seed, _ in trials.seeds],
            "seed": [seed for _, seed in trials.seeds],
            "evaluations": trials.lengths,
            "proxy_seconds": trials.proxy.sum(1),
            "simulated_seconds": trials.simulated.sum(1),
            "wall_seconds": trials.wall[:, -1],
            "index": answers,
            "arch": texts,
            "val_accuracy": row.accuracy("val", answers),
            "test_accuracy": test,
            "regret": row.best - test,
        }
    )[list(SEED_MEANINGS)]


def members_of(row: Row) -> int | None:
    """How many architectures the searches of a row kept to; None for the whole space."""
    listed = row.runs[0].search.get("members")
    return None if listed is None else len(cells_of(str(listed)))


def table_of(rows: Sequence[Row]) -> pd.DataFrame:
    """A line a row: the columns of `COLUMNS`."""
    return pd.DataFrame([_line(row, rows) for row in rows], columns=COLUMNS)


def _line(row: Row, rows: Sequence[Row]) -> dict[str, object]:
    seeds = per_seed(row)
    test, val = seeds["test_accuracy"].dropna(), seeds["val_accuracy"].dropna()
    beside = compare(row, rows)
    paper = published(row) or Published()
    return {
        "space": row.space,
        "dataset": row.dataset,
        "algorithm": row.algorithm,
        "guide": row.guide.name,
        "guide_kind": row.guide.kind,
        "members": members_of(row),
        "seeds": len(seeds),
        "answers": len(test),
        "evaluations": seeds["evaluations"].mean(),
        **{clock: seeds[clock].mean() for clock in CLOCKS},
        "val_accuracy": val.mean(),
        "val_std": val.std(),
        "test_accuracy": test.mean(),
        "test_std": test.std(),
        "best_test_accuracy": row.best,
        "regret": row.best - test.mean(),
        "random_guide": beside.guide,
        "pairs": beside.pairs,
        "share_beats_random": beside.better,
        "share_ties": beside.ties,
        "p_random": beside.p,
        "no_comparison": beside.why,
        "published_row": paper.row,
        "published_accuracy": paper.accuracy,
        "published_std": paper.std,
        "published_split": paper.split,
        "published_seconds": paper.seconds,
    }


def compare(row: Row, rows: Sequence[Row]) -> Comparison:
    """A row beside the random search with its guide and that guide's options, or else the nearest one.

    That is the only one with its guide, or else the only one with a guide of its kind.  Of several with its
    guide and options it is the shortest that has as many evaluations.
    """
    if row.method == RANDOM:
        return Comparison(why="random search")
    fitting = [
        other
        for other in rows
        if other.method == RANDOM
        and (other.dataset, other.space, other.guide.kind) == (row.dataset, row.space, row.guide.kind)
        and other.runs[0].search.get("members") == row.runs[0].search.get("members")
        and other.runs[0].record.get("truth") == row.runs[0].record.get("truth")
    ]
    same = [other for other in fitting if other.guide == row.guide]
    alike = [other for other in same if _told_by(other) == _told_by(row)]
    fitting = _long_enough(row, alike) or same or fitting
    if not fitting:
        return Comparison(why="no random search")
    if len(fitting) > 1:
        return Comparison(why="several")
    return _compared(row, fitting[0])


def _long_enough(row: Row, found: Sequence[Row]) -> list[Row]:
    """The shortest of some searches that have as many evaluations as a row; of all if none has."""
    enough = [other for other in found if other.trials.lengths.min() >= row.trials.lengths.max()] or found
    shortest = min((other.trials.lengths.max() for other in enough), default=0)
    return [other for other in enough if other.trials.lengths.max() == shortest]


def _told_by(row: Row) -> object:
    """The proxies of a row's guide with their options."""
    return row.runs[0].record.get("proxies", {})


def _compared(row: Row, other: Row) -> Comparison:
    reached = row.accuracy("test", row.answers)
    drawn = other.accuracy("test", other.trials.incumbent)
    places = {seed: place for place, seed in enumerate(other.trials.seeds)}
    differences, shorter = [], False
    for place, seed in enumerate(row.trials.seeds):
        if seed in places:
            length = row.trials.lengths[place]
            if other.trials.lengths[places[seed]] < length:
                shorter = True
            else:
                differences.append(reached[place] - drawn[places[seed], length - 1])
    found: Floats = np.array([difference for difference in differences if np.isfinite(difference)])
    guide = other.guide.name
    if not len(found):
        return Comparison(guide, why="shorter" if shorter else f"n < {LEAST_PAIRS}")
    shares = float((found > 0).mean()), float((found == 0).mean())
    if len(found) < LEAST_PAIRS:
        why = "shorter" if shorter else f"n < {LEAST_PAIRS}"
        return Comparison(guide, len(found), *shares, why=why)
    if np.count_nonzero(found) < LEAST_PAIRS:
        return Comparison(guide, len(found), *shares, why="ties")
    # Differences that are equal but for rounding should share their rank.
    return Comparison(guide, len(found), *shares, float(wilcoxon(found.round(9)).pvalue))
