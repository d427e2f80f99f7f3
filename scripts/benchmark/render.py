"""Markdown of a device's figures: targets, costs, throughput, start-up, memory, operators."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmark.targets import TARGETS, each_alone

Section = dict[str, Any]  # "made": the heading of the run that measured it, "figures": what it measured
Sections = Mapping[str, Section]

_DEVICES = {"cpu": "CPU", "cuda": "CUDA"}
_ABOUT = """\
# What scoring costs

Made by `make bench`; how each figure comes about is explained in
[performance](../../docs/explanation/performance.md).
Every run is a line of [history.jsonl](history.jsonl), the newest figures are also in
`latest-<device>.json`.  A *bare pass* is one forward-backward pass of the same network in the same process;
costs are those of all cells together, as a run pays them, with the range of single cells in brackets:
what does not depend on the cell weighs more on cells with few operations.  B is the batch size, R the
resolution, and where the network is not the search space's own C its width and N its cells a stage.  Proxies
in one row run the same computation; each alone costs as much.  GB and MB are 10⁹ and 10⁶ bytes.
"""


def page(newest: Mapping[str, Sections], before: Mapping[str, Sections]) -> str:
    """The whole page: each device's newest figures, targets beside those of the time before."""
    parts = [_ABOUT]
    for device, sections in newest.items():
        parts += [f"## {_DEVICES.get(device, device)}\n", *device_parts(sections, before.get(device, {}))]
    return "\n".join(parts)


def device_parts(sections: Sections, before: Sections) -> list[str]:
    """The parts of a device's page, of those sections that there are."""
    on_cpu = all(section["made"]["device"] == "cpu" for section in sections.values())
    shown = [name for name in _PARTS if name in sections]
    made = {name: _made(sections[name]) for name in shown}
    if "targets" in shown and sections["targets"]["made"] == sections.get("proxies", {}).get("made"):
        shown.remove("targets")  # measured in one run, hence in the other table already
    in_one_run = len(set(made.values())) == 1
    parts = [f"{made[shown[0]]}\n"] if in_one_run else []
    parts += [targets(sections, before)] if on_cpu else []
    for name in shown:
        title, body = _PARTS[name]
        source = "" if in_one_run else f"{made[name]}\n\n"
        parts.append(f"### {title}\n\n{source}{body(sections[name]['figures'])}")
    return parts


def targets(sections: Sections, before: Sections) -> str:
    """Each target with what was measured, the verdict, and what was measured the time before."""
    figures, earlier = _figures(sections), _figures(before)
    rows = []
    for target in TARGETS:
        value, past = target.value(figures), target.value(earlier)
        bound = f"{'≥' if target.at_least else '≤'} {target.limit:g}"
        verdict = "not measured" if value is None else "pass" if target.met(value) else "**miss**"
        rows.append((target.what, target.unit, bound, _number(value), verdict, _number(past)))
    shown = table(("target", "in", "bound", "measured", "verdict", "time before"), rows, left=2)
    total = each_alone(figures)
    if total is not None:
        shown += f"\nEach proxy of the few-pass group alone, summed: {_number(total)} bare passes.\n"
    return f"### Targets\n\n{shown}"


def costs(figures: Mapping[str, Any]) -> str:
    """A row a reading, and the machine's rates."""
    head = (
        *("reading", "B", "R", "bare passes at its B and R", "at B = 64, R = 32", "cells a second"),
        *("GFLOP/s", "of a matrix product's rate", "GFLOP/s of its bare pass", "peak, GB"),
    )
    every = list(figures.values())
    on_device = any(f["device_peak_bytes"] is not None for f in every)
    rows = [_cost_row(title, f) for title, f in figures.items()]
    rates = ", ".join(
        f"{_range(f[key] for f in every)} GFLOP/s in {what}"
        for key, what in (("matmul_gflops", "a matrix product"), ("reference_gflops", "a bare pass"))
    )
    return (
        table((*head, "on the device, GB") if on_device else head, rows)
        + f"\nThe machine reached {rates} at B = 64, R = 32 (median and range of the processes).\n"
    )


def _cost_row(title: str, f: Mapping[str, Any]) -> tuple[str, ...]:
    size = f["size"]
    network = f" (C = {size['channels']}, N = {size['cells']})" if size["channels"] else ""
    row = (
        f"{'; '.join((title, *f['alike']))}{network}",
        *(str(size["batch_size"]), str(size["resolution"])),
        *(_spread(f["own"]), _spread(f["reference"])),
        *(_number(f["cells_per_second"]), f"{f['gflops']:.0f}", f"{f['gflops'] / f['matmul_gflops']:.0%}"),
        *(f"{f['unit_gflops']:.0f}", _number(f["peak_bytes"] / 1e9)),
    )
    return row if f["device_peak_bytes"] is None else (*row, _number(f["device_peak_bytes"] / 1e9))


def throughput(f: Mapping[str, Any]) -> str:
    """Both sides and their ratio."""
    rows = [
        ("two workers, one thread each", _number(f["cells_per_second"])),
        (
            f"one process with PyTorch's defaults ({f['default_threads']} threads)",
            _number(f["default_cells_per_second"]),
        ),
        ("ratio", _number(f["ratio"])),
    ]
    what = f"{', '.join(f['labels'])}: {f['cells']} cells, {f['rounds']} times each, {f['cores']} cores.\n\n"
    return what + table(("", "cells a second"), rows)


def networks(figures: Mapping[str, Any]) -> str:
    """A row a network and group."""
    rows = [
        (
            *(network, what, _number(cost["ratio"]), f"{cost['seconds']:.2f}", f"{cost['bare_seconds']:.2f}"),
            *(_number(f["peak_ratios"][what]), _number(f["bare_peak_bytes"] / 1e9)),
        )
        for network, f in figures.items()
        for what, cost in f["costs"].items()
    ]
    head = (
        "network",
        "scored",
        "bare passes",
        "seconds",
        "of a bare pass",
        "peaks of a bare pass",
        "its peak, GB",
    )
    return table(head, rows, left=2)


def training(f: Mapping[str, Any]) -> str:
    """Cells an hour and seconds a training."""
    what = (
        f"The recipe of the digits benchmark: {f['seeds']} trainings a cell of {f['epochs']} epochs of "
        f"{f['images']} images; {f['cells']} cells, {f['workers']} workers.\n\n"
    )
    row = (_number(f["cells_per_hour"]), _number(f["seconds_a_training"]))
    return what + table(("cells an hour", "seconds a training and worker"), [row], left=0)


def retraining(f: Mapping[str, Any]) -> str:
    """Seconds of a step, what of it is waiting, and what a second process gains."""
    rows = [
        ("seconds of a step", f"{f['seconds']:.3f}"),
        ("of a bare loop's", f"{f['bare_seconds']:.3f}"),
        ("ratio", _number(f["ratio"])),
        ("share of waiting for images", f"{f['waited']:.1%}"),
        ("two processes against one", f"{_number(f['speedup'])} times as fast"),
    ]
    return f"A NAS-Bench-201 network at batches of {f['batch']}, one thread.\n\n" + table(("", ""), rows)


def startup(f: Mapping[str, Any]) -> str:
    """Seconds of the two commands."""
    rows = [
        ("`nasbench-score --help`", _number(f["help_seconds"])),
        ("`nasbench-score proxy=intrain n=1`", _number(f["first_score_seconds"])),
    ]
    return table(("command", f"seconds (median of {f['repeats']})"), rows)


def memory(f: Mapping[str, Any]) -> str:
    """The largest resident set along a run, and on the largest cell."""
    flat, peak = f["flat"], f["peak"]
    what = f"small batches of {', '.join(flat['labels'])}"
    rows = [
        (f"up to {done:,} different cells, {what}", _number(size / 1e9))
        for done, size in zip(flat["cells"], flat["peak_bytes"], strict=True)
    ]
    largest = f"on the largest cell ({peak['cell']}), {', '.join(peak['labels'])} at its defaults"
    rows.append((largest, _number(peak["peak_bytes"] / 1e9)))
    return table(("largest resident set of a worker", "GB"), rows)


def operators(figures: Mapping[str, Any]) -> str:
    """The largest operators of each profile, by their share of all operators' own time."""
    return "\n".join(
        f"{title}:\n\n"
        + table(
            ("operator", "share of the time", "calls"),
            [(f"`{o['operator']}`", f"{o['share']:.1%}", f"{o['calls']:,}") for o in found],
        )
        for title, found in figures.items()
    )


_PARTS = {
    "proxies": ("Proxies and groups", costs),
    "targets": ("What the targets are judged by", costs),
    "throughput": ("Throughput", throughput),
    "training": ("Training", training),
    "retraining": ("Training of one network", retraining),
    "networks": ("Networks of no search space", networks),
    "startup": ("Start-up", startup),
    "memory": ("Memory", memory),
    "operators": ("Largest operators", operators),
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table whose first columns are flush left, the others flush right."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *rows))


def _made(section: Section) -> str:
    """Where a section's figures come from, in a sentence."""
    heading = section["made"]
    commit = f"commit {heading['commit'][:12]}" if heading["commit"] else "no checkout"
    changed = " with changes" if (heading["commit"] or "").endswith("+changes") else ""
    processor = heading.get("processor")
    hardware = ", ".join(filter(None, (heading["device_name"], processor, f"{heading['cores']} cores")))
    load = f", load {heading['load']:.1f} when it began"
    cells = len(heading["cells"])
    return (
        f"{heading['date'][:10]}, {commit}{changed}, PyTorch {heading['versions']['torch']}; "
        f"{hardware}{load}; costs over {cells} cell{'' if cells == 1 else 's'}."
    )


def _figures(sections: Sections) -> dict[str, Any]:
    return {name: section["figures"] for name, section in sections.items()}


def _number(value: float | None) -> str:
    """Two decimals below ten, one below a hundred."""
    if value is None:
        return "–"
    return f"{value:.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f}"


def _spread(values: Mapping[str, float]) -> str:
    return f"{_number(values['together'])} ({_number(values['low'])} – {_number(values['high'])})"


def _range(values: Iterable[float]) -> str:
    values = list(values)
    return f"{statistics.median(values):.0f} ({min(values):.0f} – {max(values):.0f})"
