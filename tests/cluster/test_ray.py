"""A sweep and a search on a Ray cluster of two nodes, real processes of this machine; one node is killed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sweeps import begin, here, history, long_only, rows, searching, shards_of

pytestmark = [
    long_only,
    # Ray's own, while it is imported and while it starts and stops its processes.
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    # Its processes and their logs, which it leaves to be closed when they are collected.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

NODE = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80_000_000}


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """A cluster whose head and one more node have a core each, and that node."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="the extra ray is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    quick = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
    head = {**NODE, "include_dashboard": False, "_system_config": quick}
    Path("/tmp/ray").mkdir(exist_ok=True)  # where a head leaves its address, whatever its own folder
    # Its sockets' paths have to be short, which those of pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(initialize_head=True, head_node_args={**head, "temp_dir": folder})
        try:
            second = cluster.add_node(**NODE)
            cluster.wait_for_nodes(timeout=120)
            yield cluster, second
        finally:
            cluster.shutdown()


def test_a_sweep_outlives_a_node(
    nodes: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, second = nodes
    command = begin(
        tmp_path,
        "-m",
        "hydra/launcher=ray_cluster",
        f"hydra.launcher.ray.init.address='{cluster.address}'",
        "hydra.launcher.ray.remote.num_gpus=0",
        "hydra.launcher.ray.remote.num_cpus=1",
        "shards=4",
        "shard=range(4)",
        "n=240",
        "save_every=1",
        f"results={tmp_path}/runs",
        "run=split",
    )
    begun = _two_begun(tmp_path / "runs" / "split")
    cluster.remove_node(second, allow_graceful=False)
    said = command.communicate(timeout=300)[1]
    assert command.returncode == 0, said
    pieces = shards_of(tmp_path / "runs" / "split")
    assert [piece.name for piece in pieces] == ["0-of-4", "1-of-4", "2-of-4", "3-of-4"]
    again = [piece for piece in begun if (piece / "run.log").read_text().count("workers on cpu") > 1]
    assert len(again) == 1, "the killed node's shard, and no other, should have been begun again"
    here(tmp_path, monkeypatch, "n=240", "results=runs", "run=whole")
    pd.testing.assert_frame_equal(rows(pieces), rows([tmp_path / "runs" / "whole"]), check_exact=True)


def test_a_search_outlives_a_node(nodes: tuple[Any, Any], tmp_path: Path) -> None:
    """The history is that of a search with workers of this machine alone."""
    cluster, second = nodes
    search = ["space=mobilenetv2", "dataset=imagenet1k", "algorithm=aznas_small", "guide=intrain", "seeds=2"]
    search += [
        "proxy.batch_size=4",
        "proxy.resolution=64",
        "steps=100",
        "lag=2",
        "reuse=none",
        "save_every=1",
    ]
    there = searching(tmp_path, *search, "run=there", f"ray={cluster.address}")
    until = time.monotonic() + 180
    while not list((tmp_path / "results").rglob("scores/**/part-*")):
        assert time.monotonic() < until, "nothing was scored"
        time.sleep(0.05)
    cluster.remove_node(second, allow_graceful=False)
    said = there.communicate(timeout=300)[1]
    assert there.returncode == 0, said
    here = searching(tmp_path, *search, "run=here", "workers=0", "device=cpu")
    said = here.communicate(timeout=300)[1]
    assert here.returncode == 0, said
    found, expected = (history(tmp_path / "results" / run) for run in ("there", "here"))
    kept = [column for column in found if "seconds" not in column]
    pd.testing.assert_frame_equal(found[kept], expected[kept], check_exact=True)


def _two_begun(run: Path) -> list[Path]:
    """Two shards that have rows on the disk and are not finished: each node has one."""
    until = time.monotonic() + 180
    while time.monotonic() < until:
        begun = [s for s in shards_of(run) if list(s.rglob("part-*")) and '"finished"' not in _record(s)]
        if len(begun) == 2:
            return begun
        time.sleep(0.05)
    raise AssertionError(f"no two shards were being scored at a time: {shards_of(run)}")


def _record(shard: Path) -> str:
    return (shard / "run.json").read_text()
