"""A photograph as a JPEG that says what was thought of it: XMP for photo managers, EXIF for the time."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from xml.sax.saxutils import quoteattr

from PIL import ExifTags, Image

from edge_nima import __version__
from edge_nima.decode import Pixels
from edge_nima.records import write_whole
from edge_nima.sidecars import NAMESPACE

_HEAD = 256 * 1024  # the bytes of a file that its XMP is in
_SIGNATURE = b"http://ns.adobe.com/xap/1.0/\0"
_RATING = re.compile(rb'((?:xmp:R|edge_nima:r)ating=")\d"')
_LABEL = re.compile(rb'\s+xmp:Label="Favou?rite"|<xmp:Label>\s*Favou?rite\s*</xmp:Label>', re.IGNORECASE)


def encode(
    rgb: Pixels, *, mean: float, std: float, distribution: Sequence[float], model: str, taken_at: float, camera: str,
    hash: int = 0, rating: int = 0, quality: int = 92,
) -> bytes:  # fmt: skip
    """A JPEG file of uint8, (height, width, 3), red first, upright, with its score in XMP and its local time in EXIF.

    `rating`: 1..5 stars, 0 for none yet (`with_rating`). OSError: a picture of more than 65535 pixels a side.
    """
    taken = datetime.fromtimestamp(taken_at).astimezone()
    facts = {
        "mean": f"{mean:.4f}",
        "std": f"{std:.4f}",
        "model": model,
        "camera": camera,
        "hash": f"{hash:016x}",
        "rating": str(rating),
    }
    ours = "".join(f"\n   edge_nima:{name}={quoteattr(value)}" for name, value in facts.items())
    bins = "".join(f"<rdf:li>{share:.5f}</rdf:li>" for share in distribution)
    packet = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:edge_nima="{NAMESPACE}"
   xmp:Rating="{rating}" xmp:CreateDate="{taken.isoformat(timespec="milliseconds")}"
   xmp:CreatorTool="edge-nima {__version__}"{ours}>
   <edge_nima:distribution><rdf:Seq>{bins}</rdf:Seq></edge_nima:distribution>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""
    segment = _SIGNATURE + packet.encode()
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = f"edge-nima {__version__}"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = taken.strftime("%Y:%m:%d %H:%M:%S")
    details[ExifTags.Base.OffsetTimeOriginal] = taken.isoformat(timespec="seconds")[-6:]
    details[ExifTags.Base.SubsecTimeOriginal] = f"{taken.microsecond // 1000:03}"
    # Not as `xmp`, which Pillow writes from version 11 on only.
    extra = b"\xff\xe1" + (2 + len(segment)).to_bytes(2, "big") + segment
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality, exif=exif, extra=extra)
    return file.getvalue()


def with_rating(content: bytes, rating: int) -> bytes:
    """A photograph with other stars, of the same length."""
    return _RATING.sub(rb'\g<1>%d"' % rating, content[:_HEAD], count=2) + content[_HEAD:]


def hash_of(path: Path) -> int | None:
    """The perceptual hash that is written in a photograph. OSError: it cannot be read."""
    with open(path, "rb") as file:
        found = re.search(rb'edge_nima:hash="([0-9a-f]{16})"', file.read(_HEAD))
    return int(found[1], 16) if found else None


def is_favourite(path: Path) -> bool:
    """Whether a photograph's label is "Favourite", as people set it in photo managers; False when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return _LABEL.search(file.read(_HEAD)) is not None
    except OSError:
        return False


def mark(path: Path, favourite: bool) -> None:
    """Set or remove the label "Favourite". Without XMP nothing is done. OSError: it cannot be written; it stays."""
    content = path.read_bytes()
    begin = content.find(_SIGNATURE, 0, _HEAD) - 2
    if begin < 2 or is_favourite(path) == favourite:
        return
    end = begin + int.from_bytes(content[begin : begin + 2], "big")
    packet = content[begin + 2 : end]
    packet = _RATING.sub(rb'\g<0> xmp:Label="Favourite"', packet, count=1) if favourite else _LABEL.sub(b"", packet)
    write_whole(path, content[:begin] + (2 + len(packet)).to_bytes(2, "big") + packet + content[end:])
