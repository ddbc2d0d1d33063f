"""A simulation kept in a file: interrupted between two records, it goes on from where it was."""

import dataclasses
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ntk_air._base import files
from ntk_air._base.version import computed_with
from ntk_air.dynamics.run.metrics import HeldOutMetrics, TrainMetrics
from ntk_air.dynamics.run.trajectory import FinalState, StoredPredictions, Trajectory
from ntk_air.dynamics.stepwise.stepping import SimulationState

Part = TypeVar("Part", bound=eqx.Module)


@dataclasses.dataclass(frozen=True)
class SimulationFile:
    """Where ``Stepwise`` keeps its state: ``Stepwise(checkpoint=file.save, resume=file.load())``.

    The file is replaced whole; a run that goes on from it ends in the same bits.

    Args:
        path: file of this run alone; its folder is made where it is missing.
        belongs_to: a text that stands for all that decides the run: kernel, labels, supervision,
            learning rate, such as a hash of a configuration.
    """

    path: Path
    belongs_to: str

    def save(self, trajectory: Trajectory) -> None:
        """Keep a trajectory of ``Stepwise`` as far as it has come."""
        state = trajectory.final.resume
        assert isinstance(state, SimulationState)  # Stepwise makes no other
        self.path.parent.mkdir(parents=True, exist_ok=True)
        parts = {
            "state": state,
            "train": trajectory.train,
            "held_out": trajectory.held_out,
            "stored": trajectory.stored,
        }
        arrays = {
            f"{part}.{name}": value
            for part, module in parts.items()
            if module is not None
            for name, value in _fields(module).items()
        }
        arrays |= {
            "times": trajectory.times,
            "learning_rate": np.asarray(trajectory.learning_rate),
            "words": np.array([self.belongs_to, trajectory.rule, computed_with()]),
        }
        files.write_arrays(self.path, arrays)

    def load(self) -> Trajectory | None:
        """The trajectory kept, to go on from; ``None`` where there is none.

        Raises:
            ValueError: the file is of another run, was made with another JAX, or is damaged.
        """
        if not self.path.exists():
            return None
        try:
            arrays = files.read_arrays(self.path)
        except ValueError as error:
            raise ValueError(f"{error}: no checkpoint of a simulation; remove it") from error
        belongs_to, rule, *made_with = (str(word) for word in arrays.get("words", ("", "")))
        if belongs_to != self.belongs_to:
            raise ValueError(
                f"checkpoint must be of this very run, {self.belongs_to!r}; {self.path} holds one "
                f"of {belongs_to!r}: choose another file, or remove it"
            )
        if made_with and made_with != [computed_with()]:
            raise ValueError(
                f"checkpoint must be made with {computed_with()}; {self.path} was begun with "
                f"{made_with[0]}: finish it there, or remove the file "
                "to begin anew"
            )
        on_device = {name: jnp.asarray(v) for name, v in _part("state", arrays).items()}
        state = self._made(SimulationState, on_device)
        held_out, stored = (_part(name, arrays) for name in ("held_out", "stored"))
        return Trajectory(
            times=arrays["times"],
            train=self._made(TrainMetrics, _part("train", arrays)),
            held_out=self._made(HeldOutMetrics, held_out) if held_out else None,
            final=FinalState(predictions=state.outputs, dual=state.dual, resume=state),
            stored=self._made(StoredPredictions, stored) if stored else None,
            learning_rate=float(arrays["learning_rate"]),
            rule=rule,
            notes=(
                "restored from a checkpoint" + ("" if made_with else " that names no JAX version"),
            ),
        )

    def _made(self, kind: type[Part], values: dict[str, Any]) -> Part:
        """A part of the trajectory; refused where this release makes it of other arrays."""
        known = {field.name: field.default for field in dataclasses.fields(kind)}
        needed = {name for name, default in known.items() if default is dataclasses.MISSING}
        if not needed <= values.keys() <= known.keys():
            raise ValueError(
                f"{self.path} was written by another release of ntk_air, such as 0.1: it holds a "
                f"{kind.__name__} of {', '.join(sorted(values))}, and this one needs "
                f"{', '.join(known)}: finish the run with the release that began it, or remove "
                "the file to begin anew"
            )
        return kind(**values)


def _fields(module: eqx.Module) -> dict[str, Any]:
    values = {field.name: getattr(module, field.name) for field in dataclasses.fields(module)}
    return {name: value for name, value in values.items() if value is not None}


def _part(name: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): arrays[key] for key in arrays if key.startswith(prefix)}
