"""What searches have left."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

# What a search measures is not the same twice.
MEASURED = ["proxy_seconds", "wall_seconds"]


def history(folder: Path | str) -> pd.DataFrame:
    """The history of a search, but for what it measured."""
    frame = pd.read_parquet(Path(folder) / "history").drop(columns=MEASURED)
    return frame.astype({"arch": str, "incumbent": str})
