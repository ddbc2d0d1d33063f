"""The version of this package."""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """The version that is installed; ``0+unknown`` in a source tree that never was."""
    try:
        return version("ntk-air")
    except PackageNotFoundError:
        return "0+unknown"


def computed_with() -> str:
    """JAX's versions: what is half done with one is not finished with another."""
    return ", ".join(f"{name} {version(name)}" for name in ("jax", "jaxlib"))
