"""Draws combinations for the terminal and in Markdown. Nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from nasbench_eval.report.across.draw import number
from nasbench_eval.report.draw import EMPTY, wrapped
from nasbench_eval.report.ensemble.choose import BEAM, FOLDS
from nasbench_eval.report.ensemble.source import JOINT
from nasbench_eval.report.ensemble.study import Study
from nasbench_eval.wording import counted

TITLE = "Combinations of proxies"
# Of what the folds chose, so many are named.
_NAMED = 3
_NAME = 20
# Of the terminal's table of transfer.
_LABEL, _COLUMNS = 26, 9


def draw_text(study: Study) -> str:
    """For the terminal, at most 100 columns wide."""
    lines, several = [TITLE], len(names_of(study)) > 1
    reference = main_reference(study)
    for benchmark in names_of(study):
        rows = study.table[study.table["benchmark"] == benchmark]
        lines += ["", *wrapped(_heading(rows, benchmark)), *_text_table(study, rows, benchmark, reference)]
        for method, said in often(study, benchmark):
            lines += wrapped(f"{method} chose {said}", hanging="  ")
    lines += ["", *_text_transfer(study)] if several else []
    lines += ["", *wrapped(caption(study))]
    lines += wrapped(transfer_caption(study)) if several else []
    return "\n".join(lines) + "\n"


def draw_markdown(study: Study) -> str:
    """All tables."""
    references = references_of(study)
    lines = [f"# {TITLE}", "", caption(study), ""]
    for benchmark in names_of(study):
        rows = study.table[study.table["benchmark"] == benchmark]
        head = ["method", "combination", "passes", "seconds", "held-out τ", "± sd"]
        head += [f"less {reference}" for reference in references]
        body = [
            [
                row["method"],
                row["combination"],
                _whole(row["passes"]),
                _seconds(row["seconds"]),
                _interval(row["tau"], row["low"], row["high"]),
                number(float(row["sd"])),
                *(_difference(study, benchmark, str(row["method"]), reference) for reference in references),
            ]
            for row in rows.to_dict("records")
        ]
        lines += [f"## {_heading(rows, benchmark)}", "", *_markdown(head, body, 2), ""]
        said = [f"- {method}: {chosen}".replace("_", r"\_") for method, chosen in often(study, benchmark)]
        lines += ["Chosen in the folds:", "", *said, ""]
    if len(names_of(study)) > 1:
        lines += _markdown_transfer(study)
    return "\n".join(lines).rstrip() + "\n"


def names_of(study: Study) -> list[str]:
    """The benchmarks, in order."""
    return [str(name) for name in dict.fromkeys(study.table["benchmark"])]


def references_of(study: Study) -> list[str]:
    """The fixed combinations that something is compared with."""
    found = {str(name) for name in study.differences["reference"]}
    return [name for name in study.options.references if name in found]


def main_reference(study: Study) -> str | None:
    """The first of them; None if there is none."""
    return next(iter(references_of(study)), None)


def often(study: Study, benchmark: str) -> list[tuple[str, str]]:
    """Each method and what it chose most often on a benchmark, with how often."""
    joint = [source.name for source in study.sources if source.prefix and _has(source, benchmark)]
    found = []
    for name in [benchmark, *joint]:
        of = study.folds[study.folds["benchmark"] == name]
        for method, rows in of.groupby("method", sort=False):
            records = rows.to_dict("records")
            said = [f"{row['combination']} ({row['times']} of {row['folds']})" for row in records[:_NAMED]]
            more = len(records) - _NAMED
            found.append((str(method), "; ".join(said) + (f"; {more} others" if more > 0 else "")))
    return found


def _has(source: Any, benchmark: str) -> bool:
    return any(pool.benchmark.name == benchmark for pool in source.pools)


def caption(study: Study) -> str:
    """How the figures came about."""
    options = study.options
    limit = "" if options.passes is None else f" and {counted(options.passes, 'pass', 'passes')}"
    return (
        f"Up to {counted(options.most, 'proxy', 'proxies')}{limit}, chosen by forward selection (the {BEAM} "
        "best combinations of each size are gone on with) without the networks of a fold and judged on "
        "these alone (isomorphic architectures are one network), ranked among themselves: mean Kendall τ "
        f"over {FOLDS} folds, {options.repeats} times, "
        "and its 95 % interval, which is corrected for folds sharing architectures (Nadeau & Bengio 2003). "
        "Differences are paired, fold by fold. single: the best proxy by itself. "
        f"{JOINT}…: chosen by the mean τ over all data sets of the run. The combination shown is the one "
        "chosen on all architectures. Passes: those that proxies share count once; FLOPs and parameters "
        "count as one. Seconds: median of an architecture in the run, what proxies share counted for each."
    )


def transfer_caption(study: Study) -> str:
    """What the transfer is."""
    return (
        "Transfer: chosen on all architectures of one benchmark, judged on all of another one. "
        f"†: held-out τ, where both are the same. {EMPTY}: a member has too few scores there. "
        "Benchmarks of one space may have architectures that the choice was made on (`shared` in "
        "transfer.csv); there only the accuracies are others."
    )


def _heading(rows: pd.DataFrame, benchmark: str) -> str:
    counts = rows["candidates"].dropna()
    of = f", {int(counts.max())} candidates" if len(counts) else ""
    return f"{benchmark}: n = {int(rows['n'].iloc[0]):,}{of}"


def _text_table(study: Study, rows: pd.DataFrame, benchmark: str, reference: str | None) -> list[str]:
    head = f"{'method':<{_NAME}}{'passes':>8}{'seconds':>9}{'held-out τ':>24}{'sd':>7}"
    head += f"{'less ' + reference:>30}" if reference else ""
    rule = "─" * len(head)
    lines = [rule, head, rule]
    for row in rows.to_dict("records"):
        method = str(row["method"])
        cells = f"{_whole(row['passes']):>8}{_seconds(row['seconds']):>9}"
        cells += f"{_interval(row['tau'], row['low'], row['high']):>24}{number(float(row['sd'])):>7}"
        cells += f"{_difference(study, benchmark, method, reference):>30}" if reference else ""
        lines.append(f"{method:<{_NAME}}{cells}")
        lines += [f"  {line}" for line in wrapped(str(row["combination"]))]
    return [*lines, rule]


def _text_transfer(study: Study) -> list[str]:
    """A line a choice; sources are numbered as the benchmarks are, joint ones from j1."""
    names = names_of(study)
    joint = [source.name for source in study.sources if source.prefix]
    short = {name: str(place + 1) for place, name in enumerate(names)}
    short |= {name: f"j{place + 1}" for place, name in enumerate(joint)}
    lines = ["Transfer", *(f"{sign:>4}  {name}" for name, sign in short.items())]
    for start in range(0, len(names), _COLUMNS):
        shown = range(start, min(start + _COLUMNS, len(names)))
        head = f"{'chosen on: method':<{_LABEL}}" + "".join(f"{place + 1:>8}" for place in shown)
        rule = "─" * len(head)
        lines += [rule, head, rule]
        for name, method, cells in transfer_rows(study):
            label = f"{short[name]}: {method}" if name else method
            lines.append(f"{label:<{_LABEL}}" + "".join(f"{cells[place]:>8}" for place in shown))
        lines.append(rule)
    return lines


def transfer_rows(study: Study) -> list[tuple[str, str, list[str]]]:
    """Of each choice its source, its method, and τ on each benchmark; held-out τ has a dagger."""
    names = names_of(study)
    records = study.transfer.to_dict("records")
    taus = {(row["chosen_on"], row["method"], row["benchmark"]): float(row["tau"]) for row in records}
    held = {(row["benchmark"], row["method"]): row["tau"] for row in study.table.to_dict("records")}
    found = []
    for source in study.sources:
        own = [pool.benchmark.name for pool in source.pools]
        for method in source.chosen:
            full = source.prefix + method
            cells = [
                f"{number(float(held[name, full]))}†" if name in own
                else number(taus.get((source.name, full, name), math.nan))
                for name in names
            ]  # fmt: skip
            found.append((source.name, full, cells))
    for method in dict.fromkeys(str(row["method"]) for row in records if not row["chosen_on"]):
        found.append(("", method, [number(taus.get(("", method, name), math.nan)) for name in names]))
    return found


def _markdown_transfer(study: Study) -> list[str]:
    names = names_of(study)
    lines = ["## Transfer", "", transfer_caption(study), ""]
    body = [[source or EMPTY, method, *cells] for source, method, cells in transfer_rows(study)]
    lines += _markdown(["chosen on", "method", *names], body, 2)
    for reference in references_of(study):
        differences = study.transfer[study.transfer["reference"] == reference]
        if differences.empty:
            continue
        held: dict[tuple[str, str], dict[str, Mapping[Hashable, Any]]] = {}
        for row in differences.to_dict("records"):
            held.setdefault((row["chosen_on"], row["method"]), {})[row["benchmark"]] = row
        table = [
            [source or EMPTY, method, *(_shown(cells.get(name)) for name in names)]
            for (source, method), cells in held.items()
        ]
        lines += ["", f"## Transfer, less {reference}", ""]
        lines += _markdown(["chosen on", "method", *names], table, 2)
    return lines


def _shown(row: Mapping[Hashable, Any] | None) -> str:
    if row is None:
        return EMPTY
    return _interval(row["difference"], row["difference_low"], row["difference_high"], signed=True)


def _difference(study: Study, benchmark: str, method: str, reference: str) -> str:
    frame = study.differences
    wanted = {"benchmark": benchmark, "method": method, "reference": reference}
    for row in frame[(frame[list(wanted)] == pd.Series(wanted)).all(axis=1)].to_dict("records"):
        return _interval(row["difference"], row["low"], row["high"], signed=True)
    return EMPTY


def _interval(value: float, low: float, high: float, *, signed: bool = False) -> str:
    text = ("+" if signed and value > 0 else "") + number(float(value))
    return text if math.isnan(low) else f"{text} [{number(float(low))}, {number(float(high))}]"


def _whole(value: float | None) -> str:
    return EMPTY if value is None or math.isnan(value) else f"{value:.0f}"


def _seconds(value: float) -> str:
    return EMPTY if math.isnan(value) else f"{value:.3g}"


def _markdown(head: Sequence[str], body: Sequence[Sequence[Any]], left: int) -> list[str]:
    """A table whose first columns are text."""
    rule = "|" + "---|" * left + "---:|" * (len(head) - left)
    rows = [[str(cell).replace("_", r"\_").replace("|", r"\|") for cell in row] for row in [head, *body]]
    first, *others = (f"| {' | '.join(row)} |" for row in rows)
    return [first, rule, *others]
