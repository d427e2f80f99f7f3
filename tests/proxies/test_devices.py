"""Every proxy on a device that is not the CPU: a pretended one (see `pretended`), and CUDA if there is one.

A tensor that a pass or an observer makes on the wrong device is refused by a GPU alone.  Here it is refused
on any machine, and what is computed has to be what the CPU computes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from omegaconf import OmegaConf
from pretended import DEVICE, Pretended, WrongDevice, pretended
from torch import Tensor, nn

from nasbench_eval import registry
from nasbench_eval.cli import score as score_command
from nasbench_eval.passes import Observer, PassSpec, Record, layers
from nasbench_eval.passes.weights import draw
from nasbench_eval.paths import config_folder
from nasbench_eval.proxies.base import Batch, Proxy, ProxyInfo
from nasbench_eval.runs.rows import Row
from nasbench_eval.runs.store import read_scores
from nasbench_eval.spaces.base import Network, SearchSpace
from nasbench_eval.testing import (
    CELLS,
    CELLS101,
    SPACE,
    SPACE101,
    close,
    differences,
    golden_record,
    index_of,
    score,
    small,
)
from nasbench_eval.training import Training, train

# Options that choose a value and not a computation: a proxy in another of them runs the same lines.
VALUES = (
    "name",
    "init",
    "input",
    "batch_size",
    "resolution",
    "batches",
    "repeats",
    "channels",
    "cells",
    "tensors",
)
# On the device the same operations are put together from other ones here and there: rounding in float32.
RTOL = 1e-5


def readings() -> dict[str, Proxy]:
    """Each proxy as it is, in each other computation that a file of `configs/proxy` asks for, or trained."""
    found: dict[str, Proxy] = {name: registry.find("proxies", name)() for name in registry.own("proxies")}
    computed = [(name, frozenset[Any]()) for name in found]
    for path in sorted((config_folder() / "proxy").glob("*.yaml")):
        entries: Any = OmegaConf.to_container(OmegaConf.load(path))
        for label, options in entries.items() if isinstance(entries, dict) else ():
            if not isinstance(options, dict) or "name" not in options:
                continue
            changed = frozenset((k, str(v)) for k, v in options.items() if k not in VALUES)
            if (options["name"], changed) not in computed and "epochs" not in options:
                computed.append((options["name"], changed))
                chosen = {k: v for k, v in options.items() if k != "name"}
                found[label] = registry.find("proxies", options["name"])(**chosen)
    kernel = registry.find("proxies", "lga")
    found["lga_alone"] = kernel(bn="alone")
    found["lga_trained"] = kernel(epochs=1, training_images=16, schedule=1)
    return found


READINGS = readings()


def on_device(space: SearchSpace, text: str, proxies: Mapping[str, Proxy], folder: Path) -> list[Row]:
    with pretended() as device:
        return score(space, index_of(space, text), proxies, folder=folder, device=device)


@pytest.mark.parametrize("label", READINGS)
def test_a_proxy_runs_there_and_gives_the_cpus_scores(label: str, noise_images: Path) -> None:
    proxies = {label: small(READINGS[label])}
    for text in (CELLS[0], CELLS[3]):
        there = on_device(SPACE, text, proxies, noise_images)
        here = score(SPACE, index_of(SPACE, text), proxies, folder=noise_images)
        for row, expected in zip(there, here, strict=True):
            assert row["status"] == expected["status"], f"{text}: {row['error']}"
            for column in (*READINGS[label].info.columns, "score"):
                assert close(row[column], expected[column], RTOL), f"{text}: {column}"


def test_all_of_them_run_there_on_networks_of_the_other_space(noise_images: Path) -> None:
    proxies = {name: small(READINGS[name]) for name in registry.own("proxies")}
    for row in on_device(SPACE101, CELLS101[0], proxies, noise_images):
        assert row["status"] == "ok", f"{row['label']}: {row['error']}"


def test_a_golden_record_can_be_that_of_another_device(noise_images: Path, golden_script: Any) -> None:
    with pretended() as device:
        record = golden_record("grad_norm", noise_images, device)
    assert differences(golden_script.load("grad_norm"), record) == []


def trained(device: torch.device) -> list[float]:
    """The losses of a short training."""
    recipe = Training(2, images=8, batch_size=4)
    images = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))
    draw(dict(network.named_children()), "kaiming", 0)
    x, y = images.to(device), (torch.arange(8) % 3).to(device)
    history = train(network.to(device), x, y, recipe, key=(0,), validation=(x, y))
    return [loss for epoch in history for loss in (epoch.loss, epoch.val_loss or math.nan)]


def test_training_stays_on_the_device() -> None:
    expected = trained(torch.device("cpu"))
    with pretended() as device:
        assert trained(device) == pytest.approx(expected, rel=RTOL)


class _Planted(Observer):
    """One of the mistakes that a GPU alone would refuse."""

    def __init__(self, mistake: str) -> None:
        self.mistake, self.total = mistake, torch.zeros(4)

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return layers(net, "conv")

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        means = y.mean(dim=(0, 2, 3))
        match self.mistake:
            case "made on the default device":
                means * torch.ones(len(means))
            case "added in place to a sum on the CPU":
                self.total += means[:4]
            case "stacked with a scalar of the CPU":
                torch.stack([means.sum(), torch.tensor(1.0)])
            case "drawn there by a generator of the CPU":
                torch.randn(4, device=y.device, generator=torch.Generator())
            case "an index of the device into a tensor of the CPU":
                self.total[means[:4].argsort()]
            case "none":
                means * torch.ones(len(means), device=y.device) + torch.tensor(1.0)
                means[torch.arange(2)] = torch.tensor(0.0)
                self.total += means[:4].cpu()

    def record(self) -> Record:
        return {"total": self.total}


@dataclass(frozen=True)
class _Mistaken(Batch):
    info: ClassVar = ProxyInfo("mistaken", 1, "none 2026")
    mistake: str = "none"

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward()),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _Planted(self.mistake)

    def score(self, records: Any) -> dict[str, float]:
        return {"score": 1.0}


MISTAKES = (
    "made on the default device",
    "added in place to a sum on the CPU",
    "stacked with a scalar of the CPU",
    "drawn there by a generator of the CPU",
    "an index of the device into a tensor of the CPU",
)


@pytest.mark.parametrize("mistake", ["none", *MISTAKES])
def test_a_tensor_on_the_wrong_device_is_refused(mistake: str, noise_images: Path) -> None:
    proxies = {"mistaken": small(_Mistaken(mistake=mistake))}
    here = score(SPACE, index_of(SPACE, CELLS[0]), proxies, folder=noise_images)
    assert {row["status"] for row in here} == {"ok"}, "the CPU knows no such mistake"
    for row in on_device(SPACE, CELLS[0], proxies, noise_images):
        assert row["status"] == ("ok" if mistake == "none" else "error"), row["error"]
        assert mistake == "none" or row["error"].startswith("WrongDevice: aten."), row["error"]


def test_what_the_device_is() -> None:
    x = torch.randn(2, 3)
    with pretended() as device:
        there = x.to(device)
        assert isinstance(there, Pretended)
        assert there.device == torch.zeros(2, device=device).device == DEVICE
        assert torch.equal(there.cpu(), x)
        assert not isinstance((there + 1).sum().cpu(), Pretended)
        assert float(there.sum()) == float(x.sum())
        assert there.sum(dim=0).tolist() == x.sum(dim=0).tolist()
        with pytest.raises(WrongDevice, match="lies on the CPU"):
            there + x
        assert isinstance(there + x.sum(), Pretended)
    assert not isinstance(torch.zeros(2, device="meta"), Pretended)


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device")


@pytest.mark.cuda
@needs_cuda
def test_everything_runs_on_cuda(noise_images: Path) -> None:
    proxies = {label: small(proxy) for label, proxy in READINGS.items()}
    for space, text in ((SPACE, CELLS[0]), (SPACE, CELLS[3]), (SPACE101, CELLS101[0])):
        index, cuda = index_of(space, text), torch.device("cuda")
        here = score(space, index, proxies, folder=noise_images)
        there = score(space, index, proxies, folder=noise_images, device=cuda)
        wrong = [
            f"{row['label']} on {text}: {row['status']}, on the CPU {expected['status']}: {row['error']}"
            for row, expected in zip(there, here, strict=True)
            if row["status"] != expected["status"]
        ]
        assert not wrong


@pytest.mark.cuda
@needs_cuda
def test_training_repeats_itself_on_cuda() -> None:
    assert trained(torch.device("cuda", 0)) == pytest.approx(trained(torch.device("cpu")), rel=0.05)


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_a_command_scores_on_cuda(precision: str, tmp_path: Path, asked: Any) -> None:
    what = ("space.channels=4", "proxy=[intrain,zico]", "proxy.input=gaussian", "reuse=none", "workers=2")
    how = ("n=4", "device=cuda", f"precision={precision}", f"results={tmp_path}", "run=r")
    assert asked(score_command, "nasbench-score", *what, *how)[0] == 0
    assert set(read_scores(tmp_path / "r")["status"]) == {"ok"}
