"""Pieces of pages that open offline: one file each, with style, tables and pictures inside."""

import base64
import html
import io
from collections.abc import Iterable, Sequence

from ntk_air.lab.plotting import STYLE, Draw, draw_figure

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.6rem; text-align: left; border-bottom: 1px solid #ddd;
         vertical-align: middle; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: 29rem; max-width: 100%; }
figure img { width: 100%; } figcaption { font-size: 0.85rem; color: #444; }
.big { font-size: 1.15rem; } .suspect img { width: 64px; image-rendering: pixelated; }
code { background: #f2f2f2; padding: 0 0.2rem; } .look { color: #b34700; } .well { color: #00694a; }
@media print { body { max-width: none; margin: 0; } figure, tr { break-inside: avoid; }
               h2 { break-after: avoid; } .table { overflow: visible; } }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole page.

    Args:
        title: title of the window, as plain text.
        body: parts of the page, as HTML.
    """
    inside = "\n".join(body)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{inside}\n</body></html>\n"
    )


def text(value: object) -> str:
    """Plain text as HTML."""
    return html.escape(str(value))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, n_left: int = 1) -> str:
    """A table of plain texts; columns from ``n_left`` on hold numbers."""

    def line(tag: str, cells: Sequence[object]) -> str:
        kinds = ["" if place < n_left else ' class="number"' for place in range(len(cells))]
        made = (
            f"<{tag}{kind}>{text(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)
        )
        return f"<tr>{''.join(made)}</tr>"

    body = "".join(line("td", row) for row in rows)
    return f'<div class="table"><table>{line("th", columns)}{body}</table></div>'


def figures(shown: Iterable[tuple[Draw, str]]) -> str:
    """Pictures side by side where there is room, each with its caption."""
    made = (
        f'<figure><img alt="{text(caption)}" src="{picture(draw)}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
        for draw, caption in shown
    )
    return f'<div class="figures">{"".join(made)}</div>'


def picture(draw: Draw) -> str:
    """A drawn panel as the address of a picture that holds itself."""
    import matplotlib as mpl

    stream = io.BytesIO()
    with mpl.rc_context(STYLE):
        draw_figure(draw).savefig(stream, format="png", dpi=200, metadata={"Software": None})
    return inlined(stream.getvalue())


def inlined(png: bytes) -> str:
    """A PNG as the address of a picture that holds itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
