"""What is told of an architecture, as text of 100 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nasbench_eval.report.titles import DATASETS
from nasbench_eval.show.facts import Facts
from nasbench_eval.show.known import Accuracy, Known, OnDataSet
from nasbench_eval.show.sketch import WIDTH, sketch
from nasbench_eval.show.stages import Stage
from nasbench_eval.wording import counted, shortened

_LABEL = 15
_KIND = 34


def text(facts: Facts) -> str:
    """The text, without a line break at its end."""
    parts = [_head(facts), _stages(facts.stages)]
    parts += [
        [f"{graph.name}:", *(f"  {line}" for line in sketch(graph, WIDTH - 2))] for graph in facts.name.graphs
    ]
    parts.append(_known(facts.known))
    return "\n\n".join("\n".join(part) for part in parts)


def _head(facts: Facts) -> list[str]:
    name = facts.name
    place = "" if facts.size is None else f", architecture {name.index}"
    lines = [f"{facts.space}{place}{f' of {facts.size:,}' if facts.size is not None else ''}"]
    lines += _folded(name.arch, 2)
    if name.canonical is not None:
        lines += _canonical(facts)
    if name.live is not None:
        yes, no = "yes: every operation has a bearing", "no: some operation has no bearing"
        lines += _line("live", f"{yes if name.live else no} on the output")
    if name.neighbours is not None:
        lines += _line("neighbours", f"{counted(name.neighbours, 'architecture')} one edit away")
    lines += _line("space options", _assigned(facts.options)) if facts.options else []
    size = f"{facts.resolution} x {facts.resolution}"
    whose = "" if facts.dataset is None else f" ({facts.dataset})"
    lines += _line("for", f"images of {size} pixels and {facts.classes:,} classes{whose}")
    attended = ", and of products inside attention," if facts.name.parts else ""
    lines += _line("parameters", f"{facts.params:,}")
    lines += _line(
        "MACs",
        f"{facts.macs:,} multiply-accumulates of convolution and linear layers{attended} for one image; the "
        "proxy `flops` is this number",
    )
    lines += _line("2 x MACs", f"{2 * facts.macs:,} where a multiplication and an addition count as two")
    counts = [f"{_number(value)} {what}" for what, value in facts.counts.items()]
    for at, count in enumerate(counts):
        lines += _line("" if at else "also counted", count)
    return lines


def _number(value: float) -> str:
    return f"{value:,.2f}".removesuffix(".00")


def _canonical(facts: Facts) -> list[str]:
    name = facts.name
    if name.canonical == name.arch:
        if facts.size is None:
            return _line("canonical", "yes")
        return _line("canonical", "yes: it stands for all architectures that are isomorphic to it")
    other = "another" if name.canonical_index is None else f"architecture {name.canonical_index}"
    lines = _line("canonical", f"no: {other} stands for it and all others that are isomorphic to it:")
    return lines + _folded(str(name.canonical), 2)


def _folded(arch: str, indent: int) -> list[str]:
    """The text of an architecture, on several lines if it must be, broken between its parts."""
    lines = [""]
    for part in re.findall(r"[^,|+ ]*[,|+ ]?", arch):
        if len(lines[-1]) + len(part) > WIDTH - indent and lines[-1]:
            lines.append("")
        lines[-1] += part
    wrapped = [line[at : at + WIDTH - indent] for line in lines for at in range(0, len(line), WIDTH - indent)]
    return [" " * indent + line for line in wrapped]


def _line(label: str, said: str) -> list[str]:
    return textwrap.wrap(
        said,
        WIDTH,
        initial_indent=label.ljust(_LABEL),
        subsequent_indent=" " * _LABEL,
        break_on_hyphens=False,
    )


def _assigned(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())


def _stages(stages: Sequence[Stage]) -> list[str]:
    header = ["stage", "modules", "output", "parameters", "MACs"]
    rows = [
        [
            shortened(stage.name, 24),
            shortened(_modules(stage), _KIND),
            " x ".join(f"{size}" for size in stage.output) if stage.output else "-",
            f"{stage.params:,}",
            f"{stage.macs:,}",
        ]
        for stage in stages
    ]
    params, macs = sum(stage.params for stage in stages), sum(stage.macs for stage in stages)
    return table(header, [*rows, ["total", "", "", f"{params:,}", f"{macs:,}"]], right=(3, 4))


def _modules(stage: Stage) -> str:
    several = stage.blocks > 1 and " + " not in stage.kind
    return f"{stage.blocks} x {stage.kind}" if several else stage.kind


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Columns under a header, parted by two blanks; numbers to the right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        set_ = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(set_).rstrip()

    return [line(header), *map(line, rows)]


def _known(known: Known | str) -> list[str]:
    if isinstance(known, str):
        return _wrapped(f"accuracies: none: {known}", 0)
    epochs = "" if known.epochs is None else f", after {known.epochs} epochs"
    rows = [
        {"data set": DATASETS.get(dataset, dataset), **_cells(found)}
        for dataset, found in known.datasets.items()
    ]
    header = list(dict.fromkeys(key for row in rows for key in row))
    what = "accuracies" if known.percent else "measures"
    lines = [f"{what} of {known.benchmark}{epochs}{', in percent' if known.percent else ''}:"]
    lines += [f"  {line}" for line in table(header, [[row.get(key, "-") for key in header] for row in rows])]
    lines += _wrapped(" ".join(_notes(known)), 2)
    for dataset, found in known.datasets.items():
        if found.published:
            told = ", ".join(f"{number:,.5g} {said}" for said, number in found.published.items())
            lines += _wrapped(f"published with {DATASETS.get(dataset, dataset)}: {told}", 2)
        for title, numbers in found.further.items():
            told = ", ".join(f"{said} {number:,.4g}" for said, number in numbers.items())
            lines += _wrapped(f"{title}, {DATASETS.get(dataset, dataset)}: {told}", 2)
    return lines


def _cells(found: OnDataSet) -> dict[str, str]:
    """The cells of a row of the table, by the header of their column."""
    test, cells = found.accuracies.get("test"), {}
    for split, title in (("test", "test"), ("val", "validation")):
        if accuracy := found.accuracies.get(split):
            cells[title] = _accuracy(accuracy)
        if split == "test" and test is not None:
            cells["rank"] = f"{test.rank:,} of {test.of:,}"
    if found.seconds is not None:
        cells["seconds"] = f"{found.seconds:,.1f}"
    if short := found.short:
        cells[f"{short.epochs} epochs"] = "-" if short.accuracy is None else f"{short.accuracy:.2f}"
        cells["seconds of these"] = f"{'~' if short.modelled else ''}{short.seconds:,.0f}"
    return cells


def _notes(known: Known) -> Iterator[str]:
    """What the columns mean."""
    if known.percent:
        yield "Means over the runs, with the standard deviation of the runs where single ones are known."
    if any("test" in found.accuracies for found in known.datasets.values()):
        yield "The rank is that of the test accuracy; 1 is the best."
    if shorts := [found.short for found in known.datasets.values() if found.short]:
        yield "Seconds are simulated as in NATS-Bench" + (
            "; those with ~ come from a model of recorded ones." if any(s.modelled for s in shorts) else "."
        )
        if images := [short.images for short in shorts if short.accuracy is not None]:
            kind = "validation" if "validation" in images[0] else "test"
            yield f"The accuracies after {shorts[0].epochs} epochs are on {kind} images."
    if not known.same:
        yield f"The trained networks have {_assigned(known.networks)}; they are not those shown above."


def _accuracy(accuracy: Accuracy) -> str:
    runs = len(accuracy.runs)
    spread = "" if accuracy.std is None else f" ± {accuracy.std:.2f}"
    return f"{accuracy.mean:.2f}{spread}" + (f" ({counted(runs, 'run')})" if runs else "")


def _wrapped(said: str, indent: int) -> list[str]:
    return textwrap.wrap(
        said, WIDTH, initial_indent=" " * indent, subsequent_indent="  ", break_on_hyphens=False
    )
