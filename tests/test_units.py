"""Durations, sizes and moments: what is accepted, what is refused, and that both ways agree."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_nima.errors import RequestError
from edge_nima.watch.units import duration_text, moment, seconds, size, utc_moment, utc_text

NOW = 1764000000.5  # 2025-11-24T16:00:00.500Z


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is an hour ahead of UTC in winter."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0), ("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1.5h", 5400), ("1h30m", 5400), ("1d", 86400),
        ("1w", 604800), ("500ms", 0.5), (".5s", 0.5), ("2.s", 2), ("1h 30m", 5400), (" 10 M ", 600),
        ("1d2h3m4s", 93784), ("36525d", 36525 * 86400), ("10 min", 600), ("2 h 30 min", 9000), ("0s", 0),
        ("1m500ms", 60.5),
    ],
)  # fmt: skip
def test_durations_that_are_accepted(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "s", "-1", "-5s", "+5s", "1e3", "nan", "inf", "infinity", "ten", "10x", "10mm", "5 0s", "1,5h",
        "1h,30m", "36526d", "9" * 400, "9" * 5000 + "s", "1:30", "0x10", "\u0661s", "10\u00a0s", "1.2.3s", ".s", "1h30",
        "3 1h",
    ],
)  # fmt: skip
def test_durations_that_are_refused_say_what_was_given_and_what_is_possible(text: str) -> None:
    with pytest.raises(RequestError, match=r"^--every is '.*'; possible: 90s, 10m, 1\.5h, 2h30m, 1d$"):
        seconds(text, "--every")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1), ("123", 123), ("2GB", 2 * 10**9), ("2gb", 2 * 10**9), ("500MB", 5 * 10**8), ("1.5G", 15 * 10**8),
        ("1GiB", 2**30), ("512MiB", 2**29), ("64KiB", 65536), ("64k", 64000), ("1T", 10**12), (" 3 TB ", 3 * 10**12),
        ("1b", 1), (".5k", 500), ("9223372036854774784", 9223372036854774784),
    ],
)  # fmt: skip
def test_sizes_that_are_accepted(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "0GB", ".5b", "GB", "-1", "1iB", "1i", "1PB", "2 G B", "1e9", "nan", "9223372036854775807", "9" * 400,
        "1.2.3", "٣",
    ],
)  # fmt: skip
def test_sizes_that_are_refused_say_what_was_given_and_what_is_possible(text: str) -> None:
    with pytest.raises(
        RequestError, match=r"^--max-disk is '.*'; possible: 500MB, 2GB, 1\.5GB, 512MiB, or none for no limit$"
    ):
        size(text, "--max-disk")


def test_what_is_refused_is_shown_on_one_line() -> None:
    with pytest.raises(RequestError) as refused:
        seconds("1\n\x1b[31m\udcff")
    assert str(refused.value).startswith(r"duration is '1\n\x1b[31m\xff'")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0 s"), (0.0004, "0 s"), (-0.0001, "0 s"), (0.001, "1 ms"), (0.85, "850 ms"), (0.9994, "999 ms"),
        (0.9996, "1 s"), (1.5, "1.5 s"), (9.94, "9.9 s"), (9.96, "10 s"), (42, "42 s"), (59.4, "59 s"), (59.6, "1 min"),
        (89, "1 min 29 s"), (600, "10 min"), (3599.6, "1 h"), (9000, "2 h 30 min"), (86399.7, "1 d"),
        (273600, "3 d 4 h"),
        (-9000, "-2 h 30 min"),
    ],
)  # fmt: skip
def test_durations_as_a_person_says_them(value: float, expected: str) -> None:
    assert duration_text(value) == expected


@given(st.floats(0, 36500 * 86400.0))
def test_a_duration_that_is_shown_can_be_typed_and_is_the_same_within_its_rounding(value: float) -> None:
    shown = duration_text(value)
    read = seconds(shown)
    if value < 9.94:
        step = 0.0005 if shown.endswith(" ms") or value < 0.9995 else 0.05
        assert abs(read - value) <= step + 1e-9
    else:  # of the two units the smaller is cut off, as a clock does
        step = 3600 if value >= 86400 else 60 if value >= 3600 else 1
        assert -0.5 - 1e-6 <= value - read < step
    assert len(re.findall(r"\d+", shown)) <= 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", "2025-11-24T14:00:00.500Z"),
        ("90", "2025-11-24T15:58:30.500Z"),
        ("1h30m", "2025-11-24T14:30:00.500Z"),
        ("2025-11-20", "2025-11-19T23:00:00.000Z"),
        ("2025-07-20", "2025-07-19T22:00:00.000Z"),
        ("2025-11-20 08:30", "2025-11-20T07:30:00.000Z"),
        ("2025-11-20T08:30:15.250", "2025-11-20T07:30:15.250Z"),
        ("2025-11-20 08:30Z", "2025-11-20T08:30:00.000Z"),
        ("2025-11-20 08:30+05:30", "2025-11-20T03:00:00.000Z"),
        ("08:30", "2025-11-24T07:30:00.000Z"),
        (" 08:30:10 ", "2025-11-24T07:30:10.000Z"),
    ],
)
@pytest.mark.usefixtures("berlin")
def test_moments_are_so_long_ago_or_local_times_unless_they_say_otherwise(text: str, expected: str) -> None:
    assert utc_text(moment(text, NOW)) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2025-13-01", "25:00", "-2h", "0001-01-01x", "9" * 30, "2025-11-20 8h", "\0"]
)
def test_moments_that_are_refused_say_what_is_possible(text: str) -> None:
    with pytest.raises(RequestError, match=r"^--since is '.*'; possible: 2h \(so long ago\), 2026-11-24, "):
        moment(text, NOW, "--since")


@given(st.integers(0, 4_102_444_800_000))
def test_utc_text_and_utc_moment_are_each_others_inverse_to_the_millisecond(milliseconds: int) -> None:
    at = milliseconds / 1000
    assert utc_moment(utc_text(at)) == at


@given(st.floats(0, 4_102_444_800))
def test_utc_text_cuts_off_less_than_a_millisecond_and_sorts_as_time_does(at: float) -> None:
    read = utc_moment(utc_text(at))
    assert -1e-6 <= at - read < 0.001 + 1e-6  # datetime rounds to a microsecond first
    assert utc_text(read) == utc_text(at)
    assert utc_text(at + 0.0011) > utc_text(at)


@pytest.mark.parametrize(
    "text", ["", "2025-11-24", "2025-11-24T16:00:00Z", "2025-11-24T16:00:00.000", "2025-02-30T00:00:00.000Z", "x"]
)
def test_what_utc_text_never_wrote_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not match format|out of range"):
        utc_moment(text)
