"""Where the package's own configuration files lie, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path


def config_folder() -> Path:
    """The folder of YAML files: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def configured(group: str) -> list[str]:
    """The names of a group's YAML files, sorted."""
    return sorted(file.stem for file in (config_folder() / group).glob("*.yaml"))
