"""Draw UniNAS architectures that lie evenly between convolutional networks and transformers.

    python scripts/list_uninas.py archs.txt -n 150

Of each architecture a share of transformers is drawn uniformly from 0 to 1.  Each block is a transformer's
that probability, else a residual network's or an EfficientNet's; then up to `--edits` edits are made, their
number drawn uniformly.  So all numbers of transformer blocks come about equally often before the edits.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from nasbench_eval.errors import Parser, guard
from nasbench_eval.files import write_whole
from nasbench_eval.spaces.uninas import UniNAS

# The networks that are trained: thin, shallow ones for images of 32 pixels.
THIN = UniNAS(resolution=32, widths=(32, 64, 96, 128), stem=(16, 32), depths=(1, 2, 2, 1))


def main() -> int:
    """Write the list; returns the exit code."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("-n", type=int, default=150, help="how many, all different (150)")
    parser.add_argument("--edits", type=int, default=12, help="the most edits of one (12)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, found = np.random.default_rng(arguments.seed), dict[str, None]()
    while len(found) < arguments.n:
        found[drawn(THIN, rng, arguments.edits)] = None
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(arguments.file, "".join(f"{text}\n" for text in found).encode())
    print(f"{len(found)} architectures written to {arguments.file}")
    return 0


def drawn(space: UniNAS, rng: np.random.Generator, edits: int) -> str:
    """The text of one architecture."""
    share = rng.random()
    blocks = [
        ["T" if rng.random() < share else "RE"[int(rng.integers(2))] for _ in range(depth)]
        for depth in space.depths
    ]
    arch = space.parse(json.dumps(blocks))
    for _ in range(int(rng.integers(edits + 1))):
        arch = space.mutate(arch, rng)
    return space.format(arch)


if __name__ == "__main__":
    sys.exit(guard(main))
