"""Golden records: the scores of every proxy on a few small cells, to the last digit, under version control.

    python scripts/golden.py [proxy ...]          write tests/golden/<proxy>.json
    python scripts/golden.py --check [proxy ...]  only compare; exit code 1 if anything moved

A change that should move no score leaves these files as they are.  One that should move a score raises the
proxy's `info.version`, runs this script and says why.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nasbench_eval import registry
from nasbench_eval.testing import CELLS, DATASETS, dataset, differences, small, write_images
from nasbench_eval.testing import golden_record as compute

__all__ = ["CELLS", "compute", "dataset", "differences", "small", "write_images"]

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden"
# What the tolerances on file, other than RTOL, are for:
#   1e-3 where gradients are added up: a value within rounding of zero falls on the other side of a ReLU, and
#        takes a unit's gradient with it; grasp's terms cancel besides;
#   3e-2 for zico: an entry whose gradients nearly agree has a σ of rounding errors and outweighs its layer.


def load(name: str) -> dict[str, Any]:
    """The record on file.  Raises FileNotFoundError."""
    record: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return record


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check records."""
    parser = argparse.ArgumentParser(description="Write or check the golden records in tests/golden.")
    parser.add_argument("proxies", nargs="*", help="which; all if none is named")
    parser.add_argument("--check", action="store_true", help="compare only; exit code 1 on a difference")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        for name in DATASETS:
            write_images(Path(temporary), name)
        for name in options.proxies or registry.own("proxies"):
            new = compute(name, Path(temporary))
            try:
                old = load(name)
                new["rtol"] = old["rtol"]
                moved = differences(old, new)
            except FileNotFoundError:
                old, moved = {}, ["no record on file" if options.check else "new record"]
            for line in moved:
                print(f"{name}: {line}")
            failed |= bool(moved)
            if not options.check and (moved or old.get("torch") != new["torch"]):
                FOLDER.mkdir(exist_ok=True)
                (FOLDER / f"{name}.json").write_text(json.dumps(new, indent=1) + "\n")
    return int(failed and options.check)


if __name__ == "__main__":
    sys.exit(main())
