from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_nima.camera_buffers import MATRICES, CameraBuffer, Plane
from edge_nima.errors import PictureError
from edge_nima.scorer import load_model
from edge_nima.vectors.buffers import camera_buffers

RANDOM = np.random.default_rng(6)


def i420(y: np.ndarray, u: np.ndarray, v: np.ndarray, matrix: str) -> CameraBuffer:
    height, width = y.shape
    half = (width + 1) // 2
    planes = (Plane(0, width, 1), Plane(y.size, half, 1), Plane(y.size + u.size, half, 1))
    return CameraBuffer(y.tobytes() + u.tobytes() + v.tobytes(), "YUV_420_888", width, height, planes, matrix)


def random_i420(width: int, height: int, matrix: str, darkest: int = 0) -> CameraBuffer:
    half = ((height + 1) // 2, (width + 1) // 2)
    y = RANDOM.integers(darkest, 256, (height, width), np.uint8)
    return i420(y, *(RANDOM.integers(0, 256, half, np.uint8) for _ in range(2)), matrix)


@pytest.mark.parametrize("matrix", MATRICES)
def test_black_white_and_grey_have_no_colour(matrix: str) -> None:
    low, high = (16, 235) if matrix.endswith("limited") else (0, 255)
    y = np.array([[low, high], [(low + high + 1) // 2, low]], np.uint8)
    none = np.full((1, 1), 128, np.uint8)
    rgb = i420(y, none, none, matrix).upright()
    assert rgb[0, 0].tolist() == [0, 0, 0]
    assert rgb[0, 1].tolist() == [255, 255, 255]
    assert len(set(rgb[1, 0].tolist())) == 1


def test_full_range_bt601_is_what_jpeg_has() -> None:
    """Pillow converts with tables of its own: a level of rounding apart at most."""
    buffer = random_i420(64, 48, "bt601-full")
    planes = np.frombuffer(buffer.data, np.uint8)
    y = planes[: 64 * 48].reshape(48, 64)
    u, v = (plane.reshape(24, 32).repeat(2, 0).repeat(2, 1) for plane in np.split(planes[64 * 48 :], 2))
    theirs = np.asarray(Image.fromarray(np.stack([y, u, v], -1), "YCbCr").convert("RGB"))
    assert np.abs(buffer.upright().astype(int) - theirs).max() <= 1


def test_limited_range_bt601_is_what_opencv_has() -> None:
    cv2 = pytest.importorskip("cv2", reason="needs edge-nima[camera]")
    buffer = random_i420(64, 48, "bt601-limited", darkest=16)  # what is blacker than black, OpenCV takes for black
    planes = np.frombuffer(buffer.data, np.uint8).reshape(72, 64)
    theirs = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)
    assert np.abs(buffer.upright().astype(int) - theirs).max() <= 1


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(sorted(MATRICES)), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_it_is_the_formula_pixel_by_pixel(width: int, height: int, matrix: str, seed: int) -> None:
    global RANDOM
    RANDOM = np.random.default_rng(seed)
    buffer, m = random_i420(width, height, matrix), MATRICES[matrix]
    rgb = buffer.upright()
    for row in range(height):
        for column in range(width):
            y, u, v = (
                buffer.data[plane.offset + (row >> shift) * plane.row_stride + (column >> shift) * plane.pixel_stride]
                for plane, shift in zip(buffer.planes, (0, 1, 1), strict=True)
            )
            luma = m.y * (y - m.y_zero) + 32768
            sums = (luma + m.rv * (v - 128), luma + m.gu * (u - 128) + m.gv * (v - 128), luma + m.bu * (u - 128))
            assert rgb[row, column].tolist() == [min(max(value >> 16, 0), 255) for value in sums]


def test_a_buffer_turned_back_is_the_same_upright_picture_whatever_its_strides() -> None:
    seen: dict[str, set[bytes]] = {}
    for name, buffer in camera_buffers(load_model().card):
        kind = "rgba" if name.startswith("rgba") else buffer.matrix or ""
        rgb = buffer.upright()
        if "camera" not in name and rgb.shape == (120, 160, 3):
            seen.setdefault(kind, set()).add(rgb.tobytes())
    # Even sides: chroma squares stay squares when they are turned, so nothing but the matrix can differ.
    assert {kind: len(pictures) for kind, pictures in seen.items()} == dict.fromkeys(("rgba", *MATRICES), 1)


BUFFER = random_i420(8, 6, "bt601-full")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (replace(BUFFER, data=BUFFER.data[:-1]), "8x6 with a row stride of 4 does not fit a buffer of 71 bytes"),
        (replace(BUFFER, planes=BUFFER.planes[:1]), "1 planes of 'YUV_420_888'; possible"),
        (replace(BUFFER, layout="NV16"), "3 planes of 'NV16'; possible"),
        (replace(BUFFER, matrix=None), "the buffer's matrix is None; possible: bt601-full"),
        (replace(BUFFER, matrix="bt2020"), "the buffer's matrix is 'bt2020'; possible: bt601-full"),
        (replace(BUFFER, rotation=45), "the buffer's rotation is 45; possible: 0, 90, 180, 270"),
        (replace(BUFFER, planes=(Plane(-1, 8, 1), *BUFFER.planes[1:])), "does not fit a buffer"),
    ],
)
def test_a_buffer_that_cannot_be_read_says_why(wrong: CameraBuffer, told: str) -> None:
    with pytest.raises(PictureError, match=told.replace("(", r"\(")):
        wrong.upright()
