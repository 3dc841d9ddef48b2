"""Cards and files that a reader must refuse, and some that it must not."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from edge_nima.card import CARD_FILE, FORMAT_VERSION, LABELS_FILE, Card, read_card
from edge_nima.errors import CardError

_FLATBUFFER = b"\x1c\0\0\0TFL3" + bytes(56)
"""The signature of a .tflite and nothing more: enough for a reader of cards, not for a runtime."""

_CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "plain": lambda card: None,
    "unknown-field": lambda card: card.update(later="a field of a later version is not known, and no harm"),
    "other-version-of-libraries": lambda card: card["converter"].update(tensorflow="99"),
    "newer": lambda card: card.update(format_version=FORMAT_VERSION + 1),
    "version-is-text": lambda card: card.update(format_version="1"),
    "other-format": lambda card: card.update(format="somebody's card"),
    "no-name": lambda card: card.pop("name"),
    "name-of-two-lines": lambda card: card.update(name="two\nlines"),
    "no-preprocessing": lambda card: card.pop("preprocessing"),
    "preprocessing-missing-fit": lambda card: card["preprocessing"].pop("fit"),
    "preprocessing-unknown-part": lambda card: card["preprocessing"].update(gamma=2.2),
    "filter-unknown": lambda card: card["preprocessing"].update(filter="cubic"),
    "fit-unknown": lambda card: card["preprocessing"].update(fit="pad"),
    "nearest-with-antialias": lambda card: card["preprocessing"].update(filter="nearest", antialias=True),
    "order-unknown": lambda card: card["preprocessing"].update(channel_order="GRB"),
    "scaling-unknown": lambda card: card["preprocessing"].update(scaling="server"),
    "width-zero": lambda card: card["preprocessing"].update(width=0),
    "width-is-text": lambda card: card["preprocessing"].update(width="224"),
    "height-too-large": lambda card: card["preprocessing"].update(height=5000),
    "edge-none": lambda card: card["preprocessing"].update(longest_edge=None, longest_edge_filter=None),
    "edge-640": lambda card: (
        card.update(format_version=2) or card["preprocessing"].update(longest_edge=640, longest_edge_filter="lanczos")
    ),
    "edge-without-its-filter": lambda card: (
        card["preprocessing"].pop("longest_edge_filter", None) or card["preprocessing"].update(longest_edge=640)
    ),
    "edge-filter-unknown": lambda card: card["preprocessing"].update(longest_edge=640, longest_edge_filter="nearest"),
    "edge-zero": lambda card: card["preprocessing"].update(longest_edge=0, longest_edge_filter="lanczos"),
    "edge-is-text": lambda card: card["preprocessing"].update(longest_edge="640", longest_edge_filter="lanczos"),
    "edge-too-large": lambda card: card["preprocessing"].update(longest_edge=65536, longest_edge_filter="lanczos"),
    "planes": lambda card: card.update(format_version=3) or card["preprocessing"].update(layout="NCHW"),
    "layout-unknown": lambda card: card["preprocessing"].update(layout="CHW"),
    "three-factors": lambda card: card["preprocessing"].update(scale=[1, 2, 0.5], offset=[0, -1.5, 3]),
    "two-factors": lambda card: card["preprocessing"].update(scale=[1, 2]),
    "three-factors-with-zero": lambda card: card["preprocessing"].update(scale=[1, 0, 2]),
    "three-factors-of-text": lambda card: card["preprocessing"].update(offset=["a", 0, 2]),
    "scale-zero": lambda card: card["preprocessing"].update(scale=0),
    "tolerance-nobody-fails": lambda card: card["tolerance"].update(own=10),
    "tolerance-zero": lambda card: card["tolerance"].update(reference=0),
    "probes-no-list": lambda card: card.update(probes={}),
    "probe-without-own": lambda card: card["probes"][0].pop("own"),
    "probe-of-nine-bins": lambda card: card["probes"][0].update(own=card["probes"][0]["own"][:9]),
    "probe-not-base64": lambda card: card["probes"][0].update(png="%%%"),
    "probe-negative": lambda card: card["probes"][0].update(own=[-0.1, 1.1, *[0.0] * 8]),
}


def cards(card: Card) -> Iterator[tuple[str, str, str | None]]:
    """Name, text, and why it is refused; None where it is a card."""
    for name, change in _CHANGES.items():
        raw = json.loads(_small(card).to_json())
        change(raw)
        yield _judged(name, json.dumps(raw, indent=1))
    yield _judged("not-json", "{" + _small(card).to_json())
    yield _judged("a-list", "[]")


def models(card: Card) -> Iterator[tuple[str, bytes, str | None]]:
    """Name, file, and why its card is not taken; None where it is. None of them can be run."""
    text = _small(card).to_json()
    packed, stored = (_file({LABELS_FILE: "1\n", CARD_FILE: text}, how) for how in (zipfile.ZIP_DEFLATED, 0))
    newer = json.loads(text)
    newer["format_version"] = FORMAT_VERSION + 1
    at = stored.index(b'"format"')
    for name, content in {
        "packed": packed,
        "stored": stored,
        "no-card": _FLATBUFFER,
        "other-files-only": _file({LABELS_FILE: "1\n"}, 0),
        "newer": _file({CARD_FILE: json.dumps(newer)}, 0),
        "truncated": stored[: len(stored) - 40],
        "truncated-in-the-card": stored[: at + 400],
        "changed": stored[:at] + b"#" + stored[at + 1 :],
        "text": b"this is not a model\n" * 8,
        "empty": b"",
    }.items():
        yield name, content, _why_no_card(content)


def _small(card: Card) -> Card:
    """With one probe: thirty copies of all would weigh megabytes."""
    return replace(card, probes=card.probes[:1])


def _judged(name: str, text: str) -> tuple[str, str, str | None]:
    try:
        Card.from_json(text)
    except CardError as error:
        return name, text, str(error)
    return name, text, None


def _why_no_card(content: bytes) -> str | None:
    if content[4:8] != b"TFL3":
        return "not a .tflite: the file does not have its signature TFL3"
    try:
        return "it carries no card" if read_card(content) is None else None
    except CardError as error:
        return str(error)


def _file(files: dict[str, str], how: int) -> bytes:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", how) as archive:
        for name, text in files.items():
            # A date of its own, so that the same card gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text, how)
    return _FLATBUFFER + zipped.getvalue()
