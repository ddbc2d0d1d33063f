"""What ``ntk-air report`` can be told."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from ntk_air._base.checks import check_seed, check_whole_number
from ntk_air._base.memory import parse_bytes
from ntk_air.lab.config import DataConfig, NoiseConfig
from ntk_air.lab.kernel_config import KernelConfig


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """Write one HTML page about data and their kernel, or about a finished run.

    The page opens offline: spectrum, where labels and noise live, AIR, learning curve,
    self-distillation against early stopping, certificate, and what to look after.
    """

    folder: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of a finished run; without it, data are loaded and measured."""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    noise: NoiseConfig = dataclasses.field(default_factory=lambda: NoiseConfig(noise=0.2))
    kernel: KernelConfig = dataclasses.field(default_factory=KernelConfig)
    out: Path = Path("report.html")
    """The page."""
    seed: int = 0
    """First seed: of the subset, the network and the label noise."""
    seeds: int = 5
    """Draws of label noise that the AIR's spread is over."""
    max_memory: str = "8GiB"
    """Memory the report may use; a kernel that needs more is refused before it starts."""

    def __post_init__(self):
        check_seed("seed", self.seed)
        check_whole_number("seeds", self.seeds, minimum=1)
        try:
            parse_bytes(self.max_memory)
        except ValueError as error:
            raise ValueError(f"max_memory: {error}") from error
