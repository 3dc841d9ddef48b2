"""What a kept photograph says of itself, read by others."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from edge_nima.sidecars import NAMESPACE
from edge_nima.watch.xmp import encode, hash_of, is_favourite, mark, with_rating

MODEL = 'odd <model> & "name"@12345678'
SHARES = tuple(np.arange(1, 11) / 55)
AT = 1764000000.123  # 2025-11-24T16:00:00.123Z
RGB = np.zeros((30, 40, 3), np.uint8)
RGB[:, :20] = (200, 30, 30)


def photograph(rating: int = 4) -> bytes:
    return encode(
        RGB, mean=5.4321, std=1.25, distribution=SHARES, model=MODEL, taken_at=AT, camera="garden", rating=rating
    )


def test_the_packet_is_xml_with_every_value() -> None:
    with Image.open(io.BytesIO(photograph())) as image:
        text = image.info["xmp"].decode()
    inner = re.search(r"<x:xmpmeta.*</x:xmpmeta>", text, re.DOTALL)
    assert inner is not None
    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    (description,) = ElementTree.fromstring(inner[0]).iter(f"{rdf}Description")
    get, xmp, ours = description.attrib, "{http://ns.adobe.com/xap/1.0/}", f"{{{NAMESPACE}}}"
    assert get[f"{xmp}Rating"] == "4"
    assert datetime.fromisoformat(get[f"{xmp}CreateDate"]).timestamp() == AT
    assert (get[f"{ours}mean"], get[f"{ours}model"], get[f"{ours}camera"]) == ("5.4321", MODEL, "garden")
    assert [float(item.text or "") for item in description.iter(f"{rdf}li")] == pytest.approx(SHARES, abs=1e-5)


def test_the_photograph_is_a_jpeg_with_its_time_its_packet_and_its_colours() -> None:
    with Image.open(io.BytesIO(photograph())) as image:
        assert (image.format, image.size) == ("JPEG", (40, 30))
        details = image.getexif().get_ifd(0x8769)
        local = datetime.strptime(f"{details[0x9003]} {details[0x9011]}", "%Y:%m:%d %H:%M:%S %z")
        assert (int(local.timestamp()), details[0x9291]) == (int(AT), "123")
        assert b"edge_nima:mean" in image.info["xmp"]
        red, green, blue = image.getpixel((5, 15))  # type: ignore[misc]
        assert red > 150 > 80 > max(green, blue)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool: apt install libimage-exiftool-perl")
def test_exiftool_reads_stars_score_and_time(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(photograph(5))
    done = subprocess.run(["exiftool", "-j", "-G1", path], capture_output=True, text=True, check=True)
    (told,) = json.loads(done.stdout)
    assert told["XMP-xmp:Rating"] == 5
    assert told["XMP-edge_nima:Mean"] == 5.4321
    assert told["XMP-edge_nima:Model"] == MODEL
    assert told["ExifIFD:DateTimeOriginal"].startswith("2025:11:2")
    assert "ExifTool:Warning" not in told


def test_stars_and_label_are_written_into_a_file_as_it_is(tmp_path: Path) -> None:
    content = encode(
        RGB, mean=5.0, std=1.0, distribution=SHARES, model=MODEL, taken_at=AT, camera="garden", hash=2**64 - 2
    )
    rated = with_rating(content, 3)
    assert (len(rated), with_rating(rated, 0)) == (len(content), content)
    path = tmp_path / "x.jpg"
    path.write_bytes(rated)
    for favourite in (False, True, True, False):
        mark(path, favourite)
        assert is_favourite(path) == favourite
        assert hash_of(path) == 2**64 - 2
        with Image.open(path) as image:
            image.load()
            text = image.info["xmp"].decode()
        (description,) = ElementTree.fromstring(text[text.index("<x:xmpmeta") : text.rindex("<?xpacket")]).iter(
            "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
        )
        xmp = {name.rpartition("}")[2]: value for name, value in description.attrib.items()}
        assert (xmp["Rating"], xmp.get("Label")) == ("3", "Favourite" if favourite else None)
    assert path.read_bytes() == rated
    path.write_bytes(b"no photograph")
    mark(path, True)
    assert path.read_bytes() == b"no photograph"
