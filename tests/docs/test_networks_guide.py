"""The guide to networks of one's own has a row for every proxy, and shows the figures that it draws."""

from __future__ import annotations

import re
from pathlib import Path

from nasbench_eval import registry

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "networks.md"


def test_every_proxy_has_a_row() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    section = text[text.index("## What each proxy needs") : text.index("## Limits")]
    first = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert sorted(name for cell in first for name in re.findall(r"`(\w+)`", cell)) == sorted(
        registry.own("proxies")
    )


def test_the_code_draws_the_figures() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    shown = re.findall(r"\]\(networks_(\w+)\.png\)", text)
    assert shown == re.findall(r'savefig\("(\w+)\.png"', text)
    assert all(GUIDE.with_name(f"networks_{name}.png").is_file() for name in shown)
