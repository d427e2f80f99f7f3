"""Arithmetic over columns of scores, as a table's definition may ask for it: `gamma + resilience`.

Read here and not by pandas, whose `eval` follows any attribute of any object: a definition is a file, perhaps
somebody else's, and is not to run code.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.wording import first_line, shown

_OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_SIGNS: Mapping[type, Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "sqrt": np.sqrt,
}
_RULE = f"numbers, columns, + - * / **, brackets and {', '.join(_FUNCTIONS)} may stand there"


class MissingColumn(LookupError):
    """The expression names a column that there is not."""


def evaluate(expression: str, columns: pd.DataFrame) -> Any:
    """The value of an expression over numeric columns: a column, or one number if it names none.

    What is not defined is NaN or infinite, as a quotient by zero.

    Raises:
        MissingColumn: if a column is not there.
        UsageError: if the expression is no arithmetic.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # the parser's, on doubtful Python
            return _value(ast.parse(expression.strip(), mode="eval").body, columns)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise UsageError(f"cannot evaluate {shown(expression)} ({first_line(error)}): {_RULE}") from error


def _value(node: ast.expr, columns: pd.DataFrame) -> Any:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return np.float64(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.Name):
        if node.id not in columns:
            raise MissingColumn(node.id)
        return columns[node.id].astype("float64")
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, columns), _value(node.right, columns))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS:
        return _SIGNS[type(node.op)](_value(node.operand, columns))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        function = _FUNCTIONS.get(node.func.id)
        if function is not None and len(node.args) == 1 and not node.keywords:
            return function(_value(node.args[0], columns))
    raise ValueError(f"{type(node).__name__} is no arithmetic")
