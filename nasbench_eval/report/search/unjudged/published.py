"""What publications report of the networks of a space, as published: nothing here makes it again."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from nasbench_eval.report.published import load_published

# The tables of `published.csv` that are about networks of a space, and the columns of their figures.
_TABLES = {"uninas": ("imagenet", "downstream")}
_HEADS = {
    "top1_percent": "ImageNet %",
    "ap_box": "COCO AP box",
    "ap_mask": "AP mask",
    "miou": "ADE20K mIoU",
}
TITLE = "Published networks of this space, as published; none of these figures was made here"


def published_networks(spaces: Iterable[str]) -> pd.DataFrame:
    """A line a network, empty for spaces without any."""
    figures = load_published()
    found = []
    for space in dict.fromkeys(spaces):
        rows = figures[(figures["space"] == space) & figures["table"].isin(_TABLES.get(space, ()))]
        for item in dict.fromkeys(rows["item"]):
            mine = rows[rows["item"] == item]
            told = dict(zip(mine["metric"].map(_HEADS), mine["value"], strict=True))
            note = next((text for text in mine["note"] if text), "")
            found.append({"space": space, "network": item, **told, "as published": note})
    columns = ["space", "network", *_HEADS.values(), "as published"]
    return pd.DataFrame(found, columns=columns).fillna("")
