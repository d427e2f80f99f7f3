"""What `nasbench-report --costs` does: sets scores and accuracies beside what networks cost."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasbench_eval.errors import UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.registry import UnknownName
from nasbench_eval.report.apart import Apart, cores
from nasbench_eval.report.costs.draw import draw_fronts, draw_markdown, draw_text
from nasbench_eval.report.costs.table import Priced, cost_rows, frame, priced
from nasbench_eval.report.figure.write import FOLDER, Drawing
from nasbench_eval.report.folder import DECIMALS, Writing, draw_into, recorded, write_record
from nasbench_eval.report.scores import Scores
from nasbench_eval.report.spec import TableSpec
from nasbench_eval.report.tables import Settings, Truth
from nasbench_eval.report.truths import ground_of, truth_of
from nasbench_eval.truth.given import Given

# What has no meaning with --costs, with the value that means it was not asked for.
NOT_OF_COSTS: dict[str, Any] = {
    "truth": None,
    "aggregate": [],
    "seeds": [],
    "format": "files",
    "failures": "worst",
    "split": "both",
}


def report_costs(arguments: argparse.Namespace, scores: Scores, spec: TableSpec) -> int:
    """Compute, print and write.

    Args:
        arguments: of the command line; `costs` is a table's name, perhaps with `:SPLIT,SPLIT`.
        scores: of the runs.
        spec: the table whose rows are set beside the costs.

    Raises:
        UsageError: if there is no such table of costs, or no architecture has score, accuracy and cost.
    """
    name, _, wish = arguments.costs.partition(":")
    ground = ground_of(name, scores, arguments.data)
    if not isinstance(ground, Given):
        raise UsageError(
            f"--costs {name} is a benchmark of one's own, and has no costs; hw_nasbench201 has some"
        )
    splits = _costs(ground, wish, name)
    titles = {split: ground.splits[split] for split in splits}
    truth = truth_of(spec.space, arguments.data, False, None)
    settings = Settings(arguments.failures, arguments.resamples, arguments.seed, arguments.cells)
    costs = truth_of(spec.space, arguments.data, False, ground)
    held = _priced(spec, scores, (truth, costs), ground, splits)
    folder: Path = arguments.out or arguments.run[0] / "tables" / "costs"
    with Apart(cores()) as apart, Writing(folder):
        parts = [(each, place, settings) for place, each in held.items()]
        table = frame([record for records in apart.map(_rows, parts, len(parts)) for record in records])
        print(draw_text(table, titles), end="")
        table.round(DECIMALS).to_csv(folder / "costs.csv", index=False)
        write_whole(folder / "costs.md", draw_markdown(table, titles).encode())
        drawings = [
            Drawing(
                "Fronts", f"{FOLDER}/front_{dataset}_{split}", draw_fronts, (each, dataset, titles[split])
            )
            for (dataset, split), each in held.items()
        ]
        drawn = draw_into(folder, drawings if arguments.figures else [], arguments.figures, apart)
        write_record(folder, {"costs": name, "runs": [recorded(run) for run in scores.runs]})
    said = ["costs.csv/.md", *(["figures/"] if drawn else []), "report.json"]
    print(f"written to {folder}: {', '.join(said)}")
    return 0


def _costs(ground: Given, wish: str, name: str) -> list[str]:
    """The costs that are asked for, or all of the table."""
    known = [split for split in ground.splits if split in ground.lower]
    if not known:
        raise UsageError(f"--costs {name}: the table has no costs; hw_nasbench201 has some")
    wanted = wish.split(",") if wish else known
    if unknown := [split for split in wanted if split not in known]:
        raise UnknownName(f"cost of {name}", unknown[0], known)
    return list(dict.fromkeys(wanted))


def _priced(
    spec: TableSpec, scores: Scores, truths: tuple[Truth, Truth], ground: Given, splits: list[str]
) -> dict[tuple[str, str], list[Priced]]:
    held = {
        (dataset, split): priced(spec, scores, truths, dataset, ("test", split))
        for dataset in spec.datasets
        if dataset in ground.datasets
        for split in splits
    }
    held = {place: each for place, each in held.items() if each}
    if not held:
        raise UsageError(f"--costs {ground.name}: no architecture has a score, an accuracy and a cost")
    return held


def _rows(part: tuple[list[Priced], tuple[str, str], Settings]) -> list[dict[str, object]]:
    each, (dataset, split), settings = part
    return cost_rows(each, dataset, split, settings)
