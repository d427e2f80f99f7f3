"""Configurations become typed objects or one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from nasbench_eval.errors import UsageError
from nasbench_eval.options.overrides import choices
from nasbench_eval.paths import config_folder
from nasbench_eval.scoring.config import Run, resolve
from nasbench_eval.truth import tables
from nasbench_eval.work import execution


def run_of(*overrides: str) -> Run:
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return resolve(compose("config", overrides=list(overrides)))


@pytest.mark.parametrize("proxy", choices("proxy"))
def test_every_proxy_file_resolves_to_the_options_of_its_class(proxy: str) -> None:
    run = run_of(f"proxy=[{proxy}]")
    assert run.job.proxies
    if proxy in run.job.proxies and len(run.job.proxies) == 1:
        made = run.job.proxies[proxy]
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            node = compose("config", overrides=[f"proxy=[{proxy}]"]).proxy[proxy]
        assert {key for key in node if key != "name"} == set(vars(made)), "the YAML lists every option"


@pytest.mark.parametrize("group", ["space", "dataset", "experiment"])
def test_every_other_file_resolves(group: str) -> None:
    for name in choices(group):
        # A space whose networks do whatever data sets ask for.
        asked = ["space=transnas_micro", f"dataset=[{name}]"] if group == "dataset" else [f"{group}={name}"]
        assert run_of(*asked).indices


def test_indices_and_all_and_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_of("indices=[7,3,7]").indices == (7, 3)
    assert run_of("n=all").indices == tuple(range(15625))
    assert len(run_of("n=auto", "cpu_sample=12", "device=cpu").indices) == 12
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 30, 2 << 30))
    auto = run_of("n=auto", "cpu_sample=12")
    assert (len(auto.indices), auto.device.type, auto.workers) == (15625, "cuda", 1)


@pytest.mark.parametrize(("free", "cores", "workers"), [(139, 16, 16), (24, 16, 6), (3, 16, 1), (80, 2, 2)])
def test_a_gpu_gets_as_many_workers_as_it_holds(
    free: int, cores: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free << 30, 256 << 30))
    monkeypatch.setattr(execution, "_cores", lambda: cores)
    assert run_of("device=cuda", "n=500").workers == workers
    assert run_of("device=cuda", "n=500", "workers=3").workers == 3


def test_precision() -> None:
    assert run_of().job.precision == "float32"
    assert run_of().identity()["precision"] == "float32"
    half = run_of("precision=bf16", "proxy=[intrain,zico,zen,jacov]")
    assert half.job.precision == "bf16"
    assert half.folder != run_of("proxy=[intrain,zico,zen,jacov]").folder
    for proxy in ("grasp", "vkdnw", "gradsign", "ntk_condition", "trainability"):
        with pytest.raises(UsageError, match=f"precision=bf16: {proxy} can be computed in float32 only"):
            run_of("precision=bf16", f"proxy=[snip,{proxy}]")
    with pytest.raises(UsageError, match="precision=tf32 is a GPU's"):
        run_of("precision=tf32", "device=cpu")


def test_no_worker_is_started_for_nothing() -> None:
    assert run_of("indices=[4]", "device=cpu").workers == 1
    assert run_of("n=3", "device=cpu", "workers=8").workers == 3
    assert run_of("n=9", "device=cpu", "workers=8").workers == 8
    assert run_of("n=9", "device=cpu", "workers=0").workers == 0


def test_how_a_run_is_watched_decides_no_score() -> None:
    plain = run_of()
    assert (plain.options.timeout, plain.options.save_every, plain.options.retry_failed) == (3600, 30, False)
    assert run_of("timeout=null").options.timeout is None
    watched = run_of("timeout=600", "save_every=0.5", "retry_failed=true", "workers=0")
    assert (watched.options.timeout, watched.options.save_every) == (600, 0.5)
    assert watched.options.retry_failed
    assert watched.folder == plain.folder
    assert watched.identity() == plain.identity()


def test_every_experiment_computes_its_scores() -> None:
    assert run_of().options.reuse == "results"
    for name in choices("experiment"):
        assert run_of(f"experiment={name}").options.reuse == "none"
        assert run_of(f"experiment={name}", "reuse=results").options.reuse == "results"


def test_an_experiments_options_are_for_the_chosen_proxies() -> None:
    run = run_of("experiment=figure2_reduced", "proxy=[zen,flops]")
    assert set(run.job.proxies) == {"zen", "flops"}
    assert run.job.proxies["zen"].batch_size == 8  # type: ignore[attr-defined]


def write_table(folder: Path, monkeypatch: pytest.MonkeyPatch, accuracy: list[float]) -> None:
    table = pd.DataFrame({"cifar10_test": accuracy})
    monkeypatch.setattr(
        tables, "load_table", lambda space, where: {("nasbench201", folder): table}[space, where]
    )


def test_a_stratified_sample_is_drawn_by_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracy = [90.0] * 15_620 + [10.0, 20.0, 30.0, 40.0, 50.0]
    write_table(tmp_path, monkeypatch, accuracy)
    run = run_of("sampling=stratified", "n=6", f"data={tmp_path}")
    assert {15_620, 15_621, 15_622, 15_623, 15_624} < set(run.indices)
    assert run.identity()["sampling"] == "stratified"
    assert run.folder != run_of("n=6").folder


def test_a_stratified_sample_is_of_one_data_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one data set, not of cifar10, cifar100"):
        run_of("sampling=stratified", "dataset=[cifar10,cifar100]", f"data={tmp_path}")


@pytest.mark.parametrize("given", ["n=all", "indices=[1,2]"])
def test_nothing_is_left_to_draw(given: str) -> None:
    with pytest.raises(UsageError, match="leaves nothing to draw"):
        run_of("sampling=stratified", given)


def test_a_stratified_sample_is_as_large_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path, monkeypatch, [50.0, 60.0, float("nan")])
    with pytest.raises(UsageError, match="only 2 architectures have an accuracy"):
        run_of("sampling=stratified", "n=3", f"data={tmp_path}")


def test_a_stratified_sample_needs_accuracies(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no NAS-Bench-201 table"):
        run_of("sampling=stratified", f"data={tmp_path}")


def test_the_name_of_a_run_follows_what_decides_the_scores() -> None:
    plain = run_of("proxy=[intrain,snip]")
    assert plain.folder.parent == Path("results")
    assert plain.folder.name.startswith("nasbench201-cifar10-intrain+snip-")
    for same in (["n=7"], ["workers=3"], ["data=/elsewhere"], ["indices=[1]"]):
        assert run_of("proxy=[intrain,snip]", *same).folder == plain.folder
    for other in (["seed=1"], ["space.channels=8"], ["proxy.intrain.layers=cell"], ["dataset=[cifar100]"]):
        assert run_of("proxy=[intrain,snip]", *other).folder != plain.folder
    assert run_of("dedupe=isomorphic").folder != run_of("reuse=none").folder
    assert run_of("reuse=none").folder.name == "nasbench201-cifar10-intrain-2495cbe3"  # part of the contract
    assert run_of("run=mine", "results=/r").folder == Path("/r/mine")
    assert run_of("run=7").folder == Path("results/7")
    assert run_of("run=0").folder == Path("results/0")
    assert run_of("run=").folder == run_of().folder


def test_a_shared_option_goes_to_each_proxy_that_has_it() -> None:
    proxies = run_of(
        "proxy=[intrain,snip,params]", "++options.batch_size=8", "++options.layers=cell"
    ).job.proxies
    assert proxies["intrain"].batch_size == proxies["snip"].batch_size == 8  # type: ignore[attr-defined]
    assert proxies["intrain"].layers == "cell"  # type: ignore[attr-defined]


def test_a_proxy_goes_under_a_second_label_with_other_options() -> None:
    run = run_of("+proxy.wide.name=intrain", "+proxy.wide.layers=cell")
    assert run.job.proxies["wide"].layers == "cell"  # type: ignore[attr-defined]
    assert run.identity()["proxies"]["wide"]["name"] == "intrain"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["n=0"], "n=0 will not do.*at least 1, or all"),
        (["n=abc"], "n=abc will not do; it should be a whole number, or all"),
        (["n=true"], "n=True will not do"),
        (["n='3'"], "n=3 will not do"),
        (["n=3.5"], "a whole number"),
        (["n=15626"], "the space has 15625"),
        (["indices=[]"], "at least one"),
        (["indices=[15625]"], "0 to 15624"),
        (["indices=[-1]"], "0 to 15624"),
        (["seed=-1"], "seed=-1"),
        (["seed=99999999999999999999"], "less than"),
        (["sample_seed=-1"], "sample_seed=-1"),
        (["workers=-1"], "workers=-1 will not do; it should be at least 0"),
        (["timeout=0"], "timeout=0 will not do; it should be more than 0"),
        (["timeout=-3"], "timeout=-3 will not do; it should be more than 0"),
        (["timeout=inf"], "timeout=.* will not do; it should be"),
        (["timeout=soon"], "timeout=soon will not do; it should be a number"),
        (["save_every=-1"], "save_every=-1 will not do; it should be at least 0"),
        (["save_every=null"], "save_every=None will not do; it should be a number"),
        (["retry_failed=1"], "retry_failed=1 will not do; it should be true or false"),
        (["device=gpu"], "it should be auto, cpu or cuda"),
        (["+nn=3"], "unknown option 'nn'; did you mean n"),
        (["~seed"], "seed has no value"),
        (["seed=${nothing}"], "'nothing' not found"),
        (["space.channels=0"], "at least 1"),
        (["space.channels=many"], "a whole number"),
        (["proxy.intrain.layers=cel"], "intrain: layers=cel will not do; it should be conv.*cell"),
        (["proxy.intrain.batch_size=0"], "intrain: batch_size=0 will not do; it should be at least 1"),
        (["proxy.intrain.resolution=-4"], "at least 1"),
        (["+proxy.intrain.layrs=cell"], "unknown option of intrain 'layrs'; did you mean layers"),
        (["++options.layrs=cell"], "unknown option of intrain 'layrs'; did you mean layers"),
        (["+proxy.mine.name=intrian"], "unknown proxy 'intrian'; did you mean intrain"),
        (["+proxy.mine=3"], "proxy.mine=3"),
        (["+dataset.mine=3"], "dataset.mine=3"),
        (["+dataset.mine.num_classes=3"], "mine: the option resolution has no value"),
        (["proxy=[]"], "no proxy is chosen"),
        (["dataset=[]"], "no dataset is chosen"),
        (["dataset.cifar10.num_classes=0"], "num_classes=0 will not do; it should be at least"),
        (["dataset.cifar10.resolution=-1"], "resolution=-1 will not do"),
        (["dataset.cifar10.std=[1,0,1]"], "should be more than 0"),
        (["dataset.cifar10.mean=[nan,0,1]"], "should be a finite number"),
        (["options=3"], "options=3 will not do; options of proxies are set with proxy.X=VALUE"),
        (["+options.5=3"], "unknown option of intrain '5'"),
        (["proxy.intrain.name=5"], "unknown proxy '5'"),
        (["space.name=[5]"], "unknown search space"),
        (["++options.resolution=18"], "images of 18 x 18 pixels; proxy.resolution=16 fits, as do other"),
        (["proxy=linear_regions", "proxy.linear_regions.input=images"], "takes one channel, and images have"),
        (["proxy=linear_regions", "proxy.linear_regions.body=whole"], "crops have one channel"),
        (["proxy=linear_regions", "proxy.linear_regions.channels=2"], "got cells=1, channels=2"),
        (["proxy=snip", "proxy.snip.input=crops"], "input=crops will not do; it should be images, gaussian"),
        (["run=../elsewhere"], "run=../elsewhere: must lie inside the results folder"),
        (["run=/elsewhere"], "run=/elsewhere: must lie inside"),
        (["run=."], "run=.: must lie inside"),
        (["n='" + "9" * 5000 + "'"], r"n=9+\.\.\.9+ will not do; it should be a whole number"),
    ],
)
def test_what_is_wrong_is_named(overrides: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        run_of(*overrides)
    assert "\n" not in str(caught.value)


def test_a_space_without_a_cell_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasbench_eval.scoring.config.CellSpace", int)  # as if it had no build_cell
    with pytest.raises(
        UsageError, match=r"linear_regions runs a cell by itself.*nasbench201 has no"
    ) as caught:
        run_of("proxy=[snip,linear_regions]")
    assert "\n" not in str(caught.value)
    whole = ["proxy.linear_regions.body=whole", "proxy.linear_regions.input=gaussian"]
    run_of("proxy=[snip,linear_regions]", *whole, "proxy.linear_regions.resolution=4")


def test_cuda_without_a_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no CUDA device"):
        run_of("device=cuda")
    assert run_of("device=auto").device.type == "cpu"


def test_help_names_every_option() -> None:
    config: Any = OmegaConf.load(config_folder() / "config.yaml")
    template = config.hydra.help._get_node("template")._value()
    options = set(config) - {"defaults", "hydra", "options"}
    assert options, "there are options"
    for option in options | {"space", "dataset", "proxy", "experiment"}:
        assert f" {option}=" in template
    assert max(len(line) for line in template.splitlines()) <= 100
