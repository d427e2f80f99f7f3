"""Digests by which a report knows whether a figure has to be drawn again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from nasbench_eval.report.titles import DATASETS

_LENGTH = 16


def inputs_digest(inputs: object) -> str:
    """Of all that a figure is made of: what it shows, the code that draws it, and Matplotlib's version."""
    digest = hashlib.sha256(_code())
    _feed(digest, inputs)
    _feed(digest, DATASETS)
    return digest.hexdigest()[:_LENGTH]


def content_digest(path: Path) -> str:
    """Of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:_LENGTH]


@cache
def _code() -> bytes:
    report = Path(__file__).parent.parent
    files = sorted([*report.rglob("*.py")])
    contents = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(contents + matplotlib.__version__.encode()).digest()


def _feed(digest: Any, value: object) -> None:
    """Take in a value with what it is made of, the kind of each first, so that no two read the same."""
    digest.update(f"{type(value).__name__}:".encode())
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            _feed(digest, getattr(value, field.name))
    elif isinstance(value, pd.DataFrame):
        for name, column in value.items():
            _feed(digest, [name, column.tolist()])
        _feed(digest, value.index.tolist())
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    elif isinstance(value, Mapping):
        _feed(digest, list(value.items()))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        digest.update(f"{len(value)}".encode())
        for item in value:
            _feed(digest, item)
    elif callable(value):
        digest.update(getattr(value, "__qualname__", "").encode())
    else:
        digest.update(f"{value!r};".encode())
