"""Networks and surroundings that once gave no score, a wrong one, or left something behind."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import networks
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from nasbench_eval import ScoreWarning, score
from nasbench_eval.networks.adapted import Adapted
from nasbench_eval.seeding import seed_of

B = 4
G = torch.Generator().manual_seed(7)
X, Y = torch.randn(8, 3, 16, 16, generator=G), torch.arange(8) % 5


def details(network: Any, names: list[str], **given: Any) -> Any:
    """The row of one network, small batches."""
    options = {
        name: {"batch_size": B} for name in names if name not in ("synflow", "flops", "params", "l2_norm")
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScoreWarning)
        return score(network, names, options=options, details=True, **given).iloc[0]


def numbers(network: Any, names: list[str], **given: Any) -> list[float]:
    row = details(network, names, **given)
    return [float(row[name, "score"]) for name in names]


def batch() -> tuple[Tensor, Tensor]:
    chosen = np.random.default_rng(seed_of(0, "images", "input", 0)).permutation(len(X))[:B]
    return X[chosen], Y[chosen]


def agreement(network: nn.Module) -> float:
    """GradSign, a backward pass a sample."""
    weights = [p for p in network.parameters() if p.ndim > 1]
    signs = [torch.zeros_like(p) for p in weights]
    for x, y in zip(*batch(), strict=True):
        gradients = torch.autograd.grad(F.cross_entropy(network(x[None]), y[None]), weights)
        for total, gradient in zip(signs, gradients, strict=True):
            total += gradient.sign()
    return sum(float(s.abs().sum()) for s in signs)


class Stack(nn.Module):
    """Three convolutions and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 8, 3)
        self.conv1, self.conv2 = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.conv0, self.conv1, self.conv2):
            x = F.relu(conv(x))
        return self.fc(x.mean(dim=(2, 3)))


class Viewed(nn.Module):
    """Flattens by `view`, which takes tensors with their channels first in memory alone."""

    def __init__(self, flatten: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 14 * 14, 10)
        self.flatten = flatten

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.flatten(F.relu(self.conv(x))))


NAMES = ["snip", "naswot", "gradsign", "lga", "vkdnw", "grasp", "synflow", "intrain", "jacov"]


def test_a_network_may_view_its_maps_as_rows() -> None:
    viewed = Viewed(lambda x: x.view(len(x), -1))
    expected = numbers(Viewed(lambda x: x.flatten(1)), NAMES, input=(3, 16, 16))
    np.testing.assert_allclose(numbers(viewed, NAMES, input=(3, 16, 16)), expected, rtol=1e-4)


# Weights that several layers share


def tied() -> nn.Module:
    network = Stack()
    network.conv2.weight = network.conv1.weight
    return networks.drawn(network)


def test_sample_gradients_of_a_shared_weight_are_those_of_all_its_layers() -> None:
    network = tied()
    [found] = numbers(network, ["gradsign"], init="keep", images=X, labels=Y)
    assert found == pytest.approx(agreement(network), rel=2e-3)


def test_first_entries_of_a_shared_weight_move_all_its_layers() -> None:
    from test_score import by_hand, fisher

    network = tied()
    np.testing.assert_allclose(fisher(network), by_hand(network), rtol=2e-3, atol=1e-6)


def test_sample_gradients_of_attention() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 8, stride=8)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.fc = nn.Linear(8, 10)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.patches(x).flatten(2).mT
            return self.fc((tokens + self.attention(tokens, tokens, tokens)[0]).mean(1))

    network = networks.drawn(Attends())
    [found] = numbers(network, ["gradsign"], init="keep", images=X, labels=Y)
    assert found == pytest.approx(agreement(network), rel=2e-3)


# How layers are called


def test_a_head_may_be_called_by_keyword() -> None:
    class Keyword(Stack):
        def forward(self, x: Tensor) -> Tensor:
            for conv in (self.conv0, self.conv1, self.conv2):
                x = F.relu(conv(x))
            return self.fc(input=x.mean(dim=(2, 3)))

    assert numbers(Keyword(), NAMES) == numbers(Stack(), NAMES)


def test_a_forward_that_catches_everything_does_no_harm() -> None:
    class Catches(Stack):
        def forward(self, x: Tensor) -> Tensor:
            try:
                return super().forward(x)
            except Exception:
                raise AssertionError("nothing fails here") from None

    assert numbers(Catches(), ["snip", "naswot"]) == numbers(Stack(), ["snip", "naswot"])


# Weights that are made of other parameters


def test_weight_norm_by_hooks_can_be_copied() -> None:
    network = networks.drawn(Stack())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        nn.utils.weight_norm(network.conv1)  # type: ignore[arg-type]
    network(X)  # as a training leaves it: the weight hangs on a graph
    row = details(network, ["grad_norm", "naswot", "synflow", "params"])
    assert (row.xs("status", level="column") == "ok").all()


@pytest.mark.parametrize("name", ["snip", "gradsign", "zico", "synflow"])
def test_weights_made_of_other_parameters_are_named(name: str) -> None:
    network = Stack()
    parametrizations.spectral_norm(network.conv1)
    row = details(network, [name], init="keep", input=(3, 16, 16))
    assert row[name, "status"] == "ok", row[name, "error"]
    assert "weights of conv1 left out" in row[name, "reading"]


# Batch norm without statistics, one class


class Unsteady(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 10)
        self.norm = nn.BatchNorm2d(8, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.norm(self.conv(x))).mean(dim=(2, 3)))


def test_samples_are_not_apart_without_statistics() -> None:
    row = details(Unsteady(), ["vkdnw", "snip", "flops"])
    assert list(row.xs("status", level="column")) == ["undefined", "ok", "ok"]
    assert "'norm' keeps no statistics" in row["vkdnw", "error"]


@pytest.mark.parametrize("name", ["snip", "gradsign", "fisher", "zico", "intrain", "grasp", "vkdnw"])
def test_one_class_has_no_loss(name: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    row = details(nn.Sequential(*network, nn.Linear(4, 1)), [name, "naswot"])
    assert row[name, "status"] == "undefined"
    assert "one class" in row[name, "error"]
    assert row["naswot", "status"] == "ok"


# The head


class Distilled(networks.Plain):
    """The mean of two heads, both zero at first: neither gives the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(8, 10)
        for head in (self.fc, self.other):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x))).mean(dim=(2, 3))
        return (self.fc(x) + self.other(x)) / 2


def test_equal_outputs_make_no_head() -> None:
    assert Adapted(Distilled(), (3, 32, 32)).look.head is None


class Softened(Stack):
    """Gives probabilities, from a head that is zero at first."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(1)


def test_a_head_of_zeros_is_found_behind_a_softmax() -> None:
    assert numbers(Softened(), ["snip"]) == numbers(Stack(), ["snip"])


# What is around


def surroundings() -> dict[str, Callable[[], Any]]:
    return {
        "no_grad": torch.no_grad,
        "inference_mode": torch.inference_mode,
        "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
        "float64": lambda: Default(torch.set_default_dtype, torch.float64, torch.float32),
        "meta": lambda: torch.device("meta"),
    }


class Default:
    """A global default, for a while."""

    def __init__(self, set_it: Callable[[Any], None], value: object, before: object) -> None:
        self.set_it, self.value, self.before = set_it, value, before

    def __enter__(self) -> None:
        self.set_it(self.value)

    def __exit__(self, *error: object) -> None:
        self.set_it(self.before)


@pytest.mark.parametrize("name", list(surroundings()))
@pytest.mark.parametrize("init", [None, "keep"])
def test_surroundings_have_no_say(name: str, init: Any) -> None:
    network = networks.drawn(networks.Plain())
    expected = numbers(network, NAMES, init=init)
    with surroundings()[name]():
        found = numbers(network, NAMES, init=init)
        dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
        inference, autocast = torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
    assert found == expected
    assert dtype == (torch.float64 if name == "float64" else torch.float32)
    assert grad == (name not in ("no_grad", "inference_mode"))
    assert inference == (name == "inference_mode")
    assert autocast == (name == "autocast")


def test_a_network_of_inference_tensors_is_scored() -> None:
    with torch.inference_mode():
        network = Stack()
        assert np.isfinite(numbers(network, ["snip", "naswot"], init="keep")).all()


def test_threads_leave_the_global_switches() -> None:
    networks_of = [networks.drawn(networks.Transformer(), seed) for seed in range(3)]
    expected = [numbers(network, ["snip"], init="keep") for network in networks_of]
    found: dict[int, list[float]] = {}

    def work(number: int) -> None:
        for _ in range(3):
            found[number] = numbers(networks_of[number], ["snip"], init="keep")

    state = torch.get_rng_state()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(3)] == expected
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.backends.mha.get_fastpath_enabled()


def test_nothing_stays_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    alive = []
    build = Adapted.__init__

    def init(self: Adapted, *given: Any, **named: Any) -> None:
        build(self, *given, **named)
        alive.append(weakref.ref(self))

    monkeypatch.setattr(Adapted, "__init__", init)
    numbers(networks.group_normed(), ["snip", "naswot", "expressivity"])
    gc.collect()
    assert alive
    assert not [one for one in alive if one() is not None]


def test_a_network_is_copied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    build = Adapted.__init__

    def init(self: Adapted, *given: Any, **named: Any) -> None:
        built.append(1)
        build(self, *given, **named)

    monkeypatch.setattr(Adapted, "__init__", init)
    numbers(Stack(), ["snip", "naswot"])
    assert len(built) == 1


def test_a_head_that_is_added_to_in_place_gives_no_logits() -> None:
    class Added(networks.Plain):
        def __init__(self) -> None:
            super().__init__()
            self.other = nn.Linear(8, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.bn1(self.conv1(x))).mean(dim=(2, 3))
            logits = self.fc(x)
            logits += self.other(x)
            return logits

    assert Adapted(Added(), (3, 32, 32)).look.head is None


def test_a_refused_pass_leaves_no_norm_behind() -> None:
    class Normed(Stack):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.last = nn.BatchNorm2d(8), nn.BatchNorm1d(8)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.last(F.relu(self.norm(self.conv0(x))).mean(dim=(2, 3))))

    # gradsign takes each sample's own statistics, which batch norm on vectors does not have
    alone, together = numbers(Normed(), ["fisher"]), numbers(Normed(), ["gradsign", "fisher"])
    assert together[1:] == alone


class Biased(Stack):
    """Keeps something of its weights as long as it is in eval mode, as timm's attention does."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Tensor] = {}
        self.bias = nn.Parameter(torch.ones(8))

    def train(self, mode: bool = True) -> Biased:
        if mode:
            self.kept = {}
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        if self.training or "bias" not in self.kept:
            self.kept["bias"] = self.bias.square()
        return self.fc(F.relu(self.conv1(self.conv0(x)) + self.kept["bias"][:, None, None]).mean(dim=(2, 3)))


def test_what_a_network_keeps_in_eval_mode_is_forgotten() -> None:
    from test_score import by_hand, fisher

    network = networks.drawn(Biased())
    assert np.isfinite(numbers(network, ["snip", "zico", "grasp", "vkdnw"])).all()
    found = fisher(network)
    reference = Biased().train()
    reference.load_state_dict(network.state_dict())
    reference.eval = lambda: reference  # type: ignore[method-assign, assignment]
    np.testing.assert_allclose(found, by_hand(reference), rtol=2e-3, atol=1e-6)
    network.eval()(X)  # keeps a tensor on a graph
    assert np.isfinite(numbers(network, ["snip"])).all()


def test_first_entries_without_tangents() -> None:
    from test_score import by_hand, fisher

    class Turned(torch.autograd.Function):
        """2 x, without a tangent."""

        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return 2 * g

    class Scaled(Stack):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(8))

        def forward(self, x: Tensor) -> Tensor:
            x = Turned.apply(F.relu(self.conv0(x))).mean(dim=(2, 3))  # type: ignore[no-untyped-call]
            return self.fc(x * self.scale)

    network = networks.drawn(Scaled())
    np.testing.assert_allclose(fisher(network), by_hand(network), rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["flops", "fisher", "intrain"])
def test_products_that_are_functions_are_named(name: str) -> None:
    class Functions(Stack):
        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(F.conv2d(self.conv0(x), self.conv1.weight))
            return self.fc(x.mean(dim=(2, 3)))

    row = details(Functions(), [name])
    assert row[name, "status"] == "ok", row[name, "error"]
    assert "products in the network itself not" in row[name, "reading"]


class Windowed(nn.Module):
    """Windows of 4 x 4 in rows of their own, as maps with their channels last; then single tokens as rows."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.within = nn.Conv2d(3, 6, 1), nn.Linear(6, 8)
        self.rows, self.fc = nn.Linear(8, 8), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).unfold(2, 4, 4).unfold(3, 4, 4)
        x = x.permute(0, 2, 3, 4, 5, 1).reshape(-1, 4, 4, 6)
        x = F.relu(self.within(x))
        x = F.relu(self.rows(x.reshape(-1, 8)))
        return self.fc(x.reshape(-1, 256, 8).mean(1))


def test_rows_of_a_sample_belong_together() -> None:
    network = networks.drawn(Windowed())
    x, y = batch()
    seen: list[Tensor] = []
    for layer in (network.stem, network.within, network.rows, network.fc):
        layer.register_forward_hook(lambda module, args, out: seen.append(out))  # type: ignore[operator, union-attr]
    loss = F.cross_entropy(network(x), y)
    expected = 0.0
    for out, g in zip(seen, torch.autograd.grad(loss, seen), strict=True):
        product = (out * g).detach()
        product = product.movedim(1, -1) if product.shape[1] == 6 else product  # of the stem
        expected += float(product.reshape(B, -1, product.shape[-1]).sum(1).square().mean(0).sum() / 2)
    codes = [(out > 0).reshape(B, -1).double() for out in seen[1:3]]
    kernel = torch.stack([z @ z.T + (1 - z) @ (1 - z).T for z in codes]).sum(0)
    for handles in (layer._forward_hooks for layer in network.modules()):
        handles.clear()
    fisher, naswot, flops = numbers(network, ["fisher", "naswot", "flops"], init="keep", images=X, labels=Y)
    assert fisher == pytest.approx(expected, rel=1e-3)
    assert naswot == pytest.approx(float(torch.linalg.slogdet(kernel).logabsdet), rel=1e-6)
    assert flops == 256 * (3 * 6 + 6 * 8 + 8 * 8) + 8 * 10
