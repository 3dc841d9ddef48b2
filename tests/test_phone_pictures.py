"""Odd picture files on the page in a real Chromium: each scores as Python scores it, or both refuse it."""

from __future__ import annotations

import io
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from conftest import PHOTOS, skip_without
from edge_nima.scorer import open_scorer

pytest.importorskip("playwright.sync_api", reason="needs playwright")

from phone_browser import Seen, needs

skip_without("uvicorn", "edge-nima[web]")

pytestmark = [*needs(), pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")]

ORIENTATION = 0x0112
DEEP = ("yuv420p10le", "yuv444p10le", "yuv420p12le", "gray10le")
"""Layouts of AVIF that Python alone scores."""
EOI = b"\xff\xd9"


def encoded(image: Image.Image, format: str, **how: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **how)
    return file.getvalue()


def turned(image: Image.Image, format: str, orientation: int, **how: Any) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(image, format, exif=exif, **how)


def with_alpha(image: Image.Image) -> Image.Image:
    """With an alpha channel that takes every value there is, smoothly."""
    width, height = image.size
    alpha = np.linspace(0, 255, width * height).reshape(height, width).astype(np.uint8)
    return Image.merge("RGBA", (*image.convert("RGB").split(), Image.fromarray(alpha)))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def deep_png(image: Image.Image, kind: int) -> bytes:
    """A PNG of 16 bits: `kind` 2 is RGB, 6 with alpha, 4 grey with alpha, as its header numbers them."""
    modes = {2: "RGB", 6: "RGBA", 4: "LA"}
    samples = np.asarray(with_alpha(image).convert(modes[kind])).astype(">u2") * 257 - 100 * (kind == 2)
    rows = b"".join(b"\0" + row.tobytes() for row in np.clip(samples, 0, 65535).astype(">u2"))
    header = struct.pack(">IIBBBBB", *image.size, 16, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def top_down(content: bytes, height: int) -> bytes:
    """A BMP whose rows run from the top, so shown upside down."""
    return content[:22] + struct.pack("<i", -height) + content[26:]


def other_profile() -> bytes:
    """A colour profile with red and blue exchanged: whoever applies it has other pixels."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")


def avif_of_depth(image: Image.Image, layout: str, folder: Path) -> bytes:
    """An AVIF with samples as FFmpeg names them; Pillow writes eight bits only."""
    image.save(folder / "given.png")
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-i",
        str(folder / "given.png"),
        "-c:v",
        "libaom-av1",
        "-still-picture",
        "1",
    ]
    subprocess.run(
        [*command, "-still-picture", "1", "-crf", "20", "-pix_fmt", layout, str(folder / "made.avif")], check=True
    )
    return (folder / "made.avif").read_bytes()


def half(content: bytes, share: float = 0.5) -> bytes:
    return content[: int(len(content) * share)]


def of_jpeg(large: Image.Image, small: Image.Image) -> Iterator[tuple[str, bytes]]:
    plain = encoded(large, "JPEG", quality=90)
    progressive = encoded(large, "JPEG", quality=90, progressive=True)
    grey = Image.new("RGB", (320, 240), (128, 128, 128))
    for orientation in range(1, 9):
        yield f"exif-{orientation}", turned(small, "JPEG", orientation, quality=90)
    yield "plain", plain
    yield "odd-420", encoded(large.resize((331, 251)), "JPEG", quality=85, subsampling="4:2:0")
    yield "one-pixel", encoded(large.resize((1, 1)), "JPEG")
    yield "one-row", encoded(large.resize((301, 1)), "JPEG")
    yield "grey", encoded(large.convert("L"), "JPEG", quality=90)
    yield "cmyk", encoded(large.convert("CMYK"), "JPEG", quality=90)
    yield "progressive", progressive
    yield "restarts", encoded(large, "JPEG", quality=90, restart_marker_rows=2)
    yield "trailing", plain + bytes(range(256)) * 20
    yield "trailing-zeros", plain + bytes(5000)
    yield "zeros-before-its-end", plain[:-2] + bytes(500) + EOI
    yield "no-end", plain[:-2]
    yield "progressive-no-end", progressive[:-2]
    yield "mid-grey", encoded(grey, "JPEG")
    yield "mid-grey-progressive", encoded(grey, "JPEG", progressive=True)
    yield "half", half(plain)
    yield "half-ended", half(plain) + EOI
    yield "nearly-ended", half(plain, 0.97) + EOI
    yield "half-zeros-ended", half(plain) + bytes(len(plain) // 2) + EOI
    yield "half-zeros", half(plain) + bytes(len(plain) // 2)
    yield "progressive-half-ended", half(progressive) + EOI
    yield "progressive-nearly-ended", half(progressive, 0.97) + EOI
    yield "cmyk-half-ended", half(encoded(large.convert("CMYK"), "JPEG", quality=90)) + EOI
    yield "grey-half-ended", half(encoded(large.convert("L"), "JPEG", quality=90)) + EOI
    yield "grey-photograph-half-ended", half(encoded(grey.convert("L"), "JPEG")) + EOI
    yield "profile", encoded(large, "JPEG", quality=90, icc_profile=other_profile())


def of_png(large: Image.Image, small: Image.Image) -> Iterator[tuple[str, bytes]]:
    plain = encoded(large, "PNG")
    for orientation in (3, 5, 6, 8):
        yield f"exif-{orientation}", turned(small, "PNG", orientation)
    yield "one-pixel", encoded(large.resize((1, 1)), "PNG")
    yield "one-column", encoded(large.resize((1, 301)), "PNG")
    yield "grey", encoded(small.convert("L"), "PNG")
    yield "bilevel", encoded(small.convert("1"), "PNG")
    yield "palette", encoded(small.quantize(32), "PNG")
    yield "palette-4-bits", encoded(small.quantize(13), "PNG", bits=4)
    yield "palette-transparent", encoded(small.quantize(32), "PNG", transparency=3)
    yield "alpha", encoded(with_alpha(small), "PNG")
    yield "grey-alpha", encoded(with_alpha(small).convert("LA"), "PNG")
    yield "one-transparent-colour", encoded(small, "PNG", transparency=small.getpixel((5, 5)))
    yield "16-bits", deep_png(small, 2)
    yield "16-bits-alpha", deep_png(small, 6)
    yield "16-bits-grey-alpha", deep_png(small, 4)
    grey = np.asarray(small.convert("L")).astype(np.uint16) * 257
    yield "16-bits-grey", encoded(Image.fromarray(grey), "PNG")
    yield "gamma", plain[:33] + chunk(b"gAMA", struct.pack(">I", 100000)) + plain[33:]
    yield "animated", encoded(small, "PNG", save_all=True, append_images=[Image.new("RGB", small.size, "red")])
    yield "trailing", plain + bytes(100)
    yield "profile", encoded(small, "PNG", icc_profile=other_profile())
    yield "no-end", plain[:-12]
    yield "half-an-end", plain[:-5]
    yield "half", half(plain)
    yield "half-ended", half(plain) + chunk(b"IEND", b"")
    data = plain.index(b"IDAT")
    size = int.from_bytes(plain[data - 4 : data], "big")
    short = chunk(b"IDAT", plain[data + 4 : data + 4 + size // 2])
    yield "short-data", plain[: data - 4] + short + chunk(b"IEND", b"")
    yield "wrong-sum", plain[: data + 60] + bytes([plain[data + 60] ^ 1]) + plain[data + 61 :]


def of_webp_gif_bmp(large: Image.Image, small: Image.Image) -> Iterator[tuple[str, bytes]]:
    for orientation in (2, 4, 6, 7):
        yield f"exif-{orientation}.webp", turned(small, "WEBP", orientation, lossless=True)
    yield "lossy.webp", encoded(large, "WEBP", quality=80)
    yield "odd.webp", encoded(large.resize((331, 251)), "WEBP", quality=80)
    yield "alpha.webp", encoded(with_alpha(small), "WEBP", quality=80)
    yield "lossless-alpha.webp", encoded(with_alpha(small), "WEBP", lossless=True, exact=True)
    red = Image.new("RGB", small.size, "red")
    yield "animated.webp", encoded(small, "WEBP", save_all=True, append_images=[red], duration=90)
    yield "profile.webp", encoded(small, "WEBP", lossless=True, icc_profile=other_profile())
    yield "half.webp", half(encoded(large, "WEBP", quality=80))
    frame = small.quantize(64)
    yield "still.gif", encoded(frame, "GIF")
    yield "animated.gif", encoded(frame, "GIF", save_all=True, append_images=[red.quantize(2)], duration=90)
    yield "transparent.gif", encoded(frame, "GIF", transparency=5)
    yield "half.gif", half(encoded(frame, "GIF"))
    yield "plain.bmp", encoded(small, "BMP")
    yield "top-down.bmp", top_down(encoded(small, "BMP"), small.height)
    yield "palette.bmp", encoded(frame, "BMP")
    yield "grey.bmp", encoded(small.convert("L"), "BMP")
    yield "alpha.bmp", encoded(with_alpha(small), "BMP")
    yield "half.bmp", half(encoded(small, "BMP"))


def of_avif(large: Image.Image, small: Image.Image) -> Iterator[tuple[str, bytes]]:
    for orientation in range(1, 9):
        yield f"turned-{orientation}", turned(small, "AVIF", orientation, quality=80, subsampling="4:4:4")
    exif = Image.Exif()
    exif[0x0128] = 6
    # Pillow writes an orientation as boxes: another tag is made one.
    content = encoded(small, "AVIF", quality=80, exif=exif)
    yield "exif-6", content.replace(b"\1\x28\0\3\0\0\0\1\0\6", b"\1\x12\0\3\0\0\0\1\0\6")
    yield "420", encoded(large, "AVIF", quality=75)
    yield "422", encoded(large, "AVIF", quality=75, subsampling="4:2:2")
    yield "odd-420", encoded(large.resize((331, 251)), "AVIF", quality=75)
    yield "grey", encoded(small.convert("L"), "AVIF", quality=75)
    yield "grey-400", encoded(small, "AVIF", quality=75, subsampling="4:0:0")
    yield "limited", encoded(small, "AVIF", quality=75, range="limited")
    yield "lossless", encoded(small, "AVIF", quality=100, subsampling="4:4:4")
    yield "profile", encoded(small, "AVIF", quality=75, icc_profile=other_profile())
    yield "alpha", encoded(with_alpha(small), "AVIF", quality=75)
    yield "alpha-444", encoded(with_alpha(small), "AVIF", quality=90, subsampling="4:4:4")
    yield "alpha-premultiplied", encoded(with_alpha(small), "AVIF", quality=75, alpha_premultiplied=True)
    yield "alpha-turned", turned(with_alpha(small), "AVIF", 6, quality=75)
    red = Image.new("RGB", small.size, "red")
    yield "animated", encoded(small, "AVIF", save_all=True, append_images=[red], quality=75)
    yield "half", half(encoded(large, "AVIF", quality=75))


def pictures(folder: Path) -> list[Path]:
    """Files of every kind that people may choose, whole and damaged."""
    with Image.open(PHOTOS / "coffee.jpg") as image:
        large = image.convert("RGB").resize((480, 320))
    small = large.resize((192, 128))
    kinds: dict[str, Callable[..., Iterator[tuple[str, bytes]]]] = {
        "jpg": of_jpeg, "png": of_png, "": of_webp_gif_bmp, "avif": of_avif,
    }  # fmt: skip
    paths = [folder / f"ffmpeg-{layout}.avif" for layout in ("yuv420p", *DEEP)]
    for path in paths:
        path.write_bytes(avif_of_depth(small, path.stem.removeprefix("ffmpeg-"), folder.parent))
    for ending, make in kinds.items():
        for name, content in make(large, small):
            paths.append(folder / (f"{ending}-{name}.{ending}" if ending else name))
            paths[-1].write_bytes(content)
    return paths


@pytest.fixture(scope="module")
def film() -> None:
    """Without a camera."""


def test_every_odd_picture_scores_as_in_python_or_is_refused_by_both(
    open_page: Callable[..., Seen], tmp_path: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    files = pictures(tmp_path / "pictures")
    scorer = open_scorer(exact=True)  # browsers decode in full
    wrong, scored = {}, 0
    seen = open_page()
    seen.ready()
    records = {record["name"]: record for record in seen.photographs(files)}
    assert len(files) == len(records) >= 100
    for path in files:
        own, page = scorer.score_or_error(path), records[path.name]
        if path.stem.removeprefix("ffmpeg-") in DEEP:
            assert "more than 8 bits" in page["error"]  # browsers round them otherwise than libavif
            continue
        if own.mean is not None and page["mean"] is not None:
            scored += 1
            if abs(own.mean - page["mean"]) > 1e-6:
                wrong[path.name] = f"{own.mean:.6f} and {page['mean']:.6f}: {page['mean'] - own.mean:+.2e}"
        elif own.mean is not None or page["mean"] is not None:
            wrong[path.name] = f"Python: {own.error or own.mean}; page: {page['error'] or page['mean']}"
    print(f"{len(files)} pictures, {scored} scored by both, {len(wrong)} otherwise: {wrong}")
    assert scored >= 80
    assert wrong == {}
