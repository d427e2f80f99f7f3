"""Published networks of a space beside what searches found."""

from __future__ import annotations

from nasbench_eval.report.search.unjudged.published import published_networks


def test_networks_are_told_as_published() -> None:
    told = published_networks(["uninas", "uninas"]).set_index("network")
    assert told.index.tolist() == ["ResNet", "EfficientNet", "ViT", "CoAtNet", "UniNAS-A"]
    assert told["ImageNet %"].tolist() == ["75.19", "80.52", "80.64", "80.58", "81.15"]
    assert told.loc["UniNAS-A", ["COCO AP box", "AP mask", "ADE20K mIoU"]].tolist() == [
        "42.4",
        "39.0",
        "45.6",
    ]
    assert told.loc["ViT", "COCO AP box"] == ""
    assert told.loc["ResNet", "as published"] == "24.8M parameters, 9.0G FLOPs"


def test_other_spaces_have_none() -> None:
    assert published_networks(["mobilenetv2", "darts"]).empty
