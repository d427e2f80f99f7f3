"""timm as a search space: names, networks without weights, and what happens without timm."""

from __future__ import annotations

import random
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from nasbench_eval import registry
from nasbench_eval.errors import UsageError
from nasbench_eval.spaces import timm
from nasbench_eval.spaces.timm import Timm

needs_timm = pytest.mark.skipif(
    find_spec("timm") is None, reason="timm is not installed: pip install 'nasbench_eval[timm]'"
)
SMALL = "mobilenetv3_small_050"


def test_it_is_found_without_timm_being_imported() -> None:
    code = (
        "import sys; from nasbench_eval import registry; "
        "space = registry.find('spaces', 'timm')(); "
        "print(space.name, 'timm' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "timm False False\n"
    assert "timm" in registry.own("spaces")


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    timm._timm.cache_clear()
    monkeypatch.setattr(timm, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs the package timm.*pip install 'nasbench_eval\[timm\]'"):
        Timm().parse("resnet18")


def test_a_size_is_at_least_a_pixel() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Timm(img_size=0)


@needs_timm
class TestNames:
    def test_they_are_read_and_written(self) -> None:
        space = Timm()
        for text in ("resnet50", "resnet50.a1_in1k", " resnet50\n"):
            arch = space.parse(text)
            assert space.format(arch) == "resnet50"
            assert space.canonical(arch) == arch
        assert space.family("resnet50") == "resnet"

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("resnet51", "no model of timm .*; did you mean .*resnet5"),
            ("RESNET50", "no model of timm .*; did you mean resnet50"),
            ("tv_resnet50", r"old name .* 'resnet50\.tv_in1k' now"),
            ("resnet50.", "no name of a training recipe"),
            ("resnet50.a b", "no name of a training recipe"),
            ("hf-hub:timm/resnet50", "no model of timm"),
            ("local-dir:/tmp", "no model of timm"),
            ("", "no model of timm"),
        ],
    )
    def test_what_is_none_is_refused(self, text: str, why: str) -> None:
        with pytest.raises(ValueError, match=why) as told:
            Timm().parse(text)
        assert "\n" not in str(told.value)

    def test_samples_are_classifiers_and_the_generator_decides_them(self) -> None:
        space = Timm()
        first, again = np.random.default_rng(3), np.random.default_rng(3)
        names = [space.sample(first) for _ in range(50)]
        assert names == [space.sample(again) for _ in range(50)]
        assert len(set(names)) > 40
        assert not any(name.startswith("test_") for name in names)
        assert all(space.parse(name) == name for name in names)

    def test_most_mutations_stay_in_the_family_where_that_has_others(self) -> None:
        space, rng = Timm(), np.random.default_rng(0)
        others = [space.mutate("resnet18", rng) for _ in range(200)]
        assert "resnet18" not in others
        within = [other for other in others if space.family(other) == "resnet"]
        assert 130 < len(within) < 180
        alone = space.mutate("legacy_xception", rng)  # the only one of its module
        assert alone != "legacy_xception"
        assert space.parse(alone) == alone


@needs_timm
class TestNetworks:
    def test_the_name_alone_decides_the_weights(self) -> None:
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
        first = Timm().build(SMALL, num_classes=7).state_dict()
        after = random.getstate(), np.random.get_state()[1], torch.get_rng_state()
        assert before[0] == after[0]
        assert np.array_equal(before[1], after[1])
        assert torch.equal(before[2], after[2])
        torch.manual_seed(2)
        again = Timm().build(SMALL, num_classes=7).state_dict()
        assert first.keys() == again.keys()
        assert all(torch.equal(first[name], again[name]) for name in first)

    def test_it_classifies(self) -> None:
        network = Timm().build(SMALL, num_classes=7).eval()
        with torch.no_grad():
            assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 7)

    def test_a_size_reaches_networks_that_need_it_and_no_other(self) -> None:
        space = Timm(img_size=64)
        transformer = space.build("vit_tiny_patch16_224", num_classes=7).eval()
        with torch.no_grad():
            assert transformer(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
        plain, same = space.build(SMALL, num_classes=7), Timm().build(SMALL, num_classes=7)
        assert all(
            torch.equal(a, b)
            for a, b in zip(plain.state_dict().values(), same.state_dict().values(), strict=True)
        )

    def test_a_network_that_scales_its_images_keeps_its_size(self) -> None:
        network = Timm(img_size=64).build("crossvit_9_240", num_classes=7).eval()
        with torch.no_grad():
            assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 7)

    def test_a_size_that_cannot_be_is_told(self) -> None:
        with pytest.raises(ValueError, match="timm cannot build xcit_nano_12_p16_224 for images of 5 pixels"):
            Timm(img_size=5).build("xcit_nano_12_p16_224", num_classes=7)


@needs_timm
def test_mutations_lead_on() -> None:
    """From the smallest family too, twenty changes in a row reach several architectures."""
    space = Timm()
    for start in ("nextvit_base", "resnet18"):
        rng, arch, met = np.random.default_rng(0), start, set()
        for _ in range(20):
            arch = space.mutate(arch, rng)
            met.add(arch)
        assert len(met) > 4
