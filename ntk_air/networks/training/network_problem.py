"""The problem that networks are trained on: a network at its start, inputs and labels."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ntk_air._base.checks import check_finite, check_inputs
from ntk_air._base.typing import ApplyFn, Inputs, Parameters, TestInputs, TestTargets
from ntk_air.problem import Labels


class HeldOutInputs(eqx.Module):
    """Held-out inputs and their labels, which a network is measured on and never trained on.

    Args:
        inputs: held-out inputs, (n_test, *features).
        targets: their labels in the target coding, (n_test, n_out): clean ones, or noisy ones to
            stop by.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> na.networks.HeldOutInputs(np.zeros((5, 3)), np.ones((5, 1))).targets.shape
    (5, 1)
    """

    inputs: TestInputs
    targets: TestTargets


class NetworkProblem(eqx.Module):
    """A network at its start with the labels of its inputs, checked once for all training.

    Args:
        apply_fn: function ``apply_fn(params, x)`` from inputs (n, *features) to outputs
            (n, n_out); the outputs of an example depend on it alone.
        params: parameters θ_0 at the start, a pytree of floating-point arrays; the precision of
            their outputs is that of the run.
        inputs: training inputs, (n_train, *features).
        labels: labels of the training inputs in the target coding; the outputs f_0 at the start
            are the network's own, so ``labels.initial`` is left out.
        held_out: held-out inputs to predict and to measure on, where there are any.
        subtract_initial: whether f − f_0 is trained and measured, which starts at 0 as in the
            theory, instead of f.

    Raises:
        ValueError: for parameters that are not floating-point, inputs that are not finite, and
            parts that disagree in n_train, n_out or *features.

    >>> import jax
    >>> import numpy as np
    >>> import ntk_air as na
    >>> network = na.networks.DenseNetwork((8,))
    >>> inputs, noisy = np.eye(4, dtype="float32"), np.array([[1], [1], [-1], [-1]], "float32")
    >>> problem = na.networks.NetworkProblem(
    ...     network.apply, network.init(jax.random.key(0), 4), inputs, na.Labels(noisy)
    ... )
    >>> problem.n_train, problem.n_out
    (4, 1)
    """

    apply_fn: ApplyFn
    params: Parameters
    inputs: Inputs
    labels: Labels
    held_out: HeldOutInputs | None = None
    subtract_initial: bool = eqx.field(default=False, kw_only=True)

    def __check_init__(self):
        check_inputs("inputs", self.inputs)
        _check_params(self.params)
        if self.labels.initial is not None:
            raise ValueError("labels must leave out initial: f_0 is the network's own; got outputs")
        if self.n_train != len(self.inputs):
            raise ValueError(
                f"noisy must have a row for each of the {len(self.inputs)} inputs; "
                f"got shape {self.labels.noisy.shape}"
            )
        outputs = self._outputs()
        if outputs.shape != self.labels.noisy.shape:
            raise ValueError(
                "apply_fn must map the inputs to outputs of noisy's shape "
                f"{self.labels.noisy.shape}; got {outputs.shape}"
            )
        if self.held_out is not None:
            _check_held_out(self.held_out, self.inputs, self.n_out)

    @property
    def n_train(self) -> int:
        """The number of training inputs, n."""
        return self.labels.noisy.shape[0]

    @property
    def n_out(self) -> int:
        """The number of outputs: 1 for two classes, C for more."""
        return self.labels.noisy.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """The precision of the outputs."""
        return np.dtype(self._outputs().dtype)

    def _outputs(self) -> jax.ShapeDtypeStruct:
        dtype = jnp.result_type(*jax.tree.leaves(self.params))
        return jax.eval_shape(
            self.apply_fn, self.params, jax.ShapeDtypeStruct(self.inputs.shape, dtype)
        )


def _check_params(params: Parameters) -> None:
    leaves = jax.tree.leaves(params)
    unknown = [leaf for leaf in leaves if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating)]
    if unknown or not leaves:
        raise ValueError(
            "params must be a pytree of floating-point arrays; got "
            + (f"{len(unknown)} other leaves" if leaves else "none")
        )


def _check_held_out(held_out: HeldOutInputs, inputs: Inputs, n_out: int) -> None:
    check_inputs("held_out inputs", held_out.inputs)
    check_finite("held_out targets", held_out.targets)
    wanted = (len(held_out.inputs), n_out)
    if held_out.targets.shape != wanted or held_out.inputs.shape[1:] != inputs.shape[1:]:
        raise ValueError(
            f"held_out must have inputs (n_test, *{inputs.shape[1:]}) and targets {wanted}; got "
            f"{held_out.inputs.shape} and {held_out.targets.shape}"
        )
