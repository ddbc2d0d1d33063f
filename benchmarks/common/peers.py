"""Tools that are measured in a process of their own, in an environment of their own.

A tool is a script that calls ``measurement.serve``. It gets a request and arrays, and answers with
JSON and arrays; ``run_tool`` starts it. Peers that cannot live beside this project's JAX get a
virtual environment, which ``peer_python`` makes with uv once and finds again later.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]

DEFAULT_CACHE = ROOT / ".peers"
"""Where environments of peers lie; git ignores it."""


@dataclasses.dataclass(frozen=True)
class PeerEnvironment:
    """What to install for a peer."""

    name: str
    """Name of its folder."""
    python: str
    """Version of Python, such as 3.11."""
    packages: tuple[str, ...]
    """Requirements, installed with all they depend on."""
    without_dependencies: tuple[str, ...] = ()
    """Requirements installed alone."""
    by_pip: tuple[str, ...] = ()
    """Requirements installed by the environment's own pip, which heeds what the machine's
    administrator configured: where builds without drivers of accelerators are to be had."""


NEURAL_TANGENTS = PeerEnvironment(
    name="neural-tangents",
    python="3.11",
    packages=("jax==0.4.23", "jaxlib==0.4.23", "numpy<2", "scipy<1.13", "frozendict"),
    # Its metadata ask for TensorFlow, which only its part `experimental` imports.
    without_dependencies=("neural-tangents==0.6.5",),
)
"""neural-tangents on the JAX it was written for. A script there puts an empty module
``neural_tangents.experimental`` into ``sys.modules`` before it imports ``neural_tangents``."""

TORCH = PeerEnvironment(
    name="torch", python="3.11", packages=("numpy>=2", "pip"), by_pip=("torch==2.13.*",)
)
"""PyTorch, whose ``torch.func`` has per-example Jacobians."""


def peer_python(environment: PeerEnvironment, cache: Path = DEFAULT_CACHE) -> Path:
    """The interpreter of a peer's environment, which is made where it is not there yet.

    Args:
        environment: what must be installed.
        cache: the folder of all environments. One that was made for other requirements, or not
            to its end, is made anew.

    Raises:
        RuntimeError: uv is missing, or could not make the environment; with what it said.
    """
    folder = cache.resolve() / environment.name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    finished, wanted = folder / "ntk_air.json", json.dumps(dataclasses.asdict(environment))
    if python.exists() and finished.exists() and finished.read_text("utf-8") == wanted:
        return python
    if folder.exists():
        shutil.rmtree(folder)
    own_version = ".".join(map(str, sys.version_info[:2]))
    interpreter = sys.executable if own_version == environment.python else environment.python
    _uv("venv", "--quiet", "--python", interpreter, str(folder))
    install = ("pip", "install", "--quiet", "--python", str(python))
    _uv(*install, *environment.packages)
    if environment.without_dependencies:
        _uv(*install, "--no-deps", *environment.without_dependencies)
    if environment.by_pip:
        pip = (str(python), "-m", "pip", "install", "--quiet", "--no-input")
        _run(*pip, *environment.by_pip)
    finished.write_text(wanted, "utf-8")
    return python


def run_tool(
    script: Path,
    request: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    *,
    python: Path | None = None,
    timeout_seconds: float = 1800,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Start a tool, hand it a request, and return its answer and its arrays.

    Args:
        script: calls ``measurement.serve`` when it is run.
        request: what JSON can hold.
        arrays: the inputs.
        python: the interpreter; by default this process's own, with ``ntk_air`` importable.
        timeout_seconds: after which the tool is stopped.

    Raises:
        RuntimeError: the tool failed, was killed, or ran out of time; with what it said last.
    """
    variables = dict(os.environ)
    if python is None:
        paths = [str(ROOT), *filter(None, [variables.get("PYTHONPATH")])]
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    else:
        variables["PYTHONPATH"] = str(ROOT)  # of which a peer imports benchmarks alone
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "request.json").write_text(json.dumps(dict(request)), "utf-8")
        inputs: dict[str, Any] = dict(arrays)
        np.savez(folder / "inputs.npz", **inputs)
        try:
            done = subprocess.run(
                [str(python or sys.executable), str(script), str(folder)],
                env=variables,
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{script.name} took more than {timeout_seconds} s") from error
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or ["nothing"]
            raise RuntimeError(f"{script.name} ended with {done.returncode}: {said[-1]}")
        answer = json.loads((folder / "answer.json").read_text("utf-8"))
        with np.load(folder / "outputs.npz") as outputs:
            return answer, dict(outputs)


def _uv(*arguments: str) -> None:
    """Run uv: the one that runs this process, one on the PATH, or the one of the README."""
    local = ROOT / ".tools" / "bin" / "uv"
    found = os.environ.get("UV") or shutil.which("uv") or (str(local) if local.exists() else None)
    if found is None:
        raise RuntimeError(
            "uv is needed to set up the environment of a peer: run this by the README's "
            "`.tools/bin/uv run`, or install uv"
        )
    _run(found, *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()}")
