"""Features of images: those of the torch original, whatever the batch, and from the cache."""

import equinox as eqx
import jax
import numpy as np
import pytest

import ntk_air as na
from ntk_air._base.memory import MemoryBudgetError
from ntk_air.networks.pretrained import features as module
from tests.helpers.compilations import count_compilations
from tests.helpers.type_checks import without_type_checks
from tests.networks.pretrained.original import ORIGINAL, SMALL, WIDE, distances

GREY = np.random.default_rng(0).random((3, 8, 8, 1))


@pytest.fixture(scope="module")
def small_size():
    return na.PretrainedFeatures(size=32)


def test_features_are_those_of_the_original():
    made = na.PretrainedFeatures("efficientnet_lite0")(SMALL)
    assert made.dtype == np.float32
    assert (distances(made, ORIGINAL["small_features_160"]) < 1e-5).all()
    # The original's own pixels are rounded to 8 bits.
    in_bytes = distances(made, ORIGINAL["small_features_160_bytes"])
    assert (in_bytes < 0.1).all()


def test_features_at_another_size_are_those_of_the_original():
    made = na.PretrainedFeatures(size=64)(WIDE)
    assert (distances(made, ORIGINAL["wide_features_64"]) < 1e-5).all()


def test_batches_change_nothing_and_compile_one_program(small_size, monkeypatch):
    whole = small_size(GREY)
    monkeypatch.setattr(module, "_LARGEST_BATCH", 2)
    reported = []
    small_size(GREY[:2])
    with count_compilations() as compiled:
        parts = small_size(GREY, progress=lambda *report: reported.append(report))
    assert not compiled
    assert reported == [("features", done, 3) for done in (2, 3)]
    assert (distances(parts, whole) < 1e-5).all()
    assert (distances(whole[:2], whole[1:]) > 1e-2).all()  # images differ


def test_no_image_has_no_features(small_size):
    assert small_size(GREY[:0]).shape == (0, 1280)


@pytest.mark.parametrize(("n", "images", "expected"), [(100, 9.9, 8), (100, 1, 1), (3, 50, 4)])
def test_a_batch_is_as_large_as_the_memory_allows(n, images, expected):
    budget = int(images * module.image_bytes(64)) + n * 1280 * 4
    assert na.PretrainedFeatures(size=64, max_memory_bytes=budget)._batch(n) == expected


def test_the_need_of_memory_is_not_less_than_the_compiler_s_account(weights):
    images = np.zeros((2, 8, 8, 1), np.float32)
    compiled = module._pooled.lower(*weights, images, size=32).compile()
    held = compiled.memory_analysis().temp_size_in_bytes
    assert module.image_bytes(32) / 2 < held <= 2 * module.image_bytes(32)


def test_what_cannot_fit_is_refused():
    with pytest.raises(MemoryBudgetError, match=r"features of 3 images .* for one image of 64 × 6"):
        na.PretrainedFeatures(size=64, max_memory_bytes=module.image_bytes(64))(GREY)


def test_features_are_kept_for_the_same_images_and_size_alone(tmp_path, small_size, monkeypatch):
    kept = na.PretrainedFeatures(size=32, cache=tmp_path / "kept")
    first = kept(GREY)
    np.testing.assert_array_equal(first, small_size(GREY))
    (file,) = (tmp_path / "kept").iterdir()

    def refuse(*args, **kwargs):
        raise AssertionError("computed anew")

    with monkeypatch.context() as patched:
        patched.setattr(module, "_pooled", refuse)
        np.testing.assert_array_equal(kept(GREY), first)
        for other in (GREY[:2], 1 - GREY, GREY.reshape(3, 4, 16, 1)):
            with pytest.raises(AssertionError, match="computed anew"):
                kept(other)
        with pytest.raises(AssertionError, match="computed anew"):
            na.PretrainedFeatures(size=64, cache=tmp_path / "kept")(GREY)

    np.savez(file, features=first[:2])
    with pytest.raises(ValueError, match=rf"{file.name} must hold .*\(3, 1280\) .* got shape \(2"):
        kept(GREY)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{file.name} is damaged"):
        kept(GREY)


def test_a_cache_that_cannot_be_is_refused_before_work(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_pooled", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="cache must lie in a folder"):
        na.PretrainedFeatures(size=32, cache=tmp_path / "file")(GREY)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet50"}, r"name must be one of 'efficientnet_lite0'; got 'resnet50'"),
        ({"size": 100}, "size must be a multiple of 32; got 100"),
        ({"size": 0}, "size must be a whole number, at least 32; got 0"),
        ({"size": 64.0}, r"size must be a whole number, at least 32; got 64\.0"),
        ({"max_memory_bytes": 0}, "max_memory_bytes must be a finite number above 0"),
        ({"cache": 3}, "cache must be str or PathLike or None; got 3"),
    ],
)
def test_bad_options_are_refused(options, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        na.PretrainedFeatures(**options)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ((GREY * 255).astype(np.uint8), "images must not be uint8"),
        (GREY * 1.1, r"images must have pixels in \[0, 1\]; got pixels from"),
        (GREY - 0.1, r"images must have pixels in \[0, 1\]; got pixels from"),
        (GREY * 255, "images must be images with pixels in"),
        (GREY[..., 0], r"of one or three channels; got shape \(3, 8, 8\)"),
        (GREY.repeat(2, axis=3), r"of one or three channels; got shape \(3, 8, 8, 2\)"),
        (np.zeros((2, 3, 8, 8)), "which has its channels first"),
        (np.full((1, 8, 8, 1), np.nan), "images must be finite"),
        ("images", "images must be an array of numbers"),
    ],
)
def test_what_are_no_such_images_is_refused(small_size, images, message):
    with pytest.raises(ValueError, match=message):
        small_size(images)


def test_the_whole_network_is_features_and_a_last_layer(small_size):
    apply_fn, params = small_size.network(2, jax.random.key(0))
    last = np.asarray(params["last"])
    assert last.shape == (1280, 2)
    assert abs(last.std() * np.sqrt(1280) - 1) < 0.1
    made = eqx.filter_jit(apply_fn)(params, GREY.astype(np.float32))
    np.testing.assert_allclose(made, small_size(GREY) @ last, rtol=0, atol=1e-4)


def test_its_kernel_as_far_as_the_last_layer_goes_is_that_of_the_features(small_size):
    network, params = small_size.network(2, jax.random.key(0))

    def apply_last(last, images):
        return network({**params, "last": last}, images)

    kernel = na.EmpiricalNTK(apply_last, params["last"], method="layerwise")
    theta = kernel(GREY.astype(np.float32))
    features = small_size(GREY)
    np.testing.assert_allclose(theta, features @ features.T, rtol=1e-5)


def test_a_network_has_outputs(small_size):
    with pytest.raises(ValueError, match="n_out must be a whole number, at least 1; got 0"):
        small_size.network(0, jax.random.key(0))
