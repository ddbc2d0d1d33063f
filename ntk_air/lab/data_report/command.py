"""The command ``ntk-air report``, from its options to the page."""

import shlex
from collections.abc import Sequence

from ntk_air._base import files
from ntk_air._base.progress import Progress
from ntk_air.lab.config import DataConfig
from ntk_air.lab.data_report.config import ReportConfig


def write_report(config: ReportConfig, *, command: Sequence[str], progress: Progress) -> None:
    """Measure data, or read a finished run, and write the page.

    Raises:
        ValueError: options that do not hold, a folder without a finished run; before work starts.
    """
    from ntk_air.lab.data_report.measured import measure
    from ntk_air.lab.data_report.pages import data_page, run_page
    from ntk_air.lab.redraw import finished_run

    files.check_writable("out", config.out)
    said = shlex.join(command)
    if config.folder is not None:
        page = run_page(finished_run(config.folder), said)
    else:
        config.data.check_own(DataConfig())
        page = data_page(measure(config, config.data.load(seed=config.seed), progress), said)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(config.out, page.encode())
