"""A network of a search space that is handed over as a plain module has the same scores, to the bit."""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import nn

import nasbench_eval
from nasbench_eval import registry
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.testing import CELLS, CELLS101, DATASETS, SPACE, SPACE101, index_of, score, small

NAMES = registry.own("proxies")


def of_one_size(proxy: Proxy) -> Proxy:
    """The proxy on the whole network as it is, where its defaults are a thin one or a cell."""
    sizes = {"channels": None, "cells": None}
    known = {field.name for field in fields(proxy)}  # type: ignore[arg-type]
    values = {name: value for name, value in sizes.items() if name in known}
    if "body" in known:
        values |= {"body": "whole", "input": "images", "resolution": None}
    return replace(proxy, **values)  # type: ignore[type-var]


def drawn(space: SearchSpace, text: str) -> nn.Module:
    """The network as a user has it: weights of its own, in training mode."""
    network = space.build(space.parse(text), num_classes=10)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.1, generator=torch.Generator().manual_seed(parameter.numel()))
    return network


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("space", "text"), [(SPACE, CELLS[0]), (SPACE, CELLS[1]), (SPACE101, CELLS101[0])])
def test_every_proxy_says_the_same(space: SearchSpace, text: str, name: str, noise_images: Path) -> None:
    proxy = of_one_size(small(registry.find("proxies", name)()))
    [row] = score(space, index_of(space, text), {name: proxy}, folder=noise_images, datasets=DATASETS[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nasbench_eval.ScoreWarning)
        found = nasbench_eval.score(
            {row["arch"]: drawn(space, row["arch"])},  # weights are drawn by the name
            {name: proxy},
            images=DATASETS[0],
            data=noise_images,
            details=True,
        )
    told = found.loc[row["arch"], name]
    assert told["status"] == row["status"], told["error"]
    for column in (*proxy.info.columns, "score"):
        assert float(told[column]).hex() == float(row[column]).hex(), column
