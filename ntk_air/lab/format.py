"""The formats that tables are printed in."""

from typing import Literal, TypeAlias

Format: TypeAlias = Literal["text", "json", "markdown", "latex", "csv"]
