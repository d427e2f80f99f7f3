"""Enumerates NAS-Bench-101's cells from their definition and stores them in the order of their hashes.

    python scripts/enumerate_nasbench101.py     # about two minutes; writes the file beside the space's module

The result depends on nothing but the definition: cells of two to seven vertices, at most nine edges and three
operations, one of each isomorphism class, by the benchmark's hash.
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from nasbench_eval.spaces import _nasbench101_order as order
from nasbench_eval.spaces.nasbench101 import OPERATIONS, Cell, module_hash


def main() -> None:
    """Enumerate, hash, sort, write."""
    vertices, bits, graph, labelling = [], [], [], []
    for size in range(2, order.MAX_VERTICES + 1):
        numbers, codes = order.enumerate_cells(size)
        for number, own in zip(numbers, codes, strict=True):
            graph += [len(bits)] * len(own)
            labelling += own.tolist()
            vertices.append(size)
            bits.append(int(number))
    hashes = []
    for which, code in tqdm(zip(graph, labelling, strict=True), total=len(graph), unit="cell"):
        labels = order.labelling(code, vertices[which])
        edges = order.edge_list(bits[which], vertices[which])
        hashes.append(module_hash(Cell(tuple(OPERATIONS[label] for label in labels), edges)))
    if not len(set(hashes)) == len(hashes) == order.SIZE:
        raise SystemExit(f"{len(hashes)} cells with {len(set(hashes))} hashes; the paper has {order.SIZE}")
    by_hash = np.argsort(np.array(hashes))
    np.savez_compressed(
        order.FILE,
        vertices=np.array(vertices, dtype=np.uint8),
        bits=np.array(bits, dtype=np.uint32),
        graph=np.array(graph, dtype=np.uint16)[by_hash],
        labelling=np.array(labelling, dtype=np.uint8)[by_hash],
    )
    print(f"{len(bits)} graphs, {len(hashes)} cells, {order.FILE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
