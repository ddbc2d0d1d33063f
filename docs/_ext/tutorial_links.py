"""Links of Markdown pages to a tutorial's source, as GitHub follows them, lead to its page."""

from pathlib import PurePosixPath

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx


def redirect(app: Sphinx, doctree: nodes.document) -> None:
    """Replace downloads of ``tutorials/NAME.py`` by the page that sphinx-gallery made of it."""
    for link in list(doctree.findall(addnodes.download_reference)):
        target = PurePosixPath(link["reftarget"])
        if target.parent.name == "tutorials" and target.suffix == ".py":
            page = f"/generated/tutorials/{target.stem}"
            options = {"refdomain": "std", "reftype": "doc", "refexplicit": True, "refwarn": True}
            refdoc = app.env.docname
            link.replace_self(
                addnodes.pending_xref("", *link.children, refdoc=refdoc, reftarget=page, **options)
            )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-read", redirect)
    return {"parallel_read_safe": True}
