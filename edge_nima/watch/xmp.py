"""A photograph as a JPEG that says what was thought of it: XMP for photo managers, EXIF for the time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from PIL import ExifTags, Image

from edge_nima import __version__
from edge_nima.pixels import Pixels

NAMESPACE = "https://github.com/edge-nima/edge-nima/ns/1.0/"
_SIGNATURE = b"http://ns.adobe.com/xap/1.0/\0"


def encode(
    rgb: Pixels,
    *,
    mean: float,
    std: float,
    distribution: Sequence[float],
    model: str,
    taken_at: float,
    camera: str,
    rating: int,
    quality: int = 92,
) -> bytes:
    """A JPEG file with XMP and EXIF.

    Args:
        rgb: uint8, (height, width, 3), red first, upright.
        mean: rating, 1..10.
        std: of the ratings, rating points.
        distribution: ten proportions.
        model: the model's name and digits, as in records.
        taken_at: wall-clock time, seconds since 1970 UTC; written as local time with its offset.
        camera: the source's label.
        rating: 1..5 stars.
        quality: of the JPEG, 1..95.

    Raises:
        ValueError: a picture larger than 65535 pixels a side.
    """
    taken = datetime.fromtimestamp(taken_at).astimezone()
    file = io.BytesIO()
    try:
        Image.fromarray(rgb).save(file, "JPEG", quality=quality, exif=_exif(taken))
    except OSError as error:  # how Pillow says that JPEG cannot hold so many pixels
        raise ValueError(f"cannot be a JPEG: {error}") from error
    facts = {"mean": f"{mean:.4f}", "std": f"{std:.4f}", "model": model, "camera": camera}
    packet = _packet(taken.isoformat(timespec="milliseconds"), rating, facts, distribution)
    content = file.getvalue()
    # Behind the EXIF segment, which Pillow writes first or second. Pillow itself writes XMP from version 11 on only.
    at = content.index(b"\xff\xe1")
    at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    segment = _SIGNATURE + packet
    return content[:at] + b"\xff\xe1" + (2 + len(segment)).to_bytes(2, "big") + segment + content[at:]


def _exif(taken: datetime) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = f"edge-nima {__version__}"
    local = taken.strftime("%Y:%m:%d %H:%M:%S")
    offset = taken.isoformat(timespec="seconds")[-6:]
    exif[ExifTags.Base.DateTime] = local
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.DateTimeOriginal: local,
            ExifTags.Base.OffsetTime: offset,
            ExifTags.Base.OffsetTimeOriginal: offset,
            ExifTags.Base.SubsecTimeOriginal: f"{taken.microsecond // 1000:03}",
        }
    )
    return exif


def _packet(taken: str, rating: int, facts: dict[str, str], distribution: Sequence[float]) -> bytes:
    ours = "".join(f"\n   edge_nima:{name}={quoteattr(value)}" for name, value in facts.items())
    bins = "".join(f"<rdf:li>{escape(f'{share:.5f}')}</rdf:li>" for share in distribution)
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:edge_nima="{NAMESPACE}"
   xmp:Rating="{rating}" xmp:CreateDate="{taken}" xmp:CreatorTool="edge-nima {__version__}"{ours}>
   <edge_nima:distribution><rdf:Seq>{bins}</rdf:Seq></edge_nima:distribution>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>""".encode()
