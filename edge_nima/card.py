"""The sheet that travels inside a .tflite: where it came from, how it wants its pixels, what it scored, its probes.

A card is JSON, an associated file of the standard TFLite metadata: a zip archive appended to the flatbuffer, which
every TFLite runtime ignores. Reading it takes nothing but Python's own zipfile.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from edge_nima.distribution import as_distribution
from edge_nima.errors import CardError, reason
from edge_nima.pixels import Preprocessing
from edge_nima.verdict import Verdict

FORMAT = "edge-nima card"
FORMAT_VERSION = 3
"""The newest that is read; the oldest that can say the preprocessing is written, see `Preprocessing.format`."""
CARD_FILE = "edge_nima_card.json"
LABELS_FILE = "labels.txt"

_LARGEST = 32 << 20


@dataclass(frozen=True)
class Probe:
    """A small picture whose score is known, so that a device can test its own decoding, resizing and arithmetic."""

    name: str
    """What it tries."""
    png: str
    """The picture, a lossless PNG in base64."""
    pixels_sha256: str
    """Of the decoded picture, upright RGB, as `edge_nima.pixels.pixels_sha256`."""
    input_sha256: str
    """Of the model's uint8 input made from it, likewise."""
    reference: tuple[float, ...]
    """What the float checkpoint says: ten proportions."""
    own: tuple[float, ...]
    """What this very model said where it was made."""

    @property
    def picture(self) -> bytes:
        """The PNG file's bytes."""
        return base64.b64decode(self.png, validate=True)


@dataclass(frozen=True)
class Card:
    """What a model says of itself. Only `name` and `preprocessing` are needed to score with it."""

    name: str
    preprocessing: Preprocessing
    recipe: str = "unknown"
    """How the weights are stored and the arithmetic done: float32, float16, dynamic, int8, ..."""
    licence: str = "unknown"
    attribution: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    """The checkpoint: file, sha256, architecture."""
    converter: Mapping[str, str] = field(default_factory=dict)
    """Versions of what made this file."""
    output: str = "proportion of people expected to give each rating 1..10; sums to 1"
    labels: tuple[str, ...] = tuple(str(rating) for rating in range(1, 11))
    calibration: Mapping[str, Any] | None = None
    """The photographs that set the integer ranges: n, sha256 of their ids, bins, seed."""
    agreement: Mapping[str, Any] | None = None
    """`edge_nima.agreement.Agreement` with the float checkpoint, and on which photographs."""
    gate: Verdict | None = None
    """Whether that agreement is within tolerance; None in cards made before there was a gate."""
    tolerance: Mapping[str, float] = field(default_factory=lambda: {"own": 0.001, "reference": 0.01})
    """Largest difference of a probe's mean, rating points: from `own` and from `reference`."""
    probes: tuple[Probe, ...] = ()

    def to_json(self) -> str:
        """The card as it is stored; `Card.from_json` reads it back."""
        how = self.preprocessing
        told = {"format": FORMAT, "format_version": how.format, **asdict(self)}
        return json.dumps({**told, "preprocessing": how.to_json()}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Card:
        """Read a card.

        Raises:
            CardError: not JSON, not a card, of a newer format, or a part that is missing or impossible.
        """
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CardError(f"a card is JSON; this is not ({reason(error)})") from error
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise CardError(f'this JSON is no card: a card starts with "format": "{FORMAT}"')
        version = raw.get("format_version")
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise CardError(f"the card's format_version is {version!r:.60}; possible: 1 to {FORMAT_VERSION}")
        if version > FORMAT_VERSION:
            raise CardError(
                f"the card has format {version!r:.60}, this edge_nima reads up to {FORMAT_VERSION}: "
                "pip install --upgrade edge-nima"
            )
        return _card(raw)


def read_card(model: bytes) -> Card | None:
    """The card inside a .tflite, or None when it carries none.

    Args:
        model: the whole file.

    Raises:
        CardError: there is a card, and it is damaged or of a newer format.
    """
    card = _associated(model, CARD_FILE).get(CARD_FILE)
    return None if card is None else Card.from_json(card)


def associated_files(model: bytes) -> dict[str, bytes]:
    """Files in the zip archive at the end of a .tflite, by name; empty when there is none.

    Raises:
        CardError: the archive is there and damaged.
    """
    return _associated(model, None)


def _associated(model: bytes, only: str | None) -> dict[str, bytes]:
    """Files of the archive at the end of a .tflite; of one name, or all."""
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            items = [item for item in archive.infolist() if only in (None, item.filename)]
            if sum(item.file_size for item in items) > _LARGEST:
                raise CardError("the files inside the .tflite unpack to more than 32 MiB: damaged or hostile")
            return {item.filename: archive.read(item) for item in items}
    except CardError:
        raise
    except Exception as error:
        # Besides BadZipFile, zipfile lets out what its parts raise: zlib.error, struct.error, EOFError, RuntimeError
        # for a password, NotImplementedError for a compression it does not know.
        if CARD_FILE.encode() in model:
            raise CardError("the card inside the .tflite is damaged: the file is truncated or changed") from error
        return {}


def _card(raw: Mapping[str, Any]) -> Card:
    known = {item.name for item in fields(Card)}
    given = {key: value for key, value in raw.items() if key in known}
    for key, kind in (("name", str), ("preprocessing", dict)):
        if not isinstance(given.get(key), kind):
            raise CardError(f"the card has no {key}")
    if not given["name"] or not given["name"].isprintable():
        raise CardError(f"the card's name is {given['name']!r:.60}; possible: one line of text")
    for key in ("recipe", "licence", "attribution", "output"):
        if not isinstance(given.get(key, ""), str):
            raise CardError(f"the card's {key} is not text")
    for key in ("source", "converter", "calibration", "agreement", "tolerance"):
        nothing = key in {"calibration", "agreement"} and given.get(key) is None
        if not nothing and not isinstance(given.get(key, {}), dict):
            raise CardError(f"the card's {key} is not an object")
    given["preprocessing"] = Preprocessing.from_json(given["preprocessing"])
    given["labels"] = tuple(str(label) for label in _sequence(given, "labels", Card.labels))
    given["probes"] = tuple(_probe(item) for item in _sequence(given, "probes", ()))
    given["gate"] = None if given.get("gate") is None else _verdict(given["gate"])
    tolerance = given.setdefault("tolerance", {"own": 0.001, "reference": 0.01})
    for key in ("own", "reference"):
        limit = tolerance.get(key)
        # A tolerance of more than the scale's nine points is one that nothing can fail.
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit <= 9:
            raise CardError(f"the card's tolerance.{key} is not a number above 0, at most 9 rating points")
    return Card(**given)


def _verdict(raw: Any) -> Verdict:
    try:
        return Verdict.from_json(raw)
    except ValueError as error:
        raise CardError(f"the card's gate {error}") from error


def _sequence(given: Mapping[str, Any], key: str, default: Sequence[Any]) -> Sequence[Any]:
    value = given.get(key, default)
    if not isinstance(value, list | tuple):
        raise CardError(f"the card's {key} is not a list")
    return value


def _probe(raw: Any) -> Probe:
    try:
        probe = Probe(
            name=str(raw["name"]),
            png=str(raw["png"]),
            pixels_sha256=str(raw["pixels_sha256"]),
            input_sha256=str(raw["input_sha256"]),
            reference=tuple(float(p) for p in raw["reference"]),
            own=tuple(float(p) for p in raw["own"]),
        )
        as_distribution(probe.reference), as_distribution(probe.own)
        probe.picture  # noqa: B018  decoding is the test
    except KeyError as error:
        raise CardError(f"a golden probe of the card is damaged: it has no {error.args[0]}") from error
    except (TypeError, ValueError, OverflowError, RecursionError) as error:  # binascii.Error is a ValueError
        raise CardError(f"a golden probe of the card is damaged: {reason(error)}") from error
    return probe
