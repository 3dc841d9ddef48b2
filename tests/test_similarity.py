"""Whether two pictures show the same."""

from __future__ import annotations

import io
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import PHOTOS
from edge_nima.decode import Pixels, read_rgb
from edge_nima.similarity import StillDetector, hamming, perceptual_hash, small_grey

RANDOM = np.random.default_rng(5)


@pytest.fixture(scope="module")
def photographs() -> list[Pixels]:
    return [read_rgb(path) for path in sorted(PHOTOS.glob("*.jpg"))]


def noisy(rgb: Pixels, sigma: float = 10) -> Pixels:
    return np.clip(rgb + RANDOM.normal(0, sigma, rgb.shape), 0, 255).astype(np.uint8)


def brighter(rgb: Pixels, by: int = 25) -> Pixels:
    return np.minimum(rgb, 255 - by, dtype=np.uint8) + np.uint8(by)


def recompressed(rgb: Pixels) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=40)
    return read_rgb(file.getvalue())


def test_a_small_grey_picture_is_the_average_of_its_cells() -> None:
    rgb = RANDOM.integers(0, 256, (256, 512, 3), dtype=np.uint8)
    grid = rgb[:, 1::2].astype(float)  # the middle columns of 256 pairs
    exact = (grid @ [0.25, 0.5, 0.25]).reshape(32, 8, 32, 8).mean(axis=(1, 3))
    assert np.abs(small_grey(rgb) - exact).max() <= 0.5


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (31, 33), (32, 32), (481, 643), (1080, 1920)])
def test_any_size_gives_the_grey_that_is_there(shape: tuple[int, int]) -> None:
    grey = small_grey(np.full((*shape, 3), 77, np.uint8))
    assert grey.shape == (32, 32)
    assert (grey == 77).all()


@pytest.mark.parametrize("change", [noisy, brighter, recompressed, lambda rgb: rgb[4:, 4:]])
def test_what_shows_the_same_differs_in_few_bits(photographs: list[Pixels], change: object) -> None:
    for rgb in photographs:
        assert hamming(perceptual_hash(rgb), perceptual_hash(change(rgb))) <= 6  # type: ignore[operator]


def test_different_photographs_differ_in_many_bits(photographs: list[Pixels]) -> None:
    hashes = [perceptual_hash(rgb) for rgb in photographs]
    assert all(0 <= one < 2**64 for one in hashes)
    assert min(hamming(one, other) for one, other in combinations(hashes, 2)) > 12


def test_neighbours_in_a_film_are_one_motif_and_another_film_is_not(data: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="needs edge-nima[camera]")
    hashes = []
    for name in ("walk.mkv", "car-detection.mp4"):
        film = cv2.VideoCapture(str(data / "videos" / name))
        frames = [film.read()[1][..., ::-1] for _ in range(30)]
        hashes.append([perceptual_hash(frame) for frame in frames])
    for seen in hashes:
        assert max(hamming(one, other) for one, other in pairwise(seen)) <= 6
    assert min(hamming(one, other) for one in hashes[0] for other in hashes[1]) > 12


def test_noise_and_a_cloud_move_nothing_and_a_lamp_and_a_hand_do(photographs: list[Pixels]) -> None:
    rgb = photographs[0]
    detector = StillDetector()
    assert detector.moved(rgb)
    assert not any(detector.moved(noisy(rgb)) for _ in range(5))
    # A cloud, over some frames: brightness and contrast both go down by a fifth.
    assert not any(detector.moved((rgb * share).astype(np.uint8)) for share in np.linspace(1, 0.8, 9))
    assert detector.moved((rgb * 0.6).astype(np.uint8)), "a lamp went out"
    even = photographs[1].copy()
    detector = StillDetector()
    detector.moved(even)
    height, width = even.shape[:2]
    hand = even.copy()
    hand[: height // 4, : width // 4] = 255 - hand[: height // 4, : width // 4] // 2
    assert detector.moved(hand)
    assert not detector.moved(hand), "what came to rest is the picture now"


def test_slow_movement_adds_up_until_it_counts() -> None:
    backdrop = RANDOM.integers(40, 90, (120, 160, 1), dtype=np.uint8).repeat(3, axis=2)
    detector = StillDetector()
    seen = []
    for left in range(0, 60, 2):
        rgb = backdrop.copy()
        rgb[30:90, 20 + left : 70 + left] = 200
        seen.append(detector.moved(rgb))
    assert seen[0]
    assert 3 <= sum(seen) < len(seen)
    gaps = np.diff(np.flatnonzero(seen))
    assert gaps.max() <= 12, "it was never left out for long"


def test_a_threshold_of_nothing_lets_every_change_through() -> None:
    detector, rgb = StillDetector(0.0), RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert detector.moved(rgb)
    assert not detector.moved(rgb), "the very same frame again is still"
    other = rgb.copy()
    other[:16, :16] = 255 - other[:16, :16]
    assert detector.moved(other)


def test_a_person_who_walks_past_is_seen_and_an_empty_road_is_not(data: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="needs edge-nima[camera]")
    film, detector, moved = cv2.VideoCapture(str(data / "videos" / "walk.mkv")), StillDetector(), []
    while (read := film.read())[0]:
        moved.append(detector.moved(read[1][..., ::-1]))
    # Somebody walks through it from end to end: every second holds something new.
    assert all(any(moved[start : start + 30]) for start in range(0, len(moved) - 30, 30))
    assert not all(moved)
