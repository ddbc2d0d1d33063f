"""Where a number came from: versions, commit, device, peak memory."""

import importlib.metadata
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from ntk_air._base.version import package_version

_PACKAGES = ("jax", "jaxlib", "neural-tangents", "numpy", "scipy", "optax", "equinox")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def source_state() -> dict[str, Any]:
    """The package's version, and its git commit where it runs from a checkout."""
    root = Path(__file__).resolve().parents[2]
    commit = _git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
    # Figures and runs are what a run writes: they don't make the code another one.
    changes = commit and _git(
        root,
        "status",
        "--porcelain",
        "--",
        "ntk_air",
        "experiments",
        "benchmarks",
        "pyproject.toml",
    )
    return {
        "version": package_version(),
        "git_commit": commit,
        "git_dirty": None if commit is None else bool(changes),
    }


def device_state() -> dict[str, Any]:
    """The devices JAX computes on."""
    import jax

    devices = jax.devices()
    return {
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "count": len(devices),
        "jax_enable_x64": bool(jax.config.read("jax_enable_x64")),
    }


def peak_memory_bytes() -> int:
    """The largest resident size this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _git(root: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
