"""Files that decoders read wrongly or refuse without need: each is the right picture, or a refusal that says why."""

from __future__ import annotations

import io
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from conftest import PHOTOS, ROOT
from edge_nima import decode
from edge_nima.cli import run
from edge_nima.decode import Pixels, read_rgb
from edge_nima.errors import PictureError

tifffile = pytest.importorskip("tifffile", reason="needs tifffile")

PHOTO = Image.open(PHOTOS / "flower.jpg").convert("RGB").resize((300, 200))
RGB = np.asarray(PHOTO)
GREY = np.asarray(PHOTO.convert("L"))
DEEP = RGB.astype(np.uint16) * 257
DEEP_GREY = GREY.astype(np.uint16) * 257
APART = {"photometric": "rgb", "planarconfig": "separate"}


def tiff(*pages: tuple[np.ndarray, dict[str, object]]) -> bytes:
    file = io.BytesIO()
    how = dict(pages[0][1])
    with tifffile.TiffWriter(file, byteorder=how.pop("byteorder", "<"), bigtiff=how.pop("bigtiff", False)) as writer:
        for pixels, how in pages:
            writer.write(pixels, **{name: value for name, value in how.items() if name not in {"byteorder", "bigtiff"}})
    return file.getvalue()


def jpeg(image: Image.Image = PHOTO, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **{"quality": 92, **how})
    return file.getvalue()


def difference(data: bytes, wanted: Pixels = RGB) -> float:
    return float(np.abs(read_rgb(data).astype(int) - (wanted if wanted.ndim == 3 else wanted[..., None])).mean())


# TIFF


@pytest.mark.parametrize(
    "how",
    [{}, {"byteorder": ">"}, {"compression": "zlib", "predictor": 2}, {"tile": (64, 64)}],
    ids=["plain", "big-endian", "deflate", "tiled"],
)
def test_planes_of_16_bits_are_refused_and_other_rgb_is_read(how: dict[str, object]) -> None:
    planes = np.moveaxis(DEEP, -1, 0)
    alpha = np.concatenate([planes, np.full_like(planes[:1], 65535)])
    for pixels in (planes, alpha):
        with pytest.raises(PictureError, match="16-bit samples, a plane each, which Pillow reads wrongly"):
            read_rgb(tiff((pixels, APART | how)))
    if how != {"byteorder": ">"}:
        assert difference(tiff((np.moveaxis(RGB, -1, 0), APART | how))) == 0
    assert difference(tiff((DEEP, {"photometric": "rgb", **how}))) == 0


@pytest.mark.parametrize("how", [{}, {"compression": "zlib"}, {"tile": (64, 64)}], ids=["plain", "deflate", "tiled"])
def test_where_zero_is_white_the_picture_is_no_negative(how: dict[str, object]) -> None:
    for pixels in (255 - GREY, 65535 - DEEP_GREY):
        assert difference(tiff((pixels, {"photometric": "miniswhite", **how})), GREY) == 0
    assert difference(tiff((DEEP_GREY, {"photometric": "minisblack", **how})), GREY) == 0
    assert difference(tiff((GREY.astype(np.uint32) << 24, {"photometric": "minisblack", **how})), GREY) == 0


def test_what_pillow_cannot_read_is_said_in_its_words() -> None:
    with pytest.raises(PictureError, match="a TIFF of 3 x 32-bit floating-point samples, which Pillow does not read"):
        read_rgb(tiff(((RGB / 255).astype(np.float32), {"photometric": "rgb"})))


THUMBNAIL = (np.asarray(PHOTO.resize((60, 40)))[::-1].copy(), {"photometric": "rgb", "subfiletype": 1})
WHOLE = (RGB, {"photometric": "rgb", "subfiletype": 0})


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
@pytest.mark.parametrize(
    "pages",
    [
        [THUMBNAIL, WHOLE],
        [(THUMBNAIL[0], {**THUMBNAIL[1], "subifds": 1}), WHOLE],
        [WHOLE, THUMBNAIL],
        [WHOLE, (RGB[::-1].copy(), WHOLE[1])],
    ],
    ids=["before", "around", "after", "pages"],
)
def test_the_photograph_is_the_first_picture_that_is_no_thumbnail(pages: list[tuple], big: bool) -> None:
    first, *others = pages
    assert difference(tiff((first[0], {**first[1], "bigtiff": big}), *others)) == 0


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_the_outer_directory_says_how_the_photograph_inside_is_turned(orientation: int) -> None:
    tag = {"extratags": [(274, "H", 1, orientation, True)]}
    around = (THUMBNAIL[0], {**THUMBNAIL[1], "subifds": 1, **tag})
    turned = {3: RGB[::-1, ::-1], 6: np.rot90(RGB, -1), 8: np.rot90(RGB)}[orientation]
    assert np.array_equal(read_rgb(tiff(around, WHOLE)), turned)
    assert np.array_equal(read_rgb(tiff((RGB, {"photometric": "rgb", **tag}))), turned)


# RAW


def raw(folder: Path, picture: Image.Image, orientation: int = 1) -> Path:
    """A DNG: its first picture is a JPEG preview, inside it the mosaic of a sensor."""
    data = bytearray(b"II*\0\0\0\0\0")

    def put(content: bytes) -> int:
        data.extend(content + bytes(len(content) % 2))
        return len(data) - len(content) - len(content) % 2

    def entry(tag: int, form: str, *values: int) -> tuple[int, int, int, bytes]:
        return (
            tag,
            {"B": 1, "s": 2, "H": 3, "I": 4, "i": 10}[form],
            len(values),
            struct.pack(f"<{len(values)}{form}", *values),
        )

    def directory(*entries: tuple[int, int, int, bytes]) -> int:
        rows = b""
        for tag, kind, count, content in sorted(entries):
            value = content.ljust(4, b"\0") if len(content) <= 4 else struct.pack("<I", put(content))
            rows += struct.pack("<HHI", tag, kind, count // 2 if kind == 10 else count) + value
        return put(struct.pack("<H", len(entries)) + rows + bytes(4))

    width, height = picture.width // 2 * 2, picture.height // 2 * 2
    encoded = jpeg(picture)
    mosaic = np.asarray(picture.convert("L"))[:height, :width].astype("<u2").tobytes()
    preview, sensor = put(encoded), put(mosaic)
    inside = directory(
        entry(254, "I", 0), entry(256, "I", width), entry(257, "I", height), entry(258, "H", 16), entry(259, "H", 1),
        entry(262, "H", 32803), entry(273, "I", sensor), entry(277, "H", 1), entry(278, "I", height),
        entry(279, "I", len(mosaic)), entry(33421, "H", 2, 2), entry(33422, "B", 0, 1, 1, 2), entry(50717, "H", 255),
    )  # fmt: skip
    unit = [n for place in range(9) for n in (int(place % 4 == 0), 1)]
    first = directory(
        entry(254, "I", 1), entry(256, "I", picture.width), entry(257, "I", picture.height), entry(258, "H", 8, 8, 8),
        entry(259, "H", 7), entry(262, "H", 6), entry(273, "I", preview), entry(274, "H", orientation),
        entry(277, "H", 3), entry(278, "I", picture.height), entry(279, "I", len(encoded)), entry(330, "I", inside),
        entry(50706, "B", 1, 4, 0, 0), entry(50707, "B", 1, 1, 0, 0), entry(50721, "i", *unit), entry(50778, "H", 21),
        (50708, 2, 5, b"Test\0"), (271, 2, 5, b"Test\0"), (272, 2, 5, b"Test\0"),
    )  # fmt: skip
    data[4:8] = struct.pack("<I", first)
    path = folder / f"{picture.width}x{picture.height}_{orientation}.dng"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["{}.dng", "{}.NEF", "{}.tif", "no ending"])
def test_a_raw_file_is_read_by_its_preview_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    pytest.importorskip("rawpy", reason="needs rawpy")
    photo = Image.open(PHOTOS / "flower.jpg").convert("RGB").resize((800, 600))
    for turned, orientation in ((photo, 1), (photo.transpose(Image.Transpose.ROTATE_90), 6)):
        path = raw(tmp_path, turned, orientation)
        path = path.rename(tmp_path / name.format(path.stem))
        assert np.abs(read_rgb(path).astype(int) - np.asarray(photo)).mean() < 3
        assert np.array_equal(read_rgb(path.read_bytes()), read_rgb(path))


def test_a_raw_file_is_never_read_by_its_thumbnail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rawpy", reason="needs rawpy")
    path = raw(tmp_path, PHOTO)
    with pytest.raises(PictureError, match="whose only preview is a thumbnail, 300x200"):
        read_rgb(path)
    mosaic = {"photometric": 32803, "extratags": [(33421, "H", 2, (2, 2)), (33422, "B", 4, bytes([0, 1, 1, 2]))]}
    with pytest.raises(PictureError, match="RAW file"):
        read_rgb(tiff((THUMBNAIL[0], {**THUMBNAIL[1], "subifds": 1}), (DEEP_GREY, mosaic)))
    monkeypatch.setitem(__import__("sys").modules, "rawpy", None)
    with pytest.raises(PictureError, match=r"pip install 'edge-nima\[raw\]'"):
        read_rgb(path)


# PNG


def png(fill: Callable[[PngImagePlugin.PngInfo], None], **how: object) -> bytes:
    info, file = PngImagePlugin.PngInfo(), io.BytesIO()
    fill(info)
    PHOTO.save(file, "PNG", pnginfo=info, **how)
    return file.getvalue()


def many(info: PngImagePlugin.PngInfo) -> None:
    for number in range(80):
        info.add_itxt(f"key {number}", "y" * 900_000, zip=True)


@pytest.mark.parametrize(
    "data",
    [
        png(lambda info: info.add_text("workflow", "x" * 3_000_000, zip=True)),
        png(lambda info: info.add_itxt("XML:com.adobe.xmp", "x" * 3_000_000, zip=True)),
        png(many),
        png(lambda info: None, icc_profile=bytes(3_000_000)),
        png(lambda info: info.add(b"tEXt", b"a\0b")).replace(b"tEXta\0b", b"tEXta\0c"),
    ],
    ids=["text", "xmp", "many", "profile", "checksum of a text"],
)
def test_metadata_beyond_limits_or_damaged_is_no_damage_to_a_png(data: bytes) -> None:
    assert difference(data) == 0
    with pytest.raises(PictureError, match="damaged"):
        read_rgb(data[: len(data) - 40_000])


# JPEG


ENCODINGS = {
    "baseline": {}, "progressive": {"progressive": True}, "restarts": {"restart_marker_rows": 1},
    "optimised": {"optimize": True}, "444": {"subsampling": 0},
    "progressive 444": {"progressive": True, "subsampling": 0},
}  # fmt: skip


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("how", ENCODINGS.values(), ids=ENCODINGS)
def test_a_jpeg_is_whole_without_its_end_and_with_something_behind_it(how: dict[str, object], mode: str) -> None:
    flat = PHOTO.convert(mode)
    flat.paste(flat.getpixel((0, 0)), (0, 120, *flat.size))  # a flat part: codes of zeros
    for image in (PHOTO.convert(mode), flat):
        data = jpeg(image, **how)
        wanted = read_rgb(data)
        for other in (data[:-2], data[:-1], data + b"behind" * 99, data + bytes(4096), data[:-2] + bytes(4096)):
            assert np.array_equal(read_rgb(other), wanted)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.98])
@pytest.mark.parametrize("how", ENCODINGS.values(), ids=ENCODINGS)
def test_a_cut_jpeg_is_refused_whatever_was_put_in_the_place_of_the_rest(how: dict[str, object], share: float) -> None:
    data = jpeg(**how)
    cut = data[: int(len(data) * share)]
    rest = bytes(len(data) - len(cut) - 2)
    for other in (cut, cut + b"\xff\xd9", cut + rest, cut + rest + b"\xff\xd9", cut + b"\xff\xd9" + b"behind" * 99):
        with pytest.raises(PictureError, match="damaged"):
            read_rgb(other)


def test_a_progressive_jpeg_that_lacks_a_scan_is_refused() -> None:
    data = jpeg(progressive=True)
    starts = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    tables = data.rfind(b"\xff\xc4", 0, starts[-1])
    with pytest.raises(PictureError, match="data ends before the picture does"):
        read_rgb(data[:tables] + b"\xff\xd9")


def test_metadata_of_a_jpeg_may_be_large_or_damaged() -> None:
    data = jpeg()
    segments = b"".join(b"\xff\xe2" + struct.pack(">H", 65535) + bytes(65533) for _ in range(64))
    broken = b"\xff\xe1" + struct.pack(">H", 60) + b"Exif\0\0" + bytes(52)
    for more in (segments, broken):
        assert np.array_equal(read_rgb(data[:2] + more + data[2:]), read_rgb(data))


def test_fills_before_markers_and_large_pictures_are_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # the limit here is --max-megapixels
    for how in ENCODINGS.values():
        data = jpeg(**how)
        wanted = read_rgb(data)
        filled = data[:2] + b"\xff\xff" + data[2:-2] + b"\xff\xff\xff" + data[-2:]
        for other in (data[:-2], filled):
            assert np.array_equal(read_rgb(other), wanted)


# HEIC


def test_heic_is_read_whatever_it_is_called_and_asked_for_by_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif")
    heif.register_heif_opener()
    PHOTO.save(tmp_path / "a.heic", quality=95)
    shutil.copy(tmp_path / "a.heic", tmp_path / "a.jpg")
    for name in ("a.heic", "a.jpg"):
        assert np.abs(read_rgb(tmp_path / name).astype(int) - RGB).mean() < 5
    monkeypatch.setattr(decode, "_has", lambda package: False)
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind != "HEIF"])
    with pytest.raises(PictureError, match=r"pip install 'edge-nima\[heif\]'"):
        read_rgb(tmp_path / "a.heic")


# What a folder holds


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """A folder as a phone and a NAS leave it: each file is scored or named."""
    heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif")
    heif.register_heif_opener()
    folder = tmp_path / "phone"
    (folder / "@eaDir" / "a.jpg").mkdir(parents=True)
    (folder / "sub").mkdir()
    for number in range(4):
        PHOTO.save(folder / f"{number}.HEIC")
    for number in range(2):
        PHOTO.save(folder / f"{number}.mpo", "MPO", save_all=True, append_images=[PHOTO.rotate(180)])
        (folder / "sub" / f"{number}.jpg").write_bytes(jpeg())
    PHOTO.save(folder / "a.gif")
    (folder / "a.NEF").write_bytes(
        tiff((THUMBNAIL[0], {**THUMBNAIL[1], "subifds": 1}), (DEEP_GREY, {"photometric": 32803}))
    )
    for name in ("a.jpg/1.jpg", "a.jpg/2.jpg", "3.jpg"):
        (folder / "@eaDir" / name).write_bytes(jpeg())
    for name in ("film.MOV", "a.gif.xmp", ".hidden.jpg"):
        (folder / name).write_bytes(b"-")
    return folder


def test_everything_in_a_folder_is_scored_or_named(phone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rawpy", reason="needs rawpy")
    assert run(["score", str(phone), "--format", "csv"]) == 3
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 + 4 + 2 + 2 + 1 + 1
    assert "RAW file" in out
    assert "left out: 3 in @eaDir, 1 .mov, 1 .xmp, 1 hidden; RAW files by their embedded preview: 1 .nef" in err


def test_what_an_extra_would_read_is_named_with_it(
    phone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = decode.photograph_suffixes() - decode.HEIF_SUFFIXES - decode.tiff.RAW_SUFFIXES
    for module in (decode, __import__("edge_nima.photographs", fromlist=["photographs"])):
        monkeypatch.setattr(module, "photograph_suffixes", lambda: known)
    assert run(["score", str(phone), "--exclude", "sub", "--exclude", "*.gif"]) == 0
    err = capsys.readouterr().err
    assert "left out: 4 .heic (pip install 'edge-nima[heif]'), 3 by --exclude, 3 in @eaDir, " in err
    assert "1 .nef (pip install 'edge-nima[raw]')" in err
    assert run(["score", str(phone), "--exclude", "*.mpo", "--exclude", "a.*", "--exclude", "sub/*"]) == 2
    assert "no photographs in" in (said := capsys.readouterr().err)
    assert "4 .heic (pip install 'edge-nima[heif]')" in said


def test_patterns_and_names_are_excluded_too(capsys: pytest.CaptureFixture[str]) -> None:
    os.chdir(ROOT)
    for given in ("examples/photos", "examples/photos/*.jpg", "examples/photos/flower.jpg"):
        code = run(["score", given, "examples/photos/cat.jpg", "--exclude", "flow*"])
        out, err = capsys.readouterr()
        assert code == 0
        assert "flower" not in out
        assert "1 by --exclude" in err
