"""The experiments by name: the scripts of ``experiments/``, in a checkout or in a wheel."""

import ast
import importlib.util
import sys
from pathlib import Path

import ntk_air
from ntk_air._base.checks import check_choice
from ntk_air.lab.harness import Experiment


def experiments_folder() -> Path:
    """Where the scripts lie: inside an installed package, beside that of a checkout."""
    package = Path(ntk_air.__file__).resolve().parent
    inside = package / "lab" / "experiments"
    return inside if inside.is_dir() else package.parent / "experiments"


def experiments() -> dict[str, str]:
    """Each experiment's name, as a command line has it, with the first line of what it says."""
    found = {}
    for path in sorted(experiments_folder().glob("*.py")):
        says = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.stem.replace("_", "-")] = says.partition("\n")[0]
    return found


def load_experiment(name: str) -> Experiment:
    """The experiment of a name, with dashes or underscores.

    Raises:
        ValueError: there is none; names those that are there.
    """
    name = name.replace("_", "-")
    check_choice("experiment", name, experiments())
    stem = name.replace("-", "_")
    module_name = f"ntk_air_experiment_{stem}"
    if module_name not in sys.modules:
        path = experiments_folder() / f"{stem}.py"
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None and spec.loader is not None  # a file that is there
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module  # dataclasses and the help look it up there
        spec.loader.exec_module(module)
    return sys.modules[module_name].EXPERIMENT
