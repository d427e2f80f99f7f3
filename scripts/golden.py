"""Golden records: the scores of every proxy on a few small cells, to the last digit, under version control.

    python scripts/golden.py [proxy ...]          write tests/golden/<proxy>.json
    python scripts/golden.py --check [proxy ...]  only compare; exit code 1 if anything moved

A change that should move no score leaves these files as they are.  One that should move a score raises the
proxy's `info.version`, runs this script and says why.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf

from nasbench_eval import registry
from nasbench_eval.data.batches import Batches
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.data.images import FORMATS, images_path
from nasbench_eval.paths import config_folder
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.spaces.nasbench201 import NASBench201

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden"
SPACE = NASBench201(channels=4, cells_per_stage=1)
DATASETS = ("cifar10", "imagenet16_120")
CELLS = (
    # every operation but none
    "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    # a zero in the middle
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|nor_conv_3x3~2|",
    # a convolution that nothing reads, and one that reads nothing but zeros
    "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
    # no signal at all
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
)
SEED = 0
# Kernels of different CPUs sum in different orders, which moves single-precision scores by some 1e-6; a
# changed formula moves them by far more.  A record may state a looser tolerance of its own, which the script
# keeps when it writes the record again:
#   1e-3 where gradients are added up: a value within rounding of zero falls on the other side of a ReLU, and
#        takes a unit's gradient with it; grasp's terms cancel besides;
#   3e-2 for zico: an entry whose gradients nearly agree has a σ of rounding errors and outweighs its layer.
RTOL = 1e-4


def small(proxy: Proxy) -> Proxy:
    """The proxy with small inputs: at most 8 samples, at most 16 pixels where it sets a resolution itself."""
    options: dict[str, int] = {}
    for name, most in (("batch_size", 8), ("resolution", 16)):
        value = getattr(proxy, name, None)
        if value is not None:
            options[name] = min(value, most)
    return replace(proxy, **options)  # type: ignore[type-var]


def dataset(name: str) -> DataSet:
    """A data set as its YAML describes it."""
    options: Any = OmegaConf.to_container(OmegaConf.load(config_folder() / "dataset" / f"{name}.yaml"))
    return DataSet(name, **{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})


def write_images(folder: Path, name: str, count: int = 64) -> None:
    """Images of uniform noise with random labels in a data set's place."""
    rng = np.random.default_rng(list(FORMATS).index(name))
    form = FORMATS[name]
    path = images_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        x_train=rng.integers(0, 256, (count, form.side, form.side, 3), dtype=np.uint8),
        y_train=rng.integers(0, form.num_classes, count).astype(np.uint8),
        classes=np.array([f"class {k}" for k in range(form.num_classes)]),
    )


def index_of(text: str) -> int:
    """The benchmark's index of a cell."""
    cell = SPACE.parse(text)
    return next(index for index in range(len(SPACE)) if SPACE.arch(index) == cell)


def compute(name: str, folder: Path) -> dict[str, Any]:
    """A proxy's record, from the images in a data folder."""
    proxy = small(registry.find("proxies", name)())
    datasets = {each: dataset(each) for each in DATASETS}
    job = Job(SPACE, datasets, {name: proxy}, SEED)
    device = torch.device("cpu")
    batches = Batches(SEED, datasets, folder, device)
    rows = []
    for text in CELLS:
        for row in score_architecture(job, index_of(text), job.tasks(), batches, device):
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


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
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


def close(a: float, b: float, rtol: float) -> bool:
    """Whether two scores agree; NaN agrees with NaN, an infinity with itself."""
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=rtol, abs_tol=1e-12)


def load(name: str) -> dict[str, Any]:
    """The record on file.  Raises FileNotFoundError."""
    record: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return record


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check records."""
    parser = argparse.ArgumentParser(description="Write or check the golden records in tests/golden.")
    parser.add_argument("proxies", nargs="*", help="which; all if none is named")
    parser.add_argument("--check", action="store_true", help="compare only; exit code 1 on a difference")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        for name in DATASETS:
            write_images(Path(temporary), name)
        for name in options.proxies or registry.own("proxies"):
            new = compute(name, Path(temporary))
            try:
                old = load(name)
                new["rtol"] = old["rtol"]
                moved = differences(old, new)
            except FileNotFoundError:
                old, moved = {}, ["no record on file"]
            for line in moved:
                print(f"{name}: {line}")
            failed |= bool(moved)
            if not options.check and (moved or old.get("torch") != new["torch"]):
                FOLDER.mkdir(exist_ok=True)
                (FOLDER / f"{name}.json").write_text(json.dumps(new, indent=1) + "\n")
    return int(failed and options.check)


if __name__ == "__main__":
    sys.exit(main())
