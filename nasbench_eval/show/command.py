"""What `nasbench-show` does: reads its arguments, gathers the facts, and prints and draws them."""

from __future__ import annotations

import argparse
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from nasbench_eval import spaces
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import Undefined, UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.options.typed import typed
from nasbench_eval.paths import config_folder, configured
from nasbench_eval.registry import UnknownName, nearest
from nasbench_eval.report import FORMATS
from nasbench_eval.show.facts import Facts, counts_of, meant, name_of, options_of, size_of, stages_of
from nasbench_eval.wording import shown

if TYPE_CHECKING:
    from nasbench_eval.show.known import Known
    from nasbench_eval.truth.own import Benchmark

_SPACE, _DATASET = "nasbench201", "cifar10"


def show(arguments: argparse.Namespace) -> int:
    """Show an architecture.

    Args:
        arguments: of the command line (see `cli`).

    Returns:
        The exit code.

    Raises:
        UsageError: if there is no such space, architecture, data set, option or folder.
    """
    figure: Path | None = arguments.figure
    if figure is not None:
        require_drawable(figure)
    benchmark = _benchmark(arguments)
    space = benchmark.space if benchmark else spaces.get(arguments.space or _SPACE, **given(arguments.option))
    dataset = benchmark.dataset if benchmark else dataset_of(arguments.dataset or judged_on(space))
    arch = meant(arguments.arch, space)
    name = name_of(space, arch)
    resolution = arguments.resolution or dataset.resolution
    classes = arguments.classes or dataset.num_classes
    facts = Facts(
        space=space.name,
        options=options_of(space),
        size=size_of(space),
        name=name,
        dataset=dataset.name if (resolution, classes) == (dataset.resolution, dataset.num_classes) else None,
        resolution=resolution,
        classes=classes,
        stages=stages_of(space, arch, resolution, classes),
        known=_known(space, arch, benchmark, arguments.data),
        counts=counts_of(space, arch, resolution, classes),
    )
    if figure is not None:
        _draw(facts, figure)
    found = _diagnosed(space, arch, resolution, classes) if arguments.diagnose else None
    if arguments.json:
        print(
            json.dumps(facts.json() | ({"diagnosis": found[1]} if found else {}), indent=2, allow_nan=False)
        )
        return 0
    from nasbench_eval.show.text import text

    print(text(facts))
    if found:
        print("\n" + "\n".join(found[0]))
    if figure is not None:
        print(f"\nfigure: {figure}")
    return 0


def given(assignments: Sequence[str]) -> dict[str, Any]:
    """The options of a space from words such as `channels=8`.

    Raises:
        UsageError: if a word assigns nothing, or an option twice.
    """
    options: dict[str, Any] = {}
    for word in assignments:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"--option {shown(word)} will not do; write NAME=VALUE, such as channels=8")
        if key in options:
            raise UsageError(f"--option {key} is given twice")
        told: Any = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={value}"]))
        options[key] = told["value"]
    return options


def judged_on(space: Any) -> str:
    """The data set that a space's networks are judged on first, by itself or by the report's tables."""
    if named := getattr(space, "judged_on", None):
        return str(named)
    for name in configured("table"):
        table: Any = OmegaConf.load(config_folder() / "table" / f"{name}.yaml")
        if table.space == space.name:
            return str(table.datasets[0])
    return _DATASET


def dataset_of(name: str) -> DataSet:
    """A data set of `configs/dataset`.  Raises UnknownName."""
    if name not in configured("dataset"):
        raise UnknownName("data set", name, configured("dataset"))
    values: Any = OmegaConf.to_container(OmegaConf.load(config_folder() / "dataset" / f"{name}.yaml"))
    found = typed(DataSet, {"name": name, **values}, name)
    if found.task != "classification":
        raise UsageError(f"--dataset {name} is for {found.task}, and networks are shown that classify")
    return found


def require_drawable(figure: Path) -> None:
    """Refuse a file that no figure can be written to.

    Raises:
        UsageError: if its ending is no format, or its folder is not there.
    """
    ending = figure.suffix.removeprefix(".")
    if ending not in FORMATS:
        if not ending:
            raise UsageError(f"--figure {figure} has no ending that names a format; {figure}.png would do")
        raise UnknownName("format of figures", ending, FORMATS)
    if os.path.isdir(figure.parent):
        return
    there = figure.parent
    while not os.path.isdir(there):
        there = there.parent
    missing = figure.parent.relative_to(there).parts[0]
    near = nearest(missing, [each.name for each in there.iterdir() if each.is_dir()])
    hint = f"did you mean {there / near[0]}?" if near else f"the nearest that exists is {there}"
    raise UsageError(f"--figure {figure}: there is no folder {figure.parent}; {hint}")


def _diagnosed(space: Any, arch: Any, resolution: int, classes: int) -> tuple[list[str], dict[str, Any]]:
    """What InTrain sees, as lines and as plain data."""
    from nasbench_eval.show import diagnosis

    try:
        found = diagnosis.diagnosis_of(space, arch, resolution, classes)
    except Undefined as reason:
        raise UsageError(f"--diagnose: InTrain is not defined on this network: {reason}") from None
    return diagnosis.lines(found), diagnosis.told(found)


def _benchmark(arguments: argparse.Namespace) -> Benchmark | None:
    if arguments.truth is None:
        return None
    for flag in ("space", "option", "dataset"):
        if getattr(arguments, flag):
            raise UsageError(
                f"--truth {arguments.truth} brings its own space and data set; leave --{flag} out"
            )
    from nasbench_eval.truth.own import load

    return load(arguments.truth)


def _known(space: Any, arch: Any, benchmark: Benchmark | None, data: Path | None) -> Known | str:
    from nasbench_eval.show.known import NothingKnown, known, known_of

    if data is not None and not os.path.isdir(data):
        raise UsageError(f"there is no data folder {data}; build it with `nasbench-data` (make data)")
    try:
        if benchmark is not None:
            return known_of(benchmark, arch, options_of(space))
        return known(space, arch, options_of(space), data)
    except NothingKnown as reason:
        return str(reason)


def _draw(facts: Facts, file: Path) -> None:
    graphs, parts = facts.name.graphs, facts.name.parts
    if not graphs and not parts:
        raise UsageError(f"the search space {facts.space} does not say how its architectures are drawn")
    from nasbench_eval.report.figure.cell import draw_graphs
    from nasbench_eval.report.figure.nested import draw_parts
    from nasbench_eval.report.figure.style import METADATA, paper_style

    number = "" if facts.name.index is None else f", architecture {facts.name.index}"
    ending, content = file.suffix.removeprefix("."), io.BytesIO()
    with paper_style():
        title = f"{facts.space}{number}"
        figure = draw_graphs(graphs, title) if graphs else draw_parts(parts, title)
        figure.savefig(content, format=ending, metadata=METADATA[ending])
    write_whole(file, content.getvalue())
