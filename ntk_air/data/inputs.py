"""Inputs as a data set takes them: the numbers given, images in [0, 1], both parts on one scale."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ntk_air._base.arrays import exact_float64, real_array
from ntk_air._base.checks import check_callable, check_finite, check_inputs, check_same_features

_APART = 1000.0
_OTHER_SCALE = 50.0
_PIXEL_BOUND = 2.0  # some ways to resize overshoot 1
_LARGEST_PIXEL = 50.0  # of standardised images
_SMALLEST_NORM = 1e-140


class DataWarning(UserWarning):
    """Something about a data set that is allowed and seldom meant."""


class Rows(NamedTuple):
    """Where inputs stand among all rows of the table, array or folder that they were taken from.

    Rows are counted from 0; those of an official test part come behind all others.

    Attributes:
        train: row of each training input, (n_train,).
        test: row of each held-out input, (n_test,).
        n_all: number of all rows.
    """

    train: Int[np.ndarray, " n_train"]
    test: Int[np.ndarray, " n_test"]
    n_all: int

    @classmethod
    def in_order(cls, n_train: int, n_test: int) -> "Rows":
        """All rows, the training part first."""
        everything = np.arange(n_train + n_test)
        return cls(everything[:n_train], everything[n_train:], n_train + n_test)

    def part(self, train: np.ndarray, test: np.ndarray) -> "Rows":
        """The rows of some of the inputs."""
        return Rows(self.train[train], self.test[test], self.n_all)


class CheckedInputs:
    """Inputs of both parts that have been checked, or were made of such: not to be checked anew."""

    def __init__(self, train: np.ndarray, test: np.ndarray, rows: Rows | None = None):
        self.parts, self.rows = (train, test), rows
        for part in self.parts:
            part.flags.writeable = False


def frozen_numbers(name: str, array: Any) -> Float[np.ndarray, "..."]:
    """A read-only float64 array of the same numbers; what someone may still write to is copied.

    Raises ``ValueError`` for what is no array of real numbers, or rounded in float64.
    """
    given = np.asarray(real_array(name, array))
    return frozen(given, exact_float64(name, given))


def frozen(given: np.ndarray, converted: np.ndarray) -> np.ndarray:
    """The converted array closed for writing; a copy where it is what was given, still open."""
    if converted is given and given.flags.writeable:
        converted = given.copy()
    converted.flags.writeable = False
    return converted


def checked_inputs(
    inputs: Any, test: tuple[Any, Any] | None
) -> tuple[Float[np.ndarray, "n *features"], Float[np.ndarray, "n_test *features"]]:
    """Training and held-out inputs, the first of the pair ``test``, as frozen arrays.

    ``CheckedInputs`` are taken as they are, whatever ``test`` holds.

    Raises:
        ValueError: what is no finite real number, uint8, images that are not in [0, 1] or not
            (n, height, width, channels), parts of other features or scales.
    """
    if isinstance(inputs, CheckedInputs):
        return inputs.parts
    train = _part("inputs", inputs)
    check_inputs("inputs", train)
    held_out = np.zeros((0, *train.shape[1:])) if test is None else test[0]
    held_out = _part("test_inputs", held_out)
    check_same_features("inputs", train, "test_inputs", held_out)
    check_finite("test_inputs", held_out)
    _check_images("inputs", train)
    _check_images("test_inputs", held_out)
    _check_same_scale(train, held_out)
    _warn_of_columns(train)
    return train, held_out


def _part(name: str, given: Any) -> Float[np.ndarray, "..."]:
    array = real_array(name, given)
    if array.dtype == np.uint8:
        raise ValueError(
            f"{name} must not be uint8, as pixels in 0 … 255 are; got shape {array.shape}: "
            "divide pixels by 255, or hand in other numbers as float64"
        )
    return frozen_numbers(name, array)


def checked_pixels(name: str, images: Any) -> Float[np.ndarray, "n height width channels"]:
    """Images as a frozen array, for what takes pixels by their meaning.

    Raises:
        ValueError: what is no finite real number, uint8, not (n, height, width, channels) with one
            or three channels, pixels outside [0, 1].
    """
    array = _part(name, images)
    _check_images(name, array)
    if array.ndim != 4 or array.shape[3] not in (1, 3) or 0 in array.shape[1:]:
        raise ValueError(
            f"{name} must be images (n, height, width, channels) of one or three channels; "
            f"got shape {array.shape}"
        )
    check_finite(name, array)
    if array.size and (array.min() < 0 or array.max() > 1):
        raise ValueError(
            f"{name} must have pixels in [0, 1]; got pixels from {array.min()} to {array.max()}"
        )
    return array


def made_by(
    features: Callable[[np.ndarray], Any],
    train: Float[np.ndarray, "n *features"],
    test: Float[np.ndarray, "n_test *features"],
) -> CheckedInputs:
    """What someone's function makes of both parts of inputs: a row of finite numbers for each.

    Columns of different scales are not warned of: they are what the function makes them.

    Raises:
        ValueError: what it returns is no array of finite real numbers or has another number of
            rows, or parts of other features or scales.
    """
    check_callable("features", features)
    made = rows_made("features", features, train)
    held_out = np.zeros((0, *made.shape[1:]))
    if len(test):
        held_out = rows_made("features", features, test)
    check_same_features("features of inputs", made, "features of test_inputs", held_out)
    _check_same_scale(made, held_out)
    return CheckedInputs(made, held_out)


def rows_made(
    name: str,
    features: Callable[[np.ndarray], Any],
    inputs: Float[np.ndarray, "n *features"],
) -> Float[np.ndarray, "n *made"]:
    """What someone's function makes of inputs, as a frozen float64 array.

    Args:
        name: name of the function in errors.
        features: the function.
        inputs: what it is given.

    Raises:
        ValueError: what it returns is no array of finite real numbers with a row for each input.
    """
    what = f"what {name} returns"
    made = frozen_numbers(what, features(inputs))
    if made.ndim < 2 or len(made) != len(inputs) or 0 in made.shape[1:]:
        raise ValueError(
            f"{what} must have shape (n, *features), a row for each of {len(inputs)} inputs; "
            f"got shape {made.shape}"
        )
    check_finite(what, made)
    return made


def _check_images(name: str, images: Float[np.ndarray, "..."]) -> None:
    """Require images of four axes to be in [0, 1], or standardised, with their channels last."""
    if images.ndim != 4 or not images.size:
        return
    _, second, third, last = images.shape
    if second in (1, 3) and third > 4 and last > 4:
        raise ValueError(
            f"{name} must be images of shape (n, height, width, channels); got {images.shape}, "
            "which has its channels first: np.moveaxis(images, 1, -1) has them last"
        )
    low, high = float(images.min()), float(images.max())
    if (low >= 0 and high > _PIXEL_BOUND) or max(high, -low) > _LARGEST_PIXEL:
        raise ValueError(
            f"{name} must be images with pixels in [0, 1], or standardised; got pixels from {low} "
            f"to {high}: divide them by the largest possible one"
        )


def _check_same_scale(
    train: Float[np.ndarray, "n *features"], test: Float[np.ndarray, "n_test *features"]
) -> None:
    """Require rows of one size in both parts, up to what samples of one population differ by."""
    sizes = [_middle_norm(part) for part in (train, test) if len(part)]
    if len(sizes) == 2 and min(sizes) > 0 and max(sizes) > _OTHER_SCALE * min(sizes):
        raise ValueError(
            f"test_inputs must be on the scale of inputs; got rows of norm {sizes[1]:.3g} (the "
            f"median) beside {sizes[0]:.3g}: scale both parts alike"
        )


def _middle_norm(part: Float[np.ndarray, "n *features"]) -> float:
    flat = part.reshape(len(part), -1)
    with np.errstate(over="ignore"):  # then both are infinite, or the other is far off
        return float(np.median(np.sqrt(np.einsum("ij,ij->i", flat, flat))))


def _warn_of_columns(inputs: Float[np.ndarray, "n *features"]) -> None:
    """Warn of a table whose columns are of scales thousands apart: kernels see the largest."""
    if inputs.ndim != 2:
        return
    sizes = np.maximum(inputs.max(axis=0), -inputs.min(axis=0))
    if not sizes.any():
        return
    largest, smallest = int(sizes.argmax()), int(np.where(sizes > 0, sizes, np.inf).argmin())
    if sizes[largest] > _APART * sizes[smallest]:
        warnings.warn(
            f"inputs have columns of scales more than {_APART:g} apart: column {largest} holds "
            f"values up to {sizes[largest]:.3g} and column {smallest} up to {sizes[smallest]:.3g}, "
            "which kernels of dense networks hardly see beside it; standardise them",
            DataWarning,
            stacklevel=2,
        )


def unit_rows(name: str, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Rows at unit Euclidean norm; raises ``ValueError`` for one of norm zero."""
    with np.errstate(over="ignore"):
        norms = np.linalg.norm(rows, axis=1)
    odd = ~((norms > _SMALLEST_NORM) & (norms < np.inf))
    if odd.any():  # squares of such numbers overflow or vanish
        exponents = np.frexp(np.abs(rows[odd]).max(axis=1, initial=0))[1]
        rows = rows.copy()
        rows[odd] = np.ldexp(rows[odd], -exponents[:, None])
        norms[odd] = np.linalg.norm(rows[odd], axis=1)
    zero = np.flatnonzero(norms == 0)
    if len(zero):
        raise ValueError(
            f"{name} must have no row of norm zero to be normalised; got row {zero[0]}"
        )
    return rows / norms[:, None]


def resized(
    images: Float[np.ndarray, "n height width channels"], height: int, width: int
) -> Float[np.ndarray, "n _ _ channels"]:
    """Images at another size, bilinearly, in single precision."""
    from PIL import Image  # a tenth of a second that most data sets need not wait for

    planes = np.moveaxis(np.asarray(images, np.float32), 3, 1)
    made = np.empty((*planes.shape[:2], height, width), np.float32)
    for index in np.ndindex(planes.shape[:2]):
        plane = Image.fromarray(np.ascontiguousarray(planes[index]))
        made[index] = np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR))
    return np.moveaxis(made, 1, 3).astype(np.float64)
