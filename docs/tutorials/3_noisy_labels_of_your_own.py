"""
3. Noisy labels of your own
===========================

You have inputs and labels, some labels are wrong, and nobody knows which. ``na.clean_labels`` finds them from a kernel
and the labels alone, whatever classes are taken for whatever others.
"""

# %%
# The wine data with 20 % of the labels moved to the next cultivar, as if they were yours. Labels come in as they
# are, here texts. Columns have units of their own: without a common scale the largest would be all that the
# kernel sees. ``normalised`` gives each row one length, which the kernel of a fully connected network wants.

import jax
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

import ntk_air as na

jax.config.update("jax_enable_x64", True)
wine = load_wine()
cultivars = np.array(["Barolo", "Grignolino", "Barbera"])
moved = np.random.default_rng(0).random(len(wine.target)) < 0.2
truth, given = cultivars[wine.target], cultivars[(wine.target + moved) % 3]

inputs = StandardScaler().fit_transform(wine.data)
data = na.Dataset.from_arrays(inputs, given, n_test=0)

# %%
# A kernel, and one call.

problem = na.make_problem(data.normalised(), na.DenseNTK(depth=3))
found = na.clean_labels(problem)
print(found.verdict)
print(*found.reasons, sep="\n")

# %%
# The verdict says which way of training predicts labels best that were hidden from it: ``noise_aware``, self-distillation
# that knows its noise; ``early_stopping``, where it does no better; ``no_signal``, where inputs say nothing of the labels.
# Rate and transition matrix come with intervals.

low, high = found.rate_interval
print(f"wrong labels: {found.rate:.1%} ({low:.1%} to {high:.1%}); truly {moved.mean():.1%}")
na.plot.transition(found, data.class_names)
plt.show()

# %%
# Suspects are all rows, the likeliest to be wrong first, with a suggestion for each.

print("row  given       suggested   truth")
for row in found.suspects[:8]:
    print(f"{row:3}  {given[row]:11} {data.class_names[found.suggested[row]]:11} {truth[row]}")

# %%
# How good is the ranking? Here the truth is known. The first rows are nearly all wrong, and the curve is flat once all
# wrong labels are found.

wrong = moved[found.suspects]
plt.figure(figsize=(5, 3.2), layout="constrained")
plt.plot(np.cumsum(wrong), color="#009E73", label="by suspicion")
plt.plot([0, len(wrong)], [0, wrong.sum()], ":", color="grey", label="at random")
plt.xlabel("rows looked at")
plt.ylabel("wrong labels found")
plt.legend()
plt.show()

# %%
# Nothing is flipped for you. In the shell, with a report that opens in a browser: ``ntk-air labels mine.csv --label-column
# cultivar``; folders of images, texts, arrays: :doc:`/labels`. What is found is what the kernel can tell apart: for natural
# images take the features of a pretrained network, for a kernel of your own give its matrix (tutorial 5).
