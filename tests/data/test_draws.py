"""Draws: the right means, the right marginals, and the same bits on every platform."""

from unittest.mock import create_autospec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from ntk_air.data.draws import (
    choose,
    draw_classes,
    generator,
    normal_numbers,
    rounded_counts,
    shuffled,
    stratified_choice,
)

GOLDEN_UNIFORM = [
    float.fromhex(bits)
    for bits in ("0x1.b99761a98b790p-3", "0x1.37bb19511034ap-2", "0x1.2ec09e76565bdp-1")
]


def test_streams_are_the_documented_ones():
    # PCG64 is defined by its paper: a change here means that data sets have silently changed.
    np.testing.assert_array_equal(generator(0, "label noise").random(3), GOLDEN_UNIFORM)


def test_two_purposes_of_one_seed_do_not_share_a_stream():
    one, other = (generator(0, purpose).random(2000) for purpose in ("inputs", "label noise"))
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(2000)


def test_negative_seeds_are_refused():
    with pytest.raises(ValueError, match="seed must be a whole number, at least 0; got -1"):
        generator(-1, "label noise")


@given(
    shares=arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 1)),
    total=st.integers(0, 200),
    seed=st.integers(0, 2**32),
)
def test_rounded_counts_sum_up_and_stay_within_one_of_their_share(shares, total, seed):
    shares[0] += 0.1
    counts = rounded_counts(shares, total, generator(seed, "test"))
    exact = total * shares / shares.sum()
    assert counts.sum() == total
    assert (counts > exact - 1 - 1e-9).all()
    assert (counts < exact + 1 + 1e-9).all()
    assert (counts >= 0).all()


def test_rounded_counts_have_exactly_their_share_as_mean():
    shares, rng, n_draws = np.array([0.5, 0.3, 0.15, 0.05]), generator(0, "test"), 4000
    counts = np.array([rounded_counts(shares, 7, rng) for _ in range(n_draws)])
    deviation = counts.mean(axis=0) - 7 * shares
    assert (np.abs(deviation) < 4 * counts.std(axis=0) / np.sqrt(n_draws) + 1e-12).all()


def test_shuffling_puts_each_item_anywhere_equally_often():
    rng = generator(1, "test")
    first = np.array([shuffled(np.arange(5), rng)[0] for _ in range(2000)])
    assert stats.chisquare(np.bincount(first, minlength=5)).pvalue > 1e-3


def test_drawn_classes_follow_their_row():
    row = np.array([0.2, 0.0, 0.5, 0.3])
    drawn = draw_classes(np.tile(row, (20_000, 1)), generator(2, "test"))
    counts = np.bincount(drawn, minlength=4)
    assert counts[1] == 0
    assert stats.chisquare(counts[row > 0], 20_000 * row[row > 0]).pvalue > 1e-3


def test_normal_numbers_are_normal():
    numbers = normal_numbers(generator(3, "test"), (100, 50)).reshape(-1)
    assert stats.kstest(numbers, "norm").pvalue > 1e-3


@pytest.mark.parametrize(("drawn", "sign"), [(0.0, -1), (1 - 2.0**-53, 1)])
def test_the_least_and_the_largest_draw_give_finite_normal_numbers(drawn, sign):
    rng = create_autospec(np.random.Generator, instance=True)
    rng.random.return_value = np.array([drawn])
    (number,) = normal_numbers(rng, (1,))
    assert 8 < sign * number < 9


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    fraction=st.floats(0.01, 1),
    seed=st.integers(0, 2**16),
)
def test_a_stratified_choice_keeps_the_shares(sizes, fraction, seed):
    strata = np.repeat(np.arange(len(sizes)), sizes)
    size = max(1, int(fraction * len(strata)))
    chosen = stratified_choice(strata, size, generator(seed, "test"))
    assert len(np.unique(chosen)) == size
    assert (np.diff(chosen) > 0).all()
    counts = np.bincount(strata[chosen], minlength=len(sizes))
    assert (np.abs(counts - size * np.array(sizes) / len(strata)) < 1 + 1e-9).all()


def test_choosing_more_than_there_is_is_refused():
    with pytest.raises(ValueError, match="n_train must be at most 3, what there is; got 4"):
        choose("n_train", np.zeros(3, np.int64), 4, seed=0)
    with pytest.raises(ValueError, match="n_train must be a whole number, at least 1; got 0"):
        choose("n_train", np.zeros(3, np.int64), 0, seed=0, minimum=1)
