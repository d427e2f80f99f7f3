"""Networks of our spaces as graphs for batches of any size, which is what exporters begin with."""

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

THIN = {"channels": 4, "cells_per_stage": 1}
APART = '[[[[{"attention":[{"q":["gelu"]},{"map":["softmax"]}]}],[]]],["R"],["R"],["R"]]'
# Small networks of all spaces but timm's: shared activations, dead ends and heads apart among them.
NETWORKS: dict[str, list[tuple[dict[str, Any], str | None]]] = {
    "nasbench201": [
        (THIN, "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"),
        (THIN, "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|skip_connect~2|"),
    ],
    "nasbench201_supernet": [(THIN, None)],
    "nasbench101": [({"channels": 4, "cells_per_stack": 1}, None)],
    "nasbench_macro": [({}, None)],
    "accel_nasbench": [({}, None)],
    "transnas_micro": [({}, "64-41414-0_01_210")],
    "mobilenetv2": [({"max_layers": 6}, None), ({"max_layers": 6, "se": True}, None)],
    "darts": [({"channels": 4, "layers": 3}, None)],
    "darts_supernet": [({}, None)],
    "uninas": [({"resolution": 32, "widths": (64,) * 4, "depths": (1,) * 4, "stem": (8, 16)}, APART)],
}


def test_all_spaces_are_here() -> None:
    assert {*NETWORKS, "timm"} == set(registry.own("spaces"))


def built(name: str, options: dict[str, Any], text: str | None) -> nn.Module:
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


@pytest.mark.parametrize(
    ("name", "options", "text"), [(name, *each) for name, several in NETWORKS.items() for each in several]
)
@torch.no_grad()
def test_a_network_is_exported_for_batches_of_any_size(
    name: str, options: dict[str, Any], text: str | None
) -> None:
    torch.manual_seed(0)
    network, x = built(name, options, text), torch.randn(3, 3, 32, 32)
    shapes = ({0: torch.export.Dim("images")},)
    graph = torch.export.export(copy.deepcopy(network), (x,), dynamic_shapes=shapes).module()
    for batch in (x, x[:1], x[:2], torch.cat([x, x])):
        torch.testing.assert_close(graph(batch), network(batch))


def test_a_file_that_cannot_be_run_is_told_in_one_line() -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: nasbench_eval[export]")
    with pytest.raises(UsageError, match=r"cannot run this network on batches of any size .*not kept"):
        export._run(b"no network", [np.zeros((2, 3, 8, 8), np.float32)])
