"""The JSON that the authors' package writes, read into the form of `_uninas_text`.

Its blocks are letters, or objects with two trees of nodes.  A node tells its class, what it holds, and its
shape, which is ignored here since shapes follow from the widths.  Heads of attention have sequences of their
own; where all are equal the first stands for all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nasbench_eval.wording import shown

# What tells such JSON from others.
KEY = "model_str"
_SIMPLE = {
    "Conv1": "conv1",
    "Conv3": "conv3",
    "ConvDepth3": "depth3",
    "ConvDepth5": "depth5",
    "BatchNorm": "batch_norm",
    "LayerNorm": "layer_norm",
    "GELU": "gelu",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "MaxPool": "max_pool",
    "Dropout": "dropout",
    "Mask": "mask",
    "RelPosBias": "position_bias",
    "Identity": "identity",
    "Zero": "zero",
}
_AROUND = {"ExpandAndReduce": "expand", "ReduceAndExpand": "reduce", "AvgAndUpsample": "pool"}
_PAIRS = {("copy", "add"): "add", ("copy", "multiply"): "gate", ("chunk", "concat"): "split"}


def translated(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same architecture in this package's form.  Raises ValueError: the way to what is wrong."""
    blocks = content[KEY]
    try:
        blocks = json.loads(blocks) if isinstance(blocks, str) else blocks
    except (ValueError, RecursionError):
        raise ValueError(f"{KEY}: no JSON that can be read") from None
    if not isinstance(blocks, list) or not all(isinstance(stage, list) for stage in blocks):
        raise ValueError(f"{KEY}: a list of the blocks of each stage belongs here")
    found: dict[str, Any] = {
        "blocks": [
            [_block(block, f"{KEY}[{s}][{b}]") for b, block in enumerate(stage)]
            for s, stage in enumerate(blocks)
        ]
    }
    stem = content.get("stem_width")
    if stem is not None:
        found["stem"] = [stem, stem] if isinstance(stem, int) else stem
    if content.get("embed_dim") is not None:
        found["widths"] = content["embed_dim"]
    return found


def _block(content: Any, way: str) -> Any:
    if isinstance(content, str):
        return content
    if not isinstance(content, dict) or set(content) != {"subblock1", "subblock2"}:
        raise ValueError(f"{way}: a letter, or an object with subblock1 and subblock2, belongs here")
    return [_sequence(content[half], f"{way}.{half}") for half in ("subblock1", "subblock2")]


def _sequence(content: Any, way: str) -> list[Any]:
    name, params = _read(content, way)
    if name != "SequentialModule":
        return [_node(content, way)]
    return [_node(node, f"{way}[{at}]") for at, node in enumerate(_list(params, "modules", way))]


def _node(content: Any, way: str) -> Any:
    name, params = _read(content, way)
    if name in _SIMPLE:
        return _SIMPLE[name]
    if name in _AROUND:
        if params.get("factor", 4) != 4:
            raise ValueError(f"{way}: the factor of {name} is 4, not {shown(str(params['factor']))}")
        return {_AROUND[name]: [_sequence(params.get("sequential"), f"{way}.{name}")]}
    if name == "ForkMerge":
        pair = tuple(map(str, _list(params, "fork_merge_tuple", way)))
        branches = [_sequence(b, f"{way}.branches") for b in _list(params, "branches", way)]
        if pair not in _PAIRS or len(branches) != 2:
            raise ValueError(f"{way}: no node here does {' and '.join(pair)} with {len(branches)} branches")
        return {_PAIRS[pair]: branches}
    if name == "ForkMergeAttention":
        return {"attention": _heads(params, way)}
    raise ValueError(f"{way}: {shown(name)} is no node of the authors' that is known here")


def _heads(params: Mapping[str, Any], way: str) -> Any:
    inputs = [_sequence(b, f"{way}.branches") for b in _list(params, "branches", way)]
    maps = [_sequence(b, f"{way}.connections") for b in _list(params, "connections", way)]
    outs = [_sequence(b, f"{way}.post_branches") for b in _list(params, "post_branches", way)]
    if not len(inputs) == 3 * len(maps) == 3 * len(outs) > 0:
        raise ValueError(f"{way}: its heads have {len(inputs)}, {len(maps)} and {len(outs)} sequences")
    heads = [
        {"q": inputs[3 * n], "k": inputs[3 * n + 1], "v": inputs[3 * n + 2], "map": maps[n], "out": outs[n]}
        for n in range(len(maps))
    ]
    return heads[0] if all(head == heads[0] for head in heads) else heads


def _read(content: Any, way: str) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(content, dict) or not isinstance(content.get("params", {}), dict):
        raise ValueError(f"{way}: an object with the class of a node belongs here")
    return str(content.get("class")), content.get("params", {})


def _list(params: Mapping[str, Any], key: str, way: str) -> list[Any]:
    if not isinstance(params.get(key), list):
        raise ValueError(f"{way}: {key} is a list")
    found: list[Any] = params[key]
    return found
