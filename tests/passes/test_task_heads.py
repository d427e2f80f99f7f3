"""Networks that do other tasks than classification: losses, gradients, and what is undefined on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval import registry, testing
from nasbench_eval.data.batches import Batches, cut
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import Undefined
from nasbench_eval.passes import Engine, ForwardSpec, GradientObserver, PassSpec, Request
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.runs.rows import Row
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.process import Scorer
from nasbench_eval.seeding import generator
from nasbench_eval.spaces.base import Network
from nasbench_eval.spaces.transnas_micro import TransNASMicro

SPACE = TransNASMicro(channels=4, cells_per_module=1)
ARCH = SPACE.parse("1_32_023")
INDEX = SPACE.index(ARCH)
TASKS = ("room_layout", "jigsaw", "segmentsemantic", "autoencoder", "normal")
B, R = 2, 64
CPU = torch.device("cpu")


def proxy(name: str, **options: object) -> Proxy:
    """A proxy at 64 pixels on few samples, with torch's own distribution of the weights."""
    kind = registry.find("proxies", name)
    known = {each.name for each in fields(kind)}
    small = {"resolution": R, "batch_size": B, "init": "torch_default", **options}
    made: Proxy = kind(**{key: value for key, value in small.items() if key in known})
    return made


def scored(names: Mapping[str, Proxy], *datasets: str, index: int = INDEX) -> list[Row]:
    job = Job(SPACE, {name: testing.dataset(name) for name in datasets}, names, 0)
    return Scorer(job, None, CPU)(index, job.tasks())


class Ran:
    """An engine after one pass, and what the pass gave."""

    def __init__(self, name: str, wrt: str = "parameters") -> None:
        info = testing.dataset(name)
        pieces = 9 if info.task == "jigsaw" else 1
        self.forward = ForwardSpec("torch_default", "gaussian", B, R, batch=1, pieces=pieces)
        self.batches = Batches(0, {name: info}, None, CPU)
        self.network: Network = SPACE.build(ARCH, num_classes=info.num_classes)
        engine = Engine(
            self.network, {name: info.num_classes}, self.batches, (0, "x"), CPU, tasks={name: info.task}
        )
        spec = PassSpec(self.forward, "cross_entropy", wrt)  # type: ignore[arg-type]
        [outcome] = engine.run([Request(spec, name, self.observe)])
        assert outcome.record is not None, outcome.error
        self.record = outcome.record

    def observe(self, net: Network, spec: PassSpec) -> GradientObserver:
        return Kept(net)

    def loss(self, task: str) -> Tensor:
        """What the network's loss is, from its definition."""
        # In the layout of the pass: in another, rounding may turn signs, which the absolute error is made of.
        x = self.batches.input(self.forward, None).to(memory_format=self.network.tensor_layout)
        outputs = self.network(x)
        coins = generator(0, "target", task, 1)
        if task == "regression":
            return F.mse_loss(outputs, torch.randn(B, 9, generator=coins))
        if task == "jigsaw":
            return F.cross_entropy(outputs, torch.randint(1000, (B,), generator=coins))
        if task == "segmentation":
            return F.cross_entropy(outputs, torch.randint(17, (B, R, R), generator=coins))
        target = x if task == "autoencoding" else 2 * torch.rand(B, 3, R, R, generator=coins) - 1
        return F.l1_loss(outputs, target)


class Kept(GradientObserver):
    def __init__(self, net: Network) -> None:
        super().__init__(net, lambda theta, g: g.norm(), "all")
        self.value = torch.tensor(torch.nan)

    def on_curvature(self, value: Tensor) -> None:
        self.value = value

    def record(self) -> dict[str, Any]:
        return {**super().record(), "curvature": float(self.value)}


def weights_of(network: Network) -> dict[str, nn.Parameter]:
    inside = {**network.seen_modules(), **network.seen_classifier()}
    return {f"{n}.{k}": p for n, m in inside.items() for k, p in m.named_parameters(recurse=False)}


@pytest.mark.parametrize("name", TASKS)
def test_gradients_are_those_of_the_tasks_loss(name: str) -> None:
    ran = Ran(name)
    parameters = weights_of(ran.network)
    assert ran.record["names"] == list(parameters)
    loss = ran.loss(testing.dataset(name).task)
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    norms = torch.stack([torch.zeros(()) if g is None else g.norm() for g in found])
    torch.testing.assert_close(ran.record["tensors"].float(), norms, rtol=1e-5, atol=1e-7)
    assert float(norms.max()) > 0.01


# `normal` and `autoencoder` have the layers of `segmentsemantic`.
@pytest.mark.parametrize("name", TASKS[:3])
def test_curvature_is_that_of_a_second_backward_pass(name: str) -> None:
    ran = Ran(name, "curvature")
    parameters = [p for p in weights_of(ran.network).values() if p.ndim > 1]
    loss = ran.loss(testing.dataset(name).task)
    g = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
    met = [(p, each) for p, each in zip(parameters, g, strict=True) if each is not None]
    product = torch.stack([(each.detach() * each).sum() for _, each in met]).sum()
    hg = torch.autograd.grad(product, [p for p, _ in met], allow_unused=True)
    expected = sum(float((p * h).sum().detach()) for (p, _), h in zip(met, hg, strict=True) if h is not None)
    assert ran.record["curvature"] == pytest.approx(expected, rel=2e-3)


def test_proxies_see_the_same_alone_and_together() -> None:
    proxies = {name: proxy(name) for name in ("grad_norm", "fisher", "grasp", "jacov", "gradsign", "intrain")}
    datasets = ("class_scene", "segmentsemantic", "room_layout", "jigsaw")
    together = {(row["dataset"], row["label"]): row for row in scored(proxies, *datasets)}
    for dataset in datasets:
        for name, each in proxies.items():
            [alone] = scored({name: each}, dataset)
            row = together[dataset, name]
            assert alone["status"] == row["status"] == "ok", row["error"]
            assert alone["score"] == row["score"], (dataset, name)


def test_what_ends_with_the_features_is_the_same_on_all_tasks() -> None:
    proxies = {name: proxy(name) for name in ("naswot", "zen", "expressivity", "trainability")}
    rows = scored(proxies, "class_scene", *TASKS)
    for name in proxies:
        assert len({row["score"] for row in rows if row["label"] == name}) == 1


@pytest.mark.parametrize("bn", ["eval", "alone"])
def test_gradients_of_samples_are_their_own(bn: str) -> None:
    """Of decoders as well, whose transposed convolutions take a backward pass a sample."""
    [row] = scored({"gradsign": proxy("gradsign", bn=bn, batch_size=1)}, "segmentsemantic")
    sizes = [p.numel() for p in _built("segmentsemantic").values() if p.ndim > 1]
    # Of one sample every gradient agrees with itself: what is missing is exactly zero.
    assert 0.9 * sum(sizes) < row["score"] <= sum(sizes)
    [two] = scored({"gradsign": proxy("gradsign", bn=bn, batch_size=2)}, "segmentsemantic")
    assert row["score"] < two["score"] < 2 * sum(sizes)


def _built(name: str) -> dict[str, nn.Parameter]:
    info = testing.dataset(name)
    network = SPACE.build(ARCH, num_classes=1)
    network.use_head(network.task_head(info.task, info.num_classes))
    return weights_of(network)


@pytest.mark.parametrize(
    ("name", "dataset", "said"),
    [
        ("lga", "segmentsemantic", "a class for each image, and segmentation has none"),
        ("ntk_condition", "room_layout", "a class for each image, and regression has none"),
        ("vkdnw", "normal", "logits of classes of each image, and normals has none"),
        ("vkdnw", "jigsaw", "logits of classes of each image, and jigsaw has none"),
        ("synflow", "normal", "saturate"),
    ],
)
def test_undefined_scores_say_why(name: str, dataset: str, said: str) -> None:
    [row] = scored({name: proxy(name)}, dataset)
    assert row["status"] == "undefined"
    assert said in row["error"]


@pytest.mark.parametrize("dataset", TASKS)
def test_closed_forms_are_what_passes_count(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("params",) if dataset == "jigsaw" else ("params", "flops")  # a pass counts one of nine pieces
    proxies = {
        name: registry.find("proxies", name)(**({"resolution": R} if name == "flops" else {}))
        for name in names
    }
    small = DataSet(**{**vars(testing.dataset(dataset)), "resolution": R})
    scorer = Scorer(Job(SPACE, {dataset: small}, proxies, 0), None, CPU)
    assert scorer.instant(INDEX, scorer.job.tasks())
    closed = [row["score"] for row in scorer(INDEX, scorer.job.tasks())]
    monkeypatch.setattr(Job, "of_size", {})
    counted = [row["score"] for row in scorer(INDEX, scorer.job.tasks())]
    assert closed == counted


def test_decoders_refuse_sizes_that_they_cannot_give_back() -> None:
    [row] = scored({"grad_norm": proxy("grad_norm", resolution=48)}, "segmentsemantic")
    assert (row["status"], "64 x 64 of images of 48 x 48" in row["error"]) == ("undefined", True)


def test_a_network_of_another_space_has_no_such_head() -> None:
    network = registry.find("spaces", "nasbench201")(4, 1)
    with pytest.raises(Undefined, match="no head for segmentation"):
        network.build(network.arch(0), num_classes=2).task_head("segmentation", 2)


def test_pieces_lie_row_by_row_in_the_channels() -> None:
    images = torch.randn(2, 3, 12, 12).contiguous(memory_format=torch.channels_last)
    pieces = cut(images, 3).view(2, 9, 3, 4, 4)
    for place in range(9):
        row, column = divmod(place, 3)
        expected = images[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert torch.equal(pieces[:, place], expected)


def test_pieces_of_an_image_have_maps_in_a_row_and_one_output() -> None:
    network = SPACE.build(ARCH, num_classes=1).eval()
    head = network.task_head("jigsaw", 5).eval()
    network.use_head(head)
    x = torch.randn(2, 27, R, R)
    with torch.no_grad():
        for values in weights_of(network).values():
            values.copy_(torch.randn_like(values) / max(1, values[0].numel()) ** 0.5)
        features = network.features(x)
        means = features.mean((2, 3)).view(2, 9 * 32)
        [weight, bias] = head.parameters()
        torch.testing.assert_close(network(x), means @ weight.T + bias)
        [alone] = network.features(x[1, 6:9][None])
    torch.testing.assert_close(features[9 + 2], alone, rtol=1e-4, atol=1e-5)
    assert features.shape[0] == 18


def test_the_offset_passes_over_targets_of_another_pass() -> None:
    network = SPACE.build(ARCH, num_classes=1)
    for task, shape in (
        ("regression", (9,)),
        ("jigsaw", (7,)),
        ("segmentation", (5, 32, 32)),
        ("normals", (3, 32, 32)),
    ):
        head = network.task_head(task, shape[0])
        x, outputs = torch.zeros(4, 3, 32, 32), torch.zeros(4, *shape)
        whole = head.target(x, outputs, 0, generator("coins"))
        part = head.target(x[2:], outputs[2:], 2, generator("coins"))
        assert torch.equal(whole[2:], part), task
        assert head.losses(outputs, whole).shape == (4,), task
