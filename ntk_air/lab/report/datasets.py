"""The data sets and their options, as ``ntk-air datasets`` prints them."""

from rich.console import Group, RenderableType
from rich.table import Table

from ntk_air.data.catalogue import dataset_names, describe_dataset, is_looked_for
from ntk_air.lab.config import OWN_FILES

_SIZES = (
    "--n-train, --n-test and the run's seed choose the rows; without an official test part a fifth "
    "is held out."
)


def datasets_table() -> Table:
    """Every name with the first line of what it is."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, says in dataset_names().items():
        table.add_row(name, says.replace("``", ""))
    return table


def dataset_page(name: str) -> RenderableType:
    """What a data set is and takes; raises ``ValueError`` for a name that is none."""
    says, options = describe_dataset(name)
    table = Table(box=None, pad_edge=False)
    for column in ("option", "takes", "by default", ""):
        table.add_column(column)
    for option in options:
        table.add_row(option.name, option.takes, option.default or "must be given", option.says)
    parts: list[RenderableType] = [says, "", table] if options else [says]
    parts += ["", f"{_command(name)}: {_SIZES}"]
    if is_looked_for(name):
        parts.append("--data-dir, else NTK_AIR_DATA and the usual places, are looked into for it.")
    return Group(*parts)


def _command(name: str) -> str:
    """How a command line asks for the set, with its options."""
    if name in OWN_FILES:
        return f"--{name} PATH, with options by their names, such as --label-column NAME"
    if name == "hf":
        return "--dataset hf:NAME"
    return f"--dataset {name} --dataset-option NAME=VALUE …"
