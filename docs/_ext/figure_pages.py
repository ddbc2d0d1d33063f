"""The page of all figures, from the folders that hold them and the manifests beside them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_OVERVIEW = "overview.png"
_HEAD = """# Figures

All figures of the repository, each with the command that made its numbers, from the manifest
beside it. `DIR` is a folder with the data set's own files. `just figures` draws all of them again
from the saved numbers, as PNG and PDF. What they show is said in the [results](../results.md).
"""


def page(figures: Path, up: str) -> str:
    """The page as Markdown.

    Args:
        figures: the folder that holds them.
        up: the same folder as seen from the page.
    """
    folders = sorted({path.parent for path in figures.rglob("*.png")})
    return "\n".join([_HEAD, *(_section(each, figures, up) for each in folders)])


def _section(folder: Path, figures: Path, up: str) -> str:
    name = folder.relative_to(figures).as_posix()
    at = f"{up}/{name}"
    pictures = sorted(path.name for path in folder.glob("*.png"))
    shown = [_OVERVIEW] if _OVERVIEW in pictures else pictures
    files = [path.name for path in sorted(folder.glob("*.json"))]
    panels = [picture for picture in pictures if picture not in shown]
    links = [_link(file, f"{at}/{file}") for file in files]
    links += [_link(panel.removesuffix(".png"), f"{at}/{panel}") for panel in panels]
    return "\n".join(
        [
            f"## {name}\n",
            *(f"![{picture.removesuffix('.png')} of {name}]({at}/{picture})" for picture in shown),
            f"\n{', '.join(links)}\n",
            *_command_block(folder),
        ]
    )


def _command_block(folder: Path) -> list[str]:
    beside = (folder / "manifest.json", folder / "results.json")
    recorded = next(path for path in beside if path.exists())
    found = commands(json.loads(recorded.read_text("utf-8")))
    if not found:
        return ["Its command is among the [results'](../results.md#commands).\n"]
    return ["```bash", *found, "```\n"]


def commands(recorded: Any) -> list[str]:
    """The commands that a manifest names anywhere, each once, with ``DIR`` for folders of data."""
    named = (re.sub(r"--data-dir \S+", "--data-dir DIR", each) for each in _commands(recorded))
    return list(dict.fromkeys(named))


def _commands(recorded: Any) -> Iterator[str]:
    if isinstance(recorded, dict):
        if isinstance(recorded.get("command"), str):
            yield recorded["command"]
        recorded = list(recorded.values())
    if isinstance(recorded, list):
        for each in recorded:
            yield from _commands(each)


def _link(text: str, target: str) -> str:
    return f"{{download}}`{text} <{target}>`"
