"""timm's tables: converted, checked, and narrowed down to small networks of ImageNet-1k alone."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.truth import build, timm
from nasbench_eval.truth.errors import MissingTruth, TruthError
from nasbench_eval.truth.sources import Source, digest

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[2]

# Model, size of images, top-1, millions of parameters.
MODELS = [
    ("big.in1k", 224, 84.0, 1014.45),
    ("thrice.a1_in1k", 288, 82.0, 20.0),
    ("thrice.a1_in1k", 224, 80.0, 20.0),
    ("thrice.a2_in1k", 224, 79.0, 20.0),
    ("thrice.ra_in1k", 288, 90.0, 20.0),
    ("thrice.fb_swsl_ig1b_ft_in1k", 224, 85.0, 20.0),
    ("taught.fb_dist_in1k", 224, 78.0, 10.0),
    ("masked.fcmae_ft_in1k", 224, 77.0, 5.0),
    ("slow.in1k", 256, 76.5, 2.0),
    ("unmeasured.in1k", 192, 76.0, 2.0),
    ("rich.in21k_ft_in1k", 224, 75.5, 2.0),
    ("hrnet_w18_ssld.paddle_in1k", 224, 75.0, 3.0),
    ("levit_conv_128.fb_dist_in1k", 224, 74.0, 3.0),
    ("test_vit.r160_in1k", 160, 40.0, 0.3),
]
# Architecture, size, images a second, 10⁹ multiply-accumulates.
SPEEDS = [
    ("big", 224, 100.0, 30.0),
    ("thrice", 224, 1000.0, 1.5),
    ("thrice", 320, 500.0, 3.0),
    ("taught", 224, 2000.0, 1.0),
    ("masked", 224, 3000.0, 0.5),
    ("slow", 256, 900.0, np.nan),
    ("rich", 224, 4000.0, 0.4),
    ("hrnet_w18_ssld", 224, 4000.0, 0.4),
    ("levit_conv_128", 224, 5000.0, 0.4),
    ("test_vit", 160, 9000.0, 0.1),
]


def made_up() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Small tables of the two files' form."""
    results = pd.DataFrame(MODELS, columns=["model", "img_size", "top1", "param_count"])
    results = results.assign(top5=results["top1"] + 9, crop_pct=0.9, interpolation="bicubic")
    for name in ("top1", "top5"):
        results[f"{name}_err"] = 100 - results[name]
    parts = results["model"].str.split(".", n=1, expand=True)
    results = results.assign(arch=parts[0], tag=parts[1])
    speed = pd.DataFrame(
        SPEEDS, columns=["model", "infer_img_size", "infer_samples_per_sec", "infer_gmacs"]
    ).assign(infer_step_time=5.5, infer_batch_size=256, param_count=1.5, infer_macts=2.5)
    return results[list(timm.COLUMNS)], speed[list(timm.SPEED_COLUMNS)]


def facts_of(file: str, table: pd.DataFrame) -> timm.Facts:
    """What `FACTS` would say of a table."""
    size = "img_size" if file == timm.FILE else "infer_img_size"
    names = "".join(f"{m}@{s}\n" for m, s in zip(table["model"], table[size], strict=True))
    numbers = [table[name].to_numpy() for name in table.columns if table[name].dtype.kind in "if"]
    return timm.Facts(len(table), hashlib.sha256(names.encode()).hexdigest(), digest(numbers))


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Made-up tables whose facts are in place of the real ones."""
    results, speed = made_up()
    facts = {timm.FILE: facts_of(timm.FILE, results), timm.SPEED_FILE: facts_of(timm.SPEED_FILE, speed)}
    monkeypatch.setattr(timm, "FACTS", facts)
    return results, speed


@pytest.fixture
def folder(tables: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> Path:
    """A data folder with the made-up tables."""
    timm.save(*tables, tmp_path)
    return tmp_path


@pytest.fixture
def public(
    served: tuple[Path, str],
    tables: tuple[pd.DataFrame, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The public CSV files of the made-up tables behind a loopback address."""
    results, speed = tables
    counts = [f"{count:,.2f}" for count in results["param_count"]]  # "1,014.45", as timm writes it
    csv = results.assign(param_count=counts)[list(timm.CSV_COLUMNS)]
    for name, table in (("TIMM_SOURCE", csv), ("TIMM_SPEED_SOURCE", speed)):
        path = served[0] / f"{name}.csv"
        table.to_csv(path, index=False)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        source = Source(f"{served[1]}/{path.name}", sha256=sha256, size=path.stat().st_size)
        monkeypatch.setattr(build, name, source)
    return served[0]


class TestBuilding:
    def test_the_files_become_tables(
        self, run: Run, public: Path, tables: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
    ) -> None:
        folder = tmp_path / "new"
        code, out, err = run("--data", folder, "--timm")
        assert (code, err) == (0, "")
        assert "built timm_imagenet.parquet: 10 architectures, 13 trained models" in out
        assert "built timm_speed.parquet: 9 architectures" in out
        assert sorted(path.name for path in folder.iterdir()) == [timm.FILE, timm.SPEED_FILE]
        pd.testing.assert_frame_equal(timm.load_results(folder), tables[0], check_dtype=False)
        pd.testing.assert_frame_equal(timm.load_speed(folder), tables[1], check_dtype=False)
        code, out, _ = run("--data", folder, "--timm")
        assert (code, out.count("kept ")) == (0, 2)
        code, out, _ = run("--data", folder, "--check")
        assert "ok timm_imagenet.parquet" in out
        assert "ok timm_speed.parquet" in out

    def test_a_wrong_download_is_refused(self, run: Run, public: Path, tmp_path: Path) -> None:
        (public / "TIMM_SPEED_SOURCE.csv").write_text("model\nresnet18\n")
        code, _, err = run("--data", tmp_path / "new", "--timm")
        assert (code, err.count("\n")) == (2, 1)
        assert "does not have the pinned sha256" in err

    @pytest.mark.parametrize("other", [["--check"], ["--short"], ["--imagenet16", "x"]])
    def test_it_stands_alone(self, run: Run, tmp_path: Path, other: list[str]) -> None:
        code, _, err = run("--data", tmp_path / "new", "--timm", *other)
        assert (code, err.count("\n")) == (2, 1)

    def test_a_csv_of_something_else_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        for content, why in [("a,b\n1,2\n", "lacks model, img_size"), ("", "no CSV file"), ('"', "no CSV")]:
            path.write_text(content)
            with pytest.raises(TruthError, match=why):
                timm.from_csv(path)


class TestChecks:
    @pytest.mark.parametrize(
        ("spoil", "why"),
        [
            (lambda t: t.iloc[1:], "13 rows instead of 14"),
            (lambda t: t.drop(columns="tag"), "lacks tag"),
            (lambda t: t.assign(img_size=224), "there twice at 224 pixels"),
            (lambda t: t.assign(top1=t["top1"].iloc[::-1].to_numpy()), "not 100 together"),
            (lambda t: t.assign(top1=t["top1"] / 100), "fractions instead of percentages"),
            (lambda t: t.assign(top1=t["top1"] + 50), "no percentages"),
            (lambda t: t.assign(top5=1.0, top5_err=99.0), "fractions|top5 is below top1"),
            (lambda t: t.assign(top5=t["top5"].where(t.index > 0)), "top5 has gaps"),
            (lambda t: t.assign(top1="x"), "not numbers"),
            (lambda t: t.assign(model=1), "something other than texts"),
            (lambda t: t.assign(tag="x"), "not the architecture and the tag"),
            (lambda t: t.iloc[::-1], "models are not those"),
            (lambda t: t.assign(crop_pct=0.8), "numbers are not those"),
            (lambda t: t.assign(param_count=t["param_count"].iloc[::-1].to_numpy()), "shuffled"),
        ],
    )
    def test_what_is_wrong_is_said_in_a_line(
        self,
        tables: tuple[pd.DataFrame, pd.DataFrame],
        spoil: Callable[[pd.DataFrame], pd.DataFrame],
        why: str,
    ) -> None:
        with pytest.raises(TruthError, match=why) as told:
            timm.check(timm.FILE, spoil(tables[0]))
        assert "\n" not in str(told.value)
        assert "nasbench-data --timm" in str(told.value)

    def test_a_file_that_is_none(self, folder: Path) -> None:
        (folder / timm.SPEED_FILE).write_bytes(b"PAR1")
        with pytest.raises(TruthError, match="truncated or no parquet file"):
            timm.load(folder)
        (folder / timm.SPEED_FILE).unlink()
        with pytest.raises(MissingTruth, match="nasbench-data --timm"):
            timm.load(folder)


class TestSelection:
    def test_one_row_an_architecture_of_imagenet_1k_alone(self, folder: Path) -> None:
        table = timm.load(folder).set_index("arch")
        assert list(table.index) == ["big", "masked", "slow", "taught", "thrice", "unmeasured"]
        # The best and the mean at the smallest size that both tables have; 288 pixels have no speed.
        row = table.loc["thrice"]
        assert (row["imagenet1k_test"], row["imagenet1k_test_mean"]) == (80.0, 79.5)
        assert (row["img_size"], row["recipe"], row["recipes"]) == (224, "a1_in1k", 2)
        assert (row["params_millions"], row["gmacs"], row["images_per_second"]) == (20.0, 1.5, 1000.0)
        assert np.isnan(table.loc["unmeasured", "images_per_second"])

    def test_small_ones(self, folder: Path) -> None:
        assert list(timm.selected(folder)["arch"]) == ["masked", "taught", "thrice"]
        assert list(timm.selected(folder, max_params=12e6)["arch"]) == ["masked", "taught"]
        assert list(timm.selected(folder, max_gmacs=0.5)["arch"]) == ["masked"]
        assert list(timm.selected(folder, kinds=["labels"])["arch"]) == ["thrice"]
        with pytest.raises(UsageError, match="no kind of recipe 'x'; there are labels"):
            timm.selected(folder, kinds=["x"])

    def test_single_recipes(self, folder: Path) -> None:
        rows = timm.recipes(folder)
        assert list(rows[rows["arch"] == "thrice"]["tag"]) == ["a1_in1k", "a2_in1k"]
        assert dict(zip(rows["arch"], rows["kind"], strict=True))["masked"] == "self_supervised"

    def test_baselines(self, folder: Path) -> None:
        table = timm.baselines(timm.selected(folder))
        assert table["baseline"].tolist() == ["parameters", "GMACs", "slowness"]
        assert table["tau"].tolist() == [1.0, 1.0, 1.0]
        assert table["n"].tolist() == [3, 3, 3]
        assert timm.published(folder).columns.tolist() == [
            "arch",
            "params_millions",
            "gmacs",
            "images_per_second",
        ]

    def test_every_tag_is_in_one_group(self) -> None:
        known = timm.known_recipes()
        assert not set(known.kinds) & set(known.more_data)
        assert not any(word in tag for tag in known.kinds for word in ("in21k", "in22k", "in12k", "jft"))
        assert not any(word in tag for tag in known.kinds for word in ("ssl", "wsl", "clip", "laion"))


@pytest.fixture(scope="module")
def real() -> Path:
    """The data folder, if it has timm's tables."""
    try:
        folder = data_folder()
        timm.load_results(folder)
    except (UsageError, MissingTruth):
        pytest.skip("there are no tables of timm's in the data folder: nasbench-data --timm")
    return folder


class TestTheRealTables:
    def test_the_recipes_are_all_known(self, real: Path) -> None:
        results, known = timm.load_results(real), timm.known_recipes()
        assert set(results["tag"]) == {*known.kinds, *known.more_data}
        assert set(known.exceptions) <= set(results["model"])
        assert set(known.same_network) | set(known.same_network.values()) <= set(results["arch"])

    def test_the_selection(self, real: Path) -> None:
        table = timm.selected(real)
        assert len(table) == 196
        assert table[["params_millions", "gmacs", "images_per_second"]].notna().all(axis=None)
        assert len(timm.selected(real, kinds=["labels"])) == 178
        # As the guide on ground truth has them.
        assert timm.baselines(table)["tau"].round(3).tolist() == [0.573, 0.458, 0.5]

    def test_the_script_prints_a_list(self, real: Path) -> None:
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "select_timm.py"), "--data", str(real)],
            capture_output=True,
            text=True,
            check=True,
        )
        names = [line for line in done.stdout.splitlines() if not line.startswith("#")]
        assert names == timm.selected(real)["arch"].tolist()
        assert "(n = 196)" in done.stdout
