"""The computations whose values are kept: run by the script that makes them and by the test.

Takes ``neural_tangents`` as an argument and asks nothing of JAX that differs between 0.4.23 and
now, so that both sides run the same lines. Inputs and parameters come from numpy.
"""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np

DTYPES = ("float32", "float64")
KERNEL_NAMES = ("ntk", "nngp")
IMAGE = (6, 6, 3)
TOKENS = (4, 5)


def _residual_block(stax, channels, strides):
    main = stax.serial(
        stax.Relu(),
        stax.Conv(channels, (3, 3), strides, "SAME", W_std=1.4, b_std=0.1),
        stax.Relu(),
        stax.Conv(channels, (3, 3), (1, 1), "SAME", W_std=1.4, b_std=0.1),
    )
    shortcut = stax.Conv(channels, (3, 3), strides, "SAME", W_std=1.1)
    return stax.serial(stax.FanOut(2), stax.parallel(main, shortcut), stax.FanInSum())


def networks(stax):
    """The networks by name, each with the shape of one input."""
    dense = stax.Dense
    conv = stax.Conv
    attention = stax.GlobalSelfAttention
    return {
        "dense_relu": ((5,), stax.serial(dense(8, 1.4, 0.1), stax.Relu(), dense(3, 1.2, 0.2))),
        "dense_erf": ((5,), stax.serial(dense(8), stax.Erf(), dense(8), stax.Erf(), dense(3))),
        "dense_sigmoid_numerical": (
            (5,),
            stax.serial(
                dense(8, 1.3, 0.2), stax.ElementwiseNumerical(jax.nn.sigmoid, deg=15), dense(3)
            ),
        ),
        "dense_exp_elementwise": (
            (5,),
            stax.serial(
                dense(8, 0.7),
                stax.Elementwise(
                    jnp.exp, lambda cov12, var1, var2: jnp.exp(cov12 + (var1 + var2) / 2)
                ),
                dense(3),
            ),
        ),
        "conv_valid_strides": (
            IMAGE,
            stax.serial(
                conv(6, (3, 2), (2, 1), "VALID", W_std=1.4, b_std=0.1),
                stax.Relu(),
                conv(6, (2, 2), (1, 2), "VALID"),
                stax.Flatten(),
                dense(3),
            ),
        ),
        "conv_same_strides": (
            IMAGE,
            stax.serial(
                conv(6, (3, 3), (2, 2), "SAME", W_std=1.4),
                stax.Relu(),
                conv(6, (3, 3), (1, 1), "SAME", b_std=0.3),
                stax.Relu(),
                stax.Flatten(),
                dense(3, b_std=0.1),
            ),
        ),
        "conv_circular_abs": (
            IMAGE,
            stax.serial(conv(6, (3, 3), padding="CIRCULAR"), stax.Abs(), stax.Flatten(), dense(3)),
        ),
        "conv_pool": (
            IMAGE,
            stax.serial(
                conv(6, (2, 2), padding="SAME"),
                stax.Relu(),
                stax.AvgPool((2, 2), (2, 2), "VALID"),
                conv(4, (1, 1)),
                stax.SumPool((2, 2), (1, 1), "SAME"),
                stax.Flatten(),
                dense(3),
            ),
        ),
        "conv_global_average_pool": (
            IMAGE,
            stax.serial(
                conv(6, (3, 3), padding="SAME", W_std=1.4),
                stax.Relu(),
                conv(6, (3, 3), (2, 2), "VALID"),
                stax.Erf(),
                stax.GlobalAvgPool(),
                dense(3, 1.1, 0.1),
            ),
        ),
        "layer_norm": (
            IMAGE,
            stax.serial(
                conv(6, (3, 3), padding="SAME", W_std=1.4, b_std=0.2),
                stax.LayerNorm(),
                stax.Relu(),
                stax.Flatten(),
                dense(8),
                stax.LayerNorm(),
                stax.Relu(),
                dense(3),
            ),
        ),
        "residual": (
            IMAGE,
            stax.serial(
                conv(6, (3, 3), padding="SAME"),
                _residual_block(stax, 6, (2, 2)),
                stax.GlobalAvgPool(),
                dense(3),
            ),
        ),
        "attention": (
            TOKENS,
            stax.serial(
                dense(8),
                stax.Relu(),
                attention(
                    8,
                    n_chan_key=4,
                    n_chan_val=4,
                    n_heads=2,
                    linear_scaling=False,
                    attention_mechanism="IDENTITY",
                    W_key_std=1.2,
                    W_query_std=0.9,
                ),
                stax.Relu(),
                stax.GlobalAvgPool(),
                dense(3),
            ),
        ),
        "attention_linear_scaling": (
            TOKENS,
            stax.serial(
                attention(8, n_chan_key=8, n_chan_val=4, n_heads=2, linear_scaling=True),
                stax.Flatten(),
                dense(3),
            ),
        ),
    }


OWN = ("dense_relu", "dense_erf", "conv_same_strides", "layer_norm")
LINEARISED = ("dense_relu", "conv_pool")
PRODUCTS = ("dense_relu", "conv_pool")
EMPIRICAL = ("dense_relu", "conv_pool", "layer_norm", "attention")
MONTE_CARLO = "dense_relu"
PREDICTION = "dense_erf"


def inputs(shape, dtype):
    """Two batches of inputs, 3 and 4 of them."""
    rng = np.random.default_rng(20190501)
    return (
        rng.normal(size=(3, *shape)).astype(dtype),
        rng.normal(size=(4, *shape)).astype(dtype),
    )


def parameters(init_fn, shape, dtype):
    """Standard normal parameters of the shapes that ``init_fn`` gives them."""
    rng = np.random.default_rng(19102055)
    shapes = jax.eval_shape(lambda key: init_fn(key, (-1, *shape))[1], jax.random.PRNGKey(0))
    return jax.tree_util.tree_map(lambda leaf: rng.normal(size=leaf.shape).astype(dtype), shapes)


def kernel_values(kernel_fn, shape, dtype, *, own):
    """Infinite-width kernels between two batches, and, if ``own``, of one batch with itself."""
    x1, x2 = inputs(shape, dtype)
    cross = jax.jit(lambda x1, x2: kernel_fn(x1, x2, KERNEL_NAMES))(x1, x2)
    values = {f"{name}_cross": getattr(cross, name) for name in KERNEL_NAMES}
    if own:
        own = jax.jit(lambda x1: kernel_fn(x1, None, KERNEL_NAMES))(x1)
        values |= {f"{name}_own": getattr(own, name) for name in KERNEL_NAMES}
    return values


def monte_carlo_values(nt, network, shape, dtype):
    """The kernels of four finite networks, averaged."""
    init_fn, apply_fn, _ = network
    x1, x2 = inputs(shape, dtype)
    estimate = nt.monte_carlo_kernel_fn(init_fn, apply_fn, jax.random.PRNGKey(7), 4)
    return estimate(x1, x2, KERNEL_NAMES)._asdict()


def linearised_values(nt, network, shape, dtype):
    """A network and its first- and second-order expansions, away from where they were made."""
    init_fn, apply_fn, _ = network
    x1, _ = inputs(shape, dtype)
    params = parameters(init_fn, shape, dtype)
    moved = jax.tree_util.tree_map(lambda leaf: leaf + 0.1 * np.cos(leaf), params)
    functions = {
        "network": apply_fn,
        "linearised": nt.linearize(apply_fn, params),
        "second_order": nt.taylor_expand(apply_fn, params, 2),
    }
    return {name: jax.jit(function)(moved, x1) for name, function in functions.items()}


def empirical_values(nt, network, shape, dtype, **options):
    """The empirical NTK of all outputs, as ``options`` say how to compute it."""
    init_fn, apply_fn, _ = network
    x1, x2 = inputs(shape, dtype)
    params = parameters(init_fn, shape, dtype)
    ntk_fn = nt.empirical_ntk_fn(apply_fn, trace_axes=(), **options)
    return {"ntk": jax.jit(ntk_fn)(x1, x2, params)}


def empirical_product_values(nt, network, shape, dtype):
    """The trace NTK, the NNGP kernel, and the NTK's product with a block of outputs."""
    init_fn, apply_fn, _ = network
    x1, x2 = inputs(shape, dtype)
    params = parameters(init_fn, shape, dtype)

    def product(x1, x2, params):
        return nt.empirical_ntk_vp_fn(apply_fn, x1, x2, params)(jnp.cos(apply_fn(params, x2)))

    return {
        "ntk": jax.jit(nt.empirical_ntk_fn(apply_fn))(x1, x2, params),
        "nngp": jax.jit(nt.empirical_nngp_fn(apply_fn))(x1, x2, params),
        "ntk_vp": jax.jit(product)(x1, x2, params),
    }


def prediction_values(nt, network, shape, dtype):
    """Closed-form, ensemble and integrated predictions along training, and at its end."""
    kernel_fn = jax.jit(network[2], static_argnums=2)
    x, x_test = inputs(shape, dtype)
    rng = np.random.default_rng(271828)
    y, f0 = (jnp.asarray(rng.normal(size=(len(x), 3)), dtype) for _ in range(2))
    f0_test = jnp.asarray(rng.normal(size=(len(x_test), 3)), dtype)
    times = jnp.asarray([0.0, 0.5, 3.0, 40.0], dtype)
    k_train, k_test = kernel_fn(x, None, "ntk"), kernel_fn(x_test, x, "ntk")

    mse = nt.predict.gradient_descent_mse(k_train, y, learning_rate=0.5, diag_reg=0.1)
    values = dict(zip(("mse_train", "mse_test"), mse(times, f0, f0_test, k_test), strict=True))
    integrate = nt.predict.gradient_descent(
        lambda f, target: jnp.mean((f - target) ** 4), k_train, y, learning_rate=0.5
    )
    integrated = integrate(times, f0, f0_test, k_test)
    values |= dict(zip(("integrated_train", "integrated_test"), integrated, strict=True))
    values["max_learning_rate"] = nt.predict.max_learning_rate(k_train, y.size)
    ensemble = nt.predict.gradient_descent_mse_ensemble(kernel_fn, x, y, diag_reg=0.1)
    for stage, time in (("along", times), ("end", None)):
        predictions = ensemble(time, x_test, KERNEL_NAMES, compute_cov=True)
        for name in KERNEL_NAMES:
            prediction = getattr(predictions, name)
            values[f"{stage}_{name}_mean"] = prediction.mean
            values[f"{stage}_{name}_covariance"] = prediction.covariance
    return values


def all_values(nt, dtype):
    """Everything that is kept for one precision, by ``computation/network/quantity``."""
    cases = networks(nt.stax)
    found = {
        f"kernel/{name}": kernel_values(kernel_fn, shape, dtype, own=name in OWN)
        for name, (shape, (_, _, kernel_fn)) in cases.items()
    }
    computations = (
        ("linearised", LINEARISED, linearised_values),
        ("product", PRODUCTS, empirical_product_values),
        ("empirical", EMPIRICAL, empirical_values),
        ("monte_carlo", (MONTE_CARLO,), monte_carlo_values),
        ("prediction", (PREDICTION,), prediction_values),
    )
    for computation, names, compute in computations:
        for name in names:
            shape, network = cases[name]
            found[f"{computation}/{name}"] = compute(nt, network, shape, dtype)
    return {
        f"{computation}/{quantity}": np.asarray(value)
        for computation, values in found.items()
        for quantity, value in values.items()
    }


def save(path, values, metadata):
    """Write the values of each precision end to end, and what they are as JSON."""
    layout = {
        dtype: [(name, value.shape) for name, value in of_dtype.items()]
        for dtype, of_dtype in values.items()
    }
    flat = {
        dtype: np.concatenate([value.ravel() for value in of_dtype.values()])
        for dtype, of_dtype in values.items()
    }
    np.savez_compressed(path, metadata=json.dumps({**metadata, "layout": layout}), **flat)


def load(path):
    """Read what ``save`` wrote: the values by precision and name, and the metadata."""
    values = {}
    with np.load(path) as file:
        metadata = json.loads(str(file["metadata"]))
        for dtype, entries in metadata.pop("layout").items():
            ends = np.cumsum([math.prod(shape) for _, shape in entries])
            pieces = np.split(file[dtype], ends[:-1])
            values[dtype] = {
                name: piece.reshape(shape)
                for (name, shape), piece in zip(entries, pieces, strict=True)
            }
    return values, metadata
