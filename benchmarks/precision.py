"""Worst relative errors of deep dense kernels, by activation, depth and precision.

``python -m benchmarks.precision`` compares NTK and NNGP with a recursion of covariances in 60
digits or more, at the inputs as they are stored, and writes the table of ``docs/precision.md``.
Most of its time is XLA's for compiling, a program for each depth, dtype and kernel.
"""

import dataclasses
import itertools
import os
import shlex
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from ntk_air.kernels.infinite.dense import DenseNTK
from tests.kernels.infinite.scalar_reference import kernels, relative_errors

_ACTIVATIONS = {
    "erf": "erf",
    "sine": "sine",
    "cosine": "cosine",
    "gelu": "gelu",
    "relu": "relu",
    "leaky_relu": "leaky_relu",
    "abs": "abs",
    "identity": "identity",
    "tanh by quadrature": jnp.tanh,
    "erf by quadrature": jax.scipy.special.erf,
}
_SHALLOWER = {"tanh by quadrature": 40, "erf by quadrature": 40}
"""The most layers compared: the sums of the reference, or of the kernel, are long."""
_WIDEST_TANH = 4.0
"""The largest weight variance that the reference of tanh resolves."""
_ANGLES = (0.0, 1e-8, 1e-6, 1e-4, 1e-2, 1.0, 2.5, np.pi - 1e-6, np.pi)
_VARIABLES = ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")
_PROMISED = {"float32": 1e-5, "float64": 1e-12}


@dataclasses.dataclass(frozen=True)
class Config:
    """The grid."""

    depths: tuple[int, ...] = (3, 40, 400)
    """Numbers of weight layers."""
    weight_variances: tuple[float, ...] = (0.5, 4.0, 225.0)
    """Of every layer."""
    bias_variances: tuple[float, ...] = (0.0, 0.1)
    """Of every layer."""
    nngp_depths: tuple[int, ...] = (40,)
    """Numbers of layers at which NNGP is compared too; it is a part of every NTK."""
    activations: tuple[str, ...] = tuple(_ACTIVATIONS)
    """Names in the table."""
    out: Path = Path("docs/precision.md")
    """The page to write."""


def main(config: Config) -> None:
    """Compare all, and write the page."""
    jax.config.update("jax_enable_x64", True)
    names = [name for name in _VARIABLES if name in os.environ]
    variables = [f"{name}={shlex.quote(os.environ[name])}" for name in names]
    command = " ".join([*variables, "python -m benchmarks.precision", shlex.join(sys.argv[1:])])
    rows = []
    for name, dtype in itertools.product(config.activations, _PROMISED):
        found = compared(config, name, dtype)
        row = [name, dtype]
        for depth in config.depths:
            row.append(shown(*found[depth]))
        rows.append(row)
        print(*row, sep=" | ", flush=True)
        config.out.write_text(page(config, rows, command.strip()), encoding="utf-8")


def shown(errors: list[float], refused: int, given: int) -> str:
    """What was found at one depth."""
    if not given:
        return "not run"
    worst = f"{max(errors):.0e}" if errors else "–"
    return worst + (f" ({refused} of {given} refused)" if refused else "")


def calls(config: Config, name: str) -> list[tuple[int, str]]:
    """Depths and kernels that are computed."""
    deepest = _SHALLOWER.get(name, max(config.depths))
    ntk = [(depth, "ntk") for depth in config.depths]
    pairs = ntk + [(depth, "nngp") for depth in config.nngp_depths if depth in config.depths]
    return [(depth, kind) for depth, kind in pairs if depth <= deepest]


def compared(config: Config, name: str, dtype: str) -> dict[int, tuple[list[float], int, int]]:
    """By depth: worst errors of matrices, how many calls were refused, and how many were made."""
    x1, x2 = inputs(dtype)
    found = {depth: ([], 0, 0) for depth in config.depths}
    formula = name.removesuffix(" by quadrature")
    weights = [
        weight for weight in config.weight_variances if formula != "tanh" or weight <= _WIDEST_TANH
    ]
    for variances in itertools.product(weights, config.bias_variances):
        measured = {}
        for depth, kind in calls(config, name):
            network = DenseNTK(
                depth=depth,
                activation=_ACTIVATIONS[name],
                weight_variance=variances[0],
                bias_variance=variances[1],
            )
            errors, refused, given = found[depth]
            try:
                measured[depth, kind] = np.asarray(getattr(network, kind)(x1, x2))[0]
            except ValueError:
                refused += 1
            found[depth] = errors, refused, given + 1
        depths = {depth for depth, _ in measured}
        wanted = [kernels(formula, (x1[0], y), variances, depths) for y in x2] if depths else []
        for (depth, kind), values in measured.items():
            pairs = [(getattr(one[depth], kind), one[depth].scale) for one in wanted]
            found[depth][0].append(max(relative_errors(values, pairs)))
    return found


def inputs(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """One vector, and the same turned by each angle, rounded."""
    x, across = np.random.default_rng(0).standard_normal((2, 6))
    across -= (across @ x) / (x @ x) * x
    across *= np.linalg.norm(x) / np.linalg.norm(across)
    turned = [np.cos(angle) * x + np.sin(angle) * across for angle in _ANGLES]
    turned[0], turned[-1] = x, -x
    return x[None].astype(dtype), np.stack(turned).astype(dtype)


def page(config: Config, rows: list[list[str]], command: str) -> str:
    """The table, with what it says."""
    head = ["activation", "precision", *(f"depth {depth}" for depth in config.depths)]
    lines = [head, ["---"] * len(head), *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    weights, biases = (
        ", ".join(f"{variance:g}" for variance in variances)
        for variances in (config.weight_variances, config.bias_variances)
    )
    minutes = time.process_time() / 60
    nngp = ", ".join(map(str, config.nngp_depths))
    return f"""# Precision through depth

Worst relative errors of `DenseNTK` against a recursion of covariances in 60 digits or more: of the
NTK, and at depth {nngp} of the NNGP too, over weight variances
{weights}, bias variances {biases} and angles between inputs
of 0, 10⁻⁸, 10⁻⁶, 10⁻⁴, 10⁻², 1, 2.5, π − 10⁻⁶ and π. The reference takes the inputs as they are
stored. An error is relative to the value or, where that is smaller, to √(Σ(x, x)·Σ(x', x')).
A call is of one matrix; where it is refused, its message says why. tanh, without a closed form, is
compared with sums of 1024 Hermite coefficients in whole numbers of 200 bits, up to weight variance
{_WIDEST_TANH:g} (beyond, they do not converge); it and erf by quadrature to depth 40.

Promised are 10⁻¹² in float64 and 10⁻⁵ in float32, or a refusal that names the depth and what it
multiplies: a kernel that overflows, or underflows; roundings that add up over the layers (the NTK
of a network that takes near inputs apart grows as a power of the depth, and so do errors of that
power's base);
inputs that nearly coincide and that layers part by more than is known of their distance. The
distance is carried relative to its size, so that of two near inputs only the difference of the
norms, rounded, is in doubt. Where later layers forget when inputs parted, nothing is refused. An
activation by quadrature is refused where 4096 coefficients do not resolve it. Under a caller's own
`jax.jit` values cannot be inspected, and nothing of this is checked.

**Images.** `ConvolutionalNTK` keeps the same promise, with one exception that is not refused.
Behind a pooling the angle between two windows that nearly coincide is a difference of averages, of
which rounding leaves nothing below √(16ε): 1.4·10⁻³ in float32, 6·10⁻⁸ in float64. Windows that
coincide, or differ by more, are no matter. ReLU, leaky ReLU and |x| have a corner at which a kernel
is linear in the angle, so that between images that differ by about so much, relative to their size,
in all windows it is off by about √(16ε)/π for each activation behind the pooling, 4·10⁻⁴ or
2·10⁻⁸. Measured against 80 digits on images of 2 × 2: up to 8·10⁻⁴ (ReLU) and 1.6·10⁻³ (|x|) with
three activations behind, 3·10⁻³ with eight, in float32; 4·10⁻⁸, 7·10⁻⁸ and 1.1·10⁻⁷ in float64; on
images of 8 × 8 with two poolings 1.2·10⁻⁴ in float32. Where images differ by a hundredth, 10⁻⁵ to
4·10⁻⁵ is left in float32 and 5·10⁻¹⁴ in float64. Smooth activations, whose kernels are linear in
the square of the angle, lose nothing there, unless their layers take windows apart: that is checked
by a second rounding, and refused.

{table}

Drawn in {minutes:.0f} minutes of one core by `{command}`.
The variables have XLA compile without LLVM's optimisations, which would be most of the work: a
program is made for each depth, dtype, kernel and presence of biases.
"""


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
