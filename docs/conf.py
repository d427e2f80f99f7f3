"""The documentation site: `make docs` builds it into docs/_build/html, and any warning is an error."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from nasbench_eval import __version__

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "nasbench_eval"
author = "the nasbench_eval authors"
copyright = "the nasbench_eval authors, MIT licence"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "repository_links",
    "reference_pages",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "reference/generated"]

# Links to headings (page.md#heading) are checked down to this level; a wrong one is a warning.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]

# Undefined MyST references always warn. Python types (torch.Tensor and so on) have no page here.
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"Init": "Init", "Source": "Source"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Docstrings are plain text: `name` is code, as in Markdown.
default_role = "code"

smartquotes_action = "De"  # dashes; quotes stay, since what is quoted is often typed into a shell

html_theme = "furo"
html_title = f"nasbench_eval {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}


def _plain(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Docstrings write |x| and *shape as they are; only what stands in backticks is marked."""
    for number, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`)", line)
        lines[number] = "".join(p if p.startswith("`") else re.sub(r"([*|])", r"\\\1", p) for p in parts)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    # Before Napoleon (500), whose markup is to stay.
    app.connect("autodoc-process-docstring", _plain, priority=400)
