"""Camera buffers: every rotation, mirrored or not, with the strides that cameras have."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_nima.camera_buffers import MATRICES, CameraBuffer, Plane
from edge_nima.card import Card
from edge_nima.decode import Pixels
from edge_nima.sources.rotated import TURNS, turn
from edge_nima.vectors.pictures import photographs

_GARBAGE = 0xA5
"""What lies in the padding: a reader that takes it for picture is caught."""


def camera_buffers(card: Card) -> Iterator[tuple[str, CameraBuffer]]:
    """All of them with their names, the same for the same card.

    For every rotation and mirroring the upright picture of the RGBA buffers is the same one.
    """
    photograph = photographs(card)[0]
    sizes = {"even": (160, 120), "odd": (131, 97)}
    layouts = ("rgba", "rgba-padded", "i420", "i420-padded", "nv12", "nv12-padded", "nv21", "nv21-padded")
    matrices = cycle(MATRICES)
    for (size, sides), rotation, mirror, layout in product(sizes.items(), TURNS, (False, True), layouts):
        upright = np.asarray(photograph.resize(sides, Image.Resampling.BICUBIC))
        name = f"{layout}-{size}-{rotation}{'-mirror' if mirror else ''}"
        # Turned back: whoever turns it as the buffer says has the upright picture again.
        stored = turn(turn(upright, 0, mirror), (360 - rotation) % 360)
        padding = 29 if layout.endswith("padded") else 0
        if layout.startswith("rgba"):
            yield name, _rgba(stored, padding, rotation, mirror)
        else:
            yield name, _yuv(stored, layout.split("-")[0], padding, next(matrices), rotation, mirror)
    camera = np.asarray(photograph.resize((640, 480), Image.Resampling.BICUBIC))
    yield "rgba-camera-90", _rgba(turn(camera, 270), 0, 90, False)
    large = np.asarray(photograph.resize((1280, 720), Image.Resampling.BICUBIC))
    yield "rgba-large-0", _rgba(large, 0, 0, False)
    yield "nv12-large-90", _yuv(large, "nv12", 64, "bt709-limited", 90, False)
    yield "i420-large-270-mirror", _yuv(turn(large, 90), "i420", 0, "bt601-full", 270, True)
    yield "nv12-camera-90", _yuv(turn(camera, 270), "nv12", 32, "bt601-full", 90, False)


def _rgba(rgb: Pixels, padding: int, rotation: int, mirror: bool) -> CameraBuffer:
    height, width = rgb.shape[:2]
    # Alpha counts up: a reader that lays it over white, or shifts by a byte, is caught.
    alpha = np.arange(width * height).reshape(height, width, 1).astype(np.uint8)
    samples = np.concatenate([rgb, alpha], axis=2).reshape(height, -1)
    data, stride = _padded(samples, padding)
    return CameraBuffer(data, "RGBA_8888", width, height, (Plane(0, stride, 4),), None, rotation, mirror)


def _yuv(rgb: Pixels, kind: str, padding: int, matrix: str, rotation: int, mirror: bool) -> CameraBuffer:
    height, width = rgb.shape[:2]
    y, u, v = _planes(rgb, matrix)
    luma, luma_stride = _padded(y, padding)
    if kind == "i420":
        chroma = [_padded(plane, padding) for plane in (u, v)]
        planes = (
            Plane(0, luma_stride, 1),
            Plane(len(luma), chroma[0][1], 1),
            Plane(len(luma) + len(chroma[0][0]), chroma[1][1], 1),
        )
        data = luma + chroma[0][0] + chroma[1][0]
    else:
        pair, stride = _padded(np.stack([u, v] if kind == "nv12" else [v, u], axis=-1).reshape(len(u), -1), padding)
        first = len(luma) if kind == "nv12" else len(luma) + 1
        second = len(luma) + 1 if kind == "nv12" else len(luma)
        planes = (Plane(0, luma_stride, 1), Plane(first, stride, 2), Plane(second, stride, 2))
        data = luma + pair
    return CameraBuffer(data, "YUV_420_888", width, height, planes, matrix, rotation, mirror)


def _padded(rows: NDArray[np.uint8], padding: int) -> tuple[bytes, int]:
    """The rows, garbage after each but the last, as Android ends a plane; and how far apart they lie."""
    height, width = rows.shape
    spread = np.full((height, width + padding), _GARBAGE, np.uint8)
    spread[:, :width] = rows
    return spread.tobytes()[: (height - 1) * (width + padding) + width], width + padding


def _planes(rgb: Pixels, matrix: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Y, U and V, chroma averaged over squares of two: any camera's, roughly; only the way back has a definition."""
    kr, kb = (0.299, 0.114) if matrix.startswith("bt601") else (0.2126, 0.0722)
    luma = rgb @ np.array([kr, 1 - kr - kb, kb])
    u, v = (rgb[..., 2] - luma) / (2 - 2 * kb), (rgb[..., 0] - luma) / (2 - 2 * kr)
    if matrix.endswith("limited"):
        luma, u, v = 16 + luma * 219 / 255, u * 224 / 255, v * 224 / 255
    y = _rounded(luma)
    return y, _rounded(128 + _halved(u)), _rounded(128 + _halved(v))


def _halved(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    mean: NDArray[np.float64] = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean(axis=(1, 3))
    return mean


def _rounded(plane: NDArray[np.float64]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
    return rounded
