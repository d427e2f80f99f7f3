"""flops and params counted by hand; NAS-Bench-201's own are tested with the space."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from oracle import CLASSES, KEY, Build, Chain, Fixed, R, Smooth, Softmax, Spatial, cell, score

from nasbench_eval.passes import Engine, Request
from nasbench_eval.proxies.flops import Flops
from nasbench_eval.proxies.params import Params

# A multiply-accumulate for each weight at each position of its output.
COUNTS: dict[str, tuple[Build, int, int]] = {
    "softmax": (Softmax, 3 * CLASSES, 3 * CLASSES + CLASSES),
    "chain": (Chain, (3 * 4 + 4 * 6) * R * R + 6 * CLASSES, 3 * 4 + 4 * 6 + 6 * CLASSES + CLASSES),
    "chain with norms": (
        lambda: Chain(norms=True),
        (3 * 4 + 4 * 6) * R * R + 6 * CLASSES,
        3 * 4 + 4 * 6 + 2 * (4 + 6) + 6 * CLASSES + CLASSES,
    ),
    "stride 2": (
        Smooth,
        27 * 4 * R * R + 36 * 6 * (R // 2) ** 2 + 6 * CLASSES,
        27 * 4 + 4 + 36 * 6 + 6 + 6 * CLASSES + CLASSES,
    ),
    "spatial": (
        Spatial,
        (27 * 4 + 36 * 6 + 6 * CLASSES) * R * R,
        27 * 4 + 4 + 36 * 6 + 6 + 6 * CLASSES + CLASSES,
    ),
}


@pytest.mark.parametrize("case", COUNTS)
def test_counts(case: str) -> None:
    build, flops, params = COUNTS[case]
    assert score(Flops(), build) == flops
    assert score(Params(), build) == params


@pytest.mark.parametrize("proxy", [Flops(resolution=4), Params()])
def test_a_last_feature_map_of_one_position(proxy: Flops | Params) -> None:
    (spec,) = proxy.passes()
    spec = replace(spec, forward=replace(spec.forward, resolution=4))
    engine = Engine(cell()(), {"d": CLASSES}, Fixed(), KEY, torch.device("cpu"))
    (outcome,) = engine.run([Request(spec, "d", proxy.observe)])
    if outcome.error is not None:
        raise outcome.error
