"""How many channels the vertices of a NAS-Bench-101 cell have (Ying et al. 2019, section 2.1)."""

from __future__ import annotations

from collections.abc import Sequence

Edge = tuple[int, int]


def vertex_channels(channels_in: int, channels_out: int, vertices: int, edges: Sequence[Edge]) -> list[int]:
    """How many channels each vertex puts out.

    The output's sources share its channels, the first of them taking one more where the division leaves a
    rest; any other vertex has as many as the widest it leads to.
    """
    last = vertices - 1
    channels = [channels_in] + [0] * (vertices - 2) + [channels_out]
    sources = [s for s in range(1, last) if (s, last) in edges]
    for position, source in enumerate(sources):
        share, rest = divmod(channels_out, len(sources))
        channels[source] = share + (position < rest)
    for vertex in reversed(range(1, last)):
        if vertex not in sources:
            channels[vertex] = max(channels[t] for s, t in edges if s == vertex)
    return channels
