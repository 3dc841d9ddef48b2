"""Hours of the week against a plain model of them, also where clocks are changed; dark, black and frozen pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_nima.errors import RequestError
from edge_nima.watch.schedule import DAYS, PictureMonitor, Schedule

MONDAY = datetime(2026, 11, 23)


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def local(day: int, clock: str) -> float:
    """A moment of the week that begins on Monday the 23rd of November 2026."""
    return datetime.fromisoformat(f"2026-11-{23 + day} {clock}").timestamp()


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("06:00-20:00", [(0, "06:00"), (6, "19:59:59")], [(0, "05:59:59"), (0, "20:00")]),
        ("6-20", [(0, "06:00")], [(0, "20:00")]),
        ("22:00-04:00", [(0, "23:00"), (1, "03:59"), (0, "00:00")], [(0, "04:00"), (0, "21:59")]),
        ("Mon-Fri 07:00 - 19:00", [(0, "07:00"), (4, "18:00")], [(5, "12:00"), (6, "12:00")]),
        ("sat,sun 09:00-17:00", [(5, "10:00"), (6, "10:00")], [(4, "10:00"), (0, "10:00")]),
        ("fri-mon 18:00-24:00", [(4, "23:59"), (0, "18:00"), (6, "20:00")], [(1, "18:00"), (3, "18:00"), (5, "00:00")]),
        ("friday 22:00-04:00", [(4, "22:00"), (5, "03:00")], [(4, "03:00"), (5, "22:00")]),
        ("mon-fri 07:00-09:00, 17:00-19:00", [(1, "08:00"), (1, "18:00")], [(1, "12:00"), (5, "18:00")]),
        ("06:00-08:00, sat 10:00-11:00", [(2, "07:00"), (5, "10:30")], [(2, "10:30")]),
        ("00:00-24:00", [(day, "00:00") for day in range(7)], []),
    ],
)
def test_hours_are_as_typed(text: str, inside: list[tuple[int, str]], outside: list[tuple[int, str]]) -> None:
    schedule = Schedule.parse(text)
    assert [schedule.active(local(*at)) for at in inside] == [True] * len(inside)
    assert [schedule.active(local(*at)) for at in outside] == [False] * len(outside)


@pytest.mark.parametrize(
    "text",
    ["", ",", "noon", "06:00", "06:00-06:00", "06:00-25:00", "24:00-06:00", "06:60-07:00", "mon-fri", "06:00-20:00 mon",
     "mo 06:00-20:00", "mon-funday 6-7", "6-7-8", "\u0661-\u0662", "-1-5", "monkey 6-7",
     "06:00-20:00\x1b[2J", "06:00-24:01"],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(RequestError, match=r"^--when is '.*'; possible: 06:00-20:00, ") as error:
        Schedule.parse(text)
    assert str(error.value).isprintable()


minutes = st.integers(0, 1439)
windows = st.tuples(st.sets(st.integers(0, 6)), minutes, st.integers(0, 1440)).filter(lambda w: w[1] != w[2])


@given(st.lists(windows, min_size=1, max_size=4), st.integers(0, 6), minutes)
def test_a_schedule_is_the_union_of_its_windows(typed: list[tuple[set[int], int, int]], day: int, minute: int) -> None:
    """Against a set of the week's minutes, each counted through."""
    active: set[tuple[int, int]] = set()
    words, last = [], set(range(7))
    for days, begin, end in typed:
        last = days or last
        for first in last:
            for passed in range(begin, end if begin < end else end + 1440):
                active.add(((first + passed // 1440) % 7, passed % 1440))
        names = ",".join(DAYS[number] for number in sorted(days))
        words.append(f"{names} {begin // 60:02}:{begin % 60:02}-{end // 60}:{end % 60:02}".strip())
    schedule = Schedule.parse(", ".join(words))
    at = local(day, f"{minute // 60:02}:{minute % 60:02}")
    assert schedule.active(at) == schedule.active(at + 59.9) == ((day, minute) in active)


def test_the_clock_on_the_wall_counts_where_it_is_changed() -> None:
    morning = Schedule.parse("06:00-07:00")
    for date, hour in (("2026-03-28", 5), ("2026-03-29", 4), ("2026-10-24", 4), ("2026-10-25", 5)):  # UTC
        midnight = datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()
        assert [h for h in range(24) if morning.active(midnight + 3600 * h + 1800)] == [hour]
    night = Schedule.parse("22:00-04:00")
    spring, autumn = (datetime.fromisoformat(f"{date} 12:00").timestamp() for date in ("2026-03-28", "2026-10-24"))
    assert [sum(night.active(start + 60 * m) for m in range(1440)) for start in (spring, autumn)] == [300, 420]


# Pictures


def picture(level: float, noise: float = 0.0, seed: int = 0) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return np.clip(random.normal(level, noise or 1e-9, (96, 128, 3)).round(), 0, 255).astype(np.uint8)


def test_dark_has_hysteresis() -> None:
    monitor = PictureMonitor(dark_below=40)
    said = []
    for second, level in enumerate((100, 41, 39, 41, 43, 39, 45, 41)):
        monitor.look(picture(level), float(second))
        monitor.look(picture(0), second + 0.5)  # it looks at most once a second
        said.append(monitor.dark)
    assert said == [False, False, True, True, True, True, False, False]
    never = PictureMonitor()
    never.look(picture(0), 0)
    assert not never.dark


def problems(pictures: list[NDArray[np.uint8]], step_s: float = 1.0, **more: float) -> list[str | None]:
    monitor, said = PictureMonitor(**more), []
    for number, rgb in enumerate(pictures):
        monitor.look(rgb, 1000 + number * step_s)
        said.append(monitor.problem)
    return said


def test_a_frozen_picture_is_noticed_after_a_minute_and_forgotten_when_it_moves() -> None:
    still, moved = picture(90, 30), picture(90, 30, seed=1)
    said = problems([moved, *[still] * 62, moved, still])
    assert said[:61] == [None] * 61
    assert said[61:] == ["frozen picture: unchanged for 60 s and more"] * 2 + [None, None]


def test_a_still_scene_with_a_sensors_noise_is_not_frozen() -> None:
    scene = picture(90, 30).astype(np.int16)
    noisy = [
        (scene + picture(128, 0.5, seed).astype(np.int16) - 128).clip(0, 255).astype(np.uint8) for seed in range(90)
    ]
    assert problems(noisy) == [None] * 90


def test_equal_snapshots_minutes_apart_are_frozen_only_when_they_are_many() -> None:
    said = problems([picture(90, 30)] * 6, step_s=600)
    assert said[:4] == [None] * 4
    assert said[4] == "frozen picture: unchanged for 60 s and more"


def test_a_black_picture_is_noticed_also_with_noise_and_a_dark_scene_is_not() -> None:
    said = problems([picture(2, 1, seed) for seed in range(62)])
    assert (said[59], said[60]) == (None, "black picture: lens cap, or no light")
    lamp = [picture(2, 1, seed) for seed in range(62)]
    for rgb in lamp:
        rgb[:20, :20] = 200
    assert problems(lamp) == [None] * 62


def test_a_time_that_goes_back_begins_anew() -> None:
    monitor = PictureMonitor(frozen_after_s=5)
    still = picture(90, 30)
    for second in (*range(100, 110), *range(4)):
        monitor.look(still, float(second))
    assert monitor.problem is None
