"""Public sources of tables and images, what pins each, and how one is fetched.

All are pinned by the sha256 of their bytes.  NAS-Bench-201's public files are pinned by the sha256 of the
numbers read from them as well (`digest`), which covers every number that is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pooch
from numpy.typing import NDArray

from nasbench_eval.errors import UsageError


@dataclass(frozen=True)
class Source:
    """A public file.

    Attributes:
        url: where it is.
        sha256: of its bytes.
        content: `digest` of the numbers taken from it; None where its bytes alone are pinned.
        size: bytes, where known.
    """

    url: str
    sha256: str | None = None
    content: str | None = None
    size: int | None = None

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


_GITHUB = "https://raw.githubusercontent.com"
# NAS-Bench-201 v1_1, Apache-2.0.  Means over runs of 200 epochs; the CIFAR-10 file's are of networks trained
# on half the training set, so that its test column is not the benchmark's test accuracy.
_CSV = f"{_GITHUB}/Zhenhan-Huang/NASGraph-Public/cd95bdbfd907f7fe521f4fed6e7c870772c3f8b5/data"
# The CIFAR-10 test accuracies of each run of networks trained on all of the training set, MIT.
_RUNS = f"{_GITHUB}/HamsterMimi/MeCo/189df25fd3b2cda0985f7e8db97dcb5d43f5f487/notebooks_201"
_CIFAR = "https://www.cs.toronto.edu/~kriz"

TABLE_SOURCES: Mapping[str, Source] = {
    "cifar10": Source(
        f"{_CSV}/nasbench201_cifar10.csv",
        sha256="c82e70b5ffb0dba0f09d88ecc8df5a6d3ce8da8a99ad223285104f4537314033",
        size=2_383_893,
        content="d281ea52dbecbec78a0df587dcf3d7d3d2379c0b9df9729ab19ef860fc09a6d7",
    ),
    "cifar100": Source(
        f"{_CSV}/nasbench201_cifar100.csv",
        sha256="87a42005d7005fdb5e4a938ed83dd306d907523f23e70af907dfd276dd5fe35d",
        size=2_427_026,
        content="54e04cc974c343bb49841d5c4fd1129ba904ec03bb8afe0c501ca8ec2db99005",
    ),
    "imagenet16_120": Source(
        f"{_CSV}/nasbench201_ImageNet16-120.csv",
        sha256="f5225573584977b283f473b0ded7fe51ae599a67063b3bd02b18de36b29fcd6b",
        size=2_540_708,
        content="0e24e58eeb3c09615f57f13a09050c04d53bcef7aa5bf2b1b66beb0c10c2b56b",
    ),
    "cifar10_runs": Source(
        f"{_RUNS}/nb2_test_acc_cf10.p",
        sha256="6d48694bf618ea6c38b57ed09d79209ab2de9b6f7090fbfc9a10d864fa691e4f",
        size=751_797,
        content="bc2fde9c58f7a1bc8dacab7ff8307984bb19383606b2639218213c60b1d42130",
    ),
}

# Trainings of 12 and of 200 epochs of NAS-Bench-201's cells 0 to 999, from the official NATS-Bench files; no
# licence is stated.
SAMPLE_SOURCE = Source(
    f"{_GITHUB}/alanoe/NATS-Bench-extractor/f381dbb39bdaea988caa5bd86c856a90a58f8e64"
    "/architectures/topology_ss_architectures.json",
    sha256="500e72af7b87502b7a9daaa09070098aa082bcdef6d353610d7d1d4e725cf22e",
    size=1_225_213,
)

# Accuracies of timm's models on ImageNet-1k, and their speeds at inference, Apache-2.0.
_TIMM = f"{_GITHUB}/huggingface/pytorch-image-models/aa4b5850c1543fa488abf260f18390eda46cf85d/results"
TIMM_SOURCE = Source(
    f"{_TIMM}/results-imagenet.csv",
    sha256="30972bf7c7ab451bbd4480ec6116b13d0a84441c57bbc946896fd312264acfcd",
    size=123_104,
)
TIMM_SPEED_SOURCE = Source(
    f"{_TIMM}/benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv",
    sha256="0ee56fb006cad780c5931d314422874777502d408f734273bcac4c74d5e3c67a",
    size=83_629,
)

# A thousand genotypes of the DARTS space with accuracies on CIFAR-10; no licence is stated.
DARTS_SOURCE = Source(
    f"{_GITHUB}/pym1024/SWAP/f6049f7c979b0cfc9ac5a13666fedb79dfe3cce8/datasets/DARTS_archs_CIFAR10.csv",
    sha256="d28d263aa7dd4103b6a1da1775b1b03ae16ffd2516409ca3bd493c8784abe6b0",
    size=423_509,
)

IMAGE_SOURCES: Mapping[str, Source] = {
    "cifar10": Source(
        f"{_CIFAR}/cifar-10-python.tar.gz",
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar100": Source(
        f"{_CIFAR}/cifar-100-python.tar.gz",
        sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
}

# NAS-Bench-101: the trainings of 108 epochs, and those of 4, 12, 36 and 108 epochs.
_NASBENCH101 = "https://storage.googleapis.com/nasbench"
NASBENCH101_SOURCE = Source(
    f"{_NASBENCH101}/nasbench_only108.tfrecord",
    sha256="4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
    size=522_767_376,
)
NASBENCH101_FULL_SOURCE = Source(
    f"{_NASBENCH101}/nasbench_full.tfrecord",
    sha256="3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c",
)


def digest(columns: Iterable[NDArray[Any]]) -> str:
    """sha256 of columns of numbers: their values to six decimals, one a line, `nan` where there is none."""
    sha256 = hashlib.sha256()
    for column in columns:
        for value in np.asarray(column, dtype=np.float64):
            sha256.update(f"{value:.6f}\n".encode())
    return sha256.hexdigest()


def fetch(source: Source, folder: Path) -> Path:
    """The source's file in `folder`, downloaded unless it is there already.

    Raises:
        UsageError: if it cannot be downloaded, or has another checksum than the pinned one.
    """
    pooch.get_logger().setLevel("WARNING")  # the command has said what it fetches
    path = folder / source.name
    try:
        pooch.retrieve(
            url=source.url,
            known_hash=f"sha256:{source.sha256}" if source.sha256 else None,
            fname=source.name,
            path=folder,
            downloader=pooch.HTTPDownloader(timeout=60, chunk_size=1 << 18),
        )
    except OSError as error:  # everything that `requests` raises is one; some are a ValueError besides
        raise UsageError(
            f"cannot fetch {source.url} ({reason(error)}); fetch it by other means to {path} and run this "
            "again"
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{source.url} does not have the pinned sha256 {source.sha256} and was not used; try again, or "
            f"put the official file at {path}"
        ) from error
    return path


def reason(error: BaseException) -> str:
    """What an error comes down to, on one line: 'Connection refused', 'Name or service not known'."""
    # The innermost cause is the one a person can act on.
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split())[:200] or type(error).__name__
