"""Taking a multipart stream apart, as cameras write it and as it arrives."""

from __future__ import annotations

import random

import pytest

from edge_nima.errors import SourceError
from edge_nima.frames.multipart import Parts

PICTURES = [b"\xff\xd8" + bytes([n]) * (40 + 300 * n) + b"\xff\xd9" for n in range(1, 6)]


def written(boundary: str = "--frame", length: bool = True, newline: bytes = b"\r\n", head: bool = True) -> bytes:
    stream = b""
    for picture in PICTURES:
        stream += boundary.encode() + newline
        if head:
            stream += b"Content-Type: image/jpeg" + newline
        if length:
            stream += b"Content-Length: %d" % len(picture) + newline
        stream += newline + picture + newline
    return stream + boundary.encode() + b"--" + newline


def taken(parts: Parts, stream: bytes, step: int) -> list[bytes]:
    found = []
    for at in range(0, len(stream), step):
        parts.feed(stream[at : at + step])
        while (part := parts.next()) is not None:
            found.append(part)
    return found


@pytest.mark.parametrize("step", [1, 7, 64, 100_000])
@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize(
    ("named", "in_stream"),
    [
        ("frame", "--frame"),
        ("--frame", "--frame"),
        ('"frame"', "--frame"),
        ("--frame", "----frame"),
        ("frame", "frame"),
    ],
)
def test_parts_come_out_whole_however_they_arrive(
    named: str, in_stream: str, newline: bytes, length: bool, step: int
) -> None:
    assert taken(Parts(named), written(in_stream, length, newline), step) == PICTURES


def test_parts_need_no_headers_at_all() -> None:
    assert taken(Parts("frame"), written(length=False, head=False), 50) == PICTURES


def test_what_is_before_the_first_boundary_is_left_out() -> None:
    assert taken(Parts("frame"), b"\r\nhello\r\n" + written(), 11) == PICTURES


def test_a_wrong_length_costs_one_picture_and_not_the_stream() -> None:
    right = b"Content-Length: %d" % len(PICTURES[1])
    for wrong in (b"Content-Length: 5", b"Content-Length: 400", b"Content-Length: -1", b"Content-Length: many"):
        found = taken(Parts("frame"), written().replace(right, wrong), 64)
        assert found[0] == PICTURES[0]
        assert found[-2:] == PICTURES[-2:]


def test_the_memory_is_that_of_one_part() -> None:
    parts = Parts("frame")
    for _ in range(200):
        parts.feed(written())
        while parts.next() is not None:
            pass
    assert len(parts._held) < 2000


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"--frame\r\nContent-Length: 99999999999\r\n\r\n", "MiB in the multipart stream"),
        (b"--frame\r\n\r\n" + bytes(2_000_000), "not a camera's pictures"),
        (b"--frame\r\n" + b"X-Long: " + b"y" * 40_000, "the head of a part"),
        (b"--frame" + b"y" * 40_000, "a boundary"),
    ],
)
def test_what_has_no_end_is_refused_before_it_fills_the_memory(stream: bytes, message: str) -> None:
    parts = Parts("frame", largest=1_000_000)
    with pytest.raises(SourceError, match=message):
        taken(parts, stream, 10_000)
    assert len(parts._held) < 1_100_000


def test_bytes_without_any_boundary_are_not_kept() -> None:
    parts = Parts("frame")
    for _ in range(100):
        parts.feed(bytes(100_000))
        assert parts.next() is None
    assert len(parts._held) <= 10


def test_a_stream_without_a_boundary_is_refused() -> None:
    with pytest.raises(SourceError, match="without a boundary"):
        Parts("")


def test_noise_never_raises_anything_else() -> None:
    chance = random.Random(5)
    for _ in range(300):
        parts = Parts("frame", largest=5000)
        pieces = [b"--frame", b"\r\n", b"\n", b"Content-Length: 12", b"frame--", bytes(9), b"\xff\xd8", b"-"]
        stream = b"".join(chance.choice(pieces) for _ in range(60))
        try:
            taken(parts, stream, chance.randint(1, 40))
        except SourceError:
            continue
        assert len(parts._held) <= len(stream)
