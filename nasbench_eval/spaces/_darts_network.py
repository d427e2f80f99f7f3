"""DARTS's networks (Liu, Simonyan & Yang 2019, section 2.1 and appendices A.1 to A.3).

Tensor legend: B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from nasbench_eval.spaces._darts_genotype import EDGES, INPUTS, NODES, Edge, Genotype
from nasbench_eval.spaces._darts_masks import Mask
from nasbench_eval.spaces._darts_skeleton import CellSite, Kind, Skeleton
from nasbench_eval.spaces._drop_path import drop_path
from nasbench_eval.spaces._mixed import Mixed
from nasbench_eval.spaces._network import ChainNetwork, risky_channels_last

# Channels of the auxiliary head's two convolutions.
_AUXILIARY = (128, 768)


class _ReluConvBn(nn.Sequential):
    """A 1x1 convolution between ReLU and batch norm."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.ReLU(), nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out)
        )


class _FactorizedReduce(nn.Module):
    """Halves maps: two 1x1 convolutions of half of the channels each, one of them shifted by a pixel.

    Maps of odd size get a row and a column of zeros behind the shifted pixels, so that both fit.  The paper's
    own code fails there.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        half = channels_out // 2
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(channels_in, half, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(channels_in, half, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.relu(x_BCHW)
        height, width = x_BCHW.shape[2:]
        shifted = x_BCHW[:, :, 1:, 1:]
        if height % 2 or width % 2:
            shifted = nn.functional.pad(shifted, (0, width % 2, 0, height % 2))
        normed: Tensor = self.bn(torch.cat([self.even(x_BCHW), self.odd(shifted)], 1))
        return normed


class _Zero(nn.Module):
    """`none`: zeros, of maps half as large with stride 2."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return torch.zeros_like(x_BCHW[:, :, :: self.stride, :: self.stride])


def _depthwise(channels: int, kernel: int, stride: int, dilation: int = 1) -> tuple[nn.Module, ...]:
    """ReLU, a depthwise convolution, a 1x1 convolution and batch norm."""
    padding = dilation * (kernel // 2)
    return (
        nn.ReLU(),
        nn.Conv2d(
            channels, channels, kernel, stride, padding, dilation=dilation, groups=channels, bias=False
        ),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )


def operation(name: str, channels: int, stride: int) -> nn.Module:
    """The layers of an operation."""
    kind, kernel = name[:3], int(name[-1]) if name[-1].isdigit() else 0
    if kind == "sep":
        return nn.Sequential(*_depthwise(channels, kernel, stride), *_depthwise(channels, kernel, 1))
    if kind == "dil":
        return nn.Sequential(*_depthwise(channels, kernel, stride, dilation=2))
    if kind == "avg":
        return nn.AvgPool2d(kernel, stride, padding=1, count_include_pad=False)
    if kind == "max":
        return nn.MaxPool2d(kernel, stride, padding=1)
    if kind == "non":
        return _Zero(stride)
    return nn.Identity() if stride == 1 else _FactorizedReduce(channels, channels)


class DARTSCell(nn.Module):
    """A cell: its nodes are sums of what leads to them, and it puts them out side by side.

    Args:
        nodes: of each node of its own, its edges by name: their sources and modules.
        site: where it stands.
    """

    def __init__(self, nodes: Sequence[Sequence[tuple[str, int, nn.Module]]], site: CellSite) -> None:
        super().__init__()
        self.site = site
        self.drop_path = 0.0
        reduce = _FactorizedReduce if site.halved_before else _ReluConvBn
        self.two_before = reduce(site.width_two_before, site.width)
        self.before = _ReluConvBn(site.width_before, site.width)
        self.edges = nn.ModuleDict({name: module for node in nodes for name, _, module in node})
        self.plan = tuple(tuple((name, source) for name, source, _ in node) for node in nodes)

    def forward(self, before_BCHW: Tensor, two_before_BCHW: Tensor) -> Tensor:
        values: list[Tensor] = [self.two_before(two_before_BCHW), self.before(before_BCHW)]
        for node in self.plan:
            total: Tensor | None = None  # edge by edge, so that no more than two terms are alive
            for name, source in node:
                term = self._term(self.edges[name], values[source])
                total = term if total is None else total + term
            values.append(self._zero(values[0]) if total is None else total)
        return torch.cat(values[INPUTS:], 1)

    def _zero(self, x_BCHW: Tensor) -> Tensor:
        """A node that nothing leads to."""
        stride = 2 if self.site.reduction else 1
        return torch.zeros_like(x_BCHW[:, :, ::stride, ::stride])

    def _term(self, module: nn.Module, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = module(x_BCHW)
        if self.drop_path and self.training and not isinstance(module, nn.Identity):
            y_BCHW = drop_path(y_BCHW, self.drop_path)
        return y_BCHW


# What makes the module of the cell at a place.
CellMaker = Callable[[CellSite], nn.Module]


def of_genotype(genotype: Genotype) -> CellMaker:
    """The cells of a genotype: an edge's name is its node and its place there."""

    def made(site: CellSite) -> nn.Module:
        cell = genotype.cells[site.reduction]
        return DARTSCell([_edges(node, place, site) for place, node in enumerate(cell, INPUTS)], site)

    return made


def _edges(node: Sequence[Edge], place: int, site: CellSite) -> list[tuple[str, int, nn.Module]]:
    found = []
    for slot, edge in enumerate(node):
        module = operation(edge.operation, site.width, site.stride(edge.source))
        found.append((f"{place}_{slot}", edge.source, module))
    return found


def of_mask(mask: Mask) -> CellMaker:
    """The cells of a supernet: an edge's name is its node and its source, so that masks share tensors.

    Each edge averages its operations.  `none` adds zero and counts.
    """

    def made(site: CellSite) -> nn.Module:
        edges: list[list[tuple[str, int, nn.Module]]] = [[] for _ in range(NODES)]
        for (source, node), names in zip(EDGES, mask.cells[site.reduction], strict=True):
            computed = [name for name in names if name != "none"]
            modules = {name: operation(name, site.width, site.stride(source)) for name in computed}
            if modules:
                edges[node - INPUTS].append((f"{node}_{source}", source, Mixed(modules, 1 / len(names))))
        return DARTSCell(edges, site)

    return made


def stems(skeleton: Skeleton) -> tuple[nn.Module, nn.Module]:
    """What leads from the images to the first cell's two inputs, the second one from the first."""
    width = skeleton.stem_width
    if skeleton.kind == "cifar":
        conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(width)), nn.Identity()
    half = width // 2
    first = nn.Sequential(
        nn.Conv2d(3, half, 3, 2, 1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(),
        nn.Conv2d(half, width, 3, 2, 1, bias=False),
        nn.BatchNorm2d(width),
    )
    second = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width))
    return first, second


class Auxiliary(nn.Sequential):
    """A classifier (B, K) of the maps after two thirds of the cells, which training alone uses."""

    def __init__(self, kind: Kind, channels: int, num_classes: int) -> None:
        first, second = _AUXILIARY
        # The network of ImageNet has no second batch norm, as in the paper's own experiments.
        last = [nn.BatchNorm2d(second)] if kind == "cifar" else []
        super().__init__(
            nn.ReLU(),
            nn.AvgPool2d(5, stride=3 if kind == "cifar" else 2, count_include_pad=False),
            nn.Conv2d(channels, first, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, 2, bias=False),
            *last,
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(second, num_classes),
        )


class CellNetwork(ChainNetwork):
    """Stems, cells in a row that read the two before them, and a classifier of the channels' means.

    Args:
        stems: what leads to the first cell's two inputs, the second one from the first.
        cells: the modules of the cells, which take (output of the cell before, output of the one before it).
        width: channels of the last cell's output.
        num_classes: K.

    Attributes:
        auxiliary: the auxiliary head, or None.
        branch: the place of the cell whose output the auxiliary head reads.
    """

    def __init__(
        self, stems: tuple[nn.Module, nn.Module], cells: Sequence[nn.Module], width: int, num_classes: int
    ) -> None:
        super().__init__(stems[0], cells, width, num_classes)
        self.second_stem = stems[1]
        self.auxiliary: nn.Module | None = None
        self.branch = 0
        if risky_channels_last(self):
            self.tensor_layout = torch.contiguous_format

    def features(self, x_BCHW: Tensor) -> Tensor:
        *_, last = self._outputs(x_BCHW)
        return last

    def _outputs(self, x_BCHW: Tensor) -> Iterator[Tensor]:
        """What the cells put out, one after the other."""
        two_before: Tensor = self.stem(x_BCHW)
        before: Tensor = self.second_stem(two_before)
        for cell in self.cells:
            two_before, before = before, cell(before, two_before)
            yield before

    def seen_modules(self) -> dict[str, nn.Module]:
        """All modules but those of the auxiliary head, which has no part in the logits."""
        seen = super().seen_modules()
        return {name: m for name, m in seen.items() if name.split(".")[0] != "auxiliary"}

    def both(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) of the classifier and of the auxiliary head, for training.

        Raises:
            TypeError: if the network has no auxiliary head.
        """
        if self.auxiliary is None:
            raise TypeError("this network was built without an auxiliary head")
        for place, y_BCHW in enumerate(self._outputs(x_BCHW)):
            if place == self.branch:
                middle = y_BCHW
        return self.head(y_BCHW), self.auxiliary(middle)

    def drop_paths(self, share: float) -> None:
        """From now on drop each edge's output with this probability, image by image, in training mode."""
        for cell in self.cells:
            cell.drop_path = share  # type: ignore[assignment]


def network(cell_at: CellMaker, skeleton: Skeleton, num_classes: int, auxiliary: bool = False) -> CellNetwork:
    """A row of cells with its stems and its classifier."""
    sites = list(skeleton.sites())
    made = CellNetwork(stems(skeleton), list(map(cell_at, sites)), sites[-1].width_out, num_classes)
    if auxiliary:
        made.branch = skeleton.reductions[-1]
        made.auxiliary = Auxiliary(skeleton.kind, sites[made.branch].width_out, num_classes)
    return made


def loose(cell_at: CellMaker, channels: int, num_classes: int) -> CellNetwork:
    """A normal and a reduction cell, C channels wide, without a stem.

    Both inputs of the normal cell are the maps (B, C, h, w).
    """
    sites = list(Skeleton("cifar", channels, 2, 1).sites())
    stems = (nn.Identity(), nn.Identity())
    return CellNetwork(stems, list(map(cell_at, sites)), sites[-1].width_out, num_classes)
