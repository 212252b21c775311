"""The documentation site: Sphinx, MyST and furo over the pages of this repository, which link to each other as files.

    sphinx-build -W -c docs . .cache/site

The source directory is the repository, so that links between pages, READMEs of plugins and sources are the same on the
site as in an editor.
"""

from gateway_core import __version__

project = "Gateway"
author = "The authors of the gateway"
copyright = "The authors of the gateway"  # noqa: A001
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "plugins/*/README.md",
    "examples/README.md",
    "examples/*/README.md",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "benchmarks/README.md",
]
exclude_patterns = ["**/.venv/**"]

myst_heading_anchors = 4
# Blocks in words that Pygments does not know, such as heads of requests, are shown without colours.
suppress_warnings = ["misc.highlighting_failure"]
autodoc_typehints = "description"
autodoc_class_signature = "separated"

html_theme = "furo"
html_title = f"Gateway {version}"
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "native"
