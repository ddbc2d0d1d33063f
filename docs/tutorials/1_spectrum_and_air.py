"""
1. Spectrum and AIR
===================

Where do clean labels and label noise live in the spectrum of a neural tangent kernel, and which of the two does
training fit first? Digits with 40 % of the labels flipped, the NTK of a fully connected ReLU network of infinite width.
"""

# %%
# The library changes no setting of JAX: whoever wants float64, and spectra do, asks for it.

import jax
import matplotlib.pyplot as plt

import ntk_air as na

jax.config.update("jax_enable_x64", True)

# %%
# A data set holds inputs with clean and noisy labels. Dense kernels want inputs of one length, which ``normalised``
# makes. A problem is a kernel on the data set, decomposed once, with its labels.

data = na.load_dataset("digits", n_train=500).normalised()
noisy = data.with_label_noise(na.SymmetricNoise(0.4), seed=0)
problem = na.make_problem(noisy, na.DenseNTK(depth=3), max_memory_bytes=200_000_000)
spectrum = problem.spectrum
print(f"{noisy.noise_fraction:.0%} of the labels are wrong")
print(f"λ₁ = {spectrum.lambda_max:.3g}, condition number {spectrum.condition_number:.3g}")
print(f"effective rank {spectrum.effective_rank:.1f} of {spectrum.n_mode} modes")

# %%
# Mode j shrinks its part of the residual by 1 − ηλ\ :sub:`j` a step: directions of large eigenvalues are learnt first.
# ``air_summary`` measures how much of the clean labels and of the noise lies in the top k of them. The noise is centred,
# ζ = ỹ − E[ỹ | y], for flips as such hold a part of the labels.

summary = na.air_summary(problem)
na.plot.spectrum(problem, half_lives=summary.half_lives)
plt.show()

# %%

na.plot.energy(summary)
plt.show()

# %%
# Half of the clean labels' energy lies in the top ten eigenspaces; the noise spreads evenly over all of them.
#
# So training retrieves labels before noise. At each time, the retrieved share of one is drawn over that of the other; the
# area under this curve, the AIR-AUC, is ½ for an isotropic kernel and 1 where all of the signal comes before any noise.

na.plot.air(summary)
plt.show()

# %%
# The AIR window is when 1 − δ of the signal and at most δ of the noise are retrieved. Where it is empty it says why; a
# wider δ may open it. Half-lives say how long each mode takes, in steps of η = 1/λ₁.

print("δ = 0.1:", summary.window.steps or summary.window.reason)
print("δ = 0.2:", na.air_summary(problem, delta=0.2).window.steps)
for mode in (2, 10, 100, 500):
    print(f"half-life of mode {mode}: {summary.half_lives[mode - 1]:,.0f} steps")

# %%
# In the shell, over several draws of noise and beside random labels, with a figure and a manifest:
# ``ntk-air run eigen-spectrum``. The definitions are in the theory, section 2; next: what descent and self-distillation
# make of it.
