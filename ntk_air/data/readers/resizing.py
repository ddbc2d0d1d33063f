"""Images of another size."""

import numpy as np
from jaxtyping import Float
from PIL import Image

from ntk_air._base.checks import check_at_least


def resized_images(
    images: Float[np.ndarray, "n height width channels"], height: int, width: int
) -> Float[np.ndarray, "n _ _ channels"]:
    """Each channel by bilinear interpolation, averaged over the pixels that a smaller one covers.

    Computed in single precision, Pillow's own.

    Raises:
        ValueError: inputs that are no images, a side below 1.
    """
    if images.ndim != 4:
        raise ValueError(
            f"images must have shape (n, height, width, channels); got shape {images.shape}"
        )
    check_at_least("height", height, 1)
    check_at_least("width", width, 1)
    planes = np.moveaxis(np.asarray(images, np.float32), 3, 1)
    made = np.empty((*planes.shape[:2], height, width), np.float32)
    for index in np.ndindex(planes.shape[:2]):
        plane = Image.fromarray(np.ascontiguousarray(planes[index]))
        made[index] = np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR))
    return np.moveaxis(made, 1, 3).astype(np.float64)
