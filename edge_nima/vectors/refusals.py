"""Cards and files that a reader must refuse, and some that it must not."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from edge_nima.card import CARD_FILE, FORMAT_VERSION, LABELS_FILE, Card

_FLATBUFFER = b"\x1c\0\0\0TFL3" + bytes(56)
"""The signature of a .tflite and nothing more: enough for a reader of cards, not for a runtime."""

_CHANGES: dict[str, dict[str, Callable[[dict[str, Any]], object]]] = {
    "": {
        "plain": lambda card: None,
        "unknown-field": lambda card: card.update(later="a field of a later version is not known, and no harm"),
        "other-version-of-libraries": lambda card: card["converter"].update(tensorflow="99"),
        "edge-none": lambda card: card["preprocessing"].update(longest_edge=None, longest_edge_filter=None),
        "edge-640": lambda card: (
            card.update(format_version=2)
            or card["preprocessing"].update(longest_edge=640, longest_edge_filter="lanczos")
        ),
        "planes": lambda card: card.update(format_version=3) or card["preprocessing"].update(layout="NCHW"),
        "three-factors": lambda card: card["preprocessing"].update(scale=[1, 2, 0.5], offset=[0, -1.5, 3]),
    },
    "format": {
        "newer": lambda card: card.update(format_version=FORMAT_VERSION + 1),
        "version-is-text": lambda card: card.update(format_version="1"),
        "other-format": lambda card: card.update(format="somebody's card"),
    },
    "name": {
        "no-name": lambda card: card.pop("name"),
        "name-of-two-lines": lambda card: card.update(name="two\nlines"),
    },
    "preprocessing": {
        "no-preprocessing": lambda card: card.pop("preprocessing"),
    },
    "fit": {
        "preprocessing-missing-fit": lambda card: card["preprocessing"].pop("fit"),
        "fit-unknown": lambda card: card["preprocessing"].update(fit="pad"),
    },
    "gamma": {
        "preprocessing-unknown-part": lambda card: card["preprocessing"].update(gamma=2.2),
    },
    "filter": {
        "filter-unknown": lambda card: card["preprocessing"].update(filter="cubic"),
    },
    "antialias": {
        "nearest-with-antialias": lambda card: card["preprocessing"].update(filter="nearest", antialias=True),
    },
    "channel_order": {
        "order-unknown": lambda card: card["preprocessing"].update(channel_order="GRB"),
    },
    "scaling": {
        "scaling-unknown": lambda card: card["preprocessing"].update(scaling="server"),
    },
    "width": {
        "width-zero": lambda card: card["preprocessing"].update(width=0),
        "width-is-text": lambda card: card["preprocessing"].update(width="224"),
    },
    "height": {
        "height-too-large": lambda card: card["preprocessing"].update(height=5000),
    },
    "longest_edge_filter": {
        "edge-without-its-filter": lambda card: (
            card["preprocessing"].pop("longest_edge_filter", None) or card["preprocessing"].update(longest_edge=640)
        ),
        "edge-filter-unknown": lambda card: card["preprocessing"].update(
            longest_edge=640, longest_edge_filter="nearest"
        ),
    },
    "longest_edge": {
        "edge-zero": lambda card: card["preprocessing"].update(longest_edge=0, longest_edge_filter="lanczos"),
        "edge-is-text": lambda card: card["preprocessing"].update(longest_edge="640", longest_edge_filter="lanczos"),
        "edge-too-large": lambda card: card["preprocessing"].update(longest_edge=65536, longest_edge_filter="lanczos"),
    },
    "layout": {
        "layout-unknown": lambda card: card["preprocessing"].update(layout="CHW"),
    },
    "scale": {
        "two-factors": lambda card: card["preprocessing"].update(scale=[1, 2]),
        "three-factors-with-zero": lambda card: card["preprocessing"].update(scale=[1, 0, 2]),
        "scale-zero": lambda card: card["preprocessing"].update(scale=0),
    },
    "offset": {
        "three-factors-of-text": lambda card: card["preprocessing"].update(offset=["a", 0, 2]),
    },
    "tolerance.own": {
        "tolerance-nobody-fails": lambda card: card["tolerance"].update(own=10),
    },
    "tolerance.reference": {
        "tolerance-zero": lambda card: card["tolerance"].update(reference=0),
    },
    "probes": {
        "probes-no-list": lambda card: card.update(probes={}),
    },
    "probe": {
        "probe-without-own": lambda card: card["probes"][0].pop("own"),
        "probe-of-nine-bins": lambda card: card["probes"][0].update(own=card["probes"][0]["own"][:9]),
        "probe-not-base64": lambda card: card["probes"][0].update(png="%%%"),
        "probe-negative": lambda card: card["probes"][0].update(own=[-0.1, 1.1, *[0.0] * 8]),
    },
}
"""Changes to a card by what of it is refused, a word that each refusal holds; "" where it is accepted."""


def cards(card: Card) -> Iterator[tuple[str, str, str]]:
    """Name, text, and a word of what is refused about it; "" where it is a card."""
    text = _small(card).to_json()
    for about, changes in _CHANGES.items():
        for name, change in changes.items():
            raw = json.loads(text)
            change(raw)
            yield name, json.dumps(raw, indent=1), about
    yield "not-json", "{" + text, "JSON"
    yield "a-list", "[]", "card"


def models(card: Card) -> Iterator[tuple[str, bytes, str]]:
    """Name, file, and words of why its card is not taken; "" where it is. None of them can be run."""
    text = _small(card).to_json()
    packed, stored = (_file({LABELS_FILE: "1\n", CARD_FILE: text}, how) for how in (zipfile.ZIP_DEFLATED, 0))
    newer = json.loads(text)
    newer["format_version"] = FORMAT_VERSION + 1
    at = stored.index(b'"format"')
    yield "packed", packed, ""
    yield "stored", stored, ""
    yield "no-card", _FLATBUFFER, "no card"
    yield "other-files-only", _file({LABELS_FILE: "1\n"}, 0), "no card"
    yield "newer", _file({CARD_FILE: json.dumps(newer)}, 0), "format"
    yield "truncated", stored[: len(stored) - 40], "damaged"
    yield "truncated-in-the-card", stored[: at + 400], "damaged"
    yield "changed", stored[:at] + b"#" + stored[at + 1 :], "damaged"
    yield "text", b"this is not a model\n" * 8, "not a .tflite"
    yield "empty", b"", "not a .tflite"


def _small(card: Card) -> Card:
    """With one probe: thirty copies of all would weigh megabytes."""
    return replace(card, probes=card.probes[:1])


def _file(files: dict[str, str], how: int) -> bytes:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", how) as archive:
        for name, text in files.items():
            # A date of its own, so that the same card gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text, how)
    return _FLATBUFFER + zipped.getvalue()
