from __future__ import annotations

import errno
import io
import json
import os
import struct
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from edge_nima.decode import check_rgb, read_rgb
from edge_nima.errors import CardError, PictureError
from edge_nima.joining import same_pixels
from edge_nima.pixels import FILTERS, Preprocessing, pixels_sha256, read_input, to_input

PHOTOS = sorted((Path(__file__).parents[1] / "examples" / "photos").glob("*.jpg"))


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def encode(image: Image.Image | NDArray[np.uint8], form: str, **options: Any) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def photo(side: int = 200, index: int = 0) -> Image.Image:
    with Image.open(PHOTOS[index]) as image:
        image.load()
    image.thumbnail((side, side))
    return image


def refused(source: Any, **options: Any) -> str:
    """The one line with which a picture is refused."""
    with pytest.raises(PictureError) as caught:
        read_rgb(source, **options)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


# What Pillow reads


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "TGA", "ICO"])
def test_a_lossless_file_gives_its_very_pixels(form: str) -> None:
    rgb = noise(64, 64)
    assert np.array_equal(read_rgb(encode(rgb, form)), rgb)


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF", "JPEG2000"])
def test_a_photograph_in_a_lossy_format_gives_what_pillow_decodes(form: str) -> None:
    try:
        data = encode(photo().convert("RGB"), form)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow has no {form}")
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(read_rgb(data), np.asarray(image.convert("RGB")))


def test_avif_with_transparency_is_refused_since_browsers_read_its_alpha_otherwise() -> None:
    try:
        data = encode(Image.new("RGBA", (16, 16), (9, 99, 199, 128)), "AVIF")
    except (KeyError, OSError):
        pytest.skip("this Pillow has no AVIF")
    with pytest.raises(PictureError, match="AVIF with transparency, which decoders read differently: export as PNG"):
        read_rgb(data)


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_path_text_and_bytes_of_a_photograph_give_the_same(path: Path) -> None:
    rgb = read_rgb(path)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    assert rgb.ndim == 3
    assert np.array_equal(rgb, read_rgb(str(path)))
    assert np.array_equal(rgb, read_rgb(path.read_bytes()))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP"])
def test_a_picture_of_one_pixel_is_a_picture(form: str) -> None:
    assert read_rgb(encode(Image.new("RGB", (1, 1), "white"), form)).tolist() == [[[255, 255, 255]]]


# EXIF

MARKED = np.zeros((16, 32, 3), np.uint8)
MARKED[:8, :16], MARKED[:8, 16:], MARKED[8:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)

# How an upright picture is stored for each value of EXIF's orientation tag (CIPA DC-008, table 6).
STORED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_every_orientation_gives_the_same_upright_picture(form: str, orientation: int) -> None:
    options: dict[str, Any] = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    stored = np.ascontiguousarray(STORED[orientation](MARKED))
    got = read_rgb(encode(stored, form, exif=with_orientation(orientation), **options))
    assert got.shape == MARKED.shape
    assert np.abs(got.astype(int) - MARKED).max() <= (3 if form == "JPEG" else 0)


@pytest.mark.parametrize("orientation", [0, 9, 99, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    data = encode(MARKED, "PNG", exif=with_orientation(orientation))
    assert np.array_equal(read_rgb(data), MARKED)


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage that is no TIFF header",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0",  # orientation as text
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_damaged_exif_block_does_not_cost_the_picture(block: bytes) -> None:
    plain = encode(photo(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    assert np.array_equal(read_rgb(plain[:2] + segment + plain[2:]), read_rgb(plain))


# Modes


def over_white(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.float64]:
    a = alpha[..., None] / 255
    result: NDArray[np.float64] = rgb * a + 255 * (1 - a)
    return result


def test_alpha_lies_over_white() -> None:
    rgb, alpha = noise(20, 30), noise(20, 30, 1)[..., 0]
    rgba = Image.fromarray(np.dstack([rgb, alpha]))
    got = read_rgb(encode(rgba, "PNG"))
    assert np.abs(got - over_white(rgb, alpha)).max() <= 1


def test_grey_with_alpha_lies_over_white() -> None:
    grey, alpha = noise(20, 30)[..., 0], noise(20, 30, 1)[..., 0]
    both = Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha)))
    got = read_rgb(encode(both, "PNG"))
    assert np.abs(got - over_white(np.repeat(grey[..., None], 3, 2), alpha)).max() <= 1


def test_a_transparent_palette_entry_is_white() -> None:
    image = Image.new("P", (4, 2), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    for transparency in (0, b"\x00\xff"):
        rgb = read_rgb(encode(image, "PNG", transparency=transparency))
        assert rgb[0, 0].tolist() == [255, 255, 255]
        assert rgb[0, 1].tolist() == [200, 100, 50]
    assert read_rgb(encode(image, "PNG"))[0, 0].tolist() == [10, 20, 30]


def test_a_half_transparent_palette_entry_is_mixed_with_white() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([0, 0, 0, 200, 100, 50])
    assert read_rgb(encode(image, "PNG", transparency=b"\x80\xff"))[0, 0].tolist() == [127, 127, 127]


def test_a_transparent_gif_is_white_where_it_is_clear() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(1, (0, 0, 4, 8))
    rgb = read_rgb(encode(image, "GIF", transparency=0))
    assert rgb[0, 0].tolist() == [200, 100, 50]
    assert rgb[0, 7].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("mode", "clear", "solid", "shown"),
    [
        ("RGB", (1, 2, 3), (9, 8, 7), [9, 8, 7]),
        ("L", 5, 77, [77, 77, 77]),
        ("1", 0, 1, [255, 255, 255]),
    ],
)
def test_the_clear_colour_of_a_png_is_white(mode: str, clear: Any, solid: Any, shown: list[int]) -> None:
    image = Image.new(mode, (2, 1), clear)
    image.putpixel((1, 0), solid)
    rgb = read_rgb(encode(image, "PNG", transparency=clear))
    assert rgb[0, 0].tolist() == [255, 255, 255]
    assert rgb[0, 1].tolist() == shown


def test_premultiplied_alpha_lies_over_white_too() -> None:
    from edge_nima.decode import to_rgb

    rgba = Image.new("RGBA", (1, 1), (200, 100, 50, 128))
    assert np.abs(np.asarray(to_rgb(rgba.convert("RGBa"), None)).astype(int) - to_rgb(rgba, None)).max() <= 1
    la = Image.new("LA", (1, 1), (200, 128))
    assert np.abs(np.asarray(to_rgb(la.convert("La"), None)).astype(int) - to_rgb(la, None)).max() <= 1


def test_a_palette_with_alpha_lies_over_white() -> None:
    from edge_nima.decode import to_rgb

    image = Image.new("PA", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), (1, 0))
    image.putpixel((1, 0), (1, 255))
    assert np.asarray(to_rgb(image, None)).tolist() == [[[255, 255, 255], [200, 100, 50]]]


def test_grey_becomes_three_equal_channels() -> None:
    grey = noise(20, 30)[..., 0]
    for form in ("PNG", "BMP", "TIFF", "GIF"):
        rgb = read_rgb(encode(Image.fromarray(grey), form))
        assert np.array_equal(rgb, np.repeat(grey[..., None], 3, 2)), form


def test_one_bit_becomes_black_and_white() -> None:
    bits = noise(20, 30)[..., 0] > 127
    for form in ("PNG", "TIFF", "BMP"):
        rgb = read_rgb(encode(Image.fromarray(bits), form))
        assert np.array_equal(rgb, np.repeat((bits * np.uint8(255))[..., None], 3, 2)), form


def test_a_cmyk_photograph_has_its_colours() -> None:
    image = photo().convert("RGB")
    for form in ("JPEG", "TIFF"):
        got = read_rgb(encode(image.convert("CMYK"), form)).astype(int)
        assert np.abs(got - np.asarray(image)).mean() < 4, form


def test_a_lab_photograph_has_its_colours() -> None:
    image = photo().convert("RGB")
    lab = ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    got = read_rgb(encode(lab, "TIFF")).astype(int)
    assert np.abs(got - np.asarray(image)).mean() < 3


DEEP = np.array([[0, 255, 256, 4660], [30000, 65279, 65280, 65535]], np.uint16)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_keeps_its_high_byte(form: str) -> None:
    rgb = read_rgb(encode(Image.fromarray(DEEP), form))
    assert np.abs(rgb[..., 0].astype(int) - (DEEP >> 8)).max() <= (1 if form == "PPM" else 0)
    assert np.array_equal(rgb[..., 0], rgb[..., 2])


def test_sixteen_bit_grey_of_the_other_byte_order_is_the_same() -> None:
    from edge_nima.decode import to_rgb

    image = Image.frombytes("I;16B", (4, 2), DEEP.astype(">u2").tobytes())
    assert np.array_equal(np.asarray(to_rgb(image, "TIFF"))[..., 0], DEEP >> 8)


@pytest.mark.parametrize("form", ["PNG", "PPM"])
def test_a_dark_sixteen_bit_picture_stays_dark_in_every_mode_pillow_gives_it(form: str) -> None:
    from edge_nima.decode import to_rgb

    assert read_rgb(encode(Image.fromarray(np.full((2, 2), 255, np.uint16)), form)).max() <= 1
    # Pillow before 11 opens these as mode "I".
    assert np.asarray(to_rgb(Image.new("I", (2, 2), 255), form)).max() == 0


def test_integers_of_32_bits_are_told_by_their_largest() -> None:
    for values, wanted in (([0, 7, 255], [0, 7, 255]), ([0, 256, 65535], [0, 1, 255]), ([-5, 0, 255], [0, 0, 255])):
        rgb = read_rgb(encode(Image.fromarray(np.array([values], np.int32)), "TIFF"))
        assert rgb[0, :, 1].tolist() == wanted


def test_floats_are_spread_from_one_or_taken_as_they_are() -> None:
    for values, wanted in (([0.0, 0.5, 1.0], [0, 128, 255]), ([-3.0, 100.4, 255.0], [0, 100, 255])):
        rgb = read_rgb(encode(Image.fromarray(np.array([values], np.float32)), "TIFF"))
        assert rgb[0, :, 2].tolist() == wanted


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_floats_that_are_not_finite_are_refused(bad: float) -> None:
    assert "not finite" in refused(encode(Image.fromarray(np.array([[0.0, bad]], np.float32)), "TIFF"))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_gives_its_first_frame(form: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green", "blue")]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(data)) as image:
        assert getattr(image, "n_frames", 1) == 3
    assert np.array_equal(read_rgb(data), np.full((16, 16, 3), (255, 0, 0)))


# What is refused


def test_what_is_no_picture_is_said_to_be_none(tmp_path: Path) -> None:
    text = tmp_path / "letter.jpg"
    text.write_text("Dear Sir or Madam,\n" * 50)
    assert "not a picture" in refused(text)
    assert "not a picture" in refused(text.read_bytes())


def test_an_empty_file_a_folder_a_pipe_and_nothing_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "0 bytes" in refused(tmp_path / "empty.jpg")
    assert "0 bytes" in refused(b"")
    assert "folder" in refused(tmp_path)
    assert "not a regular file" in refused(tmp_path / "pipe.jpg")
    assert "No such file" in refused(tmp_path / "missing.jpg")
    assert "cannot be opened" in refused("nul\0byte.jpg")
    assert "not a regular file" in refused("/dev/zero")


def test_a_file_one_may_not_read_is_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(encode(MARKED, "JPEG"))

    def refuse(name: object, mode: str) -> None:  # root may read everything: said in its place
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)

    monkeypatch.setattr("edge_nima.decode.open", refuse, raising=False)
    assert "Permission denied" in refused(path)


def cuts(data: bytes, count: int) -> list[bytes]:
    return [data[: int(place)] for place in np.linspace(1, len(data) - 1, count)]


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"restart_marker_blocks": 5}, {"quality": 95, "optimize": True}, {"subsampling": 0}],
    ids=["baseline", "progressive", "restarts", "optimised", "444"],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_cut_jpeg_is_an_error_and_never_half_a_picture(options: dict[str, Any]) -> None:
    data = encode(photo(), "JPEG", **options)
    for cut in cuts(data[:-3], 60):
        refused(cut)


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_jpeg_whose_tail_is_zeros_is_an_error(options: dict[str, Any]) -> None:
    data = encode(photo(), "JPEG", **options)
    for share in (0.3, 0.5, 0.8, 0.95):
        keep = int(len(data) * share)
        for tail in (len(data) - keep, 10 * len(data)):
            assert "damaged" in refused(data[:keep] + bytes(tail))


ENCODINGS: list[dict[str, Any]] = [
    {}, {"restart_marker_blocks": 5}, {"restart_marker_rows": 1}, {"optimize": True}, {"subsampling": 0},
    {"subsampling": "4:2:2"}, {"quality": 100}, {"quality": 5}, {"keep_rgb": True},
]  # fmt: skip


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", ENCODINGS, ids=str)
def test_a_cut_jpeg_is_an_error_also_with_an_end_marker(options: dict[str, Any], mode: str) -> None:
    data = encode(photo().convert(mode), "JPEG", **options)
    scan = data.index(b"\xff\xda") + 17  # behind the header of a scan of four colours
    for place in np.linspace(scan, len(data) - 300, 12):
        cut = data[: int(place)]
        cut = cut[:-1] if cut.endswith(b"\xff") else cut
        assert "ends before the picture does" in refused(cut + b"\xff\xd9")
        assert "ends before the picture does" in refused(cut + b"\xff\xd9" + b"a camera maker's own trailer")


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 80),
    height=st.integers(1, 80),
    options=st.sampled_from([*ENCODINGS, {"progressive": True}]),
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
    grey_rows=st.integers(1, 80),
    trailer=st.binary(max_size=20),
)
def test_a_whole_jpeg_that_ends_in_mid_grey_is_no_error(
    width: int, height: int, options: dict[str, Any], mode: str, grey_rows: int, trailer: bytes
) -> None:
    pixels = noise(height, width)
    pixels[-grey_rows:] = 128
    data = encode(Image.fromarray(pixels).convert(mode), "JPEG", **options) + trailer
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(read_rgb(data), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("GIF", {}), ("BMP", {}), ("PPM", {}),
        ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "tiff_deflate"}),
        ("TIFF", {"compression": "packbits"}),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_cut_file_of_any_format_is_an_error(form: str, options: dict[str, Any]) -> None:
    data = encode(photo().convert("RGB"), form, **options)
    for cut in cuts(data[:-32], 40):  # the last few bytes may be checksums, the pixels all there
        refused(cut)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_damaged_file_gives_a_picture_or_one_line(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(sorted(SMALL)))
    damaged = bytearray(SMALL[form])
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        rgb = read_rgb(bytes(damaged), max_megapixels=1)
    except PictureError:
        refused(bytes(damaged), max_megapixels=1)
    else:
        assert check_rgb(rgb) is rgb


SMALL = {form: encode(photo(40).convert("RGB"), form) for form in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")}


# Decompression bombs


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares a picture of any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_declared_size_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: Image.Image) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    text = refused(bomb(30000, 30000))
    assert "30000x30000" in text
    assert "900 megapixels" in text
    assert "128" in text
    assert "--max-megapixels" in text


def test_the_limit_on_megapixels_can_be_raised_and_lowered() -> None:
    data = encode(noise(40, 50), "PNG")
    text = refused(data, max_megapixels=0.001)
    assert "the limit is 0.001" in text
    assert "0.002 megapixels" in text
    assert read_rgb(data, max_megapixels=0.002).shape == (40, 50, 3)


def test_pillows_own_limit_does_not_stand_in_the_way_and_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 17)
    assert read_rgb(encode(noise(40, 50), "PNG")).shape == (40, 50, 3)
    refused(b"no picture")
    refused(bomb(30000, 30000))
    assert Image.MAX_IMAGE_PIXELS == 17


def test_threads_read_pictures_side_by_side() -> None:
    before = Image.MAX_IMAGE_PIXELS
    pictures = [encode(noise(30, 40, seed), "PNG") for seed in range(8)]
    start = threading.Barrier(8)

    def read(seed: int) -> bool:
        start.wait()
        return all(np.array_equal(read_rgb(pictures[seed]), noise(30, 40, seed)) for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))
    assert before == Image.MAX_IMAGE_PIXELS


# To the model's input


def pillows(rgb: NDArray[np.uint8], how: Preprocessing) -> NDArray[np.uint8]:
    """What Pillow makes of it, with the crop worked out here by itself."""
    height, width = rgb.shape[:2]
    box = (0.0, 0.0, float(width), float(height))
    if how.fit == "crop":
        if width * how.height > height * how.width:
            gap = (width - height * how.width / how.height) / 2
            box = (gap, 0.0, width - gap, float(height))
        else:
            gap = (height - width * how.height / how.width) / 2
            box = (0.0, gap, float(width), height - gap)
    image = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(image.resize((how.width, how.height), FILTERS[how.filter], box=box))


@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize(
    "size", [(480, 640), (720, 1280), (1080, 1920), (3000, 4000), (4000, 3000), (224, 224), (1, 1), (223, 225)]
)
def test_nearest_is_pillows_nearest_at_the_sizes_of_cameras(size: tuple[int, int], fit: str) -> None:
    how = Preprocessing(fit=fit)
    rgb = noise(*size)
    assert np.array_equal(to_input(rgb, how), pillows(rgb, how))


sides = st.integers(1, 700)
targets = st.one_of(st.just(224), st.integers(1, 400))


@settings(max_examples=400, deadline=None)
@given(width=sides, height=sides, target_width=targets, target_height=targets, fit=st.sampled_from(["stretch", "crop"]))
@example(width=305, height=26, target_width=87, target_height=99, fit="crop")
@example(width=58, height=264, target_width=201, target_height=272, fit="crop")
def test_nearest_is_pillows_nearest_at_any_size(
    width: int, height: int, target_width: int, target_height: int, fit: str
) -> None:
    # Each pixel tells its own place, so that a neighbour is never taken for it.
    y, x = np.mgrid[:height, :width]
    rgb = np.dstack([x & 255, y & 255, (x >> 8) << 4 | y >> 8]).astype(np.uint8)
    how = Preprocessing(width=target_width, height=target_height, fit=fit)
    assert np.array_equal(to_input(rgb, how), pillows(rgb, how))


@settings(max_examples=100, deadline=None)
@given(
    width=sides, height=sides, target_width=targets, target_height=targets,
    fit=st.sampled_from(["stretch", "crop"]), name=st.sampled_from(sorted(set(FILTERS) - {"nearest"})),
)  # fmt: skip
@example(width=564, height=209, target_width=174, target_height=175, fit="crop", name="bilinear")
def test_the_other_filters_are_pillows(
    width: int, height: int, target_width: int, target_height: int, fit: str, name: str
) -> None:
    how = Preprocessing(width=target_width, height=target_height, fit=fit, filter=name, antialias=True)
    rgb = noise(height, width)
    got, wanted = to_input(rgb, how), pillows(rgb, how)
    # Two ways to write the crop may differ in the last bit of its edges, and a level by one.
    assert np.abs(got.astype(int) - wanted).max() <= (0 if fit == "stretch" else 1)


VIEWS: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "a slice": lambda a: a[7:-3, 5:-9],
    "every other pixel": lambda a: a[::2, ::3],
    "upside down": lambda a: a[::-1],
    "mirrored": lambda a: a[:, ::-1],
    "blue first turned round": lambda a: a[..., ::-1],
    "transposed": lambda a: a.transpose(1, 0, 2),
    "three of four channels": lambda a: np.dstack([a, a[..., :1]])[..., :3],
    "column by column": np.asfortranarray,
    "one row": lambda a: a[3:4],
    "one column": lambda a: a[:, 3:4],
    "read-only": lambda a: np.frombuffer(a.tobytes(), np.uint8).reshape(a.shape),
}


@pytest.mark.parametrize("name", ["nearest", "bilinear"])
@pytest.mark.parametrize("view", VIEWS)
def test_strides_do_not_matter(view: str, name: str) -> None:
    rgb = VIEWS[view](noise(150, 120))
    how = Preprocessing(filter=name, antialias=name != "nearest")
    before = rgb.copy()
    assert np.array_equal(to_input(rgb, how), pillows(np.ascontiguousarray(rgb), how))
    assert np.array_equal(rgb, before)


def test_threads_that_pick_at_once_pick_from_their_own_frames() -> None:
    def picked(level: int) -> set[int]:
        frame = np.full((480, 640, 3), level, np.uint8)
        return {found for _ in range(200) for found in np.unique(to_input(frame, Preprocessing())).tolist()}

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(picked, range(4))) == [{0}, {1}, {2}, {3}]


@pytest.mark.parametrize("name", ["nearest", "lanczos"])
def test_a_model_that_wants_blue_first_gets_it(name: str) -> None:
    rgb, antialias = noise(100, 90), name != "nearest"
    red_first = to_input(rgb, Preprocessing(filter=name, antialias=antialias))
    blue_first = to_input(rgb, Preprocessing(filter=name, antialias=antialias, channel_order="BGR"))
    assert np.array_equal(blue_first, red_first[..., ::-1])
    assert not np.array_equal(blue_first, red_first)


def test_out_is_written_and_returned() -> None:
    how = Preprocessing(width=30, height=20)
    out = np.empty((20, 30, 3), np.uint8)
    for seed in (0, 1):
        rgb = noise(50, 60, seed)
        assert to_input(rgb, how, out=out) is out
        assert np.array_equal(out, pillows(rgb, how))


def test_a_picture_of_the_models_size_passes_untouched() -> None:
    rgb = noise(224, 224)
    for name in FILTERS:
        assert np.array_equal(to_input(rgb, Preprocessing(filter=name, antialias=name != "nearest")), rgb)


# The specification


@pytest.mark.parametrize(
    ("field", "given", "possible"),
    [
        ("fit", "pad", "stretch, crop"),
        ("fit", None, "stretch, crop"),
        ("filter", "area", "nearest, box, bilinear, hamming, bicubic, lanczos"),
        ("filter", ["nearest"], "nearest"),
        ("antialias", True, "false"),
        ("antialias", 0, "false"),
        ("antialias", "no", "false"),
        ("channel_order", "rgb", "RGB, BGR"),
        ("scaling", "device", "graph, host"),
        ("width", 0, "1 to 4096"),
        ("width", 4097, "1 to 4096"),
        ("height", -224, "1 to 4096"),
        ("height", 224.0, "1 to 4096"),
        ("height", True, "1 to 4096"),
        ("width", "224", "1 to 4096"),
        ("width", 10**5000, "1 to 4096"),
        ("scale", float("nan"), "a finite number"),
        ("scale", float("inf"), "a finite number"),
        ("scale", "1/127.5", "a finite number"),
        ("scale", 0, "other than 0"),
        ("scale", 10**5000, "a finite number"),
        ("scale", (1.0, 0, 2.0), "a finite number other than 0, or three"),
        ("scale", (1.0, 2.0), "a finite number other than 0, or three"),
        ("offset", (0.0, "a", 1.0), "a finite number, or three"),
        ("layout", "HWC", "NHWC, NCHW"),
        ("offset", None, "a finite number"),
        ("offset", True, "a finite number"),
        ("offset", float("-inf"), "a finite number"),
    ],
    ids=lambda value: str(value)[:12] if not isinstance(value, int) or abs(value) < 10**9 else "huge",
)
def test_an_impossible_specification_says_what_was_given_and_what_is_possible(
    field: str, given: Any, possible: str
) -> None:
    with pytest.raises(CardError) as caught:
        Preprocessing(**{field: given})
    text = str(caught.value)
    assert field in text
    assert possible in text.split("possible:")[1]
    shown = repr(list(given) if isinstance(given, tuple) else given) if given != 10**5000 else "too long"
    assert shown in text
    assert "\n" not in text


@pytest.mark.parametrize("name", sorted(set(FILTERS) - {"nearest"}))
def test_pillows_smooth_filters_cannot_be_had_without_antialias(name: str) -> None:
    with pytest.raises(CardError, match="antialias"):
        Preprocessing(filter=name)
    assert Preprocessing(filter=name, antialias=True).describe().count("antialiased") == 1


def test_the_specification_is_told_in_one_line() -> None:
    assert Preprocessing().describe() == (
        "224x224, stretch, Pillow NEAREST (no antialias), RGB, p * 0.00784314 - 1 inside the graph"
    )
    assert Preprocessing(scaling="host", scale=1, offset=0.5).describe().endswith("p * 1 + 0.5 by the caller")


IMAGENET: dict[str, Any] = {"input_range": (0, 1), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def test_a_mean_and_a_deviation_of_each_channel_become_a_scale_and_an_offset() -> None:
    how = Preprocessing(scaling="host").with_overrides(**IMAGENET)
    rgb = noise(5, 7)
    by_hand = (rgb / 255 - np.array(IMAGENET["mean"])) / IMAGENET["std"]
    assert how.scaled(rgb) == pytest.approx(by_hand, abs=1e-6)
    assert how.scaled(rgb).dtype == np.float32
    assert how.describe().endswith(
        "RGB, p * (0.0171248, 0.017507, 0.0174292) + (-2.1179, -2.03571, -1.80444) by the caller"
    )
    caffe = Preprocessing().with_overrides(input_range=(0, 255), mean=(103.939, 116.779, 123.68), channel_order="BGR")
    assert (caffe.scale, caffe.offset, caffe.channel_order) == (1, (-103.939, -116.779, -123.68), "BGR")
    same = Preprocessing().with_overrides(input_range=(0, 1), mean=(0.5, 0.5, 0.5), std=0.5)
    assert (same.scale, same.offset) == (pytest.approx(1 / 127.5), -1)
    with pytest.raises(CardError, match="mean and std need input_range"):
        Preprocessing().with_overrides(mean=0.5)
    with pytest.raises(CardError, match="std is 0; possible: numbers other than 0"):
        Preprocessing().with_overrides(input_range=(0, 1), std=0)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_factors_of_channels_and_planes_come_back_from_their_json(layout: str) -> None:
    how = Preprocessing(layout=layout, longest_edge=640).with_overrides(**IMAGENET)
    assert Preprocessing.from_json(json.loads(json.dumps(how.to_json()))) == how
    assert how.format == 3
    assert ("layout" in how.to_json()) == (layout == "NCHW")
    # How the axes lie is no difference in what a network sees.
    assert same_pixels(how.describe()) == same_pixels(replace(how, layout="NHWC", scaling="host").describe())


# The longest edge, reduced first

EDGE_FILTERS = sorted(set(FILTERS) - {"nearest"})


@settings(max_examples=300, deadline=None)
@given(width=st.integers(1, 9000), height=st.integers(1, 9000), edge=st.integers(1, 4000))
@example(width=1280, height=719, edge=640)  # 359.5: half to even
@example(width=1280, height=721, edge=640)  # 360.5
@example(width=9000, height=1, edge=640)
def test_the_longest_edge_becomes_exactly_that_and_the_other_keeps_the_proportion(
    width: int, height: int, edge: int
) -> None:
    reduced = Preprocessing(longest_edge=edge).reduced_size(width, height)
    if max(width, height) <= edge:
        assert reduced == (width, height)
        return
    assert max(reduced) == edge
    longest, shortest = max(width, height), min(width, height)
    whole, rest = divmod(shortest * edge, longest)  # in whole numbers, so that nothing is rounded before it is
    up = 2 * rest > longest or (2 * rest == longest and whole % 2 == 1)
    expected = max(1, whole + up)
    assert reduced == ((edge, expected) if width >= height else (expected, edge))


@pytest.mark.parametrize("name", EDGE_FILTERS)
@pytest.mark.parametrize("size", [(300, 171), (171, 300), (301, 300), (260, 3)])
def test_a_large_picture_is_reduced_by_pillow_and_then_sampled_as_before(size: tuple[int, int], name: str) -> None:
    rgb = noise(size[1], size[0])
    how = Preprocessing(longest_edge=120, longest_edge_filter=name, width=50, height=40)
    small = Image.fromarray(rgb).resize(how.reduced_size(*size), FILTERS[name])
    assert np.array_equal(to_input(rgb, how), to_input(np.asarray(small), Preprocessing(width=50, height=40)))


def test_a_tall_picture_shrinks_in_height_first_whatever_pillows_version_does() -> None:
    rgb = noise(900, 130)
    how = Preprocessing(longest_edge=300, width=40, height=300)
    height_first = Image.fromarray(rgb).resize((130, 300), FILTERS["lanczos"]).resize((43, 300), FILTERS["lanczos"])
    width_first = Image.fromarray(rgb).resize((43, 900), FILTERS["lanczos"]).resize((43, 300), FILTERS["lanczos"])
    assert not np.array_equal(np.asarray(height_first), np.asarray(width_first))
    assert np.array_equal(to_input(rgb, how), to_input(np.asarray(height_first), Preprocessing(width=40, height=300)))


def test_a_crop_comes_after_and_blue_can_be_first() -> None:
    rgb = noise(200, 500)
    how = Preprocessing(longest_edge=250, fit="crop", channel_order="BGR", width=60, height=60)
    small = np.asarray(Image.fromarray(rgb).resize((250, 100), FILTERS["lanczos"]))
    expected = to_input(small, Preprocessing(fit="crop", channel_order="BGR", width=60, height=60))
    assert np.array_equal(to_input(rgb, how), expected)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (640, 1), (300, 200), (1, 1)])
def test_pictures_up_to_the_longest_edge_are_as_without_it(size: tuple[int, int]) -> None:
    rgb = noise(size[1], size[0])
    assert np.array_equal(to_input(rgb, Preprocessing(longest_edge=640)), to_input(rgb, Preprocessing()))
    data = encode(rgb, "JPEG", quality=90)
    assert np.array_equal(read_input(data, Preprocessing(longest_edge=640)), read_input(data, Preprocessing()))


@pytest.mark.parametrize("view", VIEWS)
def test_strides_do_not_matter_to_the_longest_edge(view: str) -> None:
    how = Preprocessing(longest_edge=48, width=24, height=24)
    rgb = VIEWS[view](noise(90, 120))
    assert np.array_equal(to_input(rgb, how), to_input(rgb.copy(), how))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"longest_edge": 0}, "null, a whole number from 1 to 65535"),
        ({"longest_edge": 65536}, "null, a whole number from 1 to 65535"),
        ({"longest_edge": True}, "null, a whole number"),
        ({"longest_edge": "640"}, "null, a whole number"),
        ({"longest_edge": 640.0}, "null, a whole number"),
        ({"longest_edge": 640, "longest_edge_filter": "nearest"}, "box, bilinear, hamming, bicubic, lanczos"),
    ],
)
def test_an_impossible_longest_edge_says_what_is_possible(given: dict[str, Any], told: str) -> None:
    with pytest.raises(CardError) as caught:
        Preprocessing(**given)
    assert told in str(caught.value).split("possible:")[1]


def test_the_specification_with_a_longest_edge_is_told_and_comes_back_from_its_json() -> None:
    how = Preprocessing(longest_edge=640)
    assert how.describe().startswith(
        "longest edge at most 640 by Pillow LANCZOS (JPEG at any DCT scale of 1920 or more), then 224x224, stretch, "
    )
    assert Preprocessing.from_json(how.to_json()) == how
    assert {"longest_edge", "longest_edge_filter"}.isdisjoint(Preprocessing().to_json())
    null = {**Preprocessing().to_json(), "longest_edge": None, "longest_edge_filter": None}
    assert Preprocessing.from_json(null) == Preprocessing()


# Large JPEGs, decoded at a DCT scale

SCALED = Preprocessing(longest_edge=100)


def large(mode: str = "RGB") -> Image.Image:
    """1203x801: twelve times SCALED's longest edge, so it is decoded at a quarter of its sides."""
    return photo(600, 5).convert("RGB").resize((1203, 801), Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize(
    ("longest", "scale"), [(599, 1), (600, 2), (1199, 2), (1200, 4), (2399, 4), (2400, 8), (5000, 8)]
)
def test_the_scale_keeps_three_times_the_longest_edge(
    longest: int, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    resize = Image.Image.resize

    def watched(image: Image.Image, *args: Any, **options: Any) -> Image.Image:
        sizes.append(image.size)
        return resize(image, *args, **options)

    data = encode(Image.new("RGB", (longest, 40), "red"), "JPEG")
    monkeypatch.setattr(Image.Image, "resize", watched)
    read_input(data, SCALED)
    assert sizes[0] == (-(-longest // scale), -(-40 // scale))
    sizes.clear()
    read_input(data, SCALED, exact=True)
    assert sizes[0] == (longest, 40)
    sizes.clear()
    read_input(data, Preprocessing())
    assert sizes[0] == (longest, 40)  # a card of format 1 knows of no scale


@pytest.mark.parametrize(
    "options",
    [{"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"progressive": True}, {"exif": 6}],
    ids=lambda options: next(iter(options)) + str(next(iter(options.values()))),
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_at_a_scale_is_nearly_the_whole_one(options: dict[str, Any], mode: str) -> None:
    image = large(mode)
    if "exif" in options:
        exif = Image.Exif()
        exif[0x0112] = options["exif"]
        options, image = {"exif": exif}, image.transpose(Image.Transpose.ROTATE_90)
    data = encode(image, "JPEG", quality=92, **options)
    fast, whole = (read_input(data, SCALED, exact=exact).astype(int) for exact in (False, True))
    assert np.array_equal(whole, to_input(read_rgb(data), SCALED))
    assert not np.array_equal(fast, whole)
    assert np.abs(fast - whole).mean() < 1.5
    assert np.quantile(np.abs(fast - whole), 0.99) <= 16


@pytest.mark.parametrize("orientation", [1, 6])
def test_at_a_scale_the_size_is_that_of_the_whole_photograph(orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    resize = Image.Image.resize

    def watched(image: Image.Image, size: tuple[int, int], *args: Any, **options: Any) -> Image.Image:
        sizes.append(size)
        return resize(image, size, *args, **options)

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.new("RGB", (1250, 41), "red"), "JPEG", exif=exif)  # a quarter of 41 rows are 11
    monkeypatch.setattr(Image.Image, "resize", watched)
    read_input(data, SCALED)
    assert sizes[-2] == ((100, 3) if orientation == 1 else (3, 100))
    assert sizes[-2] == SCALED.reduced_size(*((1250, 41) if orientation == 1 else (41, 1250)))


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_turned_file_of_any_format_is_reduced_as_its_pixels_are(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo(450).resize((401, 251)), form, exif=exif)
    assert np.array_equal(read_input(data, SCALED), to_input(read_rgb(data), SCALED))


def test_a_png_is_never_decoded_at_a_scale() -> None:
    data = encode(large(), "PNG")
    assert np.array_equal(read_input(data, SCALED), read_input(data, SCALED, exact=True))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", ENCODINGS, ids=str)
def test_a_damaged_jpeg_is_called_the_same_at_a_scale(options: dict[str, Any], mode: str) -> None:
    def told(data: bytes, exact: bool) -> str:
        try:
            read_input(data, SCALED, exact=exact)
        except PictureError as error:
            return str(error)
        return "scored"

    image = large()
    image.paste((128, 128, 128), (0, 500, *image.size))  # one that ends in the grey of a missing part
    data = encode(image.convert(mode), "JPEG", **options)
    seen = set()
    for share in (0.1, 0.6, 0.97, 0.995, 1.0):
        for tail in (b"", b"\xff\xd9", bytes(2000)):
            cut = data[: int(len(data) * share)] + (tail if share < 1 else b"")
            assert told(cut, False) == told(cut, True), (share, tail[:2])
            seen.add(told(cut, True)[:7])
    assert seen >= {"scored", "damaged"}


# Arrays and hashes


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((4, 4, 3), np.float32), "multiply by 255"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
        (np.zeros((4, 4, 3), bool), "bool"),
        (np.zeros((4, 4, 4), np.uint8), "rgb[..., :3]"),
        (np.zeros((4, 4), np.uint8), "(height, width, 3)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "(1, 4, 4, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "(0, 4, 3)"),
        (np.zeros((4, 0, 3), np.uint8), "(4, 0, 3)"),
        ([[1, 2, 3]], "list"),
        (None, "NoneType"),
    ],
)
def test_an_array_of_the_wrong_kind_is_told_what_to_be(array: Any, told: str) -> None:
    with pytest.raises(PictureError) as caught:
        check_rgb(array)
    assert told in str(caught.value)


def test_the_hash_is_of_shape_and_samples_and_not_of_strides() -> None:
    rgb = noise(6, 4)
    assert pixels_sha256(rgb) == pixels_sha256(np.asfortranarray(rgb))
    assert pixels_sha256(rgb) != pixels_sha256(rgb.reshape(4, 6, 3))
    assert pixels_sha256(rgb) != pixels_sha256(rgb[::-1])
    import hashlib

    assert pixels_sha256(rgb) == hashlib.sha256(b"6,4,3:" + rgb.tobytes()).hexdigest()


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_a_file_straight_to_the_input_is_the_same_as_by_way_of_its_pixels(name: str, fit: str, order: str) -> None:
    how = Preprocessing(filter=name, antialias=name != "nearest", fit=fit, channel_order=order, width=64, height=48)
    out = np.zeros((48, 64, 3), np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    for mode, form in (("RGB", "PNG"), ("L", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("I;16", "PNG"), ("RGB", "JPEG")):
        grey = np.arange(97 * 61, dtype=np.uint16).reshape(61, 97) * 11
        image = Image.fromarray(grey) if mode == "I;16" else photo(97).convert(mode)
        data = encode(image, form, exif=turned)
        assert np.array_equal(read_input(data, how, out=out), to_input(read_rgb(data), how))
    with pytest.raises(PictureError, match="limit"):
        read_input(data, how, max_megapixels=0.001)
