"""Cells of NAS-Bench-201 as the six numbers that NASLib and what was made with it name them by.

The operations by number: skip connection, none, convolutions of 3 and of 1, pooling.  The edges go source by
source, from node 0 to 1, 2, 3, from 1 to 2, 3, and from 2 to 3.  NAS-Bench-201's own strings go target by
target.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from nasbench_eval.spaces.nasbench201 import EDGES, Cell, NASBench201
from nasbench_eval.truth.errors import TruthError
from nasbench_eval.wording import shown

OPERATIONS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_BY_SOURCE = sorted(EDGES)


def indices(texts: Iterable[str]) -> list[int]:
    """The benchmark's index of each cell, of texts such as `(4, 0, 3, 1, 4, 3)`.

    Raises:
        TruthError: naming a text that is none.
    """
    space = NASBench201()
    return [space.index(_cell(text)) for text in texts]


def _cell(text: str) -> Cell:
    try:
        numbers = ast.literal_eval(text)
        operations = dict(zip(_BY_SOURCE, (OPERATIONS[number] for number in numbers), strict=True))
    except (ValueError, SyntaxError, TypeError, IndexError) as error:
        raise TruthError(f"{shown(text)} is no cell: six numbers from 0 to 4 make one") from error
    return Cell(tuple(operations[edge] for edge in EDGES))
