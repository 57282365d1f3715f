"""Settings of Sphinx for the site: `make docs` builds it into build/site, without a network.

The source folder is the repository, not docs/. Documents link to the README, the plugins and the examples with relative links,
as a forge needs them. With this source folder, the same links hold on the site.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.ext.napoleon.docstring import GoogleDocstring

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
_project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "tina_framework"
author = "the tina_framework authors"
copyright = f"{author}. Apache License 2.0"
version = release = _project["version"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
root_doc = "docs/index"
include_patterns = [
    "*.md",
    "docs/**",
    "benchmarks/README.md",
    "benchmarks/*/README.md",
    "examples/*/README.md",
    "plugins/*/README.md",
    "**/demo/CREDITS.md",
]
# Folders that are never entered. Sphinx would also read what an environment or a build left there.
exclude_patterns = [
    ".*",
    "build",
    "dist",
    "outputs",
    "work",
    "shared",
    "**/__pycache__",
    "**/node_modules",
    "docs/_site",
]

# Documents

myst_heading_anchors = 4  # links such as `zoo.md#read-a-zoo` work as on a forge
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"  # a test runs the notebook and compares its outputs
# Credits and pages of benchmarks are reached by links. A test demands that everything in docs/ is in the index.
suppress_warnings = ["toc.not_included"]

# The API reference

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # an attribute of a docstring may also be a property; this describes it without a second entry
python_use_unqualified_type_names = True
default_role = "py:obj"  # docstrings write names in single backticks; one that is not in the reference is shown as code

# Looks

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_sphinx = False
templates_path = ["_site/templates"]
html_additional_pages = {"index": "to_start_page.html"}  # the start page is docs/index.html


def navigation(index: str) -> str:
    """Return tables of contents in MyST for the links of docs/index.md: one for each section, and one for the text before them."""
    contents = []
    for section in re.split(r"^## ", index, flags=re.MULTILINE):
        title = section.partition("\n")[0].partition(":")[0]
        caption = [] if section.startswith("#") else [f":caption: {title}"]
        links = re.findall(r"(?<!!)\[([^]]+)\]\(([^)#]+)\.(?:md|rst|ipynb)\)", section)
        entries = [f"{text} <{document}>" for text, document in links]
        if entries:
            contents.append("\n".join(["```{toctree}", ":hidden:", *caption, "", *dict.fromkeys(entries), "```"]))
    return "\n\n".join(contents)


def _add_navigation(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the navigation to the start page. A forge would show a `toctree` in the file itself as code."""
    if docname == app.config.root_doc:
        source[0] += "\n" + navigation(source[0])


def _keep_first_line(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Convert the docstrings of properties and constants before Napoleon does, which takes "X: y" in a first line for type X."""
    if what in ("attribute", "data", "property"):
        # An escaped line break is no text, and it has no colon.
        lines[:] = ["\\", *str(GoogleDocstring(list(lines), app.config, app, "method", name)).splitlines()]


def _link_documents(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Make links of the documents that docstrings name by their path."""
    lines[:] = [re.sub(r"`*\b(docs/[\w/-]+)\.md\b`*", r":doc:`/\1`", line) for line in lines]


def setup(app: Sphinx) -> None:
    app.connect("source-read", _add_navigation)
    app.connect("autodoc-process-docstring", _keep_first_line, priority=100)
    app.connect("autodoc-process-docstring", _link_documents)
