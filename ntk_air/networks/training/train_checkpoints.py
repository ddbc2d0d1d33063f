"""Checkpoints of training runs, by orbax: an interrupted run goes on to the same bits."""

import dataclasses
import hashlib
import importlib.util
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ntk_air._base.checks import check_whole_number
from ntk_air._base.kinds import kind_of
from ntk_air._base.version import computed_with
from ntk_air.dynamics.run.metrics import HeldOutMetrics, TrainMetrics
from ntk_air.dynamics.run.trajectory import FinalState, StoredPredictions, Trajectory
from ntk_air.networks.training.train_step import TrainingSetup, TrainingState

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

_KEPT = 2
_FORMAT = "ntk_air training 2"


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """Where a training run keeps its state by orbax, and how often.

    Args:
        folder: folder that belongs to this run alone; made where it is missing.
        every: largest number of steps between two checkpoints; ``None`` is from record to record.

    Raises:
        ValueError: for ``every`` below 1.
        ModuleNotFoundError: orbax is missing; names the extra to install.

    >>> from pathlib import Path
    >>> import ntk_air as na
    >>> na.networks.Checkpoints(Path("kept"), every=1000).every
    1000
    """

    folder: Path
    every: int | None = None

    def __post_init__(self):
        if importlib.util.find_spec("orbax") is None:
            raise ModuleNotFoundError(
                'orbax is needed for checkpoints of training: pip install "ntk-air[checkpoints]"'
            )
        if self.every is not None:
            check_whole_number("every", self.every, minimum=1)

    def save(self, trajectory: Trajectory, identity: str) -> None:
        """Keep the state and the records of a trajectory, beside the one before; each step once.

        Args:
            trajectory: trajectory of the run, as far as it has come.
            identity: hash of all that decides the run.
        """
        ocp = _orbax()
        state = trajectory.final.resume
        assert isinstance(state, TrainingState)  # train makes no other
        leaves = {
            f"{part}_{index:04d}": np.asarray(leaf)
            for part, tree in (("state", state), ("records", _records(trajectory)))
            for index, leaf in enumerate(jax.tree.leaves(tree))
        }
        description = {
            "format": _FORMAT,
            "identity": identity,
            "made_with": computed_with(),
            "held_out": trajectory.held_out is not None,
            "stored": trajectory.stored is not None,
            "shapes": {name: (leaf.shape, str(leaf.dtype)) for name, leaf in leaves.items()},
        }
        # orbax refuses arrays without entries: their shapes say all that there is to know.
        arrays = {name: leaf for name, leaf in leaves.items() if leaf.size}
        with self._manager() as manager:
            if int(state.step) == manager.latest_step():
                return
            manager.save(
                int(state.step),
                args=ocp.args.Composite(
                    arrays=ocp.args.PyTreeSave(arrays),
                    description=ocp.args.JsonSave(description),
                ),
            )

    def restore(self, start: TrainingState, identity: str) -> Trajectory | None:
        """The newest trajectory kept, to go on from; ``None`` where there is none.

        Args:
            start: state of the run at step 0, whose structure the kept one has.
            identity: hash of all that decides the run.

        Raises:
            ValueError: the folder holds another run, one in another release's format, or one
                begun with another JAX.
        """
        if not self.folder.is_dir():
            return None
        ocp = _orbax()
        with self._manager() as manager:
            step = manager.latest_step()
            if step is None:
                return None
            description = _read(manager, step, description=ocp.args.JsonRestore())
            if description.get("format") != _FORMAT:
                raise ValueError(
                    f"checkpoints must be in this release's format; {self.folder} holds some that "
                    "another release of ntk_air wrote, such as 0.1, which knew a run by names of "
                    "its code: finish the run with the release that began it, or remove the "
                    "folder to train anew"
                )
            if description["identity"] != identity:
                raise ValueError(
                    f"checkpoints must be a folder of this very run; {self.folder} holds another: "
                    "choose another folder, or remove it"
                )
            if (made_with := description.get("made_with")) != computed_with():
                raise ValueError(
                    f"checkpoints must be made with {computed_with()}; {self.folder} holds some "
                    f"made with {made_with}: finish the run there, or remove the folder to train "
                    "anew"
                )
            shapes = description["shapes"]
            kept = {name: 0 for name, (shape, _) in shapes.items() if 0 not in shape}
            restored = _read(
                manager,
                step,
                arrays=ocp.args.PyTreeRestore(
                    kept, restore_args=dict.fromkeys(kept, ocp.RestoreArgs(restore_type=np.ndarray))
                ),
            )
        leaves = {
            name: restored.get(name, np.zeros(shape, dtype))
            for name, (shape, dtype) in shapes.items()
        }
        records = _structure(description["held_out"], description["stored"])
        return _trajectory(_tree(start, leaves, "state"), _tree(records, leaves, "records"))

    def _manager(self) -> "ocp.CheckpointManager":
        ocp = _orbax()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=_KEPT, create=True, enable_async_checkpointing=False
        )
        return ocp.CheckpointManager(self.folder.absolute(), options=options)


def identity_of(
    setup: TrainingSetup,
    rule: str,
    *,
    times: Sequence[float | int],
    stored: Collection[float | int],
    labels: Any,
) -> str:
    """A hash of all that decides a run and its records; functions are known by their names.

    Those of this package are known by their kinds (``kinds.py``), so that code can move.
    """
    digest = hashlib.sha256()
    words = (rule, setup.batch_size, setup.reduction, setup.evaluation_rows)
    digest.update(repr((words, tuple(times), sorted(stored))).encode())
    for path, leaf in jax.tree.leaves_with_path((setup, labels)):
        digest.update(jax.tree_util.keystr(path).encode())
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        if isinstance(leaf, jax.Array | np.ndarray):
            digest.update(f"{leaf.shape}{leaf.dtype}".encode())
            digest.update(np.ascontiguousarray(leaf).tobytes())
        else:
            name = kind_of(leaf) or getattr(leaf, "__qualname__", leaf)
            digest.update(str(name).encode())
    return digest.hexdigest()


def _records(trajectory: Trajectory) -> tuple[Any, ...]:
    return trajectory.times, trajectory.train, trajectory.held_out, trajectory.stored


def _structure(held_out: bool, stored: bool) -> tuple[Any, ...]:
    """Records of the right structure, without entries."""
    nothing, no_outputs = np.zeros(0), np.zeros((0, 0, 0))
    train = TrainMetrics(*(nothing for _ in dataclasses.fields(TrainMetrics)))
    return (
        nothing,
        train,
        HeldOutMetrics(nothing, nothing) if held_out else None,
        StoredPredictions(nothing, no_outputs, no_outputs if held_out else None)
        if stored
        else None,
    )


def _tree(like: Any, leaves: dict[str, np.ndarray], part: str) -> Any:
    structure = jax.tree.structure(like)
    return structure.unflatten(
        leaves[f"{part}_{index:04d}"] for index in range(structure.num_leaves)
    )


def _trajectory(state: TrainingState, records: tuple[Any, ...]) -> Trajectory:
    """A trajectory that training goes on from: what it does not read is left out."""
    times, train, held_out, stored = records
    final = FinalState(np.zeros((0, 0)), resume=jax.tree.map(jnp.asarray, state))
    return Trajectory(
        times, train, held_out, final, stored, learning_rate=0.0, rule="restored from a checkpoint"
    )


def _orbax() -> Any:
    # orbax takes a second to import: only where it is asked for.
    import orbax.checkpoint

    return orbax.checkpoint


def _read(manager: "ocp.CheckpointManager", step: int, **item: Any) -> Any:
    (name,) = item
    return manager.restore(step, args=_orbax().args.Composite(**item))[name]
