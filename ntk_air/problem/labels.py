"""Labels of the training inputs, and the held-out part: arrays alone, checked once."""

from typing import TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_array, check_finite, check_floating
from ntk_air._base.typing import CrossKernel, Targets, TestTargets
from ntk_air.data.dataset import Dataset

Value = TypeVar("Value")


class Labels(eqx.Module):
    """The labels of the training inputs, in the target coding (theory.md section 0).

    ±1 in one column for two classes, centred one-hot rows for more.

    Args:
        noisy: given labels ỹ, (n_train, n_out): what runs are trained on.
        clean: clean labels y, (n_train, n_out), that metrics are against; ``None`` where nobody
            knows them: metrics are then against ỹ, and a note says so.
        initial: outputs f_0 at the start, (n_train, n_out); ``None`` is 0.
        expected_noisy: expectation E[ỹ | y], (n_train, n_out), that centres the noise;
            ``None`` where it is not known.

    Raises:
        ValueError: for arrays that are not finite floating-point, or not of ``noisy``'s shape.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> na.Labels(noisy=np.array([[1.0], [-1.0]]), clean=np.array([[1.0], [1.0]])).noise.tolist()
    [[0.0], [-2.0]]
    """

    noisy: Targets
    clean: Targets | None = None
    initial: Targets | None = None
    expected_noisy: Targets | None = None

    def __check_init__(self):
        check_array("noisy", self.noisy)
        for name in ("noisy", "clean", "initial", "expected_noisy"):
            array = getattr(self, name)
            if array is None:
                continue
            check_array(name, array)
            if array.ndim != 2:
                raise ValueError(f"{name} must have shape (n_train, n_out); got {array.shape}")
            if array.shape != self.noisy.shape:
                raise ValueError(
                    f"{name} must have noisy's shape {self.noisy.shape}; got {array.shape}"
                )
            check_floating(name, array)
            check_finite(name, array)

    @property
    def noise(self) -> Targets:
        """ξ = ỹ − y, (n_train, n_out); raises ``ValueError`` where no clean labels are known."""
        return np.asarray(self.noisy) - np.asarray(known(self.clean, "clean"))


class HeldOut(eqx.Module):
    """What held-out predictions f_t(x) = f_0(x) + Θ(x, X)c_t and their metrics need.

    Args:
        cross_kernel: kernel Θ(x, X) between held-out and training inputs, (n_test, n_train).
        targets: clean labels in the target coding, (n_test, n_out).
        initial: outputs f_0(x) at the start, (n_test, n_out); ``None`` is 0.

    Raises:
        ValueError: for arrays that are not finite floating-point, or disagree in n_test or n_out.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> held_out = na.HeldOut(np.array([[0.5, 0.2]]), np.array([[1.0]]))
    >>> held_out.predictions(np.array([[2.0], [1.0]])).tolist()
    [[1.2...]]
    """

    cross_kernel: CrossKernel
    targets: TestTargets
    initial: TestTargets

    def __init__(
        self,
        cross_kernel: CrossKernel,
        targets: TestTargets,
        *,
        initial: TestTargets | None = None,
    ):
        for name, array in (("cross_kernel", cross_kernel), ("targets", targets)):
            check_floating(f"held_out {name}", array)
            if array.ndim != 2:
                raise ValueError(f"held_out {name} must have two axes; got shape {array.shape}")
        initial = jnp.zeros_like(targets) if initial is None else initial
        named = {"cross_kernel": cross_kernel, "targets": targets, "initial": initial}
        for name, array in named.items():
            check_floating(f"held_out {name}", array)
            check_finite(f"held_out {name}", array)
        if cross_kernel.shape[0] != targets.shape[0] or initial.shape != targets.shape:
            raise ValueError(
                "held_out arrays must share n_test and n_out; got cross_kernel "
                f"{cross_kernel.shape}, targets {targets.shape}, initial {initial.shape}"
            )
        self.cross_kernel = cross_kernel
        self.targets = targets
        self.initial = initial

    def predictions(self, dual: Targets) -> Float[Array, "n_test n_out"]:
        """f_t(x) at dual variables c_t, (n_train, n_out), in the unit of the outputs."""
        return jnp.asarray(self.initial) + jnp.matmul(self.cross_kernel, dual, precision="highest")

    def astype(self, dtype: jnp.dtype) -> "HeldOut":
        """The same in another precision."""
        return HeldOut(
            jnp.asarray(self.cross_kernel, dtype),
            jnp.asarray(self.targets, dtype),
            initial=jnp.asarray(self.initial, dtype),
        )


def known(value: Value | None, name: str) -> Value:
    """The value; raises ``ValueError`` naming what the problem lacks."""
    if value is None:
        raise ValueError(f"{name} must be given with the problem for this; got None")
    return value


def dataset_labels(dataset: Dataset) -> Labels:
    """All labels of a data set's training inputs in the target coding."""
    if not dataset.has_clean_labels:
        return Labels(noisy=dataset.noisy_targets())
    return Labels(
        noisy=dataset.noisy_targets(),
        clean=dataset.clean_targets(),
        expected_noisy=dataset.expected_noisy_targets(),
    )
