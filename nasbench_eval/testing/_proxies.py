"""What every proxy owes."""

from __future__ import annotations

import re
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from nasbench_eval import registry
from nasbench_eval.passes import Observer, PassSpec
from nasbench_eval.proxies.base import Proxy, ProxyInfo
from nasbench_eval.runs.parquet import column_fault
from nasbench_eval.testing._common import (
    CELLS,
    CELLS101,
    DATASETS,
    SPACE,
    SPACE101,
    bits,
    check_class,
    check_closed_form,
    generators,
    index_of,
    noise,
    score,
    small,
)


def check_proxy(name: str) -> None:
    """Check a proxy: what it says of itself, the passes it asks for, and the scores it gives.

    It has to give a finite score for a live cell of either space, a row without an error for cells with
    little or no signal, and the same bits whatever is scored beside it, in any order. What it knows from the
    size of a network (`from_size`) has to be what the passes give. It may neither read nor move the global
    random generators. It is checked on 8 samples, or on as many as its class variable `least_samples` says
    that it needs.

    Raises:
        AssertionError: if something is wrong; the message names it.
        UnknownName: if there is no such proxy.
    """
    cls = check_class("proxies", name)
    _check_info(name, cls)
    proxy = small(cls())
    _check_passes(name, proxy)
    with tempfile.TemporaryDirectory() as temporary:
        _check_scores(name, proxy, noise(temporary))
        for space, cells in ((SPACE, CELLS), (SPACE101, CELLS101)):
            check_closed_form(
                space, [index_of(space, text) for text in cells], {name: proxy}, Path(temporary)
            )


def _check_info(name: str, cls: Any) -> None:
    info = cls.info
    assert isinstance(info, ProxyInfo), f"{name}: `info` is no ProxyInfo"
    assert info.name == name, f"{name}: it calls itself {info.name}"
    assert isinstance(info.version, int), f"{name}: the version is no whole number"
    assert info.version >= 1, f"{name}: the version is below 1"
    assert re.search(r"\d{4}", info.reference), f"{name}: the reference has no year"
    fault = column_fault(info.columns)
    assert fault is None, f"{name}: {fault}"
    assert isinstance(cls(), Proxy), f"{name}: passes, observe or score is missing"
    assert "info" not in {field.name for field in fields(cls)}, (
        f"{name}: `info` is an option; declare it ClassVar"
    )


def _check_passes(name: str, proxy: Proxy) -> None:
    passes = proxy.passes()
    assert passes, f"{name}: it asks for no pass"
    assert all(isinstance(spec, PassSpec) for spec in passes), f"{name}: a pass is no PassSpec"
    assert passes == proxy.passes(), f"{name}: it asks for other passes the second time"
    network = SPACE.build(SPACE.parse(CELLS[0]), num_classes=10)
    for spec in passes:
        assert isinstance(proxy.observe(network, spec), Observer), f"{name}: observe gives no Observer"


def _check_scores(name: str, proxy: Proxy, folder: Path) -> None:
    for space, cells, datasets in ((SPACE, CELLS, DATASETS), (SPACE101, CELLS101, DATASETS[:1])):
        for text in cells:
            before = generators()
            rows = score(space, index_of(space, text), {name: proxy}, folder=folder, datasets=datasets)
            assert generators() == before, f"{name}: it moves a global random generator"
            for row in rows:
                failed = f"{name} on {text}: {row['error']}"
                assert row["status"] in ("ok", "nan", "inf", "undefined"), failed
                assert text != cells[0] or row["status"] == "ok", f"{name} on {text}: {row['score']}"
    live = index_of(SPACE, CELLS[0])
    alone = bits(score(SPACE, live, {name: proxy}, folder=folder), name)
    other = {"": small(registry.find("proxies", "snip")())}
    state = torch.get_rng_state()
    torch.manual_seed(12345)
    try:
        for proxies in ({name: proxy, **other}, {**other, name: proxy}):
            among = bits(score(SPACE, live, proxies, folder=folder), name)
            assert among == alone, f"{name}: its score depends on what is scored beside it"
    finally:
        torch.set_rng_state(state)
