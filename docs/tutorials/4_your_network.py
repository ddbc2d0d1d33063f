"""
4. Your network
===============

A network of your own, in flax, equinox or as a plain function: its empirical NTK, how anisotropic it is, and how far the
kernel regime holds when the network itself is trained.
"""

# %%
# Anything that computes ``apply_fn(params, x)`` is a network. Models of flax and equinox become one by an adapter, in
# evaluation mode: batch normalisation uses its running averages, for a network that mixes the examples of a batch has no
# NTK, and is refused. Here, flax with a BatchNorm.

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import ntk_air as na

jax.config.update("jax_enable_x64", True)


class Network(nn.Module):
    """Two hidden layers."""

    @nn.compact
    def __call__(self, x, train: bool):
        """Outputs for ten classes."""
        for _ in range(2):
            x = nn.Dense(64, param_dtype=jnp.float64)(x)
            x = nn.BatchNorm(use_running_average=not train, param_dtype=jnp.float64)(x)
            x = nn.relu(x)
        return nn.Dense(10, param_dtype=jnp.float64)(x)


digits = na.load_dataset("digits", n_train=100, n_test=0).normalised()
data = digits.with_label_noise(na.SymmetricNoise(0.4), seed=0)
module = Network()
variables = module.init(jax.random.key(0), data.inputs, train=False)
_, averages = module.apply(variables, data.inputs, train=True, mutable=["batch_stats"])
model = na.adapters.from_flax_linen(module, {**variables, **averages}, train=False)

# %%
# ``from_flax_nnx(model)`` and ``from_equinox(model)`` do the same, and ``na.adapters.adapt`` takes whichever it is. The
# kernel says how it would be computed, and why, before anything is.

kernel = na.EmpiricalNTK(*model)
plan = kernel.plan(data.inputs)
print(plan.method, "in tiles of", plan.tile)
problem = na.make_problem(data, kernel)
limit = na.make_problem(data, na.DenseNTK(depth=3))
for name, each in (("this network", problem), ("its infinite width", limit)):
    summary = na.air_summary(each)
    print(f"{name}: AIR-AUC {summary.auc:.3f}, effective rank {summary.effective_rank:.1f}")

# %%
# The kernel regime is an approximation for networks of finite width. Train the network, by full-batch descent on the noisy
# labels, beside its kernel at initialisation, from the same outputs and at the same learning rate.

f_0 = np.asarray(model.apply_fn(model.params, data.inputs))
labels = na.Labels(problem.noisy, problem.clean)
from_f_0 = na.Labels(problem.noisy, problem.clean, initial=f_0)
times = [0, 1, 3, 10, 30, 100, 300]
rate = 0.5 * problem.learning_rate
by_kernel = na.solve(na.Problem(from_f_0, problem.theta, problem.spectrum), na.Descent(rate), times)
network = na.networks.NetworkProblem(*model, data.inputs, labels)
plain = na.Supervision(na.label_functions.Identity(), na.weights.Constant(1.0))
trained = na.networks.train(network, plain, times, na.Descent(rate))

na.plot.convergence({"its kernel": by_kernel, "the network": trained})
plt.show()
gap = np.abs(trained.train.rms_distance - by_kernel.train.rms_distance).max()
print(f"largest difference between the curves: {gap:.3f}")

# %%
# In the shell every experiment takes ``--model mine.py:build``, a function that returns such a model. Widths, and the rates
# at which the difference goes away: ``ntk-air run finite-width``.
