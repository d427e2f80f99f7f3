"""Architectures in, rows out: a failure is a row, and what is asked together is what is asked alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch

from nasbench_eval.data.batches import Batches
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.passes import ForwardSpec, Observer, PassSpec, Record
from nasbench_eval.proxies.base import Proxy, ProxyInfo
from nasbench_eval.proxies.intrain import InTrain
from nasbench_eval.proxies.params import Params
from nasbench_eval.proxies.snip import Snip
from nasbench_eval.proxies.synflow import Synflow
from nasbench_eval.runs.rows import Row
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.spaces.nasbench201 import NASBench201

CPU = torch.device("cpu")
DATASETS = {
    "cifar10": DataSet("cifar10", 10, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "cifar100": DataSet("cifar100", 100, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
SMALL: dict[str, Any] = {"batch_size": 4, "resolution": 8, "input": "gaussian"}


@dataclass(frozen=True)
class Faulty:
    """A proxy that goes wrong at a place of the caller's choice."""

    at: str = "nowhere"
    info: ClassVar[ProxyInfo] = ProxyInfo("faulty", 3, "made up", ("part",))

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(ForwardSpec("kaiming", "ones", 2, 8)),)

    def observe(self, net: object, spec: PassSpec) -> Observer:
        if self.at == "observe":
            raise RuntimeError("observe failed\nwith details")
        if self.at == "exit in observe":
            raise SystemExit("done")
        return _Nothing()

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        if self.at == "exit":
            raise SystemExit(3)
        if self.at == "memory":
            raise MemoryError
        if self.at == "silent":
            raise ValueError
        values = {"part": 1.0, "score": {"nan": math.nan, "inf": -math.inf}.get(self.at, 2.0)}
        if self.at == "missing":
            del values["score"]
        if self.at == "extra":
            values["more"] = 1.0
        return values


class _Nothing(Observer):
    def layers(self, net: Any) -> Mapping[str, torch.nn.Module]:
        return {}

    def record(self) -> Record:
        return {}


@dataclass(frozen=True)
class Unbuildable(NASBench201):
    def build(self, arch: Any, *, num_classes: int) -> Any:
        raise RuntimeError("no such network")


def job_of(space: NASBench201 | None = None, **proxies: Proxy) -> Job:
    return Job(space or NASBench201(4, 1), DATASETS, proxies, seed=0)


def rows_of(job: Job, index: int = 7) -> dict[tuple[str, str], Row]:
    batches = Batches(job.seed, job.datasets, None, CPU)
    rows = score_architecture(job, index, job.tasks(), batches, CPU)
    return {(row["dataset"], row["label"]): row for row in rows}


def test_half_precision_moves_scores_a_little() -> None:
    proxies = {"intrain": InTrain(batch_size=4, resolution=8), "synflow": Synflow(), "params": Params()}
    single = rows_of(job_of(**proxies))
    half = rows_of(replace(job_of(**proxies), precision="bf16"))
    for place, row in single.items():
        assert half[place]["status"] == "ok"
        assert half[place]["score"] == pytest.approx(row["score"], rel=0.05)
        # SynFlow's pass is in float64, and parameters are counted.
        assert (half[place]["score"] == row["score"]) == (place[1] != "intrain")


@pytest.mark.parametrize(
    ("at", "status", "error"),
    [
        ("nowhere", "ok", None),
        ("nan", "nan", None),
        ("inf", "inf", None),
        ("observe", "error", "RuntimeError: observe failed"),
        ("exit in observe", "error", "SystemExit: done"),
        ("exit", "error", "SystemExit: 3"),
        ("memory", "oom", "MemoryError:"),
        ("silent", "error", "ValueError:"),
        ("missing", "error", "ValueError: gave ['part'], not the columns it declares"),
        ("extra", "error", "ValueError: gave ['more', 'part', 'score']"),
    ],
)
def test_a_failure_is_a_row_and_touches_no_other(at: str, status: str, error: str | None) -> None:
    rows = rows_of(job_of(bad=Faulty(at), good=Params()))
    assert len(rows) == 4
    bad = rows["cifar100", "bad"]
    assert bad["status"] == status
    assert bad["error"] is None if error is None else bad["error"].startswith(error)
    assert {"part", "score", "seconds", "index", "arch", "seed", "proxy_version"} <= set(bad)
    assert bad["proxy_version"] == 3
    if error is not None:
        assert math.isnan(bad["score"])
        assert math.isnan(bad["part"])
    good = rows["cifar100", "good"]
    assert good["status"] == "ok"
    assert good["score"] == rows_of(job_of(good=Params()))["cifar100", "good"]["score"]


def test_a_network_that_cannot_be_built_is_a_row_a_task() -> None:
    rows = rows_of(job_of(Unbuildable(4, 1), p=Snip(**SMALL), f=Faulty()))
    assert len(rows) == 4
    assert {row["status"] for row in rows.values()} == {"error"}
    assert {row["error"] for row in rows.values()} == {"RuntimeError: no such network"}


def test_alone_and_together_are_the_same_bits() -> None:
    proxies: dict[str, Proxy] = {
        "intrain": InTrain(**SMALL),
        "cell": InTrain(**SMALL, layers="cell"),
        "snip": Snip(**SMALL),
        "synflow": Synflow(resolution=8),
        "params": Params(),
    }
    together = rows_of(job_of(**proxies))
    for label, proxy in proxies.items():
        for dataset in DATASETS:
            job = replace(job_of(**{label: proxy}), datasets={dataset: DATASETS[dataset]})
            [alone] = rows_of(job).values()
            shared = together[dataset, label]
            assert {k: v for k, v in alone.items() if k != "seconds"} == {
                k: v for k, v in shared.items() if k != "seconds"
            }


def test_a_score_depends_on_seed_architecture_and_data_set() -> None:
    job = job_of(snip=Snip(**SMALL))
    rows = rows_of(job)
    scores = {
        rows["cifar10", "snip"]["score"],
        rows["cifar100", "snip"]["score"],
        rows_of(replace(job, seed=1))["cifar10", "snip"]["score"],
        rows_of(job, index=8)["cifar10", "snip"]["score"],
    }
    assert len(scores) == 4
