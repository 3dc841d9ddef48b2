"""XMP sidecars: the score beside a photograph, where photo managers read ratings."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from PIL import Image

from edge_nima import __version__
from edge_nima.errors import RequestError, printable, reason
from edge_nima.percentiles import AVA, Percentiles
from edge_nima.records import ScoreRecord, write_whole
from edge_nima.selection import STARS

NAMESPACE = "https://github.com/edge-nima/edge-nima/ns/1.0/"
_RDF, _XMP = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://ns.adobe.com/xap/1.0/"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_OURS = ("mean", "std", "percentile_ava", "model", "rating")
_HEAD = 1 << 20  # the bytes of a photograph that its own XMP is in, where Pillow does not know it
_RATED = re.compile(rb'\bx[ma]p:Rating\s*(?:=\s*["\']|>\s*)(-?\d)')
_OWN_RATED = re.compile(rb'edge_nima:rating\s*(?:=\s*["\']|>\s*)(-?\d)')
_EXIF_RATING = 0x4746

STYLES = {"darktable": True, "digikam": True, "immich": True, "photoprism": True, "lightroom": False}
"""Whose names sidecars have: photo.jpg.xmp (True), or photo.xmp, which Lightroom reads."""

_NEW = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="edge-nima {__version__}">
 <rdf:RDF xmlns:rdf="{_RDF}">
  <rdf:Description rdf:about=""/>
 </rdf:RDF>
</x:xmpmeta>"""


@dataclass(frozen=True)
class Stars:
    """Which means get how many stars."""

    edges: tuple[float, float, float, float]
    """Least means of 2, 3, 4 and 5 stars."""
    told: str
    """What they follow, for a person."""

    def of(self, mean: float) -> int:
        """1..5."""
        return 1 + sum(mean >= edge for edge in self.edges)

    def describe(self) -> str:
        """One line."""
        least = ", ".join(
            f"{stars} from {edge:.2f}" for stars, edge in zip((5, 4, 3, 2), self.edges[::-1], strict=True)
        )
        return f"stars by {self.told}: {least}"


@dataclass
class Written:
    """What became of the sidecars."""

    stars: Stars
    written: int = 0
    kept: list[str] = field(default_factory=list)
    """Photographs whose rating was set by somebody else and stays."""
    failed: dict[str, str] = field(default_factory=dict)
    """Photographs without a sidecar, and why."""

    def told(self) -> str:
        """One line."""
        kept = f", {len(self.kept):,} kept the rating that they had" if self.kept else ""
        return f"{self.written:,} sidecar{'' if self.written == 1 else 's'} written{kept}; {self.stars.describe()}"


def parse_stars(text: str | None) -> tuple[bool, tuple[float, float, float, float]]:
    """Four rising limits of 2, 3, 4 and 5 stars, and whether they are means: "50,80,95,99", "means:4.5,5,5.5,6".

    Raises:
        RequestError: `text` is neither.
    """
    if text is None:
        two, three, four, five = sorted(least for least, _ in STARS)
        return False, (two, three, four, five)
    kind, _, numbers = text.rpartition(":")
    low, high = (1.0, 10.0) if kind == "means" else (0.0, 100.0)
    try:
        values = [float(part) for part in numbers.split(",")]
    except ValueError:
        values = []
    rising = all(a < b for a, b in pairwise(values))
    if kind not in {"", "means"} or len(values) != 4 or not rising or not low <= values[0] <= values[-1] <= high:
        raise RequestError(
            f"--xmp-stars is '{printable(text)}'; possible: four rising percentiles of 2, 3, 4 and 5 stars such as "
            "50,80,95,99, or four means such as means:4.5,5,5.5,6"
        )
    two, three, four, five = values
    return kind == "means", (two, three, four, five)


def stars_for(text: str | None, among: Percentiles) -> Stars:
    """What `parse_stars` says, as means.

    Args:
        text: as there.
        among: that percentiles are of.
    """
    means, limits = parse_stars(text)
    if means:
        return Stars(limits, "mean")
    two, three, four, five = (among.mean_at(limit) for limit in limits)
    return Stars((two, three, four, five), f"percentile of {among.name}")


def write_sidecars(
    scored: Sequence[tuple[Path, ScoreRecord]], stars: Stars, *, style: str = "darktable", replace: bool = False
) -> Written:
    """Write or complete the sidecar of each photograph that has a score. Each appears whole.

    What is in a sidecar already stays in it. A rating that is not ours stays too, be it in the sidecar, in one of the
    other style, or in the photograph, unless `replace`.

    Args:
        scored: photographs and their records.
        stars: for `xmp:Rating`.
        style: one of `STYLES`.
        replace: ratings of others too.
    """
    result, taken = Written(stars), dict[Path, Path]()
    for path, record in scored:
        if record.mean is None:
            continue
        sidecar = sidecar_path(path, STYLES[style])
        if not path.is_file():
            result.failed[record.name] = "it is in a tar file, beside which no sidecar is looked for"
        elif sidecar in taken:
            result.failed[record.name] = f"it shares {printable(sidecar.name)} with {printable(taken[sidecar].name)}"
        else:
            taken[sidecar] = path
            try:
                if _write(path, sidecar, record, stars.of(record.mean), replace):
                    result.kept.append(record.name)
                result.written += 1
            except (OSError, ValueError) as error:
                result.failed[record.name] = f"{printable(sidecar.name)}: {reason(error)}"
    return result


def sidecar_path(photograph: Path, full: bool) -> Path:
    """photo.jpg.xmp (`full`), or photo.xmp."""
    return photograph.with_name(f"{photograph.name if full else photograph.stem}.xmp")


def sidecars_of(photograph: Path) -> list[tuple[Path, bool]]:
    """The sidecars that a photograph has, each with whether its name is the full one."""
    return [(path, full) for full in (True, False) if (path := sidecar_path(photograph, full)).is_file()]


def _write(path: Path, sidecar: Path, record: ScoreRecord, stars: int, replace: bool) -> bool:
    """Whether a rating of somebody else was kept."""
    there = sidecar.exists()
    document = _read(sidecar.read_bytes() if there else _NEW.encode())
    others = [_read(other.read_bytes()) for other, _ in sidecars_of(path) if other != sidecar]
    found = [*map(_ratings, [document, *others]), *_embedded(path)]
    keep = not replace and any(rating not in {None, "0", own} for rating, own in found)
    _put(document, record, None if keep else stars)
    content = _serialised(document)
    if not there:
        write_whole(sidecar, content)
    else:
        mode = stat.S_IMODE(sidecar.stat().st_mode)
        write_whole(sidecar, content, mode)
        sidecar.chmod(mode)  # the umask has taken from it
    return keep


_KEPT = (("\n", "\ue00a"), ("\r", "\ue00d"), ("\t", "\ue009"))
"""minidom writes these in attributes as they are, and the next reader makes spaces of them (before Python 3.13)."""


def _serialised(document: minidom.Document) -> bytes:
    for element in document.getElementsByTagName("*"):
        for attribute in element.attributes.values():
            for mark, stand_in in _KEPT:
                if mark in attribute.value:
                    attribute.value = attribute.value.replace(mark, stand_in)
    text = document.toxml(encoding="utf-8").decode()
    for mark, stand_in in _KEPT:
        text = text.replace(stand_in, f"&#{ord(mark)};")
    return text.encode() + b"\n"


def _read(content: bytes) -> minidom.Document:
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError("not XMP: it defines entities; left as it is")
    try:
        document = minidom.parseString(content)
    except (ExpatError, ValueError) as error:
        raise ValueError(f"damaged: {reason(error)}; left as it is") from error
    if document.doctype is not None:  # in another encoding than the check above reads
        raise ValueError("not XMP: it defines entities; left as it is")
    if not _descriptions(document):
        raise ValueError("not XMP: it has no rdf:Description; left as it is")
    return document


def _descriptions(document: minidom.Document) -> list[minidom.Element]:
    found = document.getElementsByTagNameNS(_RDF, "Description")
    return [one for one in found if one.parentNode is not None and one.parentNode.localName == "RDF"]


def _ratings(document: minidom.Document) -> tuple[str | None, str | None]:
    """xmp:Rating, and the one that we wrote."""
    return _value(document, _XMP, "Rating"), _value(document, NAMESPACE, "rating")


def _value(document: minidom.Document, namespace: str, name: str) -> str | None:
    for one in _descriptions(document):
        if one.hasAttributeNS(namespace, name):
            return one.getAttributeNS(namespace, name).strip()
        for child in one.getElementsByTagNameNS(namespace, name):
            if child.parentNode is one:
                return "".join(node.data for node in child.childNodes if node.nodeType == node.TEXT_NODE).strip()
    return None


def _remove(document: minidom.Document, namespace: str, name: str) -> None:
    for one in _descriptions(document):
        if one.hasAttributeNS(namespace, name):
            one.removeAttributeNS(namespace, name)
        for child in list(one.getElementsByTagNameNS(namespace, name)):
            if child.parentNode is one:
                one.removeChild(child)


def _put(document: minidom.Document, record: ScoreRecord, stars: int | None) -> None:
    here, ours = _ratings(document)
    for name in _OURS:
        if not (name == "rating" and stars is None and here == ours):
            _remove(document, NAMESPACE, name)
    facts = {
        "mean": f"{record.mean:.4f}", "std": f"{record.std:.4f}", "percentile_ava": f"{AVA.of(record.mean or 0):.1f}",
        "model": record.model,
    }  # fmt: skip
    if stars is not None:
        _remove(document, _XMP, "Rating")
        facts["rating"] = str(stars)
    first = _descriptions(document)[0]
    first.setAttributeNS(_XMLNS, "xmlns:edge_nima", NAMESPACE)
    for name, value in facts.items():
        first.setAttributeNS(NAMESPACE, f"edge_nima:{name}", value)
    if stars is not None:
        first.setAttributeNS(_XMLNS, "xmlns:xmp", _XMP)
        first.setAttributeNS(_XMP, "xmp:Rating", str(stars))


def _embedded(path: Path) -> list[tuple[str, str | None]]:
    """Ratings that a photograph holds itself, each with the one that we wrote there."""
    with open(path, "rb") as file:
        inside = file.read(_HEAD)
    found = []
    with suppress(Exception), Image.open(path) as image:  # whatever its metadata may be, it has a score
        found.append(str(image.getexif().get(_EXIF_RATING, 0)))
        inside += image.info.get("xmp", b"")  # WebP has it last
    ours = _OWN_RATED.search(inside)
    own = ours[1].decode() if ours else None
    return [(rating, own) for rating in [*found, *(match[1].decode() for match in _RATED.finditer(inside))]]
