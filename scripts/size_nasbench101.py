"""How FLOPs and parameters rank all of NAS-Bench-101: the rows of Figure 2 that nobody has to sample.

    NASBENCH_EVAL_DATA=... python scripts/size_nasbench101.py

Both are sums over a cell's convolutions, whose widths its graph alone decides, so 2,494 graphs tell those of
all 423,624 cells.  The parameters have to equal the benchmark's own, every one of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nasbench_eval.data.folder import data_folder
from nasbench_eval.report.published import published_correlation
from nasbench_eval.report.statistics.correlation import spearman_rho
from nasbench_eval.spaces import _nasbench101_order as order
from nasbench_eval.spaces._nasbench101_network import vertex_channels
from nasbench_eval.spaces.nasbench101 import OPERATIONS, NASBench101
from nasbench_eval.truth.tables import accuracy, load_table

RESOLUTION, CLASSES = 32, 10
INTERIOR = order.MAX_VERTICES - 2
# Weights a pair of channels has in each operation, in the order of the labels.
KERNELS = np.array([9 if name == "conv3x3" else 1 if name == "conv1x1" else 0 for name in OPERATIONS])


class Size(NamedTuple):
    """FLOPs and parameters, of numbers or of arrays of one shape."""

    flops: NDArray[np.int64]
    params: NDArray[np.int64]


def convolution(channels_in: int, channels_out: int, kernel: int, resolution: int) -> NDArray[np.int64]:
    """FLOPs and parameters of a convolution and its batch norm; a kernel of 0 is neither."""
    weights = kernel * channels_in * channels_out
    return np.array([weights * resolution**2, weights + 2 * channels_out * (kernel > 0)])


def of_graph(
    vertices: int, edges: tuple[tuple[int, int], ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What all cells of a graph have, (2,), and what an operation adds at a vertex, (2, vertices, labels)."""
    space = NASBench101()
    fixed = convolution(3, space.channels, 9, RESOLUTION)
    added = np.zeros((2, INTERIOR, len(OPERATIONS)), dtype=np.int64)
    channels_in = space.channels
    for stack in range(3):
        width, resolution = space.channels << stack, RESOLUTION >> stack
        for _ in range(space.cells_per_stack):
            channels = vertex_channels(channels_in, width, vertices, edges)
            for source, target in edges:
                if source == 0:
                    fixed = fixed + convolution(channels_in, channels[target], 1, resolution)
            for vertex in range(1, vertices - 1):
                for label, kernel in enumerate(KERNELS):
                    c = channels[vertex]
                    added[:, vertex - 1, label] += convolution(c, c, int(kernel), resolution)
            channels_in = width
    return fixed + np.array([channels_in * CLASSES, (channels_in + 1) * CLASSES]), added


def of_all_cells() -> Size:
    """FLOPs and parameters of every cell, in the benchmark's order."""
    stored = order.load()
    sizes = np.zeros((2, len(stored.graph)), dtype=np.int64)
    for graph, (bits, vertices) in enumerate(
        zip(stored.bits.tolist(), stored.vertices.tolist(), strict=True)
    ):
        fixed, added = of_graph(vertices, order.edge_list(bits, vertices))
        cells = np.flatnonzero(stored.graph == graph)
        sizes[:, cells] = fixed[:, None]
        for vertex in range(vertices - 2):
            place = len(OPERATIONS) ** (vertices - 3 - vertex)
            sizes[:, cells] += added[:, vertex, stored.labelling[cells] // place % len(OPERATIONS)]
    return Size(*sizes)


def main() -> None:
    table = load_table("nasbench101", data_folder())
    truth, sizes = accuracy(table, "cifar10", "test"), of_all_cells()
    if not np.array_equal(sizes.params, table["params"].to_numpy()):
        raise SystemExit("the parameters are not the benchmark's")
    print(f"parameters of all {len(table):,} cells equal the benchmark's\n")
    print("| proxy | Kendall τ | paper | Spearman ρ | paper |\n|---|---:|---:|---:|---:|")
    for name, values in sizes._asdict().items():
        tau, rho = kendalltau(values, truth).statistic, spearman_rho(values, truth)
        paper = [
            published_correlation("intrain", "figure2", "nasbench101", "cifar10", name, metric) or "–"
            for metric in ("kendall_tau", "spearman_rho")
        ]
        print(f"| {name} | {tau:.3f} | {paper[0]} | {rho:.3f} | {paper[1]} |")


if __name__ == "__main__":
    main()
