"""Sizes of the MobileNetV2-like networks without building them, in the ways in which papers count.

- `macs`: multiply-accumulates of convolutions and classifier, as the proxy `flops` counts.
- `repo_flops`: the number that the searches of Zen-NAS, ZiCo, AZ-NAS and VKDNW hold against their budget.
- `ptflops`: what the tool ptflops 0.7 prints for the built network; the published numbers are of this kind.
"""

from __future__ import annotations

from nasbench_eval.spaces._mbconv import halved
from nasbench_eval.spaces._mobilenetv2_blocks import Structure, Unit

# The share of channels that squeeze-and-excitation squeezes to.
SQUEEZE = 0.25


def squeezed(channels: int) -> int:
    """Channels inside squeeze-and-excitation."""
    return max(1, round(SQUEEZE * channels))


def params(structure: Structure, classes: int, *, se: bool, shortcuts: bool) -> int:
    """Trainable scalars, batch norm and classifier included."""
    count = sum(9 * c.width_in * c.width_out + 2 * c.width_out for c in (structure.stem,))
    for unit in structure.units():
        inner, out = unit.inner, unit.width_out
        count += unit.width_in * inner + unit.kernel**2 * inner + inner * out + 2 * (2 * inner + out)
        if se:
            narrow = squeezed(inner)
            count += 2 * inner * narrow + 2 * (narrow + inner)
        if shortcuts and unit.shortcut == "projection":
            count += unit.width_in * out + out + 2 * out
    head = structure.head
    count += head.width_in * head.width_out + 2 * head.width_out
    return count + head.width_out * classes + classes


def macs(structure: Structure, resolution: int, classes: int, *, se: bool, shortcuts: bool) -> int:
    """Multiply-accumulates of convolutions and classifier for one image."""
    return _layers(structure, resolution, classes, se=se, shortcuts=shortcuts)[0]


def ptflops(structure: Structure, resolution: int, classes: int, *, se: bool, shortcuts: bool) -> int:
    """`macs`, and an operation for each bias, two for each element of a batch norm.

    Of squeeze-and-excitation the elements that are averaged and those of its ReLU count as well.  Other
    ReLUs, additions and the average of the last feature maps do not.
    """
    multiplied, normalised, other = _layers(structure, resolution, classes, se=se, shortcuts=shortcuts)
    return multiplied + 2 * normalised + other + classes


def _layers(
    structure: Structure, resolution: int, classes: int, *, se: bool, shortcuts: bool
) -> tuple[int, int, int]:
    """Multiply-accumulates, elements of batch norms, and further operations that ptflops counts."""
    stem, head = structure.stem, structure.head
    side = halved(resolution, stem.stride)
    multiplied = 9 * stem.width_in * stem.width_out * side**2
    normalised, other = stem.width_out * side**2, 0
    for unit in structure.units():
        before = side**2
        side = halved(side, unit.stride)
        after, inner, out = side**2, unit.inner, unit.width_out
        multiplied += unit.width_in * inner * before + (unit.kernel**2 * inner + inner * out) * after
        normalised += inner * before + (inner + out) * after
        if se:
            narrow = squeezed(inner)
            multiplied += 2 * inner * narrow
            normalised += narrow + inner
            other += inner * after + narrow
        if shortcuts and unit.shortcut == "projection":
            multiplied += unit.width_in * out * after
            normalised += out * after
            other += out * after  # the bias
    multiplied += head.width_in * head.width_out * side**2 + head.width_out * classes
    return multiplied, normalised + head.width_out * side**2, other


def repo_flops(structure: Structure, resolution: int, classes: int, *, se: bool) -> float:
    """The searches' own FLOPs.

    A convolution counts its multiply-accumulates, a batch norm one operation an element, a classifier its
    weights.  A projection is counted with its bias at the side of its output divided by the stride once
    more, so that one of stride 2 costs a quarter of what it does; there are fractions of an operation.
    Odd sides are halved downwards.
    """
    stem, head = structure.stem, structure.head
    count = float(9 * stem.width_in * stem.width_out * resolution**2 // stem.stride**2)
    side = resolution // stem.stride
    count += stem.width_out * side**2
    for unit in structure.units():
        count += _repo_unit(unit, side, se)
        side //= unit.stride
    count += (head.width_in + 1) * head.width_out * side**2
    return count + head.width_out * classes


def _repo_unit(unit: Unit, side: int, se: bool) -> float:
    inner, out = unit.inner, unit.width_out
    after = (side // unit.stride) ** 2
    count = float(unit.width_in * inner * side**2 + inner * side**2)
    count += unit.kernel**2 * inner * side**2 // unit.stride**2 + inner * after
    if se:
        count += 2 * inner * squeezed(inner) + inner + inner * after
    count += inner * out * after + out * after
    if unit.shortcut == "projection":
        count += (unit.width_in * out + out) * after / unit.stride**2
    return count
