"""What ``ntk-air labels`` can be told."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from ntk_air._base.checks import check_seed, check_whole_number
from ntk_air._base.memory import parse_bytes
from ntk_air.lab.kernel_config import KernelConfig


@dataclasses.dataclass(frozen=True)
class LabelsConfig:
    """Find wrong labels in data of your own, with no clean label at hand.

    Writes labels.csv (row, given, suggested, error_probability, rank), noise.json and report.html.
    """

    file: Annotated[Path, tyro.conf.Positional]
    """A table (.csv with a header, .csv.gz, .parquet, .feather, …), an .npz with inputs and labels,
    or a folder with a subfolder of images for each class."""
    label_column: str = "label"
    """Column of the given labels (tables only)."""
    leave_out: tuple[str, ...] = ()
    """Columns that are no inputs, such as identifiers (tables only)."""
    one_hot: tuple[str, ...] = ()
    """Columns of categories, each of which becomes an input, 0 or 1 (tables only)."""
    text_column: str | None = None
    """Column of texts, which alone are the inputs then, as weighted counts of words (tables
    only)."""
    standardise: bool = True
    """Scale each column to mean 0 and deviation 1 (tables only)."""
    image_size: int | None = None
    """Side that images are resized to (folders only); all must be of one size without it."""
    features: str | None = None
    """Features in place of the inputs: efficientnet_lite0 (a network trained on ImageNet, extra
    pretrained), or MODULE:FUNCTION of your own."""
    kernel: KernelConfig = dataclasses.field(default_factory=KernelConfig)
    out: Path | None = None
    """Folder of the results; by default runs/labels/ and the file's name."""
    n_modes: int = 512
    """Largest modes of the kernel that are used."""
    folds: int = 4
    """Parts that labels are hidden by."""
    seed: int = 0
    """Of folds, intervals and random networks."""
    max_memory: str = "8GiB"
    """Memory the run may use; a kernel that does not fit is kept in tiles on disk."""
    force: bool = False
    """Compute anew, replacing what the folder holds."""

    def __post_init__(self):
        check_whole_number("n_modes", self.n_modes, minimum=2)
        check_whole_number("folds", self.folds, minimum=2)
        check_seed("seed", self.seed)
        try:
            parse_bytes(self.max_memory)
        except ValueError as error:
            raise ValueError(f"max_memory: {error}") from error
        if self.image_size is not None:
            check_whole_number("image_size", self.image_size, minimum=1)
        if self.kernel.kernel_file is not None and self.features is not None:
            raise ValueError("features must be left out beside kernel_file; got both")

    def identity(self) -> dict[str, Any]:
        """What makes two runs the same; where files lie does not, their content does."""
        fields = dataclasses.asdict(self)
        for name in ("file", "out", "force", "max_memory"):
            del fields[name]
        return fields | {"kernel": self.kernel.identity()}
