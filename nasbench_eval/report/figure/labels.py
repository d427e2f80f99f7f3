"""Where to write names beside points, so that neither names nor points cover each other.

Shapes: N points, each with a label; B boxes; C candidates. A box is left, bottom, right, top. All lengths are
of one unit, a typographic point where a figure is meant.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# How far off a label may stand, and from which it needs a line that leads to its point.
REACHES = (1.5, 4.0, 8.0, 13.0, 19.0, 26.0, 34.0, 44.0)
LEADER = 3.0
DIRECTIONS = 16
ROUNDS, STARTS, KEPT = 12, 16, 64
# What it costs to cover another label, an obstacle and what lies beyond the bounds, each for the length of
# it; a leader through another label, another leader and an obstacle; and to stand off.
COVERED, OBSTACLE, BEYOND = 60.0, 12.0, 1000.0
CROSSED, TANGLED, STRUCK, OFF = 60.0, 30.0, 15.0, 1.2
# What it costs to seem to be the name of a foreign point, for standing as near to it, give or take a little.
MISTAKEN, LITTLE = 60.0, 2.5


def place_labels(points: Floats, sizes: Floats, bounds: Floats, obstacles: Floats) -> Floats:
    """Choose a place for each label, near its point, with as little covered as can be found.

    One label after another moves to the best of its candidates until none moves, from several seeded starts,
    of which the best is kept. The same input gives the same places.

    Args:
        points: shape (N, 2).
        sizes: widths and heights of the labels; shape (N, 2).
        bounds: the box to stay in; shape (4,).
        obstacles: boxes to keep clear, those of the points among them; shape (B, 4).

    Returns:
        The labels' boxes; shape (N, 4).
    """
    candidates, fixed = [], []
    for i, (point, size) in enumerate(zip(points, sizes, strict=True)):
        boxes = _candidates(point, size)
        cost = _alone(point, boxes, bounds, obstacles, np.delete(points, i, axis=0))
        best = np.argsort(cost, kind="stable")[:KEPT]  # the others would hardly be taken
        candidates.append(boxes[best])
        fixed.append(cost[best])
    orders = np.random.default_rng(0).permuted(np.tile(np.arange(len(points)), (STARTS, 1)), axis=1)
    settled = [_settle(points, candidates, fixed, order) for order in orders]
    return min(settled, key=lambda found: found[1])[0]


def _settle(
    points: Floats, candidates: list[Floats], fixed: list[Floats], order: npt.NDArray[np.int64]
) -> tuple[Floats, float]:
    """Move one label after another to the best of its candidates until none moves; boxes and their cost."""
    chosen = np.array([boxes[np.argmin(cost)] for boxes, cost in zip(candidates, fixed, strict=True)])
    costs = np.zeros(len(points))
    for _ in range(ROUNDS):
        before = chosen.copy()
        for i in order:
            others = np.arange(len(points)) != i
            cost = fixed[i] + COVERED * overlaps(candidates[i], chosen[others]).sum(axis=1)
            cost += _crossings(points[i], candidates[i], points[others], chosen[others])
            best = np.argmin(cost)
            chosen[i], costs[i] = candidates[i][best], cost[best]
        if np.array_equal(before, chosen):
            break
    return chosen, float(costs.sum())


def overlaps(boxes: Floats, others: Floats) -> Floats:
    """Square roots of the areas that boxes share, shapes (C, 4) and (B, 4) giving (C, B)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared: Floats = np.sqrt(np.clip(high - low, 0, None).prod(axis=2))
    return shared


def leader(point: Floats, box: Floats) -> Floats | None:
    """Where a line from a point meets its label's box, shape (2,); None if it stands near enough without."""
    end = _ends(point, box)
    return end if float(np.hypot(*(end - point))) > LEADER else None


def _candidates(point: Floats, size: Floats) -> Floats:
    """Boxes around a point: in every direction, at every reach; shape (C, 4)."""
    # Beside the point first: of equally good places the first is taken.
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    towards = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # The box is pushed off until it is as far from the point as it should be, whatever the direction.
    reach = np.array(REACHES)[:, None, None] + 1.5
    centres = (point + towards * reach + np.clip(2 * towards, -1, 1) * size / 2).reshape(-1, 2)
    return np.concatenate([centres - size / 2, centres + size / 2], axis=1)


def _alone(point: Floats, boxes: Floats, bounds: Floats, obstacles: Floats, others: Floats) -> Floats:
    """What each candidate costs before there are other labels; shape (C,)."""
    low, high = np.clip(bounds[:2] - boxes[:, :2], 0, None), np.clip(boxes[:, 2:] - bounds[2:], 0, None)
    ends = _ends(point, boxes)
    gaps = np.hypot(*(ends - point).T)
    # A point's own mark is not in the way of its leader.
    foreign = obstacles[~((obstacles[:, :2] < point) & (point < obstacles[:, 2:])).all(axis=1)]
    struck = _hits(point, ends[:, None], foreign[None]).sum(axis=1) * (gaps > LEADER)
    cost: Floats = BEYOND * (low + high).sum(axis=1) + OFF * gaps + STRUCK * struck
    cost += OBSTACLE * overlaps(boxes, obstacles).sum(axis=1)
    # Whose name is it? A leader says so, unless a foreign point is right beside the name or on the leader. Of
    # points in one place no name can be nearer to one.
    others = others[np.hypot(*(others - point).T) > LEADER]
    away = np.hypot(*np.moveaxis(_ends(others[None], boxes[:, None]) - others[None], -1, 0))
    beside = away < np.minimum(gaps, LEADER)[:, None] + LITTLE
    marks = np.concatenate([others - LITTLE, others + LITTLE], axis=1)
    cost += MISTAKEN * (beside | _hits(point, ends[:, None], marks[None])).sum(axis=1)
    return cost


def _crossings(point: Floats, boxes: Floats, points: Floats, chosen: Floats) -> Floats:
    """What each candidate's leader and those of the labels that are placed cost each other; shape (C,)."""
    ends, theirs = _ends(point, boxes), _ends(points, chosen)
    own = _hits(point, ends[:, None], chosen[None]).sum(axis=1)
    foreign = _hits(points[None], theirs[None], boxes[:, None]).sum(axis=1)
    tangled = _cross(point, ends[:, None], points[None], theirs[None]).sum(axis=1)
    cost: Floats = CROSSED * (own + foreign) + TANGLED * tangled
    return cost


def _ends(point: Floats, boxes: Floats) -> Floats:
    ends: Floats = np.clip(point, boxes[..., :2], boxes[..., 2:])
    return ends


def _hits(starts: Floats, ends: Floats, boxes: Floats) -> npt.NDArray[np.bool_]:
    """Whether a line from start to end passes through a box; broadcast over all but the last axis."""
    step = ends - starts
    step = np.where(np.abs(step) < 1e-9, 1e-9, step)
    one, other = (boxes[..., :2] - starts) / step, (boxes[..., 2:] - starts) / step
    # Of the line's length, the share at which it has come into both of the box's sides, and out of one again.
    enters = np.minimum(one, other).max(axis=-1)
    leaves = np.maximum(one, other).min(axis=-1)
    hit: npt.NDArray[np.bool_] = np.maximum(enters, 0) < np.minimum(leaves, 1)
    return hit


def _cross(a: Floats, b: Floats, c: Floats, d: Floats) -> npt.NDArray[np.bool_]:
    """Whether the lines from a to b and from c to d cross; broadcast."""

    def side(p: Floats, q: Floats, r: Floats) -> Floats:
        turn: Floats = (q - p)[..., 0] * (r - p)[..., 1] - (q - p)[..., 1] * (r - p)[..., 0]
        return turn

    crossed: npt.NDArray[np.bool_] = (side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)
    return crossed
