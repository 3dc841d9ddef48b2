from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_nima.card import CARD_FILE, FORMAT, FORMAT_VERSION, LABELS_FILE, Card, associated_files, read_card
from edge_nima.decode import read_rgb
from edge_nima.errors import CardError
from edge_nima.pixels import Preprocessing, pixels_sha256, to_input
from edge_nima.scorer import BUNDLED, load_model
from edge_nima.verdict import Failure, Verdict
from fakes import TFLITE, card_dict

BUNDLED_CARD = load_model().card
PLAIN = Card(name="plain", preprocessing=Preprocessing())
FAILED = Verdict(
    "failed", 629, "629 photographs of x",
    (Failure("srcc", 0.95, "min", 0.999), Failure("plcc", None, "min", 0.99)), limits={"srcc_min": 0.999},
)  # fmt: skip


def refused(damage: Callable[[], Any]) -> str:
    """The one line with which a card is refused."""
    with pytest.raises(CardError) as caught:
        damage()
    text = str(caught.value)
    assert text
    assert text.isprintable(), text
    assert len(text) < 300
    return text


def with_card(card: str | bytes, name: str = CARD_FILE, **options: Any) -> bytes:
    archive = io.BytesIO()
    archive.write(TFLITE)
    with zipfile.ZipFile(archive, "a", **options) as zipped:
        zipped.writestr(name, card)
    return archive.getvalue()


# Round trip


@pytest.mark.parametrize("card", [PLAIN, BUNDLED_CARD], ids=lambda card: card.name)
def test_a_card_comes_back_from_its_json_as_it_was(card: Card) -> None:
    text = card.to_json()
    assert Card.from_json(text) == card
    assert Card.from_json(text.encode()) == card
    assert Card.from_json(text).to_json() == text


def test_a_card_that_says_everything_comes_back_as_it_was() -> None:
    full = replace(
        BUNDLED_CARD,
        preprocessing=Preprocessing(640, 480, "crop", "lanczos", True, "BGR", 1 / 255, 0.0, "host"),
        calibration={"n": 200, "bins": [1, 2], "seed": 0},
        agreement={"srcc": 0.999},
        gate=FAILED,
        attribution='Ünïcode, 写真, "quotes"\nand a second line',
    )
    assert Card.from_json(full.to_json()) == full
    assert read_card(with_card(full.to_json())) == full


def test_a_card_needs_only_a_name_and_the_preprocessing() -> None:
    raw = card_dict(PLAIN)
    least = {key: raw[key] for key in ("format", "format_version", "name", "preprocessing")}
    assert Card.from_json(json.dumps(least)) == PLAIN


def test_a_card_from_before_there_was_a_gate_still_reads() -> None:
    raw = card_dict(PLAIN)
    del raw["gate"]
    assert Card.from_json(json.dumps(raw)) == PLAIN
    assert PLAIN.gate is None


def test_a_card_with_a_longest_edge_is_of_format_2_and_without_of_format_1() -> None:
    edge = replace(PLAIN, preprocessing=Preprocessing(longest_edge=640, longest_edge_filter="hamming"))
    assert (card_dict(PLAIN)["format_version"], card_dict(edge)["format_version"]) == (1, 2)
    assert Card.from_json(edge.to_json()) == edge
    assert Card.from_json(json.dumps({**card_dict(PLAIN), "format_version": 2})) == PLAIN
    raw = card_dict(edge)
    del raw["preprocessing"]["longest_edge_filter"]
    assert "missing longest_edge_filter" in refused(lambda: Card.from_json(json.dumps(raw)))


@pytest.mark.parametrize("how", [{"layout": "NCHW"}, {"scale": (1.0, 2.0, 3.0)}, {"offset": (1.0, 2.0, 3.0)}], ids=str)
def test_a_card_with_planes_or_factors_of_channels_is_of_format_3_and_no_other_is(how: dict[str, Any]) -> None:
    card = replace(PLAIN, preprocessing=Preprocessing(**how))
    assert card_dict(card)["format_version"] == 3
    assert Card.from_json(card.to_json()) == card
    blue_first = replace(PLAIN, preprocessing=Preprocessing(channel_order="BGR", scaling="host"))
    assert card_dict(blue_first)["format_version"] == 1
    assert "layout" not in blue_first.to_json()


def test_what_a_later_version_of_this_format_adds_is_passed_over() -> None:
    assert Card.from_json(json.dumps({**card_dict(PLAIN), "colour_of_the_cover": "blue"})) == PLAIN


# The bundled model's card


def test_the_bundled_model_has_a_card_with_probes() -> None:
    card = read_card(BUNDLED.read_bytes())
    assert card is not None
    assert card.preprocessing == Preprocessing(longest_edge=640)
    assert card.recipe == "int8-mixed"
    assert card.gate is not None
    assert card.gate.status == "passed"
    assert card.licence == "Apache-2.0"
    assert len(card.labels) == 10
    assert len(card.probes) >= 3


@pytest.mark.parametrize("probe", BUNDLED_CARD.probes, ids=lambda probe: probe.name.split(",")[0])
def test_each_probe_of_the_bundled_model_decodes_and_resizes_to_what_it_says(probe: Any) -> None:
    rgb = read_rgb(probe.picture)
    assert pixels_sha256(rgb) == probe.pixels_sha256
    assert pixels_sha256(to_input(rgb, BUNDLED_CARD.preprocessing)) == probe.input_sha256
    assert np.isclose(sum(probe.own), 1)
    assert np.isclose(sum(probe.reference), 1)


def test_its_archive_is_the_standard_one_with_labels() -> None:
    files = associated_files(BUNDLED.read_bytes())
    assert files.keys() == {CARD_FILE, LABELS_FILE}
    assert files[LABELS_FILE].decode().split() == [str(rating) for rating in range(1, 11)]


# Files without, with half a, and with a hostile archive


@pytest.mark.parametrize("content", [b"", b"PK", TFLITE, TFLITE + b"PK\x05\x06" + bytes(18)])
def test_a_file_without_a_card_has_none(content: bytes) -> None:
    assert read_card(content) is None
    assert associated_files(content) == {}


def test_an_archive_of_other_files_is_no_card() -> None:
    content = with_card("1\n2\n", name=LABELS_FILE)
    assert read_card(content) is None
    assert associated_files(content) == {LABELS_FILE: b"1\n2\n"}


def test_a_model_cut_anywhere_behind_its_head_is_said_to_be_damaged() -> None:
    content = BUNDLED.read_bytes()
    head = content.index(CARD_FILE.encode()) + len(CARD_FILE)  # the flatbuffer names its card early
    assert head < 4096
    places = [*np.linspace(head, len(content) - 1, 40).astype(int), len(content) - 22, len(content) - 2]
    for place in places:
        assert "truncated" in refused(lambda place=place: read_card(content[:place]))


def test_a_card_with_a_flipped_bit_is_said_to_be_damaged() -> None:
    content = bytearray(BUNDLED.read_bytes())
    content[content.rindex(b'"preprocessing"') + 4] ^= 1
    assert "damaged" in refused(lambda: read_card(bytes(content)))


def stored(central: Callable[[bytearray, int], None]) -> bytes:
    """A model with a card, its central directory changed by `central(content, place of the entry)`."""
    content = bytearray(with_card(PLAIN.to_json(), compression=zipfile.ZIP_DEFLATED))
    central(content, content.rindex(b"PK\x01\x02"))
    return bytes(content)


def _set(form: str, offset: int, value: int) -> Callable[[bytearray, int], None]:
    def change(content: bytearray, entry: int) -> None:
        struct.pack_into(form, content, entry + offset, value)
        if offset in (8, 10):  # flags and compression stand in the file's own header too
            struct.pack_into(form, content, content.index(b"PK\x03\x04") + offset - 2, value)

    return change


@pytest.mark.parametrize(
    "central",
    [
        _set("<H", 8, 1),  # encrypted
        _set("<H", 10, 99),  # a compression nobody knows
        _set("<H", 10, 12),  # deflated bytes said to be bzip2
        _set("<H", 10, 14),  # or LZMA
        _set("<H", 10, 0),  # or stored
        _set("<I", 16, 0),  # another checksum
        _set("<I", 20, 5),  # fewer compressed bytes
        _set("<I", 24, 7),  # fewer bytes
        _set("<I", 42, 10_000_000),  # beyond the end
        _set("<H", 6, 200),  # a zip version of the future
    ],
    ids=["encrypted", "unknown", "bzip2", "lzma", "stored", "crc", "csize", "size", "offset", "version"],
)
def test_an_archive_that_lies_is_one_line(central: Callable[[bytearray, int], None]) -> None:
    assert "damaged" in refused(lambda: read_card(stored(central)))


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = with_card(b"\0" * (33 << 20), compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    assert "32 MiB" in refused(lambda: read_card(bomb))
    assert "32 MiB" in refused(lambda: associated_files(bomb))


def test_a_bomb_beside_the_card_is_not_unpacked_to_read_the_card() -> None:
    archive = io.BytesIO(with_card(PLAIN.to_json()))
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("bomb", b"\0" * (33 << 20))
    assert read_card(archive.getvalue()) == PLAIN


# Cards that are none, or damaged


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", "{}", "5", '"card"', b"\xff\xfe\x00", '{"format": "another card"}',
        pytest.param("[" * 100_000, id="nested"), pytest.param('{"format":' * 100_000, id="nested objects"),
        pytest.param("9" * 5000, id="a number too long"),
    ],
)  # fmt: skip
def test_what_is_no_card_is_said_to_be_none(text: str | bytes) -> None:
    assert "JSON" in refused(lambda: Card.from_json(text))
    assert "JSON" in refused(lambda: read_card(with_card(text)))


def test_a_card_of_a_newer_format_says_to_upgrade() -> None:
    raw = {**card_dict(PLAIN), "format_version": FORMAT_VERSION + 1}
    text = refused(lambda: Card.from_json(json.dumps(raw)))
    assert f"format {FORMAT_VERSION + 1}" in text
    assert "pip install --upgrade edge-nima" in text


@pytest.mark.parametrize("version", [0, -1, "1", None, 1.0, True, [1]])
def test_a_version_that_is_none_is_refused(version: Any) -> None:
    raw = {"format": FORMAT, **card_dict(PLAIN), "format_version": version}
    assert "format_version" in refused(lambda: Card.from_json(json.dumps(raw)))


def test_a_version_of_many_digits_is_refused_in_one_line() -> None:
    raw = {**card_dict(PLAIN), "format_version": 10**400}
    assert "upgrade" in refused(lambda: Card.from_json(json.dumps(raw)))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("name", None, "name"),
        ("name", 5, "name"),
        ("name", "", "name"),
        ("name", "two\nlines", "name"),
        ("name", "\x1b[31mred", "name"),
        ("name", "\ud800", "name"),
        ("preprocessing", None, "preprocessing"),
        ("preprocessing", [], "preprocessing"),
        ("recipe", 16, "recipe"),
        ("licence", None, "licence"),
        ("attribution", ["idealo"], "attribution"),
        ("output", {}, "output"),
        ("source", None, "source"),
        ("source", "a file", "source"),
        ("converter", [], "converter"),
        ("calibration", 200, "calibration"),
        ("agreement", "good", "agreement"),
        ("tolerance", None, "tolerance"),
        ("tolerance", {}, "tolerance.own"),
        ("tolerance", {"own": 0.1}, "tolerance.reference"),
        ("tolerance", {"own": 0, "reference": 1}, "tolerance.own"),
        ("tolerance", {"own": -1, "reference": 1}, "tolerance.own"),
        ("tolerance", {"own": "0.1", "reference": 1}, "tolerance.own"),
        ("tolerance", {"own": True, "reference": 1}, "tolerance.own"),
        ("tolerance", {"own": float("nan"), "reference": 1}, "tolerance.own"),
        ("tolerance", {"own": 0.1, "reference": float("inf")}, "tolerance.reference"),
        ("tolerance", {"own": 0.1, "reference": 100}, "tolerance.reference"),
        ("labels", "12345678910", "labels"),
        ("labels", {}, "labels"),
        ("gate", "failed", "the card's gate is not an object"),
        ("gate", [], "the card's gate is not an object"),
        ("gate", {}, "the card's gate has the status None"),
        ("gate", {"status": "superb", "n": 1}, "possible: passed, failed, not judged"),
        ("gate", {"status": ["passed"], "n": 1}, "possible: passed, failed, not judged"),
        ("gate", {"status": "passed"}, "the card's gate has n None"),
        ("gate", {"status": "passed", "n": True}, "has n True"),
        ("gate", {"status": "passed", "n": -1}, "has n -1"),
        ("gate", {"status": "passed", "n": 1, "on": 5}, "has a on that is not text"),
        ("gate", {"status": "not judged", "n": 1, "why": None}, "has a why that is not text"),
        ("gate", {"status": "passed", "n": 1, "failures": {}}, "failures that are not a list"),
        ("gate", {"status": "failed", "n": 1}, "says failed with 0 failures"),
        ("gate", {"status": "passed", "n": 1, "failures": [1]}, "says passed with 1 failures"),
        ("gate", {"status": "failed", "n": 1, "failures": [1]}, "without a statistic"),
        ("gate", {"status": "failed", "n": 1, "failures": [{"statistic": "mae", "side": "up"}]}, "a side (min or max)"),
        ("gate", {"status": "failed", "n": 1, "failures": [{"statistic": "mae", "side": "max"}]}, "not a number"),
        ("gate", {"status": "passed", "n": 1, "limits": [1]}, "limits that are not numbers"),
        ("gate", {"status": "passed", "n": 1, "limits": {"mae_max": "1"}}, "limits that are not numbers"),
        ("probes", {}, "probes"),
        ("probes", None, "probes"),
    ],
)
def test_a_part_that_is_impossible_is_named(key: str, value: Any, told: str) -> None:
    raw = {**card_dict(PLAIN), key: value}
    assert told in refused(lambda: Card.from_json(json.dumps(raw)))


@pytest.mark.parametrize("key", ["name", "preprocessing"])
def test_a_part_that_is_missing_is_named(key: str) -> None:
    raw = card_dict(PLAIN)
    del raw[key]
    assert key in refused(lambda: Card.from_json(json.dumps(raw)))


@pytest.mark.parametrize("key", list(card_dict(PLAIN)["preprocessing"]))
def test_preprocessing_is_never_guessed(key: str) -> None:
    raw = card_dict(PLAIN)
    del raw["preprocessing"][key]
    assert f"missing {key}" in refused(lambda: Card.from_json(json.dumps(raw)))


@pytest.mark.parametrize("key", ["gamma", "two\nlines", "\x1b[2J", "\ud800", "x" * 10_000])
def test_preprocessing_that_is_not_understood_is_refused(key: str) -> None:
    raw = card_dict(PLAIN)
    raw["preprocessing"][key] = 1
    assert "unknown" in refused(lambda: Card.from_json(json.dumps(raw)))


def test_preprocessing_that_is_impossible_is_refused() -> None:
    raw = card_dict(PLAIN)
    raw["preprocessing"]["filter"] = "area"
    assert "'area'" in refused(lambda: Card.from_json(json.dumps(raw)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("png", "not base64!"),
        ("png", "abc"),
        ("png", "ä"),
        ("own", [0.1] * 9),
        ("own", [0.0] * 10),
        ("own", [float("nan")] * 10),
        ("own", ["a"] * 10),
        ("own", None),
        ("own", [10**400] * 10),
        ("reference", [-1.0] + [1.0] * 9),
        ("reference", {}),
    ],
)
def test_a_damaged_probe_is_refused(key: str, value: Any) -> None:
    raw = card_dict(BUNDLED_CARD)
    raw["probes"][0][key] = value
    assert "probe" in refused(lambda: Card.from_json(json.dumps(raw)))


@pytest.mark.parametrize("key", ["name", "png", "pixels_sha256", "input_sha256", "reference", "own"])
def test_a_probe_that_lacks_a_part_is_refused_by_its_name(key: str) -> None:
    raw = card_dict(BUNDLED_CARD)
    del raw["probes"][-1][key]
    assert key in refused(lambda: Card.from_json(json.dumps(raw)))


@pytest.mark.parametrize("probe", [None, 5, "probe", []])
def test_a_probe_that_is_none_is_refused(probe: Any) -> None:
    raw = {**card_dict(PLAIN), "probes": [probe]}
    assert "probe" in refused(lambda: Card.from_json(json.dumps(raw)))


# load_model


def test_a_card_file_that_is_not_there_or_no_card_is_one_line(tmp_path: Path) -> None:
    model = tmp_path / "bare.tflite"
    model.write_bytes(TFLITE)
    (tmp_path / "card.json").write_bytes(b"\xff\xd8")
    assert "No such file" in refused(lambda: load_model(model, tmp_path / "none.json"))
    assert "Is a directory" in refused(lambda: load_model(model, tmp_path))
    assert "JSON" in refused(lambda: load_model(model, tmp_path / "card.json"))
    assert "cannot open the card" in refused(lambda: load_model(model, "nul\0byte"))
