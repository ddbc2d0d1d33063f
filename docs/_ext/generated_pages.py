"""Pages that are written at build time: the API and the figures."""

from pathlib import Path

import api_pages
import figure_pages
from sphinx.application import Sphinx


def write(app: Sphinx) -> None:
    """Write both into ``generated/``, leaving what has not changed."""
    source = Path(app.srcdir)
    pages = {f"api/{name}.rst": text for name, text in api_pages.pages().items()}
    pages["figures.md"] = figure_pages.page(source.parent / "figures", up="../../figures")
    for name, text in pages.items():
        path = source / "generated" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
