"""Every option of the Hydra commands: from the YAML file and the typed dataclass."""

from __future__ import annotations

import re
import typing
from dataclasses import fields
from typing import Any

from nasbench_eval.options.typed import RetrainOptions, RunOptions, SearchOptions, TrainOptions
from nasbench_eval.paths import config_folder
from reference_pages.text import code, kind, prose, table

_LINE = re.compile(r"^(\w+):\s*(.*?)\s*(?:#\s*(.*))?$")
# In the help text: the option, its meaning, and lines that go on with it.
_HELP = re.compile(r"^ {8}(\w+)= {2,}(\S.*(?:\n {20,}\S.*)*)", re.M)
_NO_OPTIONS = {"defaults", "hydra"}


def _yaml(name: str) -> dict[str, tuple[str, str]]:
    """Default and meaning of each top-level option of a file in configs/: from its help text or comment."""
    text = (config_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    told = {key: " ".join(meaning.replace("$$", "$").split()) for key, meaning in _HELP.findall(text)}
    found = {}
    for line in text.splitlines():
        if (match := _LINE.match(line)) and match[1] not in _NO_OPTIONS:
            found[match[1]] = (match[2], told.get(match[1]) or match[3] or "")
    return found


def _page(name: str, cls: Any) -> str:
    defaults = _yaml(name)
    hints = typing.get_type_hints(cls, include_extras=True)
    options = {field.name for field in fields(cls)}
    if lacking := options - defaults.keys():
        raise ValueError(f"configs/{name}.yaml has no default for {sorted(lacking)}")
    if silent := [key for key in options if not defaults[key][1]]:
        raise ValueError(f"configs/{name}.yaml does not say what {sorted(silent)} mean")
    rows = [
        [code(f"{key}="), code(default), kind(hints[key]), prose(meaning)]
        for key, (default, meaning) in defaults.items()
        if key in options
    ]
    return table(["option", "default", "type", "meaning"], rows)


def score() -> str:
    """Of `nasbench-score`."""
    return _page("config", RunOptions)


def train() -> str:
    """Of `nasbench-train`."""
    return _page("train", TrainOptions)


def retrain() -> str:
    """Of `nasbench-retrain`."""
    return _page("retrain", RetrainOptions)


def search() -> str:
    """Of `nasbench-search`."""
    return _page("search", SearchOptions)
