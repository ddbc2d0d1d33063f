"""Published numbers beside those found here, as a table."""

from collections.abc import Sequence

from rich.console import Group
from rich.text import Text

from ntk_air.lab.report.layout import table
from ntk_air.lab.reproductions.all import Reproduced


def reproduced_table(found: Sequence[Reproduced]) -> Group:
    """A table for each paper, and how many numbers are the same."""
    parts: list = []
    for name in dict.fromkeys(each.name for each in found):
        own = [each for each in found if each.name == name]
        parts += [Text(f"{name}: {own[0].reproduction.title} ({own[0].reproduction.source})")]
        cells = [
            (
                each.row.what,
                f"{each.row.published:.5g}",
                f"{each.row.mean:.5g}" + _spread(each.row.found),
                f"{each.row.tolerance:.2g}",
                "same" if each.row.agrees else "different",
                f"{each.seconds:.1f}",
            )
            for each in own
        ]
        heads = ("number", "published", "found here", "tolerance", "is it", "seconds")
        parts += [table(heads, cells)]
        parts += [Text(f"tolerance: {why}") for why in dict.fromkeys(e.row.why for e in own)]
        parts += [Text("")]
    same = sum(each.row.agrees for each in found)
    return Group(*parts, Text(f"{same} of {len(found)} numbers are the same within tolerance"))


def _spread(draws: Sequence[float]) -> str:
    if len(draws) == 1:
        return ""
    return f" ({min(draws):.4g} to {max(draws):.4g}, {len(draws)} draws)"
