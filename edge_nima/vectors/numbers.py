"""Numbers: histograms with their moments, what an interpreter may put out, and what it gives a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edge_nima.distribution import BINS, as_distribution, mean_rating, rating_std
from edge_nima.errors import ModelError
from edge_nima.interpreter import InputTensor, proportions
from edge_nima.pixels import Preprocessing

_SEED = 20261125


def distributions() -> list[dict[str, Any]]:
    """Votes or proportions, and what they become."""
    random = np.random.default_rng(_SEED)
    votes = [
        *np.eye(BINS)[[0, 4, 9]],
        np.ones(BINS),
        np.array([1.0] + [0.0] * (BINS - 2) + [1.0]),
        np.full(BINS, 1e-9),
        *random.integers(0, 200, (8, BINS)).astype(float),
        *random.dirichlet(np.ones(BINS), 8),
    ]
    return [
        {
            "votes": row.tolist(),
            "distribution": as_distribution(row).tolist(),
            "mean": float(mean_rating(row)),
            "std": float(rating_std(row)),
        }
        for row in votes
    ]


def outputs() -> list[dict[str, Any]]:
    """Ten float32 values of a model's output, and the distribution; null where they are none."""
    random = np.random.default_rng(_SEED + 1)
    good = random.dirichlet(np.ones(BINS), 4)
    rounded = np.rint(good[0] * 256) / 256
    told = []
    for raw in (
        *good, rounded, good[1] * 1.019, good[1] * 0.981, good[1] * 1.03, good[2] * 0.97, np.zeros(BINS), np.ones(BINS),
        np.array([-9e-7, good[3][:2].sum(), *good[3][2:]]), np.array([-0.01, 1.01] + [0.0] * (BINS - 2)),
    ):  # fmt: skip
        values = raw.astype(np.float32).astype(np.float64)
        try:
            distribution = proportions(values).tolist()
        except ModelError:
            distribution = None
        told.append({"raw": values.tolist(), "distribution": distribution})
    return told


def tensors() -> list[dict[str, Any]]:
    """A model's input as bytes, and the values that its tensor holds of them, in the tensor's own order."""
    random = np.random.default_rng(_SEED + 2)
    plain = Preprocessing(width=2, height=3, scaling="host")
    imagenet = plain.with_overrides(input_range=(0, 1), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    caffe = plain.with_overrides(input_range=(0, 255), mean=(103.939, 116.779, 123.68), channel_order="BGR")
    told = []
    for how, dtype, step, zero_point in (
        (plain, "float32", 0.0, 0), (plain, "int8", 1 / 127.5, -1), (imagenet, "float32", 0.0, 0),
        (replace(imagenet, layout="NCHW"), "float32", 0.0, 0), (replace(imagenet, layout="NCHW"), "uint8", 0.0187, 114),
        (caffe, "float32", 0.0, 0), (caffe, "int8", 1.08, -13),
        (replace(plain, offset=(0.0, -1.0, 2.0)), "int8", 0.02, 3),
        (Preprocessing(width=2, height=3, layout="NCHW"), "uint8", 0.0, 0),
    ):  # fmt: skip
        details = {"dtype": np.dtype(dtype), "quantization": (step, zero_point)}
        tensor = InputTensor(details, how)
        tensor.pixels[...] = random.integers(0, 256, (3, 2, 3))
        told.append({
            "preprocessing": how.to_json(), "shape": tensor.shape, "dtype": dtype, "scale": step,
            "zero_point": zero_point, "pixels": tensor.pixels.ravel().tolist(),
            "values": tensor.values().ravel().tolist(),
        })  # fmt: skip
    return told
