"""Checks links that lead out of the pages: to files of the repository, and to the web.

A link such as `../../results/table1` names a file or folder of the repository. It has to exist; in the
built page it leads to the file in the checkout, or below `repository_url` where that is set. Addresses on
the web are checked for their syntax alone, so that a build needs no network. README.md and its neighbours,
which are no pages of the site, are checked the same way, headings included.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from docutils import nodes
from markdown_it import MarkdownIt
from markdown_it.token import Token
from myst_parser.slugs import github_slugify
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_HOST = re.compile(r"[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+(:\d+)?|localhost(:\d+)?")


def web_fault(address: str) -> str:
    """What is wrong with an address on the web; empty if nothing is."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return "" if parts.scheme == "mailto" else f"the scheme {parts.scheme} is not used here"
    if not _HOST.fullmatch(parts.netloc):
        return f"{parts.netloc or 'nothing'} is no host"
    return "it has a space in it" if re.search(r"\s", address) else ""


def _warn(message: str, **place: Any) -> None:
    LOGGER.warning(message, type="links", **place)


class RepositoryLinks(SphinxTransform):
    """Turns links to files outside the pages into plain ones, once the files are found to exist."""

    default_priority = 10

    def apply(self, **kwargs: Any) -> None:
        source, root = Path(self.env.srcdir).resolve(), Path(self.config.repository_root).resolve()
        page = source / self.env.docname
        for node in list(self.document.findall(_is_link)):
            address = node.get("refuri") or node.get("reftarget") or ""
            file = isinstance(node, addnodes.download_reference)
            if isinstance(node, nodes.reference) and not file:
                if _SCHEME.match(address) and (fault := web_fault(address)):
                    _warn(f"{address} is no address on the web: {fault}", location=node)
                continue
            path, _, anchor = address.partition("#")
            if node.get("refdomain") == "doc":  # a Markdown file, by its path without the ending
                path, anchor = f"{address}.md", node.get("reftargetid") or ""
            target = Path(os.path.normpath(page.parent / unquote(path)))
            if not path or (
                target.is_relative_to(source) and not isinstance(node, addnodes.download_reference)
            ):
                continue  # to a page or a heading of the site: MyST checks it
            if not target.is_relative_to(root):
                _warn(f"{address} leads out of the repository", location=node)
            elif not target.exists():
                _warn(f"{address} is no file of the repository", location=node)
            elif anchor and target.suffix == ".md" and anchor not in headings(target):
                _warn(f"{address}: {target.name} has no such heading", location=node)
            self._replace(node, target, root, anchor)

    def _replace(self, node: nodes.Element, target: Path, root: Path, anchor: str) -> None:
        if self.config.repository_url:
            uri = f"{self.config.repository_url.rstrip('/')}/{target.relative_to(root).as_posix()}"
        else:
            page = Path(self.app.outdir) / f"{self.env.docname}.html"
            uri = Path(os.path.relpath(target, page.parent)).as_posix()
        link = nodes.reference("", "", refuri=uri + (f"#{anchor}" if anchor else ""), classes=["repository"])
        link += node.children
        node.replace_self(link)


def _is_link(node: nodes.Node) -> bool:
    if isinstance(node, addnodes.pending_xref):
        inside = node.get("refdomain") == "doc" and not os.path.isabs(node["reftarget"])
        return bool(node["reftype"] == "myst" and not inside)
    return isinstance(node, addnodes.download_reference | nodes.reference)


def headings(file: Path) -> set[str]:
    """The anchors of a Markdown file's headings."""
    found: set[str] = set()
    tokens = MarkdownIt("commonmark").enable("table").parse(file.read_text(encoding="utf-8"))
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            text = "".join(t.content for t in token.children or () if t.type in ("text", "code_inline"))
            slug, number = github_slugify(text), 0
            while (anchor := f"{slug}-{number}" if number else slug) in found:
                number += 1
            found.add(anchor)
    return found


def check_file(file: Path, root: Path) -> list[str]:
    """What is wrong with the links and images of a Markdown file that is no page of the site."""
    faults = []
    for line, address in _addresses(file):
        path, _, anchor = address.partition("#")
        target = Path(os.path.normpath(file.parent / unquote(path))) if path else file
        if _SCHEME.match(address):
            fault = web_fault(address)
        elif not target.is_relative_to(root) or not target.exists():
            fault = "there is no such file in the repository"
        elif anchor and target.suffix == ".md" and anchor not in headings(target):
            fault = "there is no such heading"
        else:
            fault = ""
        if fault:
            faults.append(f"{file.name}:{line}: {address}: {fault}")
    return faults


def _addresses(file: Path) -> Iterator[tuple[int, str]]:
    for block in MarkdownIt("commonmark").enable("table").parse(file.read_text(encoding="utf-8")):
        for token in block.children or ():
            if address := _address(token):
                yield (block.map or [0])[0] + 1, address


def _address(token: Token) -> str:
    name = {"link_open": "href", "image": "src"}.get(token.type)
    return unquote(str(token.attrs[name])) if name else ""


def _check_neighbours(app: Sphinx) -> None:
    root = Path(app.config.repository_root).resolve()
    for name in app.config.repository_pages:
        if (root / name).is_file():
            for fault in check_file(root / name, root):
                _warn(fault)


def _default_root(app: Sphinx, config: Any) -> None:
    if not config.repository_root:
        config.repository_root = str(Path(app.srcdir).resolve().parent)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_config_value("repository_root", "", "env")  # the folder above the pages, if it is not given
    app.add_config_value("repository_url", "", "env")  # where the repository's files are read on the web
    app.add_config_value("repository_pages", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"], "env")
    app.add_transform(RepositoryLinks)
    app.connect("config-inited", _default_root)
    app.connect("builder-inited", _check_neighbours)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
