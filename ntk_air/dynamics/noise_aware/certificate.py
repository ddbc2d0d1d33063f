"""When noise-aware decisions can never change again: the certificate of theory.md 10e.

With T fixed and hard decisions d_i = argmax_a p_i(a)^{1/τ}·T[a, z_i], gradient descent on the
decisions is linear for as long as they stand: e_t = f_t − e_d obeys e_{t+1} = (I − ηΘ)e_t, so that
|e_{t,i}| ≤ Σ_j |V_ij||e_{T,j}| for all t ≥ T, and each row is safe by finite arithmetic.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from ntk_air._base.checks import check_array, check_finite, check_kind, check_positive
from ntk_air.dynamics.noise_aware.learner import Probabilities
from ntk_air.dynamics.noise_aware.posterior import LEAST_PROBABILITY, own_label_likelihood
from ntk_air.spectrum.result import Spectrum


@dataclasses.dataclass(frozen=True, eq=False)
class DecisionCertificate:
    """Which decisions are proved to stand for all time under descent with ηλ₁ ≤ 1.

    Attributes:
        decisions: d, (n,).
        bounds: B with |f_t − e_d| ≤ B for all later steps, while all decisions stand, (n, C).
        safe: rows whose decision no outputs within the bounds can change, (n,).
        issued: whether that is every row, which makes it a proof.
    """

    decisions: Int[np.ndarray, " n"]
    bounds: Float[np.ndarray, "n n_classes"]
    safe: Bool[np.ndarray, " n"]

    @property
    def issued(self) -> bool:
        """Whether every row is safe."""
        return bool(self.safe.all())


def decide(
    outputs: Probabilities,
    given: Int[np.ndarray, " n"],
    transition: Float[np.ndarray, "C C"],
    *,
    temperature: float,
) -> Int[np.ndarray, " n"]:
    """d_i = argmax_a p_i(a)^{1/τ}·T[a, z_i], p the outputs clipped below, (n,)."""
    return np.argmax(_scores(outputs, given, transition, temperature), axis=1)


def certify_decisions(
    spectrum: Spectrum,
    outputs: Probabilities,
    given: Int[np.ndarray, " n"],
    *,
    transition: Float[np.ndarray, "C C"],
    temperature: float,
) -> DecisionCertificate:
    """Prove, where it can be, that decisions taken now stand for all time.

    Args:
        spectrum: complete spectrum of Θ.
        outputs: f_T, near probabilities, (n, C).
        given: z, (n,).
        transition: T[a, b], fixed, (C, C), no entry 0.
        temperature: τ, above 0.

    Raises:
        ValueError: for a truncated spectrum, outputs that are not finite or not of its rows, and a
            transition matrix with entries that are not above 0.
    """
    check_kind("spectrum", spectrum, Spectrum)
    check_array("outputs", outputs)
    check_finite("outputs", outputs)
    check_positive("temperature", temperature)
    if not spectrum.complete or len(outputs) != spectrum.n_train:
        raise ValueError(
            f"spectrum must be complete, with a row for each output; got {spectrum.n_mode} of "
            f"{spectrum.n_train} modes and {len(outputs)} outputs"
        )
    if not np.all(np.asarray(transition) > 0):
        raise ValueError("transition must have entries above 0; got one that is not")
    decisions = decide(outputs, given, transition, temperature=temperature)
    vectors = np.asarray(spectrum.eigenvectors)
    errors = outputs - np.eye(outputs.shape[1])[decisions]
    bounds = np.abs(vectors) @ np.abs(vectors.T @ errors)
    rounding = 8 * len(outputs) * np.finfo(float).eps * np.linalg.norm(errors, axis=0)
    bounds = bounds + rounding + spectrum.orthogonality_error * np.linalg.norm(errors, axis=0)
    rows = np.arange(len(outputs))
    worst = np.eye(outputs.shape[1])[decisions] + bounds
    worst[rows, decisions] = 1 - bounds[rows, decisions]
    scores = _scores(worst, given, transition, temperature)
    own = scores[rows, decisions].copy()
    scores[rows, decisions] = -np.inf
    return DecisionCertificate(decisions, bounds, own > scores.max(axis=1))


def _scores(
    outputs: Probabilities,
    given: Int[np.ndarray, " n"],
    transition: Float[np.ndarray, "C C"],
    temperature: float,
) -> Float[np.ndarray, "n n_classes"]:
    clipped = np.maximum(outputs, LEAST_PROBABILITY)
    return np.log(clipped) / temperature + np.log(own_label_likelihood(transition, given))
