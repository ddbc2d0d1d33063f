"""For tests whose time is spent by XLA optimising programs that run once."""

from collections.abc import Iterator

import jax


def quick_compilation() -> Iterator[None]:
    """Have programs compiled without most optimisations: the body of a fixture."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
