"""Running as a user does: the checks of annotations are for tests alone."""

import contextlib
from collections.abc import Iterator

import jaxtyping


@contextlib.contextmanager
def without_type_checks() -> Iterator[None]:
    """Leave arguments that break their annotations to the library's own checks."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
