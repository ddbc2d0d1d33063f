"""
2. Descent and self-distillation
================================

Gradient descent fits informative directions first and label noise later, so it has to be stopped. Self-distillation
feeds the hard labels of the network's own outputs back as targets, with a growing weight, and need not be: once all of
them are right a certificate proves that they stay right for ever, and that outputs go to the clean labels.
"""

# %%
# Clusters on a sphere, 20 % of the labels of each flipped.

import jax
import matplotlib.pyplot as plt
import numpy as np

import ntk_air as na

jax.config.update("jax_enable_x64", True)
clusters = na.load_dataset("clusters", n_train=200)
data = clusters.with_label_noise(na.SymmetricNoise(0.2, exact=True), seed=0)
problem = na.make_problem(data, na.DenseNTK(depth=2))
print(f"{data.n_train} inputs, {data.n_classes} classes, {data.noise_fraction:.0%} wrong labels")

# %%
# Every rule is followed by ``na.solve``. Descent on the noisy labels, in closed form: a million steps cost what one does.

times = np.unique(np.round(np.geomspace(1, 1e6, 40)))
descent = na.solve(problem, na.Descent(), times)
best, last = descent.best(), descent.last()
print(descent.rule)
print(f"best at step {best.step:.0f}: distance {best.train.rms_distance:.3f}")
print(f"last: distance {last.train.rms_distance:.3f}, error {last.train.zero_one_error:.1%}")

# %%
# Self-distillation is a ``Supervision``: a label function, the weight of the given labels over time, and the teacher (by
# default the current step). The warm-up is plain descent. ``solve`` takes the fastest method that can follow it, here
# from one change of the taught labels to the next, and keeps the outputs where they are asked for.

taught = na.Supervision(na.label_functions.Hard(), na.weights.Power(1.5, scale=10.0), warm_up=10)
run = na.solve(problem, taught, times, store_at=times)
certificate = na.certify(problem, taught, run)
print(run.rule)
print(f"issued: {certificate.issued}, from step {certificate.step} on: {certificate.reason}")
print(f"distance for t → ∞: at most {certificate.distance_bound(np.inf):.1e}")

# %%

after = times[times >= certificate.step][::4]
bounds = np.array([certificate.distance_bound(step) for step in after])
curves = {"gradient descent": descent, "self-distillation, hard": run}
na.plot.convergence({**curves, "bound by the certificate": (after, bounds)})
plt.show()

# %%
# Early stopping has all labels right at its best step, but its outputs keep a distance from the clean labels: the noise
# scales the signal down by 1 − ρC/(C − 1). Self-distillation goes below any distance, as fast as the weight of the given
# labels falls.
#
# Which warm-up, which label function, how many rounds? ``default_schedule`` chooses from the noisy labels alone, with
# reasons, where clusters are not as clean as these. Digits, 40 % flipped:

digits = na.load_dataset("digits", n_train=500, n_test=300).normalised()
noisy = digits.with_label_noise(na.SymmetricNoise(0.4), seed=0)
problem = na.make_problem(noisy, na.DenseNTK(depth=3))
chosen = na.default_schedule(problem)
print(*chosen.reasons, sep="\n")

# %%

distilled = na.solve(problem, chosen.rounds)
descent = na.solve(problem, na.Descent(), times)
oracle = np.max(descent.held_out.accuracy)  # stopped at the best step by clean test labels
print(f"test accuracy of self-distillation {distilled.last().held_out.accuracy:.3f}")
print(f"early stopping by oracle {oracle:.3f}, no stopping {descent.held_out.accuracy[-1]:.3f}")
