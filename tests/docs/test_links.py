"""The checks of `make docs` refuse a link that leads nowhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
DOCS = Path(__file__).resolve().parents[2] / "docs"
GOOD = """# Home

```{toctree}
other
```

[a page](other.md), [a heading](other.md#a-heading), [a file](../results/table.csv), [a folder](../results),
[a heading out of the pages](../README.md#a-section), [the web](https://arxiv.org/abs/2606.18676#top).
"""
BAD = {
    "[x](missing.md)": "missing.md",
    "[x](other.md#no-heading)": "no-heading",
    "[x](#nowhere)": "nowhere",
    "[x](../results/missing.csv)": "missing.csv is no file of the repository",
    "[x](../missing/)": "missing/ is no file of the repository",
    "[x](../missing.md)": "missing.md",
    "[x](../README.md#no-section)": "README.md has no such heading",
    "[x](../../outside)": "leads out of the repository",
    "[x](https://no host/)": "no host",
    "[x](http://arxiv/)": "arxiv is no host",
    "![x](../results/missing.png)": "missing.png",
}


def build(folder: Path, index: str, readme: str = "") -> tuple[int, str]:
    """Build two pages beside a README and a results folder; the exit code and what was said."""
    docs = folder / "docs"
    docs.mkdir(parents=True)
    shutil.copy(DOCS / "conf.py", docs)
    for name in ("_ext", "_static"):
        shutil.copytree(DOCS / name, docs / name, ignore=shutil.ignore_patterns("__pycache__"))
    (docs / "index.md").write_text(index, encoding="utf-8")
    (docs / "other.md").write_text("# Other\n\n## A heading\n\nText.\n", encoding="utf-8")
    (folder / "README.md").write_text(f"# Read me\n\n## A section\n\n{readme}\n", encoding="utf-8")
    (folder / "results").mkdir()
    (folder / "results" / "table.csv").touch()
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-n",
        "-q",
        "-b",
        "html",
        "docs",
        "built",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_good_links_pass_and_lead_to_the_files(tmp_path: Path) -> None:
    code, said = build(tmp_path, GOOD, "[a page](docs/other.md#a-heading) and [here](#a-section)")
    assert code == 0, said
    page = (tmp_path / "built" / "index.html").read_text(encoding="utf-8")
    assert 'href="../results/table.csv"' in page
    assert 'href="../README.md#a-section"' in page


def test_bad_links_are_refused(tmp_path: Path) -> None:
    readme = "[y](docs/gone.md) [y](docs/other.md#gone) [y](#gone)"
    code, said = build(tmp_path, GOOD + "\n\n".join(BAD), readme)
    assert code != 0
    untold = {link: words for link, words in BAD.items() if words not in said}
    assert not untold, said
    for words in ("docs/gone.md: there is no such file", "#gone: there is no such heading"):
        assert words in said
    assert said.count("README.md:5: ") == 3
