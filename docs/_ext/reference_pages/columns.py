"""Columns of the score rows, of the report's tables and statistics, and the keys of run.json.

Meanings that the code does not state stand here. Each list is compared with what the code and the
committed runs have; a column without a meaning, or a meaning without a column, fails the build.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping

from nasbench_eval.report import epochs
from nasbench_eval.report.across import table as across
from nasbench_eval.report.ensemble import columns as ensembles
from nasbench_eval.report.search import indicators, judge, tau
from nasbench_eval.report.search.unjudged import frames as unjudged
from nasbench_eval.report.statistics import between, seeds, summary
from nasbench_eval.runs import record
from nasbench_eval.runs.parquet import MARKS, schema
from reference_pages.text import ROOT, code, docstring, entries, prose, table
from reference_pages.text import summary as summary_of

_RUN = ROOT / "results" / "table1"

_SCORES = {
    "index": "the cell's index in the benchmark; of an open search space a hash of its text, as int64",
    "arch": "the benchmark's text for the cell",
    "seed": "the run's seed, from which weights, inputs and labels are drawn",
    "score": "higher predicts a better network",
    "seconds": "wall time of the passes that the proxy watched, in full even where proxies share them; 0 "
    "for a copy",
    "status": "`ok`; `nan` or `inf`: the score is not finite; `oom`: memory was short; `error`: the proxy "
    "raised, its worker died or took too long; `undefined`: the proxy has no meaning on this network, and "
    "`error` says why",
    "error": "the first line of the error, null if there was none",
    "proxy_version": "the proxy's version, raised whenever a change moves scores",
    "copied_from": "index of the isomorphic cell that was scored instead; null for all others; of an open "
    "search space as int64",
    "reused_from": "name of the run that the row was taken over from; null if it was computed here",
}

_RECORD = {
    "space": "the search space with its options",
    "seed": "seed of weights, inputs and labels",
    "datasets": "the data sets with their statistics, by name",
    "proxies": "each proxy by its label: name, version and options",
    "search": "of `nasbench-search`: algorithm, guide, seeds, lag, mutation, fork; the architectures that it "
    "kept to (`members`), the run whose scores came first (`options_from`), how far it went (`steps`, "
    "`budget`), and whence it had values (`whence`)",
    "sampling": "`uniform` or `stratified`",
    "dedupe": "`none` or `isomorphic`",
    "precision": "`float32`, `tf32` or `bf16`",
    "n": "how many cells the command asked for",
    "sample": "the value of `n=`; `given` where `indices=` or `archs=` names the cells",
    "indices": "the cells that `indices=` or `archs=` names, such as `7,3,10-19`; null if none are named",
    "archs": "the texts that `archs=` names, of an open search space; null if none are named",
    "sample_seed": "seed of the sample's draw",
    "truth": "the benchmark that `truth=` names; null for the official tables",
    "shard": "which shard of the run this is, null for a run in one piece",
    "workers": "worker processes of the last session",
    "command": "the last command that wrote to the folder",
    "versions": "of this package, Python, PyTorch, NumPy, pandas and SciPy",
    "commit": "of the checkout, where the package runs from one",
    "device": "`cpu` or `cuda`",
    "device_name": "the GPU, or the CPU's architecture and instruction set",
    "processor": "the model of the processor",
    "sources": "digests of the modules that decide scores, by name",
    "mixed": "proxies whose rows come from more than one code, by `allow_changed_code=true`; `shared` if it "
    "differs for all; only where there are any",
    "images": "digests of the images that were read, by data set",
    "earlier": "what the keys from `versions` to `images` said in earlier sessions, where it was different",
    "finished": "when the last session ended (UTC); absent while a run is under way",
    "seconds_last_session": "wall time of the last session",
    "scores_sha256": "digest of all scores without timings; it is the same for runs with the same scores",
    "cells": "how many cells have a row",
    "rows": "rows by data set, label and status",
    "copied": "rows that are copies of an isomorphic cell's",
    "reused": "rows that were taken over from other runs, by run",
}

_TABLE = {
    "proxy": "the row's name",
    "dataset": "the data set",
    "split": "`test` or `val`: the accuracies that scores are compared with",
    "n": "cells",
    "n_failed": "cells whose score is NaN or +∞, or whose proxy raised; they rank below all others",
    "n_lowest": "cells with a score of −∞, which is the lowest score and no failure",
    "kendall_tau": "Kendall's τ-b",
    "kendall_low": "lower end of its 95 % bootstrap interval",
    "kendall_high": "upper end",
    "spearman_rho": "Spearman's ρ",
    "spearman_low": "lower end of its 95 % bootstrap interval",
    "spearman_high": "upper end",
    "interval": "why there is no interval, such as `n < 20`; empty if there is one",
    "published_tau": "the paper's τ, empty where it gives none",
    "published_rho": "the paper's ρ",
}


def _match(what: str, found: Iterable[str], meant: Iterable[str]) -> None:
    if differ := set(found) ^ set(meant):
        raise ValueError(f"{what}: these are in the code or in the meanings alone: {sorted(differ)}")


def _rows(meanings: Mapping[str, str]) -> list[list[str]]:
    return [[code(key), meaning] for key, meaning in meanings.items()]


def scores() -> str:
    """The columns of a shard."""
    columns = schema(())
    _match("columns of score rows", columns.names, _SCORES)
    marks = dict.fromkeys(MARKS, ", may be absent in older runs")
    rows = [[code(f.name), code(f.type), _SCORES[f.name] + marks.get(f.name, "")] for f in columns]
    rows.insert(3, ["the proxy's own", code("double"), "the columns that the proxy names beside its score"])
    return table(["column", "type", "meaning"], rows)


def run() -> str:
    """The keys of run.json."""
    known = {*record.LATER, *record.OUTCOME, *record.SAMPLE, *record.MACHINERY, "command", "earlier"}
    known |= {
        "space",
        "seed",
        "datasets",
        "proxies",
        "shard",
        "workers",
        "indices",
        "archs",
        "search",
        "mixed",
    }
    _match("keys of run.json", known, _RECORD)
    for file in (ROOT / "results").glob("*/run.json"):
        if other := json.loads(file.read_text(encoding="utf-8")).keys() - _RECORD.keys():
            raise ValueError(f"{file} has keys without a meaning: {sorted(other)}")
    return table(["key", "meaning"], _rows(_RECORD))


def _header(name: str) -> list[str]:
    with (_RUN / "tables" / name).open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


def tables() -> str:
    """The columns of the report's CSV files."""
    _match("columns of table1.csv", _header("table1.csv"), _TABLE)
    parts = [
        "### TABLE.csv\n",
        table(["column", "meaning"], _rows(_TABLE)),
        "### statistics/\n",
        prose(summary_of(summary.Statistics)) + "\n",
    ]
    meanings = entries(summary.Statistics)
    attribute = {"metrics": summary.Statistics, "strata": summary.Statistics}
    for name in attribute:
        parts.append(f"**{name}.csv**: {prose(meanings[name])}\n\n{_columns(name)}")
    parts.append(f"**paired.csv**: {prose(_returned(between.paired))}\n\n{_columns('paired')}")
    given = prose(_returned(between.paired_given))
    parts.append(f"**paired_given.csv**: {given}\n\n{_columns('paired_given')}")
    parts.append(f"**between.csv**: {prose(entries(between.Between)['tau'])}\n\n{_columns('between')}")
    stability = entries(seeds.SeedStability)
    held = {key: stability[key] for key in _header("statistics/seeds.csv") if key in stability}
    parts.append(
        f"**seeds.csv**: {prose(summary_of(seeds.SeedStability))} S is the number of seeds.\n\n"
        + table(["column", "meaning"], [[code(k), prose(v)] for k, v in held.items()])
        + f"\n{_columns('seeds')}"
    )
    return "\n".join(parts)


def searches() -> str:
    """The columns of what is written and loaded of searches; their meanings stand beside the code."""
    parts = {
        "search.csv": judge.MEANINGS,
        "search.csv, in a space without accuracies": unjudged.MEANINGS,
        "seeds.csv, in a space without accuracies": unjudged.SEED_MEANINGS,
        "stages.csv, in a space without accuracies": unjudged.STAGE_MEANINGS,
        "tau.csv": tau.MEANINGS,
        "indicators/exclusive.csv": indicators.EXCLUSIVE_MEANINGS,
        "indicators/none.csv": indicators.NONE_MEANINGS,
        "epochs/epochs.csv": epochs.MEANINGS,
        "across.csv, with --across": across.CELL_MEANINGS,
        "across_proxies.csv": across.PROXY_MEANINGS,
        "across_agreement.csv": across.AGREEMENT_MEANINGS,
        "ensembles.csv, with --ensemble": ensembles.MEANINGS,
        "differences.csv": ensembles.DIFFERENCE_MEANINGS,
        "folds.csv": ensembles.FOLD_MEANINGS,
        "transfer.csv": ensembles.TRANSFER_MEANINGS,
        "load_search": judge.SEED_MEANINGS,
    }
    return "\n".join(
        f"### {name}\n\n{table(['column', 'meaning'], _rows(meanings))}" for name, meanings in parts.items()
    )


def _returned(function: object) -> str:
    """A docstring without its arguments, as one paragraph."""
    text = re.split(r"\n(?:Args|Raises):", docstring(function))[0]
    return " ".join(text.replace("Returns:\n", "").split())


def _columns(name: str) -> str:
    return "Columns: " + ", ".join(map(code, _header(f"statistics/{name}.csv"))) + ".\n"
