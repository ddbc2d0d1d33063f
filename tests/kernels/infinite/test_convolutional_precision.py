"""Deep kernels of images against 80 digits: the promised accuracy, or a refusal that says why."""

import itertools

import jax
import mpmath
import numpy as np
import pytest
from mpmath import mpf

from ntk_air.kernels.infinite.convolutional import ConvolutionalNTK
from tests.helpers.sweeps import one_in
from tests.kernels.infinite.scalar_reference import erf, relative_errors, relu

SIDE = 2
POSITIONS = tuple(itertools.product(range(SIDE), repeat=2))  # all are neighbours of all


def products(of_pair, first, second):
    return {(p, q): of_pair(first[p], second[q]) for p in POSITIONS for q in POSITIONS}


def reference(x, y, blocks, *variances, dual_of=erf):
    """NTK and its scale, with a pooling at most, from the covariances of positions."""
    with mpmath.workdps(80):
        images = [[[mpf(float(v)) for v in image[p]] for p in POSITIONS] for image in (x, y)]
        weight, bias = map(mpf, variances)
        n = SIDE**2

        def start(u, v):
            return [[mpmath.fdot(a, b) / len(a) for b in v] for a in u]

        pairs = [(images[i], images[j]) for i, j in ((0, 0), (0, 1), (1, 1))]
        sigma = [start(*pair) for pair in pairs]
        theta = [[[mpf(0)] * n for _ in range(n)] for _ in sigma]

        def convolved(k):  # of 2 × 2 positions each sees those of the same shift
            if len(k) == 1:
                return [[k[0][0] / 9]]
            shifts = list(itertools.product((-1, 0, 1), repeat=2))

            def at(p, q):
                moved = [[(r + a, c + b) for r, c in (p, q)] for a, b in shifts]
                inside = [m for m in moved if all(x in POSITIONS for x in m)]
                return sum(k[POSITIONS.index(r)][POSITIONS.index(s)] for r, s in inside) / 9

            return [[at(p, q) for q in POSITIONS] for p in POSITIONS]

        def combined(function, *tables):
            return [
                [function(*e) for e in zip(*rows, strict=True)]
                for rows in zip(*tables, strict=True)
            ]

        for index, n_convolutions in enumerate(blocks):
            if index:
                sigma, theta = (
                    [[[sum(map(sum, k)) / n**2]] for k in kernels] for kernels in (sigma, theta)
                )
            for _ in range(n_convolutions):
                sigma = [combined(lambda s: weight * s + bias, convolved(k)) for k in sigma]
                behind = [convolved(k) for k in theta]
                theta = [
                    combined(lambda s, t: s + weight * t, s, t)
                    for s, t in zip(sigma, behind, strict=True)
                ]
                own = [[k[p][p] for p in range(len(k))] for k in (sigma[0], sigma[2])]
                which = ((0, 0), (0, 1), (1, 1))
                duals = [
                    [
                        [dual_of(own[i][p], k[p][q], own[j][q]) for q in range(len(k))]
                        for p in range(len(k))
                    ]
                    for (i, j), k in zip(which, sigma, strict=True)
                ]
                sigma = [combined(lambda d: d[0], dual) for dual in duals]
                theta = [
                    combined(lambda d, t: d[1] * t, dual, t)
                    for dual, t in zip(duals, theta, strict=True)
                ]

        def mean(k):
            return sum(map(sum, k)) / len(k) ** 2

        nngp = [weight * mean(k) + bias for k in sigma]
        return nngp[1] + weight * mean(theta[1]), mpmath.sqrt(nngp[0] * nngp[2])


def images(dtype):
    """One image, itself turned by angles from 10⁻⁸ on at every position, its negative, another."""
    rng = np.random.default_rng(0)
    x, other, across = rng.standard_normal((3, SIDE, SIDE, 3))
    near = [x + angle * across for angle in (1e-8, 1e-4)]
    return np.stack([x, -x, other, *near]).astype(dtype)


def as_many(x, like):
    """The first image once for each of the others: programs of their number are compiled alone."""
    return np.repeat(x[:1], len(like), axis=0)


def errors(kernel, x, x2):
    network = kernel.blocks, kernel.weight_variance, kernel.bias_variance
    wanted = [reference(x[0], y, *network) for y in x2]
    return relative_errors(np.asarray(kernel(as_many(x, x2), x2))[0], wanted)


def erf_network(*blocks, weight=25.0, bias=0.0):
    return ConvolutionalNTK(blocks, activation="erf", weight_variance=weight, bias_variance=bias)


@pytest.mark.parametrize("blocks", one_in(2, [(20,), (10, 10)]))
def test_identical_and_opposite_images_stay_so_where_near_ones_are_refused(blocks):
    x = images(np.float64)
    kernel = erf_network(*blocks, weight=225.0)
    assert max(errors(kernel, x, x[:3])) < 1e-12
    message = (
        r"depth 21, which multiplies 1 − cos .* up to .*e\+\d\d: rounding in float64 .* rows 0 and"
    )
    with pytest.raises(ValueError, match=message):
        kernel(as_many(x, x[:3]), x[[0, 3, 4]])
    if len(blocks) == 1:  # images with themselves: a program more, which takes long behind pooling
        with pytest.raises(ValueError, match=message):
            kernel(x[[0, 2, 3]])


@pytest.mark.parametrize("blocks", one_in(2, [(3,), (2, 2)]))
def test_near_images_are_right_where_layers_do_not_take_them_apart(blocks):
    x = images(np.float64)
    assert max(errors(erf_network(*blocks, weight=2.0, bias=0.1), x, x)) < 1e-12


def test_a_depth_whose_roundings_add_up_is_refused():
    x = images(np.float32)
    message = r"got depth 151, which multiplies"
    with pytest.raises(ValueError, match=message):
        erf_network(150, weight=6.0)(x[:1])


def test_a_kernel_that_underflows_is_named():
    x = images(np.float32)
    kernel = ConvolutionalNTK((60,), weight_variance=0.5)
    message = r"{} must be large enough for the kernel of depth 61 .* float32"
    with pytest.raises(ValueError, match=message.format("x1")):
        kernel(x[:1])
    with pytest.raises(ValueError, match=message.format("x2")):
        kernel(x[:1] * 0, x[:1])
    assert (np.asarray(kernel(x[:1] * 0)) == 0).all()


def test_a_quadrature_that_does_not_resolve_its_activation_is_refused():
    kernel = ConvolutionalNTK((1,), activation=jax.numpy.tanh, weight_variance=900.0)
    with pytest.raises(ValueError, match=r"Hermite coefficients at pre-activations of variance"):
        kernel(np.ones((1, 2, 2, 1)))


def test_relu_behind_a_pooling_loses_no_more_of_near_images_than_is_said():
    """An angle below √(16ε), of each activation behind: 1/π of it."""
    x, across = np.random.default_rng(0).standard_normal((2, 1, SIDE, SIDE, 3))
    near = np.concatenate([x + angle * across for angle in (0, 1e-4, 1e-3, 2e-3, 5e-3)])
    x, near = x.astype(np.float32), near.astype(np.float32)
    found = np.asarray(ConvolutionalNTK((1, 1))(x, near))[0]
    wanted = [reference(x[0], y, (1, 1), 2.0, 0.0, dual_of=relu) for y in near]
    lost = relative_errors(found, wanted)
    assert lost[0] < 1e-6
    assert max(lost) < (16 * np.finfo(np.float32).eps) ** 0.5 / np.pi
