"""Golden records: scores on file, and what they depend on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from nasbench_eval import registry
from nasbench_eval.testing._common import (
    CELLS,
    CPU,
    RTOL,
    SEED,
    SPACE,
    close,
    index_of,
    noise,
    score,
    small,
)


def golden_record(name: str, folder: Path | None = None, device: torch.device = CPU) -> dict[str, Any]:
    """A proxy's scores on four small cells and two data sets, to the last digit, and what they depend on.

    Args:
        name: the proxy's.
        folder: a data folder with images; None makes one with noise.
        device: where to compute it; records on file are the CPU's.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return golden_record(name, noise(temporary), device)
    proxy = small(registry.find("proxies", name)())
    rows = []
    for text in CELLS:
        for row in score(SPACE, index_of(SPACE, text), {name: proxy}, folder=folder, device=device):
            columns = {column: repr(float(row[column])) for column in (*proxy.info.columns, "score")}
            rows.append({"arch": text, "dataset": row["dataset"], "status": row["status"], **columns})
    return {
        "proxy": name,
        "version": proxy.info.version,
        "options": {field.name: getattr(proxy, field.name) for field in fields(proxy)},  # type: ignore[arg-type]
        "space": {"name": SPACE.name, **asdict(SPACE)},
        "seed": SEED,
        "torch": torch.__version__.split("+")[0],
        "rtol": RTOL,
        "rows": rows,
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What tells a computed record from the one on file, a line each; `rtol` is the one on file."""
    found = [
        f"{key}: {old.get(key)} on file, {new[key]} now"
        for key in ("proxy", "version", "options", "space", "seed")
        if old.get(key) != json.loads(json.dumps(new[key]))
    ]
    if len(old["rows"]) != len(new["rows"]):
        found.append(f"{len(old['rows'])} rows on file, {len(new['rows'])} now")
    for before, now in zip(old["rows"], new["rows"], strict=False):
        place = f"{now['arch']} {now['dataset']}"
        if before.keys() != now.keys():
            found.append(f"{place}: columns {list(before)} on file, {list(now)} now")
            continue
        for key in now:
            same = before[key] == now[key]
            if not same and key not in ("arch", "dataset", "status"):
                same = close(float(before[key]), float(now[key]), old["rtol"])
            if not same:
                found.append(f"{place}: {key} {before[key]} on file, {now[key]} now")
    return found


def check_golden(file: Path) -> None:
    """Check that a proxy's scores are those of the record on file, within its `rtol`.

    A failure means that scores moved. If they should, raise `info.version` and call `write_golden`.

    Raises:
        AssertionError: if a score, the version or an option is another.
    """
    old = json.loads(file.read_text(encoding="utf-8"))
    moved = differences(old, golden_record(old["proxy"]))
    assert not moved, f"{file.name}: " + "; ".join(moved)


def write_golden(name: str, file: Path) -> None:
    """Write a proxy's record; a tolerance that stands in the file stays."""
    record = golden_record(name)
    with suppress(FileNotFoundError):
        record["rtol"] = json.loads(file.read_text(encoding="utf-8"))["rtol"]
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
