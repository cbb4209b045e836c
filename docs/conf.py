"""How Sphinx makes the site of these pages. `make docs` runs it, with the programs and the Python package of the build tree."""

import sys
from pathlib import Path

import ipcluster

sys.path.insert(0, str(Path(__file__).parent / "site"))

project = "ipcluster"
release = version = ipcluster.__version__
copyright = "the ipcluster developers"
html_show_sphinx = html_show_copyright = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "headers", "notebooks", "programs"]
exclude_patterns = ["examples", "html", "man", "site"]
# Code that is indented is what somebody types at a prompt.
highlight_language = "console"
myst_heading_anchors = 3
smartquotes = False  # --option is no dash

# What Python shows of the package is written with its docstrings, in Google's style.
autodoc_member_order = "groupwise"
autodoc_inherit_docstrings = False
default_role = "code"
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"ipcluster {release}"
html_copy_source = False
html_static_path = ["site/static"]
html_css_files = ["site.css"]


def setup(app):
    from docutils import nodes

    def write_dashes(_app, doctree):
        """Sphinx leaves the dash between a parameter and what is said of it to the quotes that are off."""
        for text in list(doctree.findall(nodes.Text)):
            if text == " -- ":
                text.parent.replace(text, nodes.Text(" – "))

    app.connect("doctree-read", write_dashes)
