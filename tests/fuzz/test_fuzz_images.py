"""Files of images: the arrays that were written, or one line that names the file and what is wrong."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import REFUSED, cases, spoiled, told, tree
from hypothesis import given
from hypothesis import strategies as st

from nasbench_eval.data.images import DamagedImages, images_path, load_images

GOOD: dict[str, Any] = {
    "x_train": np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8),
    "y_train": np.arange(10, dtype=np.uint8),
    "classes": np.array([f"class {k}" for k in range(10)]),
}


class Trap:
    """Leaves a mark if it is ever unpickled."""

    def __reduce__(self) -> Any:
        return (exec, ("import pathlib; pathlib.Path('sprung').touch()",))


def packed(arrays: dict[str, Any], *, compressed: bool = True) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)  # type: ignore[operator]
    return file.getvalue()


def header(text: str) -> bytes:
    """An array's file that says of itself whatever the text says."""
    return b"\x93NUMPY\x01\x00" + len(text + "\n").to_bytes(2, "little") + text.encode() + b"\n" + bytes(64)


HEADERS = [
    "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000, 32, 32, 3), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 32, 32, 3), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (9223372036854775807, 9223372036854775807), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (10,), }",
    "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (10,), }",
    "{'descr': '<U99999999999', 'fortran_order': False, 'shape': (10,), }",
    "{'descr': 'no such', 'fortran_order': False, 'shape': (10,), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (10L,), }",
    "__import__('pathlib').Path('sprung').touch()",
    "(" * 2000,
    "{'descr': '|u1'",
    "",
]

odd_arrays = st.one_of(
    st.sampled_from(
        [np.float32, np.int64, np.uint64, np.bool_, "S3", "U3", "m8", "M8[s]", "V3", [("a", "i4")]]
    ).flatmap(
        lambda kind: st.sampled_from(
            [(), (0,), (10,), (9,), (10, 32, 32, 3), (10, 3, 32, 32), (0, 32, 32, 3)]
        ).map(lambda shape: np.zeros(shape, kind))
    ),
    st.integers(-300, 300).map(lambda label: np.full(10, label)),
    st.sampled_from([np.array([Trap()] * 10, dtype=object), np.uint8(3), np.full(10, np.nan)]),
)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """An archive with members missing, exchanged, of other kinds, under other names or with other headers."""
    arrays = dict(GOOD)
    for name in draw(st.lists(st.sampled_from(sorted(GOOD)), max_size=2)):
        arrays.pop(name, None)
        if draw(st.integers(0, 3)):
            arrays[name] = draw(odd_arrays)
    file = io.BytesIO(packed(arrays, compressed=draw(st.booleans())))
    with zipfile.ZipFile(file, "a") as archive:
        for _ in range(draw(st.integers(0, 2))):
            name = draw(
                st.sampled_from(["x_train.npy", "y_train.npy", "classes.npy", "../sprung", "/tmp/sprung"])
            )
            if name not in archive.namelist():
                archive.writestr(name, draw(st.sampled_from(HEADERS).map(header) | st.binary(max_size=80)))
    return file.getvalue()


contents = st.one_of(
    archives(),
    spoiled(st.sampled_from([packed(GOOD), packed(GOOD, compressed=False)]), st.binary(max_size=4)),
    spoiled(archives(), st.binary(max_size=4)),
    st.sampled_from(HEADERS).map(header),
    st.binary(max_size=40),
)


@cases(60, 2000)
@given(content=contents)
def test_images(
    content: bytes, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = FOLDER.setdefault("images", tmp_path_factory.mktemp("images"))
    monkeypatch.chdir(folder)
    path = images_path(folder, "cifar10")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    images = told("images", lambda: load_images(folder, "cifar10"), DamagedImages)
    assert tree(folder) == {"images/cifar10.npz": content}
    if images is REFUSED:
        return
    assert images.x.shape[1:] == (32, 32, 3)
    assert len(images.x) == len(images.y) > 0
    assert 0 <= images.y.min() <= images.y.max() < 10 == images.num_classes


FOLDER: dict[str, Path] = {}
