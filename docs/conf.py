"""The documentation site: Markdown pages, tutorials that run, the API from its docstrings.

``just docs`` builds it into ``docs/_build``, from the repository alone and without a network.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import ntk_air  # noqa: E402

project = "ntk_air"
author = copyright = "the ntk_air developers"
release = version = ntk_air.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "generated_pages",
    "plain_docstrings",
    "tutorial_links",
]
smartquotes_action = "D"  # dashes; quotes and primes stand as they are
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
# The tutorials' sources; sphinx-gallery writes their pages to generated/.
exclude_patterns = ["_build", "_ext", "tutorials", "generated/**/*.ipynb"]
nitpicky = True
nitpick_ignore_regex = [  # what is named in passing, of no page here
    ("py:class", r"(collections\.abc|jax|numpy)\..*"),
    ("py:exc", r"(MemoryBudget|DiskSpace|Decomposition)Error"),
]
default_role = "code"

# Pages are read on GitHub too: headings are targets there, and files are linked by their path.
myst_heading_anchors = 3
myst_enable_extensions = ["deflist", "attrs_inline"]
myst_links_external_new_tab = False

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say shapes and units; the annotations are of jaxtyping
autodoc_class_signature = "mixed"

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "generated/tutorials",
    "filename_pattern": r"/\d_",
    "within_subsection_order": "FileNameSortKey",
    "default_thumb_file": str(HERE.parent / "figures/eigen_spectrum/overview.png"),
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 3600,  # seconds are the machine's, not the page's
    "write_computation_times": False,
    "abort_on_example_error": False,
    "first_notebook_cell": None,
    "image_srcset": ["2x"],
    "remove_config_comments": True,
}

html_theme = "furo"
html_title = f"ntk_air {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
