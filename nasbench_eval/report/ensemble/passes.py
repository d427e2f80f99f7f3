"""How many passes proxies take together: what they share is run once.

`passes.csv` has the passes of each label of the configuration, with its options there;
`scripts/list_passes.py` writes it.  A run may have given all of its proxies other batches, which changes no
number.
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "passes.csv"


@cache
def known() -> dict[str, frozenset[str]]:
    """The passes of each label."""
    found: dict[str, set[str]] = {}
    with FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["label"], set()).add(row["pass"])
    return {label: frozenset(passes) for label, passes in found.items()}


def count(labels: Collection[str]) -> int | None:
    """Different passes of some labels together; None if a label is none of the configuration's.

    FLOPs and parameters count as a pass, also on spaces that have closed forms of them.
    """
    if not set(labels) <= known().keys():
        return None
    return len(frozenset().union(*(known()[label] for label in labels)))
