"""How UniNAS architectures are drawn and changed.

Týbl & Neumann, "Universal Neural Architecture Space": one step of the walk in their released code.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nasbench_eval.spaces._uninas_graph import (
    COMPOSITES,
    KINDS,
    Architecture,
    Node,
    Place,
    Rules,
    bodies_of,
    changed,
)

# How often a step takes a node away.
REMOVED = 0.3
_ZERO = Node("zero")

# Whether a node at a place fits what is left of the limits.
Fits = Callable[[Node, Place], bool]


def fresh(kind: str) -> Node:
    """A node of a kind as a step adds it: with nothing inside."""
    return Node(kind, ((),) * COMPOSITES.get(kind, 0))


def step(
    arch: Architecture,
    rng: np.random.Generator,
    rules: Rules,
    fits: Fits,
    *,
    adds_zero: bool,
) -> Architecture | None:
    """The network with one node more or less; None if there is none to take away, or none that may be added.

    Stage, block and half are drawn uniformly, then one of all sequences in that half, those inside of
    composite nodes included.  With probability 0.3 one of its nodes goes, with all that is inside; else one
    comes at any place, of the kinds that are legal there and fit.

    Args:
        arch: the network.
        rng: all chance.
        rules: which nodes may stand where.
        fits: whether a node at a place fits the limits.
        adds_zero: whether an empty half may become zero, without which no step leads back to networks of
            one half.  The authors' code does not add it.
    """
    stage = int(rng.integers(len(arch.blocks)))
    block = int(rng.integers(len(arch.blocks[stage])))
    half = int(rng.integers(2))
    whole = arch.blocks[stage][block][half]
    found = list(bodies_of(whole, Place(arch.widths[stage], stage=stage)))
    way, body, place = found[int(rng.integers(len(found)))]
    if rng.random() < REMOVED:
        if not body:
            return None
        at = int(rng.integers(len(body)))
        other = (*body[:at], *body[at + 1 :])
    else:
        nodes = [fresh(kind) for kind in KINDS if rules.broken(kind, place) is None]
        nodes = [node for node in nodes if fits(node, place)]
        if adds_zero and not way and not body:
            nodes.append(_ZERO)
        if not nodes:
            return None
        at = int(rng.integers(len(body) + 1))
        other = (*body[:at], nodes[int(rng.integers(len(nodes)))], *body[at:])
    return arch.with_half(stage, block, half, changed(whole, way, other))
