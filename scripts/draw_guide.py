"""The figures of the guide docs/guides/networks.md: what the Python code on that page draws.

`python scripts/draw_guide.py` writes docs/guides/networks_*.png.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "docs"))
PAGE = ROOT / "docs" / "guides" / "networks.md"
NAMES = ("diagnosis", "sweep")


def main() -> None:
    """Run the page in a folder of its own, and copy the figures that it leaves."""
    import pages  # beside the tests

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        pages.run(PAGE, Path(folder))
        for name in NAMES:
            shutil.copy(f"{name}.png", PAGE.with_name(f"{PAGE.stem}_{name}.png"))


if __name__ == "__main__":
    main()
