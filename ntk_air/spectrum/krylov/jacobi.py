"""Quadrature rules of a measure of which its first moments are known (Golub, Meurant 2010).

A vector u has the measure dμ(λ) = Σ_j (v_jᵀu)² δ(λ − λ_j), and uᵀf(Θ)u = ∫ f dμ. m products give
its moments up to degree 2m − 1, as the Jacobi matrix J_m of its orthogonal polynomials.

- Gauss: nodes are the eigenvalues of J_m. ∫ f dμ − rule = f^{(2m)}(ξ)/(2m)! · ∫ Π(λ − θ_i)² dμ.
- Gauss–Radau: one node is prescribed at a, m others are free. ∫ f dμ − rule =
  f^{(2m+1)}(ξ)/(2m+1)! · ∫ (λ − a) Π(λ − θ_i)² dμ.

(1 − ηλ)ᵏ and e^{−sλ} have derivatives of alternating sign on [0, 1/η]. So Gauss is a lower bound,
and Gauss–Radau with a node at or below the least eigenvalue is an upper one.

The rule with a prescribed node x also bounds the distribution: what its nodes below x weigh is at
most μ{λ < x}, and what its nodes up to x weigh is at least μ{λ ≤ x} (Chebyshev, Markov, Stieltjes;
Szegő 1939, section 3.41).
"""

import equinox as eqx
import numpy as np
import scipy.linalg
from jaxtyping import Float

Vector = Float[np.ndarray, " n_node"]


class Rule(eqx.Module):
    """∫ f dμ ≈ Σ weights · f(nodes)."""

    nodes: Vector
    weights: Vector


class Jacobi(eqx.Module):
    """The recurrence of a measure's orthogonal polynomials, m steps of it."""

    diagonal: Float[np.ndarray, " m"]
    off_diagonal: Float[np.ndarray, " m"]
    """The last couples to what is not known; 0 where the measure has no more than m atoms."""
    energy: float
    """μ(all) = ‖u‖²."""

    @property
    def is_exact(self) -> bool:
        """Whether the Gauss rule is the measure itself."""
        return float(self.off_diagonal[-1]) == 0.0

    def gauss(self) -> Rule:
        """The rule exact to degree 2m − 1."""
        return self._rule(self.diagonal, self.off_diagonal[:-1])

    def radau(self, node: float) -> Rule:
        """The rule exact to degree 2m with a node prescribed; Gauss where that is exact."""
        if self.is_exact:
            return self.gauss()
        banded = np.zeros((3, len(self.diagonal)))
        banded[0, 1:] = banded[2, :-1] = self.off_diagonal[:-1]
        banded[1] = self.diagonal - node
        last = np.zeros_like(self.diagonal)
        last[-1] = self.off_diagonal[-1] ** 2
        try:
            with np.errstate(divide="ignore"):
                step = scipy.linalg.solve_banded((1, 1), banded, last, check_finite=False)[-1]
        except scipy.linalg.LinAlgError:
            step = np.inf
        if not np.isfinite(step):
            # A node of the Gauss rule makes this singular: one rounding beside it does as well.
            return self.radau(float(np.nextafter(node, -np.inf)))
        return self._rule(np.append(self.diagonal, node + step), self.off_diagonal)

    def moved(self, shift: float, scale: float) -> "Jacobi":
        """The recurrence of the measure whose atoms are scale·(λ + shift)."""
        return Jacobi((self.diagonal + shift) * scale, self.off_diagonal * scale, self.energy)

    def mass_from(self, threshold: float) -> tuple[float, float]:
        """Bounds on μ{λ ≥ threshold}."""
        if self.is_exact:
            rule = self.gauss()
            mass = float(np.sum(rule.weights[rule.nodes >= threshold]))
            return mass, mass
        rule = self.radau(threshold)
        at = int(np.argmin(np.abs(rule.nodes - threshold)))
        above = float(np.sum(rule.weights[at + 1 :]))
        return above, above + float(rule.weights[at])

    def _rule(self, diagonal: Vector, off_diagonal: Float[np.ndarray, " n_between"]) -> Rule:
        nodes, vectors = scipy.linalg.eigh_tridiagonal(diagonal, off_diagonal)
        return Rule(nodes=nodes, weights=self.energy * vectors[0] ** 2)


def jacobi_of_projection(
    atoms: Float[np.ndarray, " n_atom"],
    amplitudes: Float[np.ndarray, " n_atom"],
    leaving: Float[np.ndarray, "n_left n_atom"],
    m: int,
    *,
    tolerance: float,
) -> Jacobi:
    """The first m steps of a vector's recurrence, from a projection that holds its m products.

    Lanczos with full reorthogonalisation in the projection's eigenbasis. The m-th image alone has
    a part outside, which ``leaving`` tells the length of.

    Args:
        atoms: eigenvalues of the projection.
        amplitudes: the vector in its eigenbasis, not 0.
        leaving: the part of Θ times each eigenvector outside the projection's space.
        m: the number of steps, at least 1.
        tolerance: a coupling at or below it counts as 0: the measure has no more atoms.
    """
    energy = float(amplitudes @ amplitudes)
    basis = np.zeros((m, len(atoms)))
    basis[0] = amplitudes / energy**0.5
    diagonal, off_diagonal = np.zeros(m), np.zeros(m)
    for step in range(m):
        image = atoms * basis[step]
        diagonal[step] = basis[step] @ image
        for _ in range(2):
            image -= (basis[: step + 1] @ image) @ basis[: step + 1]
        inside = float(np.linalg.norm(image))
        coupling = float(np.hypot(inside, np.linalg.norm(leaving @ basis[step])))
        if coupling <= tolerance:
            used = step + 1
            return Jacobi(diagonal[:used], off_diagonal[:used], energy)
        off_diagonal[step] = coupling
        if step + 1 < m:
            basis[step + 1] = image / inside
    return Jacobi(diagonal, off_diagonal, energy)
