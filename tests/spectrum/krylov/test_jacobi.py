"""Rules of a measure from its recurrence: exact to their degree, bounds beyond it."""

import numpy as np
import pytest

from ntk_air.spectrum.krylov.jacobi import jacobi_of_projection

N_ATOM = 12


def atoms_and_masses():
    rng = np.random.default_rng(0)
    return np.sort(rng.uniform(0.05, 1, N_ATOM)), rng.uniform(0.5, 1.5, N_ATOM)


def jacobi_of(atoms, masses, m):
    """With every atom known, nothing leaves."""
    return jacobi_of_projection(
        atoms, np.sqrt(masses), np.zeros((0, len(atoms))), m, tolerance=1e-12
    )


@pytest.mark.parametrize("m", [1, 2, 5])
def test_rules_are_exact_to_their_degree(m):
    atoms, masses = atoms_and_masses()
    jacobi = jacobi_of(atoms, masses, m)
    for rule, degree in ((jacobi.gauss(), 2 * m - 1), (jacobi.radau(0.0), 2 * m)):
        powers = np.arange(degree + 2)[:, None]
        found, truth = rule.nodes**powers @ rule.weights, atoms**powers @ masses
        np.testing.assert_allclose(found[:-1], truth[:-1], rtol=1e-12)
        assert abs(found[-1] / truth[-1] - 1) > 1e-12  # and no further
    assert abs(jacobi.radau(0.0).nodes).min() < 1e-15
    assert jacobi.gauss().nodes.min() > atoms.min()


def test_a_measure_of_m_atoms_is_its_gauss_rule():
    atoms, masses = atoms_and_masses()
    jacobi = jacobi_of(atoms[:4], masses[:4], 9)
    assert jacobi.is_exact
    for rule in (jacobi.gauss(), jacobi.radau(0.0)):
        np.testing.assert_allclose(rule.nodes, atoms[:4], rtol=1e-12)
        np.testing.assert_allclose(rule.weights, masses[:4], rtol=1e-10)
    assert jacobi.mass_from(atoms[2] - 1e-3) == pytest.approx([masses[2:4].sum()] * 2)


@pytest.mark.parametrize("m", [1, 3, 6])
def test_mass_beyond_a_threshold_is_bounded(m):
    atoms, masses = atoms_and_masses()
    jacobi = jacobi_of(atoms, masses, m)
    # The nodes of the Gauss rule itself are where the prescribed node makes the system singular.
    for threshold in [*np.linspace(0.01, 1.1, 37), *jacobi.gauss().nodes]:
        lower, upper = jacobi.mass_from(float(threshold))
        assert lower - 1e-12 <= masses[atoms >= threshold].sum() <= upper + 1e-12


def test_moving_a_measure_moves_its_rules():
    atoms, masses = atoms_and_masses()
    moved = jacobi_of(atoms, masses, 3).moved(0.1, 2.0).gauss()
    expected = jacobi_of(2 * (atoms + 0.1), masses, 3).gauss()
    np.testing.assert_allclose(moved.nodes, expected.nodes, rtol=1e-12)
    np.testing.assert_allclose(moved.weights, expected.weights, rtol=1e-12)
