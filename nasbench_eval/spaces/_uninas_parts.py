"""UniNAS architectures as nested boxes, and what edits made of one."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from nasbench_eval.spaces._nested import Box, Boxes, Mark, Part
from nasbench_eval.spaces._uninas_graph import ATTENTION, LETTERS, Architecture, Body, Node

_BRANCHES = {"add": ("a", "b"), "gate": ("x", "gate"), "split": ("a", "b")}


def parts(arch: Architecture, before: Architecture | None) -> tuple[Part, ...]:
    """The blocks, each operation marked by what became of it where an earlier network is given.

    Raises:
        ValueError: if the earlier one has other numbers of blocks.
    """
    if before is not None and [*map(len, before.blocks)] != [*map(len, arch.blocks)]:
        raise ValueError("the two networks have different numbers of blocks")
    found = []
    for s, stage in enumerate(arch.blocks):
        for b, block in enumerate(stage):
            old = block if before is None else before.blocks[s][b]
            letter = LETTERS.get(old)
            title = f"{s + 1}.{b + 1}" + (f" {letter}" if letter else "")
            halves = tuple(
                (f"S{h + 1}", compared(one, two)) for h, (one, two) in enumerate(zip(old, block, strict=True))
            )
            found.append(Part(s + 1, title, halves))
    return tuple(found)


def compared(old: Body, new: Body) -> Boxes:
    """The operations of both sequences in one, in an order that both keep to."""
    found: list[Box] = []
    kinds = [[node.kind for node in body] for body in (old, new)]
    for how, a, b, c, d in SequenceMatcher(None, kinds[0], kinds[1], autojunk=False).get_opcodes():
        if how == "equal":
            found += [_both(one, two) for one, two in zip(old[a:b], new[c:d], strict=True)]
        else:
            found += [_whole(node, "gone") for node in old[a:b]]
            found += [_whole(node, "new") for node in new[c:d]]
    return tuple(found)


def _both(old: Node, new: Node) -> Box:
    if len(old.bodies) != len(
        new.bodies
    ):  # heads that share their sequences, and heads with some of their own
        return Box(new.kind, "new", _whole(new, "new").bodies)
    names = _names(new.kind, len(new.bodies))
    inside = zip(names, old.bodies, new.bodies, strict=True)
    return Box(new.kind, "kept", tuple((name, compared(one, two)) for name, one, two in inside))


def _whole(node: Node, mark: Mark) -> Box:
    names = _names(node.kind, len(node.bodies))
    inside = zip(names, node.bodies, strict=True)
    bodies = tuple((name, tuple(_whole(each, mark) for each in body)) for name, body in inside)
    return Box(node.kind, mark, bodies)


def _names(kind: str, count: int) -> Sequence[str]:
    if kind != "attention":
        return _BRANCHES.get(kind, ("",) * count)
    heads = count // len(ATTENTION)
    return [name if heads == 1 else f"{name}{head + 1}" for head in range(heads) for name in ATTENTION]
