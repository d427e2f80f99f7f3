"""Plain data passes in every protocol; anything else is named and not run."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasbench_eval.data.pickles import PickleRefused, load

PLAIN: dict[str, Any] = {
    "numbers": [1, 2.5, 10**30, True, None, 1 + 2j],
    "text": ("text", b"bytes", bytearray(b"more")),
    "sets": [{1, 2}, frozenset({3})],
    "dicts": OrderedDict(a=1, b=defaultdict(list, c=[2])),
    "scalars": [np.float64(1.5), np.float32(2.5), np.int64(3)],
    "array": np.arange(12, dtype=np.uint8).reshape(3, 4),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data(protocol: int) -> None:
    loaded = load(io.BytesIO(pickle.dumps(PLAIN, protocol=protocol)), "a file")
    np.testing.assert_array_equal(loaded.pop("array"), PLAIN["array"])
    assert loaded == {name: value for name, value in PLAIN.items() if name != "array"}


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_both_names_of_numpys_core(core: str) -> None:
    raw = pickle.dumps([PLAIN["array"], np.float64(1.5)], protocol=2)
    raw = raw.replace(b"numpy._core.", b"numpy.core.").replace(b"numpy.core.", core.encode() + b".")
    array, scalar = load(io.BytesIO(raw), "a file")
    np.testing.assert_array_equal(array, PLAIN["array"])
    assert scalar == 1.5


class Trap:
    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.mkdir, r"posix\.mkdir"), (eval, r"eval"), (getattr, "getattr"), (np.load, "load")],
)
def test_code_is_named_and_not_run(tmp_path: Path, protocol: int, function: Any, name: str) -> None:
    raw = pickle.dumps({"data": Trap(function, str(tmp_path / "sprung"))}, protocol=protocol)
    with pytest.raises(PickleRefused, match=rf"a file asks for '[\w.]*{name}'.*nothing of it was run"):
        load(io.BytesIO(raw), "a file")
    assert not (tmp_path / "sprung").exists()


def test_other_codecs_are_refused() -> None:
    raw = b"c_codecs\nencode\n(X\x03\x00\x00\x00abcX\x05\x00\x00\x00rot13tR."
    with pytest.raises(PickleRefused, match="rot13"):
        load(io.BytesIO(raw), "a file")


def test_a_structured_scalar_that_is_none_is_damage() -> None:
    # numpy refuses with a RuntimeError what would else be read as pointers.
    raw = pickle.dumps([np.zeros(1, [("a", "O")])[0]], protocol=2)
    scalar = np.float64(0).__reduce__()[0]

    class Forged:
        def __reduce__(self) -> Any:
            return (scalar, (np.dtype([("a", "O")]), b"12345678"))

    assert load(io.BytesIO(raw), "a file")
    with pytest.raises(PickleRefused, match="a file is damaged"):
        load(io.BytesIO(pickle.dumps(Forged(), protocol=2)), "a file")


@pytest.mark.parametrize("kept", [0, 1, 20, -1])
def test_damaged_pickles(kept: int) -> None:
    with pytest.raises(PickleRefused, match="a file is damaged"):
        load(io.BytesIO(pickle.dumps(PLAIN)[:kept]), "a file")
