"""Counting what JAX compiles, for tests that a second call compiles nothing."""

import contextlib
from collections.abc import Iterator

import jax

_EVENT = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def count_compilations() -> Iterator[list[str]]:
    """A list that gains an entry for each program compiled inside the block."""
    compiled: list[str] = []

    def listen(event: str, duration: float, **_: object) -> None:
        if event == _EVENT:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
