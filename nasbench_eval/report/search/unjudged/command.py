"""What `nasbench-report` does with searches in a space that no table of accuracies judges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nasbench_eval.files import write_whole
from nasbench_eval.report.search.read import SearchRun
from nasbench_eval.report.search.unjudged import draw
from nasbench_eval.report.search.unjudged.frames import Found, stage_table, table_of, unjudged_rows
from nasbench_eval.report.search.unjudged.published import published_networks

_DECIMALS = 6
FILES = ["search.csv/.md/.tex", "seeds.csv", "answers.txt"]


class Report:
    """The report of some searches: its tables, and what may be drawn.

    Args:
        runs: the searches.

    Raises:
        UsageError: if two folders hold the same seed of the same search.
    """

    def __init__(self, runs: Sequence[SearchRun]) -> None:
        self.rows = unjudged_rows(runs)
        self.table, self.stages = table_of(self.rows), stage_table(self.rows)
        self.published = published_networks(row.space.name for row in self.rows)
        self.seeds = pd.concat([row.seeds for row in self.rows], ignore_index=True)

    def text(self) -> str:
        """For the terminal."""
        return draw.draw_text(self.table, self.stages, self.published)

    def write(self, folder: Path) -> list[str]:
        """Write the tables, and the answers one a line.  Returns what was written."""
        self.table.round(_DECIMALS).to_csv(folder / "search.csv", index=False)
        self.seeds.round(_DECIMALS).to_csv(folder / "seeds.csv", index=False)
        write_whole(
            folder / "search.md", draw.draw_markdown(self.table, self.stages, self.published).encode()
        )
        write_whole(folder / "search.tex", draw.draw_latex(self.table).encode())
        answers = dict.fromkeys(self.seeds["arch"])
        write_whole(folder / "answers.txt", "".join(f"{arch}\n" for arch in answers).encode())
        from nasbench_eval.report.search.unjudged.nested import changes

        more = {"stages.csv": self.stages, "changes.csv": changes(self.rows), "published.csv": self.published}
        for name, table in more.items():
            if len(table):
                table.to_csv(folder / name, index=False)
        return [*FILES, *(name for name, table in more.items() if len(table))]

    def drawings(self, landscape: bool) -> list[Any]:
        """The figures: what was told, FLOPs, the networks or cells, and the landscape if it is asked for.

        Raises:
            UsageError: if it is, and cannot be drawn.
        """
        from nasbench_eval.report.figure.write import FOLDER, Drawing
        from nasbench_eval.report.search.landscape import draw_landscapes
        from nasbench_eval.report.search.unjudged.cells import answers, draw_answers, landscapes_of
        from nasbench_eval.report.search.unjudged.figures import (
            budget_courses,
            draw_budget,
            draw_networks,
            draw_told,
            networks,
            told_courses,
        )
        from nasbench_eval.report.search.unjudged.nested import draw_nested, nested

        found = []
        for dataset in dict.fromkeys(row.row.dataset for row in self.rows):
            rows: list[Found] = [row for row in self.rows if row.row.dataset == dataset]
            stages = networks(rows)
            for title, stem, function, shown in (
                ("Told", "search_told", draw_told, told_courses(rows)),
                ("FLOPs", "search_flops", draw_budget, budget_courses(rows)),
                ("Networks", "networks", draw_networks, stages),
                # What has stages is a row of blocks, which says no more as a graph.
                ("Cells", "cells", draw_answers, [] if stages else answers(rows)),
            ):
                found.append(Drawing(title, f"{FOLDER}/{stem}_{dataset}", function, (shown, dataset)))
            for number, network in enumerate(nested(rows), start=1):
                stem = f"{FOLDER}/graph_{dataset}_{number}"
                found.append(Drawing(f"Network: {network.title}", stem, draw_nested, (network, dataset)))
            if landscape:
                moved = landscapes_of(rows)
                found.append(Drawing("Landscape", f"{FOLDER}/landscape_{dataset}", draw_landscapes, (moved,)))
        return found
