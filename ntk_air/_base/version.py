"""The version of this package."""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """The version that is installed; ``0+unknown`` in a source tree that never was."""
    try:
        return version("ntk-air")
    except PackageNotFoundError:
        return "0+unknown"
