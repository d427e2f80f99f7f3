"""UniNAS architectures as JSON: compact text of this package, and the authors' own, which is read as well.

    {"blocks":[["E"],["R"],[[["conv3",{"add":[[],["gelu"]]}],["zero"]]]],"stem":[32,64],"widths":[96,192,384]}

A block is a letter or the list of its halves.  A sequence is a list of nodes; a node is the name of its kind,
or an object with that name alone, whose value holds the sequences inside.  Attention names them, or has a
list of such objects, one a head:

    {"attention":{"k":[],"map":["position_bias","softmax"],"out":[],"q":[],"v":[]}}

  A name of a known network, or the list of blocks alone, is read, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nasbench_eval.registry import nearest
from nasbench_eval.spaces import _uninas_authors as authors
from nasbench_eval.spaces._uninas_graph import (
    ATTENTION,
    BLOCKS,
    COMPOSITES,
    LETTERS,
    NETWORKS,
    SIMPLE,
    Architecture,
    Block,
    Body,
    Node,
    Place,
    Rules,
    heads_of,
    nodes_in,
)
from nasbench_eval.wording import shown

# What stands inside a node that is a name alone.
_NOTHING = object()
# More is no width of any network.
_WIDEST = 1 << 16


def written(arch: Architecture) -> str:
    """The text of an architecture: keys sorted, no blanks, letters for the blocks that have one."""
    blocks = [[_block_out(block) for block in stage] for stage in arch.blocks]
    content = {"blocks": blocks, "stem": arch.stem, "widths": arch.widths}
    return json.dumps(content, separators=(",", ":"), sort_keys=True)


def _block_out(block: Block) -> Any:
    return LETTERS.get(block) or [_body_out(half) for half in block]


def _body_out(body: Body) -> list[Any]:
    return [_node_out(node) for node in body]


def _node_out(node: Node) -> Any:
    if node.kind in SIMPLE:
        return node.kind
    if node.kind != "attention":
        return {node.kind: [_body_out(body) for body in node.bodies]}
    heads = [
        {name: _body_out(body) for name, body in zip(ATTENTION, head, strict=True)}
        for head in heads_of(node.bodies)
    ]
    return {node.kind: heads[0] if len(heads) == 1 else heads}


class _Twice(Exception):
    """A name stands twice in an object."""


class Reader:
    """Reads texts.

    Args:
        rules: which nodes may stand where.
        depths: blocks of the stages of known networks.
        widths: channels of each stage where a text names none; None takes those of the known network.
        stem: channels of the stem where a text names none.
    """

    def __init__(
        self, rules: Rules, depths: Sequence[int], widths: tuple[int, ...] | None, stem: tuple[int, int]
    ) -> None:
        self.rules, self.depths, self.widths, self.stem = rules, depths, widths, stem
        self._nodes = 0

    def read(self, text: str) -> Architecture:
        """The architecture of a text.  Raises ValueError: the way to what is wrong, and the rule."""
        if (name := text.strip().lower()) in NETWORKS:
            arch = self.known(name)
            if (nodes := sum(nodes_in(body) for *_, body, _ in arch.halves())) > self.rules.max_nodes:
                raise ValueError(f"{name} has {nodes} operations, max_nodes={self.rules.max_nodes}")
            return arch
        try:
            content = json.loads(text, object_pairs_hook=_object)
        except ValueError as error:
            near = nearest(name, list(NETWORKS)) if name.isalpha() else []
            hint = (
                f"; did you mean {' or '.join(near)}?" if near else f", and is none of {', '.join(NETWORKS)}"
            )
            raise ValueError(f"{shown(text)} is no JSON ({error}){hint}") from None
        except _Twice as error:
            raise ValueError(f"{shown(str(error))} stands twice in one object") from None
        except RecursionError:
            raise ValueError(f"{shown(text)}: it is nested too deeply to be read") from None
        if isinstance(content, dict) and authors.KEY in content:
            content = authors.translated(content)
        if isinstance(content, list):
            content = {"blocks": content}
        if not isinstance(content, dict):
            raise ValueError(f"{shown(text)} is no architecture: an object with blocks, stem and widths")
        return self._whole(content)

    def known(self, name: str) -> Architecture:
        """A known network, in the widths of the space if it has some."""
        letters, widths = NETWORKS[name]
        widths = self.widths or widths
        stages = zip(letters, self.depths, strict=True)
        blocks = tuple((BLOCKS[letter],) * depth for letter, depth in stages)
        return Architecture(blocks, widths, self.stem)

    def _whole(self, content: Mapping[str, Any]) -> Architecture:
        for key in content:
            if key not in ("blocks", "stem", "widths"):
                raise ValueError(f"{shown(key)}: an architecture has blocks, stem and widths alone")
        if "blocks" not in content:
            raise ValueError("the architecture has no blocks")
        widths = _numbers("widths", content.get("widths", self.widths or NETWORKS["coatnet"][1]))
        stem = _numbers("stem", content.get("stem", self.stem))
        if len(stem) != 2:
            raise ValueError(f"stem: it has two convolutions, and this names {len(stem)} widths")
        stages = _items("blocks", content["blocks"])
        if len(stages) != len(widths):
            raise ValueError(f"blocks: {len(stages)} stages, but {len(widths)} widths")
        self._nodes = 0
        blocks = tuple(
            self._stage(stage, f"blocks[{s}]", Place(width, stage=s))
            for s, (stage, width) in enumerate(zip(stages, widths, strict=True))
        )
        return Architecture(blocks, widths, (stem[0], stem[1]))

    def _stage(self, content: Any, way: str, place: Place) -> tuple[Block, ...]:
        blocks = _items(way, content)
        if not blocks:
            raise ValueError(f"{way}: a stage has a block at least")
        return tuple(self._block(block, f"{way}[{b}]", place) for b, block in enumerate(blocks))

    def _block(self, content: Any, way: str, place: Place) -> Block:
        if isinstance(content, str):
            if content not in BLOCKS:
                raise ValueError(f"{way}: {shown(content)} is no block; letters are {', '.join(BLOCKS)}")
            for half in BLOCKS[content]:
                self._check(half, way, place)
            return BLOCKS[content]
        halves = _items(way, content)
        if len(halves) != 2:
            raise ValueError(f"{way}: a block has two halves, and this has {len(halves)}")
        first, second = (self._body(half, f"{way}[{n}]", place) for n, half in enumerate(halves))
        return first, second

    def _check(self, body: Body, way: str, place: Place) -> None:
        """Whether a known sequence may stand at a place."""
        for node in body:
            self._met(node.kind, way, place)
            for which, inner in enumerate(node.bodies):
                self._check(inner, way, place.inside(node, which))

    def _met(self, kind: str, way: str, place: Place) -> None:
        self._nodes += 1
        if self._nodes > self.rules.max_nodes:
            raise ValueError(f"{way}: the architecture has more nodes than max_nodes={self.rules.max_nodes}")
        if (rule := self.rules.broken(kind, place)) is not None:
            raise ValueError(f"{way}: {rule}")

    def _body(self, content: Any, way: str, place: Place) -> Body:
        return tuple(self._node(node, f"{way}[{at}]", place) for at, node in enumerate(_items(way, content)))

    def _node(self, content: Any, way: str, place: Place) -> Node:
        kind, inside = _kind(content, way)
        self._met(kind, way, place)
        if kind in SIMPLE:
            return Node(kind)
        way = f"{way}.{kind}"
        if kind == "attention":
            named = self._attention(inside, way, place)
        else:
            named = [(f"{way}[{n}]", body) for n, body in enumerate(_items(way, inside))]
            if len(named) != COMPOSITES[kind]:
                raise ValueError(f"{way}: {kind} holds {COMPOSITES[kind]} sequences, and this {len(named)}")
        node = Node(kind)
        return Node(
            kind,
            tuple(
                self._body(body, where, place.inside(node, which))
                for which, (where, body) in enumerate(named)
            ),
        )

    def _attention(self, content: Any, way: str, place: Place) -> list[tuple[str, Any]]:
        """The sequences inside attention with their ways, head after head."""
        heads = content if isinstance(content, list) else [content]
        if len(heads) not in (1, place.heads()):
            raise ValueError(f"{way}: {place.heads()} heads here, and sequences for {len(heads)}")
        found = []
        for n, head in enumerate(heads):
            here = f"{way}[{n}]" if len(heads) > 1 else way
            if not isinstance(head, dict) or set(head) - set(ATTENTION):
                raise ValueError(f"{here}: an object with the sequences {', '.join(ATTENTION)} belongs here")
            found += [(f"{here}.{name}", head.get(name, [])) for name in ATTENTION]
        return found


def _kind(content: Any, way: str) -> tuple[str, Any]:
    """The kind of a node, and what stands inside."""
    if isinstance(content, str):
        kind, inside = content, _NOTHING
    elif isinstance(content, dict) and len(content) == 1:
        ((kind, inside),) = content.items()
    else:
        raise ValueError(
            f"{way}: a node is a name, or an object with one name; this is {shown(str(content))}"
        )
    if kind not in SIMPLE and kind not in COMPOSITES:
        near = nearest(kind, [*SIMPLE, *COMPOSITES])
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"{way}: {shown(kind)} is no kind of node{hint}")
    if (inside is _NOTHING) != (kind in SIMPLE):
        what = "holds no sequences" if kind in SIMPLE else "is an object with its sequences"
        raise ValueError(f"{way}: {kind} {what}")
    return kind, inside


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON.  Raises `_Twice` where a name stands in it twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return found


def _items(way: str, content: Any) -> list[Any]:
    if not isinstance(content, list):
        raise ValueError(f"{way}: a list belongs here, not {shown(str(content))}")
    return content


def _numbers(way: str, content: Any) -> tuple[int, ...]:
    numbers = tuple(content) if isinstance(content, list | tuple) else ()
    if not numbers or not all(type(n) is int and 1 <= n <= _WIDEST for n in numbers):
        raise ValueError(f"{way}: a list of whole numbers from 1 to {_WIDEST:,} belongs here")
    return numbers
