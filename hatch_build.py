"""What a built package says of itself beyond pyproject.toml: its README and its addresses.

Outside the repository the README's relative links and pictures lead nowhere. Who builds for others
names the repository and the commit or tag that is built, as the workflow "release" does:

    NTK_AIR_REPOSITORY=https://github.com/OWNER/NAME NTK_AIR_REF=v0.1.0 uv build

Without these two settings the README stays as it is, and no address is made up.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PAPER = "https://arxiv.org/abs/1910.01255"
_RELATIVE = r"\]\((?!https?://|#)([^)\s]+)\)"
_PICTURE = re.compile(rf"(!\[[^\]]*){_RELATIVE}")
_LINK = re.compile(_RELATIVE)


def absolute_links(readme: str, repository: str, ref: str) -> str:
    """The README with pictures and links that work anywhere."""
    with_pictures = _PICTURE.sub(rf"\1]({repository}/raw/{ref}/\2)", readme)
    return _LINK.sub(rf"]({repository}/blob/{ref}/\1)", with_pictures)


def addresses(repository: str, ref: str) -> dict[str, str]:
    """The project's URLs in a repository."""
    return {
        "Repository": repository,
        "Documentation": f"{repository}/tree/{ref}/docs",
        "Changelog": f"{repository}/blob/{ref}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


class ReadmeAndAddresses(MetadataHookInterface):
    """Fills the dynamic fields ``readme`` and ``urls``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill them, from the two settings where they are made."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["urls"] = {"Paper": PAPER}
        repository = os.environ.get("NTK_AIR_REPOSITORY", "").rstrip("/")
        if repository:
            ref = os.environ.get("NTK_AIR_REF", "HEAD")
            text = absolute_links(text, repository, ref)
            metadata["urls"] |= addresses(repository, ref)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
