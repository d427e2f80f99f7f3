"""Record files, protobuf messages, pickles and archives: plain data, or one line; never code."""

from __future__ import annotations

import base64
import bz2
import io
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fuzzing import REFUSED, cases, odd_values, own, spoiled, told
from hypothesis import given
from hypothesis import strategies as st
from made_up101 import entries, frame, metrics

from nasbench_eval.data import pickles
from nasbench_eval.data.images import from_cifar_archive
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.truth.convert import from_nats
from nasbench_eval.truth.convert101 import from_tfrecord
from nasbench_eval.truth.tfrecord import records

scraps = st.one_of(st.binary(max_size=4), st.sampled_from([b"\xff" * 8, bytes(8), b"\x80\x04", b"[" * 5000]))


def silent(line: str) -> None:
    pass


@cases(40, 1500)
@given(data=st.data())
def test_record_files(
    data: st.DataObject, lawful101: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = own(tmp_path_factory) / "fuzzed.tfrecord"
    whole = b"".join(frame(json.dumps(entry).encode()) for entry in entries(lawful101.iloc[:2]))
    path.write_bytes(data.draw(spoiled(st.just(whole), scraps)))
    told("record files, records", lambda: sum(1 for _ in records(path)))
    table = told("record files, tables", lambda: from_tfrecord(path, silent))
    if table is not REFUSED:
        assert len(table) <= 2


messages = spoiled(st.just(metrics(10**6, 90.0, 91.0)), scraps).map(
    lambda raw: base64.b64encode(raw).decode()
)


@cases(60, 1500)
@given(place=st.integers(0, 4), value=odd_values | messages, raw=st.data())
def test_records(
    place: int,
    value: Any,
    raw: st.DataObject,
    lawful101: pd.DataFrame,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    several = entries(lawful101.iloc[:1])
    several[0][4 if isinstance(value, str) and len(value) > 20 else place] = value
    texts = [json.dumps(entry, default=str).encode() for entry in several]
    texts[0] = raw.draw(st.just(texts[0]) | spoiled(st.just(texts[0]), scraps))
    path = own(tmp_path_factory) / "fuzzed.tfrecord"
    path.write_bytes(b"".join(map(frame, texts)))
    table = told("records", lambda: from_tfrecord(path, silent))
    if table is not REFUSED:
        assert table.loc[0, ["cifar10_test", "cifar10_val"]].between(0, 100).all()


class Trap:
    """Leaves a mark if it is ever unpickled."""

    def __reduce__(self) -> Any:
        return (exec, ("import pathlib; pathlib.Path('sprung').touch()",))


PLAIN: dict[str, Any] = {
    "data": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "labels": [1, 2.5, None, True, 10**30],
    "scalar": np.float64(0.5),
    b"names": ("a", b"b", {1}, frozenset({2})),
}
opcodes = st.one_of(
    scraps,
    st.sampled_from(
        [b"cos\nsystem\n", b"cbuiltins\neval\n", b"(", b"t", b"R", b"b", b"0", b"2", b".", b"N", b"}", b"]"]
    ),
    st.sampled_from(
        [b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"c_codecs\nencode\n", b"ccollections\ndefaultdict\n"]
    ),
    st.sampled_from(
        [b"S'sprung'\n", b"I99999999999\n", b"V|O8\n", b"\x8c\x02O8", b"\x81", b"\x93", b"i", b"o"]
    ),
)
plain_pickles = st.sampled_from(
    [pickle.dumps(kind, protocol) for kind in (PLAIN, [PLAIN], Trap()) for protocol in range(6)]
)


@cases(100, 2500)
@given(raw=spoiled(plain_pickles, opcodes))
def test_pickles(
    raw: bytes, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own(tmp_path_factory)
    monkeypatch.chdir(folder)
    told("pickles", lambda: pickles.load(io.BytesIO(raw), "a file", encoding="latin1"))
    assert not (folder / "sprung").exists()


def results(index: int) -> dict[str, Any]:
    """The state of the official API's results of a cell, as far as it is read."""
    trial = {"epochs": 200, "seed": 777, "eval_names": ["x-valid", "x-test", "ori-test"]}
    trial |= {
        kind: {f"{part}@199": 50.0 for part in trial["eval_names"]} for kind in ("eval_acc1es", "eval_losses")
    }
    names = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
    return {
        "arch_index": index,
        "arch_str": NASBench201().format(NASBench201().arch(index)),
        "all_results": {(name, 777): dict(trial) for name in names},
        "dataset_seed": {name: [777] for name in names},
        "clear_net_done": True,
    }


@st.composite
def nats(draw: st.DrawFn) -> dict[str, bytes]:
    """The files of a benchmark of two cells, one of them with something wrong in it."""
    archs = [NASBench201().format(NASBench201().arch(index)) for index in range(2)]
    meta: Any = {"meta_archs": archs, "evaluated_indexes": {0, 1}}
    cells: list[Any] = [{"200": results(index)} for index in range(2)]
    cell = cells[0]["200"]
    trial = cell["all_results"]["cifar10", 777]
    place: Any = draw(st.sampled_from([meta, cells[0], cell, cell["all_results"], trial, trial, trial]))
    place |= {draw(st.sampled_from(list(place))): draw(odd_values | st.just([]))}
    raw = {"meta": pickle.dumps(meta), "000000": pickle.dumps(cells[0]), "000001": pickle.dumps(cells[1])}
    if draw(st.booleans()):
        name = draw(st.sampled_from(sorted(raw)))
        raw[name] = draw(spoiled(st.just(raw[name]), opcodes))
    return {name: bz2.compress(content) for name, content in raw.items()}


@cases(40, 600)
@given(files=nats())
def test_nats_files(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own(tmp_path_factory) / "nats"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    for name, content in files.items():
        (folder / f"{name}.pickle.pbz2").write_bytes(content)
    told("NATS files", lambda: from_nats(folder))
    assert not (folder / "sprung").exists()


@st.composite
def cifar(draw: st.DrawFn) -> bytes:
    """An archive of CIFAR-10's layout with ten images a batch, and something wrong with one member."""
    file = io.BytesIO()
    wrong = draw(st.sampled_from(["data_batch_1", "data_batch_5", "test_batch", "batches.meta"]))
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
            content: Any = {"data": np.zeros((10, 3072), np.uint8), "labels": list(range(10))}
            content["label_names"] = [f"c{k}" for k in range(10)]
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            if name == wrong:
                content = draw(
                    st.just(content | {draw(st.sampled_from(list(content))): draw(odd_values)}) | odd_values
                )
                info.name = draw(st.sampled_from([info.name] * 4 + [f"../{name}", f"/{name}"]))
                info.type = draw(st.sampled_from([tarfile.REGTYPE] * 6 + [tarfile.SYMTYPE, tarfile.DIRTYPE]))
                info.linkname = draw(st.sampled_from(["/etc/passwd", "../../x", info.name]))
            raw = pickle.dumps(content, 2)
            info.size = len(raw) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(raw))
    return file.getvalue()


@cases(30, 800)
@given(content=cifar() | spoiled(cifar(), scraps))
def test_archives_of_images(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path: Path = own(tmp_path_factory) / "cifar.tar.gz"
    path.write_bytes(content)
    told("archives of images", lambda: from_cifar_archive(path, "cifar10", train=50, test=10))
