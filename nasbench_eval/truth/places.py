"""Which architecture each row of a table is about: told by its text or its index, each once.

One check for tables of one's own and for public ones: two rows of the same architecture would silently count
as one, and a row out of order would lend its numbers to another architecture.
"""

from __future__ import annotations

import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.spaces.open import is_open
from nasbench_eval.wording import first_line, shown


def indices(table: pd.DataFrame, space: SearchSpace, name: str) -> list[int]:
    """The index of each row's architecture.

    Args:
        table: with a column `arch`, texts of the space, or `index`; where it has both they have to agree.
        space: the search space.
        name: what the table is called in messages.

    Raises:
        UsageError: naming the row that is wrong.
    """
    if "arch" in table.columns:
        index = _by_text(table["arch"], space, name)
        if "index" in table.columns and not is_open(space):
            told = _by_number(table["index"], space, name)
            if off := [row for row, pair in enumerate(zip(index, told, strict=True), 1) if len({*pair}) > 1]:
                raise UsageError(f"{name}: row {off[0]} names one architecture by arch and another by index")
    elif "index" in table.columns:
        index = _by_number(table["index"], space, name)
    else:
        raise UsageError(f"{name} names no architectures: it needs a column arch or index")
    first: dict[int, int] = {}
    for row, each in enumerate(index, 1):
        if first.setdefault(each, row) != row:
            raise UsageError(f"{name}: rows {first[each]} and {row} are the same architecture")
    return index


def _by_text(texts: pd.Series[str], space: SearchSpace, name: str) -> list[int]:
    found: list[int] = []
    unknown: list[tuple[int, str]] = []
    for row, text in enumerate(texts, 1):
        try:
            found.append(space.index(space.parse(str(text))))
        except ValueError as error:
            unknown.append((row, first_line(error)))
    if unknown:
        row, reason = unknown[0]
        more = f"; so do {len(unknown) - 1:,} more rows" if len(unknown) > 1 else ""
        raise UsageError(f"{name}: row {row} names no architecture of {space.name} ({reason}){more}")
    return found


def _by_number(numbers: pd.Series[int], space: SearchSpace, name: str) -> list[int]:
    if is_open(space):
        raise UsageError(
            f"{name} names architectures by index, and those of {space.name} have none; name them by their "
            "texts in a column arch"
        )
    size = len(space)
    wrong = [each for each in numbers.tolist() if not (isinstance(each, int) and 0 <= each < size)]
    if wrong:
        raise UsageError(f"{name}: the index {shown(wrong[0])} is none of {space.name}'s 0 to {size - 1}")
    found: list[int] = numbers.tolist()
    return found
