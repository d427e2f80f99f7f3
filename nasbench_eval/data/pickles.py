"""Unpickling of foreign files: only plain data passes, nothing in the file can run code.

A pickle is a program.  What it may do beyond building numbers, strings and containers is decided by the
names ("globals") it imports, so a loader that knows every name it allows is safe on any file.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.wording import first_line, shown


class PickleRefused(UsageError):
    """A pickle that asks for more than plain data, or that cannot be read to its end."""


def _encode(text: str, encoding: str) -> bytes:
    # Pickles of protocol 2 write bytes as latin1 text.  The real `_codecs.encode` would look up any codec.
    if encoding not in ("latin1", "latin-1"):
        raise PickleRefused(
            f"the pickle asks for the codec {shown(encoding)}, which plain data does not need"
        )
    return text.encode("latin1")


def _plain_data() -> dict[tuple[str, str], Any]:
    plain = (set, frozenset, list, dict, tuple, int, float, complex, bool, str, bytes, bytearray)
    allowed: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("collections", "defaultdict"): defaultdict,
        ("_codecs", "encode"): _encode,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        # Python 2's names.
        ("__builtin__", "long"): int,
        ("__builtin__", "unicode"): str,
    }
    for module in ("builtins", "__builtin__"):
        allowed |= {(module, kind.__name__): kind for kind in plain}
    # numpy 2 moved these, so files carry either name; asking numpy itself imports neither private module.
    for core in ("numpy.core", "numpy._core"):
        allowed[(f"{core}.multiarray", "_reconstruct")] = np.zeros(1).__reduce__()[0]
        allowed[(f"{core}.multiarray", "scalar")] = np.float64(0).__reduce__()[0]
        allowed[(f"{core}.numeric", "_frombuffer")] = np.zeros(1).__reduce_ex__(5)[0]
    return allowed


PLAIN_DATA: Mapping[tuple[str, str], Any] = _plain_data()


class _Restricted(pickle.Unpickler):
    def __init__(self, file: IO[bytes], name: str, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._name = name

    def find_class(self, module: str, name: str) -> Any:
        try:
            return PLAIN_DATA[(module, name)]
        except KeyError:
            raise PickleRefused(
                f"{self._name} asks for {shown(f'{module}.{name}')}, which plain data does not need; nothing "
                "of it was run. Get the file again from its official source"
            ) from None


def load(file: IO[bytes], name: str, *, encoding: str = "ASCII") -> Any:
    """The object in a pickle of numbers, strings, containers and numpy arrays.

    Args:
        file: the open file.
        name: what to call the file in messages.
        encoding: how Python 2's strings are read; "latin1" where the file holds arrays of Python 2.

    Raises:
        PickleRefused: if the pickle names a global outside `PLAIN_DATA` (it is named, and not imported), or
            the file is damaged.
    """
    try:
        return _Restricted(file, name, encoding).load()
    except UsageError:
        raise
    except Exception as error:  # a damaged pickle fails wherever its garbage leads
        raise PickleRefused(
            f"{name} is damaged or no pickle ({first_line(error)}); get the file again"
        ) from error
