"""Networks of every space as a graph for batches of any size, which is what exporters begin with."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nasbench_eval import registry
from nasbench_eval.errors import UsageError
from nasbench_eval.retrain import export

CELL = "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
# Small networks with what a space has of its own: heads apart and dead ends among them.
NETWORKS: dict[str, tuple[dict[str, Any], str | None]] = {
    "nasbench201": ({"channels": 4, "cells_per_stage": 1}, CELL),
    "nasbench101": ({"channels": 4, "cells_per_stack": 1}, None),
    "nasbench_macro": ({}, None),
    "accel_nasbench": ({}, None),
    "transnas_micro": ({}, "64-41414-0_01_210"),
    "mobilenetv2": ({"max_layers": 6}, None),
    "darts": ({"channels": 4, "layers": 3}, None),
    "uninas": ({"resolution": 32, "widths": (32, 64, 32, 64), "depths": (1, 1, 1, 1), "stem": (8, 16)}, None),
}


def built(name: str) -> nn.Module:
    options, text = NETWORKS[name]
    space: Any = registry.find("spaces", name)(**options)
    if text is not None:
        arch = space.parse(text)
    else:
        arch = (
            space.sample(np.random.default_rng(0))
            if hasattr(space, "sample")
            else space.arch(len(space) // 2)
        )
    network: nn.Module = space.build(arch, num_classes=3)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_a_network_is_exported_for_batches_of_any_size(name: str) -> None:
    torch.manual_seed(0)
    network, x = built(name), torch.randn(3, 3, 32, 32)
    shapes = ({0: torch.export.Dim("images")},)
    graph = torch.export.export(copy.deepcopy(network), (x,), dynamic_shapes=shapes).module()
    for batch in (x, x[:2], torch.cat([x, x])):
        torch.testing.assert_close(graph(batch), network(batch))


def test_a_file_that_cannot_be_run_is_told_in_one_line() -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: nasbench_eval[export]")
    with pytest.raises(UsageError, match=r"cannot run this network on 2 images .*not kept"):
        export._run(b"no network", np.zeros((2, 3, 8, 8), np.float32))
