"""What experiments do around their computation, where there are several processes."""

from pathlib import Path

import jax

from ntk_air.lab import harness as experiment


def test_each_process_of_several_has_a_folder_of_its_own(monkeypatch):
    assert experiment._own(Path("runs/mnist")) == Path("runs/mnist")
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    for index, name in enumerate(("mnist", "mnist-process1")):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        assert experiment._own(Path("runs/mnist")) == Path("runs") / name
