"""
5. Your kernel matrix
=====================

Everything works on a kernel that is given as its matrix, whoever computed it: scikit-learn's RBF kernel through spectrum,
AIR, descent and self-distillation.
"""

# %%
# The theory asks of a kernel only that it be symmetric and positive semi-definite. ``MatrixKernel`` holds its values
# between the training inputs and, to predict, those between held-out and training inputs.

import jax
import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics.pairwise import rbf_kernel

import ntk_air as na

jax.config.update("jax_enable_x64", True)
digits = na.load_dataset("digits", n_train=200, n_test=200).normalised()
data = digits.with_label_noise(na.SymmetricNoise(0.4), seed=0)
x, x_test = (inputs.reshape(len(inputs), -1) for inputs in (data.inputs, data.test_inputs))


def problem_of(gamma):
    """The problem of an RBF kernel exp(−γ‖x − x'‖²)."""
    kernel = na.MatrixKernel(rbf_kernel(x, gamma=gamma), rbf_kernel(x_test, x, gamma=gamma))
    return na.make_problem(data, kernel)


# %%
# A kernel too narrow is isotropic, every input a direction of its own, and AIR ½; one too wide holds few directions. Where
# the AIR-AUC is high, labels are retrieved before noise, and stopping or self-distilling pays.

medians = np.median(np.sum((x[:, None] - x) ** 2, axis=-1))
factors = np.array([0.1, 1.0, 3.0, 10.0, 30.0])
problems = [problem_of(factor / medians) for factor in factors]
aucs = [na.air_summary(each).auc for each in problems]

# %%
# Descent is exact in closed form, self-distillation by its default schedule, chosen from the noisy labels alone.

times = np.unique(np.round(np.geomspace(1, 1e6, 40)))
accuracies = {"end": [], "oracle": [], "distilled": []}
for problem in problems:
    descent = na.solve(problem, na.Descent(), times).held_out.accuracy
    rounds = na.default_schedule(problem).rounds
    accuracies["end"].append(float(descent[-1]))
    accuracies["oracle"].append(float(np.max(descent)))
    accuracies["distilled"].append(float(na.solve(problem, rounds).last().held_out.accuracy))

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.semilogx(factors, aucs, "o-", color="#0072B2")
left.axhline(0.5, linestyle=":", color="grey")
left.set(xlabel="γ × median squared distance", ylabel="AIR-AUC", title="anisotropy")
right.semilogx(factors, accuracies["distilled"], "o-", color="#009E73", label="self-distillation")
right.semilogx(
    factors, accuracies["oracle"], "s--", color="#0072B2", label="early stopping, oracle"
)
right.semilogx(factors, accuracies["end"], "x:", color="#D55E00", label="no stopping")
right.set(xlabel="γ × median squared distance", ylabel="test accuracy", title="what it is good for")
right.legend()
plt.show()

# %%
# Wrong labels need no data set at all, only the matrix and the labels. Any kernel on any objects will do: strings, graphs,
# proteins.

found = na.clean_labels(rbf_kernel(x, gamma=1 / medians), data.noisy_labels)
wrong = data.noisy_labels != data.clean_labels
print(f"{found.verdict}: {found.rate:.1%} wrong labels, truly {wrong.mean():.1%}")
print(f"of the first 50 suspects {wrong[found.suspects[:50]].mean():.0%} are wrong")

# %%
# In the shell: ``ntk-air run convergence --kernel-file K.npy``, or a function ``kernel(x1, x2=None)`` of a file,
# ``--kernel mine.py:rbf``. An indefinite matrix is refused, with its least eigenvalue.
