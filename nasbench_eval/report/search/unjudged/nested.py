"""Networks of nested graphs that searches end with, and what became of the one that they started from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nasbench_eval.report.figure.nested import draw_parts
from nasbench_eval.report.figure.style import short
from nasbench_eval.report.search.unjudged.cells import MOST, liked_best
from nasbench_eval.report.search.unjudged.frames import Found
from nasbench_eval.spaces.base import Boxes, Mark, NestedSpace, Part
from nasbench_eval.spaces.open import Limited

COLUMNS = ["algorithm", "guide", "dataset", "start", "run_seed", "seed", "block", "half", "new", "gone"]
# What a search is told that has its first architectures drawn.
_RANDOM = "random"


@dataclass(frozen=True)
class Nested:
    """A network that a search ended with.

    Attributes:
        title: of the row, with whose answer it is.
        parts: its blocks.
    """

    title: str
    parts: tuple[Part, ...]


def start_of(each: Found) -> Any:
    """The architecture that the searches of a row started from; None where it was drawn."""
    options = each.row.runs[0].search["algorithm"]
    if "start" not in options or options["start"] == _RANDOM:
        return None
    if options["start"] is None:
        return each.space.start if isinstance(each.space, Limited) else None
    return each.space.parse(str(options["start"]))


def nested(rows: Sequence[Found]) -> list[Nested]:
    """Of each row the answer that its guide likes best, at most `MOST`; none where graphs are not nested."""
    found = []
    for each in rows:
        if isinstance(each.space, NestedSpace):
            place, seeds = liked_best(each)
            found.append(Nested(f"{each.row.title} ({seeds})", _parts(each, place)))
    return found[:MOST]


def _parts(each: Found, place: int) -> tuple[Part, ...]:
    arch, start = each.space.parse(str(each.seeds["arch"].iloc[place])), start_of(each)
    try:
        return tuple(each.space.parts(arch, start))
    except ValueError:  # of another form than the start
        return tuple(each.space.parts(arch))


def draw_nested(found: Nested, dataset: str) -> Any:
    """The network's blocks."""
    changed = any(box.mark != "kept" for part in found.parts for _, boxes in part.halves for box in boxes)
    about = "; green: new since the start, red: gone" if changed else ""
    return draw_parts(found.parts, f"{short(found.title, 80)}{about}")


def changes(rows: Sequence[Found]) -> pd.DataFrame:
    """What became of the start in each seed's answer, a line for each half of a block that changed."""
    lines = []
    for each in rows:
        if not isinstance(each.space, NestedSpace) or start_of(each) is None:
            continue
        options = each.row.runs[0].search["algorithm"]
        for place, seed in enumerate(each.seeds.to_dict("records")):
            for part in _parts(each, place):
                for half, boxes in part.halves:
                    new, gone = (list(marked(boxes, mark)) for mark in ("new", "gone"))
                    if new or gone:
                        known = {key: seed[key] for key in COLUMNS if key in seed}
                        told = {
                            "block": part.title,
                            "half": half,
                            "new": "; ".join(new),
                            "gone": "; ".join(gone),
                        }
                        lines.append(known | {"start": options["start"] or "the space's own"} | told)
    return pd.DataFrame(lines, columns=COLUMNS)


def marked(boxes: Boxes, mark: Mark, way: str = "") -> Iterator[str]:
    """Operations with a mark, each as the way to it, what is inside of another marked one left out."""
    for box in boxes:
        here = f"{way}{box.name}"
        if box.mark == mark:
            yield here
            continue
        for name, body in box.bodies:
            yield from marked(body, mark, f"{here}.{name} > " if name else f"{here} > ")
