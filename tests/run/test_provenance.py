"""What a record says of the machine and the code."""

from __future__ import annotations

from pathlib import Path

import torch

from nasbench_eval.runs import provenance


def test_the_device_and_the_processor_have_names() -> None:
    found = provenance.hardware(torch.device("cpu"))
    assert found["device"] == "cpu"
    assert found["device_name"]
    assert found["processor"]


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert provenance.file_digest(tmp_path / "file").startswith("ba7816bf8f01cfea")
