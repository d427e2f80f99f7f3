"""What checks of proxies and of search spaces are made of."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from multiprocessing.reduction import ForkingPickler
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
from nasbench_eval.runs.parquet import schema
from nasbench_eval.runs.rows import Row
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.spaces.nasbench101 import NASBench101
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.work.compute import configure_process

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
# Of the other space: one cell with every operation, one without any.
SPACE101 = NASBench101(channels=8, cells_per_stack=1)
CELLS101 = ("|conv3x3~0|maxpool3x3~0~1|conv1x1~1|conv3x3~2~3|output~0~3~4|", "|output~0|")
SEED = 0
CPU = torch.device("cpu")
# Kernels of different CPUs sum in different orders, which moves single-precision scores by some 1e-6; a
# changed formula moves them by far more.  A record may state a looser tolerance, which `write_golden` keeps.
RTOL = 1e-4


def dataset(name: str) -> DataSet:
    """A data set as its YAML file describes it."""
    options: Any = OmegaConf.to_container(OmegaConf.load(config_folder() / "dataset" / f"{name}.yaml"))
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return DataSet(name, **values)


def write_images(folder: Path, name: str, count: int = 64) -> None:
    """Put images of uniform noise with random labels where a data set's images are looked for."""
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


def small(proxy: Proxy) -> Proxy:
    """The proxy with small inputs: at most 8 samples, at most 16 pixels where it sets a resolution itself.

    One that has no score for so few samples names its least number in a class variable, `least_samples`.
    One that trains its networks does so on at most 32 images.
    """
    limits = {"batch_size": getattr(proxy, "least_samples", 8), "resolution": 16}
    if getattr(proxy, "epochs", 0):
        limits["training_images"] = 32
    options: dict[str, int] = {}
    for name, most in limits.items():
        value = getattr(proxy, name, None)
        if value is not None:
            options[name] = min(value, most)
    return replace(proxy, **options)  # type: ignore[type-var]


def score(
    space: SearchSpace,
    index: int,
    proxies: Mapping[str, Proxy],
    *,
    folder: Path,
    datasets: Sequence[str] = DATASETS,
    seed: int = SEED,
    device: torch.device = CPU,
) -> list[Row]:
    """Rows of one architecture, a data set after the other: what `nasbench-score` would write.

    Args:
        space: the search space.
        index: the architecture's.
        proxies: by label.
        folder: a data folder with images (see `write_images`).
        datasets: names.
        seed: of weights, inputs and labels.
        device: where the passes run; on CUDA with the settings of a scoring process.
    """
    chosen = {name: dataset(name) for name in datasets}
    job = Job(space, chosen, proxies, seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a scoring process does: several only slow small layers down
    if device.type == "cuda":
        configure_process(device)  # cuDNN would otherwise round to TF32, and choose other kernels each time
    try:
        return score_architecture(job, index, job.tasks(), Batches(seed, chosen, folder, device), device)
    finally:
        torch.set_num_threads(threads)


def index_of(space: SearchSpace, text: str) -> int:
    """The index of the architecture that a text names."""
    return space.index(space.parse(text))


def noise(temporary: str) -> Path:
    for name in DATASETS:
        write_images(Path(temporary), name)
    return Path(temporary)


def bits(rows: Iterable[Row], label: str) -> list[tuple[str, ...]]:
    """All digits of a label's rows, NaN and infinities included."""
    fixed = {*schema(()).names, "label", "traceback"} - {"score"}
    return [
        (row["dataset"], *(float(v).hex() for k, v in row.items() if k not in fixed and k != "dataset"))
        for row in rows
        if row["label"] == label
    ]


def check_class(kind: str, name: str) -> Any:
    """The class behind a name, once it is a frozen dataclass that another process can be sent."""
    cls: Any = registry.find(kind, name)
    parameters = getattr(cls, "__dataclass_params__", None)
    assert parameters is not None, f"{name}: no dataclass"
    assert parameters.frozen, f"{name}: the dataclass is not frozen"
    made = cls()  # every option has a default
    assert made == cls(), f"{name}: two of it with the same options are not equal"
    assert hash(made) == hash(cls()), f"{name}: equal ones have different hashes"
    ForkingPickler.dumps(made)  # as a worker process is sent it
    documented = "\n".join(base.__doc__ or "" for base in cls.__mro__ if base is not object)
    for field in fields(cls):
        described = re.search(rf"^ +(\w+, )*{field.name}(, \w+)*: \S", documented, re.M)
        assert described, f"{name}: no docstring describes the option {field.name}"
    return cls


def close(a: float, b: float, rtol: float) -> bool:
    """Whether two scores agree; NaN agrees with NaN, an infinity with itself."""
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=rtol, abs_tol=1e-12)


class _ByPasses(Job):
    """Runs the passes of proxies that need none as well."""

    of_size = {}  # noqa: RUF012


def check_closed_form(
    space: SearchSpace, indices: Sequence[int], proxies: Mapping[str, Proxy], folder: Path
) -> None:
    """Scores that come from the size of a network have to be those of the network that is built."""
    chosen = {DATASETS[0]: dataset(DATASETS[0])}
    told = Job(space, chosen, proxies, SEED).of_size
    for index in indices if told else ():
        found = []
        for kind in (Job, _ByPasses):
            job = kind(space, chosen, {label: proxies[label] for label in told}, SEED)
            batches = Batches(SEED, chosen, folder, torch.device("cpu"))
            found.append(score_architecture(job, index, job.tasks(), batches, torch.device("cpu")))
        for row, built in zip(*found, strict=True):
            scores = f"{row['score']} of its size, {built['score']} of the network"
            assert close(row["score"], built["score"], 0.0), f"{row['label']} on {row['arch']}: {scores}"


def generators() -> tuple[object, ...]:
    _, keys, *rest = np.random.get_state()
    return torch.get_rng_state().tolist(), np.asarray(keys).tolist(), rest, random.getstate()
