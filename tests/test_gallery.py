"""The kept photographs: their names are the only index, and others' files are left alone."""

from __future__ import annotations

import io
import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_nima.errors import OutputError, RequestError
from edge_nima.selection import Candidate
from edge_nima.watch import gallery as module
from edge_nima.watch import xmp
from edge_nima.watch.events import Shot
from edge_nima.watch.gallery import Gallery, list_shots
from edge_nima.watch.units import utc_text
from storing import AT, Writer, filled, small_disk


def save(gallery: Gallery, number: int = 0, mean: float = 5.0, size: int = 1000, camera: str = "garden") -> Shot:
    return gallery.save(bytes(size), camera=camera, taken_at=AT + number, mean=mean, rating=3)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def total(gallery: Gallery) -> int:
    return sum(shot.size for shot in gallery.shots())


def means(gallery: Gallery) -> list[float]:
    return sorted(shot.mean for shot in gallery.shots())


def test_a_name_says_everything_and_is_read_back(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    shot = gallery.save(b"abc", camera="garden", taken_at=AT + 0.123, mean=6.78949, rating=4)
    assert files(tmp_path) == ["shots/2025-11-24/garden_20251124T160000.123Z_6.789_r4.jpg"]
    assert shot == Shot(tmp_path / files(tmp_path)[0], "garden", AT + 0.123, 6.789, 4, 3)
    assert shot.path.read_bytes() == b"abc"
    assert list_shots(tmp_path) == Gallery(tmp_path).shots() == [shot]
    assert list_shots(tmp_path / "nowhere") == []


@given(
    st.text("abc_-0129", min_size=1, max_size=100),
    st.integers(0, 4_102_444_800_000),
    st.integers(1000, 10_000),
    st.integers(1, 5),
)
def test_names_go_both_ways(camera: str, milliseconds: int, mean: int, rating: int) -> None:
    at = milliseconds / 1000
    stamp = utc_text(at).replace("-", "").replace(":", "")
    name = f"{camera}_{stamp}_{mean / 1000:.3f}_r{rating}.jpg"
    entry = module._shot(Path("shots", utc_text(at)[:10], name), 7)
    assert entry is not None
    assert (entry.camera, entry.taken_at, entry.mean, entry.rating, entry.size) == (camera, at, mean / 1000, rating, 7)


LABELS = [("Garden", "garden"), ("../../etc", "______etc"), ("a b/ü", "a_b__"), ("", "camera"), ("x" * 300, "x" * 100)]


@pytest.mark.parametrize(("camera", "label"), [*LABELS, ("a\0\n", "a__")])
def test_what_a_name_cannot_hold_becomes_an_underscore(tmp_path: Path, camera: str, label: str) -> None:
    gallery = Gallery(tmp_path)
    assert save(gallery, camera=camera).camera == label
    (name,) = files(tmp_path)
    assert gallery.path_of(os.path.basename(name)) == tmp_path / name
    assert Gallery(tmp_path).shots()[0].camera == label


IMPOSSIBLE = [("mean", float("nan")), ("mean", -1.0), ("mean", 100.0), ("rating", 0), ("rating", 6), ("taken_at", 1e12)]


@pytest.mark.parametrize(("what", "value"), [*IMPOSSIBLE, ("taken_at", -1e14)])
def test_what_no_name_can_hold_is_refused_and_leaves_nothing(tmp_path: Path, what: str, value: float) -> None:
    gallery = Gallery(tmp_path)
    good = {"camera": "garden", "taken_at": AT, "mean": 5.0, "rating": 3}
    with pytest.raises((ValueError, OverflowError)):
        gallery.save(b"abc", **{**good, what: value})  # type: ignore[arg-type]
    assert not list((tmp_path / "shots").iterdir())


def test_the_same_millisecond_twice_are_two_photographs(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    shots = [save(gallery) for _ in range(4)]
    assert [shot.path.name.rpartition("_")[2] for shot in shots] == ["r3.jpg", "r3-2.jpg", "r3-3.jpg", "r3-4.jpg"]
    again = Gallery(tmp_path)
    assert len(again.shots()) == 4
    assert save(again).path.name.endswith("_r3-5.jpg")
    assert total(gallery) == 4000


def others(tmp_path: Path) -> list[Path]:
    """What people and programs put into such folders."""
    day, outside = tmp_path / "shots" / "2025-11-24", tmp_path / "outside"
    day.mkdir(parents=True)
    outside.mkdir()
    good = "garden_20251124T160000.123Z_6.789_r4"
    made = [
        day / "note.txt", day / f"{good}.jpeg", day / f"{good}.JPG", day / "mine.jpg.new", day / ".hidden",
        day / f"{good}.jpg.xmp", day / "garden_20251124T160000.123Z_6.789_r6.jpg",
        day / "garden_20251124T160000Z_6.789_r4.jpg",
        day / "garden_20251124T250000.123Z_6.789_r4.jpg", day / "garden_20251125T160000.123Z_6.789_r4.jpg",
        day / f"{good}-.jpg", tmp_path / "shots" / f"{good}.jpg", outside / f"{good}.jpg", outside / f"{good}.jpg.new",
    ]  # fmt: skip
    for path in made:
        path.write_bytes(b"theirs")
    (day / f"{good}-2.jpg").symlink_to(outside / f"{good}.jpg")
    (day / f"{good}-3.jpg").mkdir()
    (day / f"{good}-4.jpg.new").mkdir()
    (day / f"{good}-5.jpg.new").symlink_to(outside / f"{good}.jpg")
    os.link(outside / f"{good}.jpg", outside / "hard.jpg")
    (tmp_path / "shots" / "2025-11-25").symlink_to(outside)
    (tmp_path / "shots" / "favourites").mkdir()
    (tmp_path / "shots" / "favourites" / f"{good}.jpg").write_bytes(b"theirs")
    return [*made, day / f"{good}-2.jpg", day / f"{good}-3.jpg", day / f"{good}-4.jpg.new", day / f"{good}-5.jpg.new"]


def test_other_files_and_links_are_no_photographs_and_left_as_they_are(tmp_path: Path) -> None:
    theirs = others(tmp_path)
    before = files(tmp_path)
    gallery = Gallery(tmp_path, max_bytes=1)
    assert gallery.shots() == list_shots(tmp_path) == []
    for number in range(3):
        save(gallery, number)
    (only,) = gallery.shots()
    gallery.delete(only.path.name)
    for path in theirs:
        with pytest.raises(RequestError, match="no photograph"):
            gallery.delete(path.name)
    assert files(tmp_path) == before
    assert all(path.exists() or path.is_symlink() for path in theirs)


GOOD = "garden_20251124T160000.000Z_5.000_r3.jpg"


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../" + GOOD, "2025-11-24/" + GOOD, "/etc/passwd", "..%2f" + GOOD, "%2e%2e%2f" + GOOD,
        GOOD + "\0", GOOD + "\n",
        "\0" + GOOD, GOOD + "/", GOOD + "/..", "..\\" + GOOD, GOOD.upper(), GOOD + ".new", "x" * 100_000,
        "x" * 101 + GOOD,
        GOOD.replace("2", "\uff12"), "\udcff" + GOOD, GOOD.replace("garden", "other"), "../outside.jpg", " " + GOOD,
    ],
)  # fmt: skip
def test_only_a_name_that_was_given_leads_to_a_file(tmp_path: Path, name: str) -> None:
    gallery = Gallery(tmp_path)
    shot = save(gallery)
    (tmp_path / "outside.jpg").write_bytes(b"secret")
    assert gallery.path_of(GOOD) == shot.path
    for asked in (gallery.path_of, gallery.delete):
        with pytest.raises(RequestError) as refused:
            asked(name)
        assert str(refused.value).startswith("no photograph '")
        assert len(str(refused.value)) < 1000
        assert str(refused.value).isprintable()
    assert shot.path.exists()


DAY = 86400.0
NOW = AT + 4 * 3600  # of the day that AT is in


def full(folder: Path, photographs: int, per_day: int = 2, now: float = NOW, **more: float) -> Gallery:
    """A gallery with room for so many photographs of 1000 bytes."""
    return Gallery(folder, 1000 * photographs, per_day, clock=lambda: now, **more)


def test_older_days_are_thinned_to_their_best_first_then_go_from_the_oldest_and_of_today_the_worst(
    tmp_path: Path,
) -> None:
    filling = Gallery(tmp_path)
    for day in (-2, -1, 0):
        for number, mean in enumerate([8.0, 6.0, 7.0, 5.0]):
            save(filling, int(day * DAY) + number, mean - day)  # each day is worse than the one before

    def left(room: int) -> list[float]:
        gallery = full(tmp_path, room)
        gallery.make_room()
        return [shot.mean for shot in gallery.shots("best")]

    assert left(12) == [10.0, 9.0, 9.0, 8.0, 8.0, 8.0, 7.0, 7.0, 7.0, 6.0, 6.0, 5.0]
    assert left(11) == [10.0, 9.0, 9.0, 8.0, 8.0, 8.0, 7.0, 7.0, 6.0, 6.0, 5.0], "the oldest day's worst"
    assert left(8) == [10.0, 9.0, 9.0, 8.0, 8.0, 7.0, 6.0, 5.0], "two of each day before today"
    assert left(7) == [10.0, 9.0, 8.0, 8.0, 7.0, 6.0, 5.0], "then the oldest day goes, its worst first"
    assert left(5) == [9.0, 8.0, 7.0, 6.0, 5.0]
    assert left(3) == [8.0, 7.0, 5.0], "the newest stays"
    assert left(1) == [5.0]


def test_the_photograph_saved_last_stays_however_bad_large_or_old_it_is(tmp_path: Path) -> None:
    gallery = full(tmp_path, 3)
    for number, mean in enumerate([5.0, 7.0, 6.0, 8.0, 1.0]):
        save(gallery, number, mean)
    assert means(gallery) == [1.0, 7.0, 8.0]
    save(gallery, int(-9 * DAY), 1.5)  # the clock was set back
    assert means(gallery) == [1.5, 7.0, 8.0]
    save(gallery, 6, 2.0, size=10_000)
    assert means(gallery) == [2.0]


def test_thirty_grey_days_keep_the_best_of_each_day_and_all_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 10: means fall from day to day, so the newest are always the worst of all."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    told: list[Shot] = []
    at = [AT]
    gallery = Gallery(tmp_path, 400 * 1000, per_day=10, clock=lambda: at[0])
    gallery.on_removed = told.append
    saved: list[Shot] = []
    for day in range(30):
        for window in range(48):
            at[0] = AT - 16 * 3600 + day * DAY + window * 1800
            mean = 8 - day / 10 + window * 7 % 48 / 1000
            saved.append(gallery.save(bytes(1000), camera="garden", taken_at=at[0], mean=mean, rating=3))
    kept = gallery.shots()
    days = {day: [shot for shot in saved if utc_text(shot.taken_at)[:10] == day] for day in gallery.days()}
    assert len(days) == 30
    assert total(gallery) == 1000 * len(kept) == 400_000
    assert set(told) == set(saved) - set(kept)
    of_day = {day: [shot for shot in kept if shot in shots] for day, shots in days.items()}
    today, yesterday, *earlier = sorted(days, reverse=True)
    assert set(of_day[today]) == set(days[today])
    for shots, left in ((days[day], of_day[day]) for day in (yesterday, *earlier)):
        assert len(left) >= 10
        best = sorted(shots, key=lambda shot: shot.mean, reverse=True)
        assert set(left) == set(best[: len(left)]), "the best of the day, and no others"
    assert sum(len(of_day[day]) > 10 for day in earlier) <= 2, "the oldest days are thinned first"


def test_days_beyond_the_limit_go_and_favourites_stay(tmp_path: Path) -> None:
    filling = Gallery(tmp_path)
    shots = [save(filling, int(-day * DAY), 5.0) for day in range(10)]
    filling.set_favourite(shots[8].path.name, True)
    gallery = Gallery(tmp_path, days=3, clock=lambda: NOW)
    assert len(gallery.shots()) == 10
    gallery.make_room()
    assert [round((AT - shot.taken_at) / DAY) for shot in gallery.shots()] == [0, 1, 2, 3, 8]


def test_before_the_clock_is_believed_today_is_the_day_of_the_photograph_saved_last(tmp_path: Path) -> None:
    """`SteadyClock` says 0.0 in the service's first hour: by it all days would be one, and their worst would go."""
    gallery = full(tmp_path, 4, per_day=2, now=0.0, days=3.0)
    for number, mean in enumerate([9.0, 8.0, 7.0, 2.0]):
        save(gallery, int(-DAY) + number, mean)
    save(gallery, 0, 1.0)
    assert means(gallery) == [1.0, 7.0, 8.0, 9.0]
    save(gallery, 1, 1.5)
    save(gallery, 2, 1.2)
    assert means(gallery) == [1.0, 1.2, 1.5, 9.0], "yesterday's go before today's"


def test_a_clock_in_the_future_makes_old_days_of_none_that_were_not(tmp_path: Path) -> None:
    """Photographs of days that have not come are of today: none goes before those of yesterday."""
    filling = Gallery(tmp_path)
    for day, mean in ((-1, 9.0), (0, 5.0), (60, 4.0)):
        save(filling, int(day * DAY), mean)
    gallery = full(tmp_path, 2)
    gallery.make_room()
    assert means(gallery) == [4.0, 5.0]


def test_nothing_is_removed_when_a_gallery_is_opened_and_without_a_limit_never(tmp_path: Path) -> None:
    """Faults 1 and 10."""
    before = Gallery(tmp_path, None)
    for number in range(10):
        save(before, number, 9.0 - number / 2)
    (tmp_path / "shots" / "2025-11-24" / (GOOD + ".new")).write_bytes(b"half")
    there = files(tmp_path)
    Gallery(tmp_path, 1, days=0.0, clock=lambda: NOW + 99 * DAY)
    Gallery(tmp_path).make_room()
    assert len(files(tmp_path)) == len(there) - 1
    assert len(before.shots()) == 10


def jpeg(**more: object) -> bytes:
    rgb = np.full((30, 40, 3), 90, np.uint8)
    facts = {"mean": 5.0, "std": 1.0, "distribution": (0.1,) * 10, "model": "m", "taken_at": AT, "camera": "garden"}
    return xmp.encode(rgb, **{**facts, **more})  # type: ignore[arg-type]


def test_a_favourite_says_so_in_its_name_and_its_xmp_and_is_never_removed(tmp_path: Path) -> None:
    gallery = full(tmp_path, 1)
    shot = gallery.save(jpeg(), camera="garden", taken_at=AT, mean=2.0, rating=3)
    marked = gallery.set_favourite(shot.path.name, True)
    assert (marked.favourite, marked.size) == (True, marked.path.stat().st_size)
    assert marked.path.name == "garden_20251124T160000.000Z_2.000_r3_fav.jpg"
    assert xmp.is_favourite(marked.path)
    assert not shot.path.exists()
    assert gallery.set_favourite(marked.path.name, True) == marked
    for number in range(1, 4):
        save(gallery, number, 9.0)
    gallery.supersede(marked.path.name)
    assert gallery.shots(favourites_only=True) == [marked]
    assert marked in list_shots(tmp_path)
    plain = Gallery(tmp_path).set_favourite(marked.path.name, False)
    assert (plain.path, plain.favourite, xmp.is_favourite(plain.path)) == (shot.path, False, False)
    with Image.open(plain.path) as image:
        image.load()
    with pytest.raises(RequestError, match="no photograph"):
        gallery.set_favourite("x.jpg", True)


def test_one_that_was_marked_in_a_photo_manager_stays_too(tmp_path: Path) -> None:
    gallery = full(tmp_path, 1)
    shot = gallery.save(jpeg(), camera="garden", taken_at=AT, mean=2.0, rating=3)
    shot.path.write_bytes(shot.path.read_bytes().replace(b"<rdf:RDF", b"<xmp:Label>Favorite</xmp:Label><rdf:RDF"))
    save(gallery, 1, 9.0, 5000)
    save(gallery, 2, 9.0, 5000)
    assert shot.path.exists()


def test_candidates_become_photographs_with_their_stars(tmp_path: Path) -> None:
    gallery, content = Gallery(tmp_path), jpeg(hash=77)
    what = Candidate(5.0, 6.5, 77, AT, 12345)
    path = gallery.hold(content, "garden", what)
    assert path.parent == tmp_path / "window"
    assert (gallery.shots(), gallery.waiting("other")) == ([], [])
    assert [(file, vars(one)) for file, one in gallery.waiting("garden")] == [(path, vars(what))]
    shot = gallery.save(path, camera="garden", taken_at=AT, mean=5.0, rating=4)
    assert files(tmp_path) == ["shots/2025-11-24/garden_20251124T160000.000Z_5.000_r4.jpg"]
    assert shot.path.read_bytes() == xmp.with_rating(content, 4)
    assert xmp.hash_of(shot.path) == 77
    with pytest.raises(FileNotFoundError):
        gallery.save(path, camera="garden", taken_at=AT, mean=5.0, rating=4)


def test_torn_and_empty_candidates_are_removed_and_half_rated_and_others_files_are_not(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    paths = [gallery.hold(jpeg(), "garden", Candidate(5.0, n, 0, AT + n, 1)) for n in range(4)]
    paths[0].write_bytes(b"")
    os.truncate(paths[1], 500)
    paths[2].write_bytes(xmp.with_rating(paths[2].read_bytes(), 5))  # killed before it was renamed
    (tmp_path / "window" / "mine.jpg").write_bytes(b"")
    assert {path for path, _ in gallery.waiting("garden")} == set(paths[2:])
    assert len(files(tmp_path)) == 3


def test_those_deleted_by_hand_are_noticed_and_no_reason_to_remove_others(tmp_path: Path) -> None:
    gallery = full(tmp_path, 10)
    shots = [save(gallery, number, 5 + number / 10) for number in range(10)]
    for shot in shots[3:]:
        shot.path.unlink()
    save(gallery, 10, 1.0)
    save(gallery, 11, 1.1)
    assert means(gallery) == [1.0, 1.1, 5.0, 5.1, 5.2]
    assert total(gallery) == 5000
    shots[0].path.unlink()
    with pytest.raises(RequestError):
        gallery.delete(shots[0].path.name)
    assert means(gallery) == [1.0, 1.1, 5.1, 5.2]
    shutil.rmtree(tmp_path / "shots")  # and the whole folder is made again
    save(gallery, 12)
    assert len(files(tmp_path)) == len(gallery.shots()) == 1


def test_one_that_cannot_be_removed_costs_no_photograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gallery = full(tmp_path, 3)
    stuck = save(gallery, 0, 1.0)
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path == stuck.path:
            raise PermissionError(13, "Permission denied")
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    for number in range(1, 6):
        save(gallery, number, 5 + number / 10)
    assert means(gallery) == [1.0, 5.4, 5.5]
    assert "cannot remove" in caplog.text
    assert total(gallery) == 3000


def test_orders_limits_and_cameras(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    for number, (mean, camera) in enumerate([(6.0, "garden"), (8.0, "door"), (7.0, "garden"), (8.0, "garden")]):
        save(gallery, number, mean, camera=camera)

    def moments(**asked: Any) -> list[float]:
        return [shot.taken_at - AT for shot in gallery.shots(**asked)]

    assert moments() == [3, 2, 1, 0]
    assert moments(order="best") == [3, 1, 2, 0]
    assert moments(order="best", limit=2) == [3, 1]
    assert moments(limit=0) == moments(camera="nobody") == moments(favourites_only=True) == []
    assert moments(camera="garden", order="best") == [3, 2, 0]
    gallery.save(b"", camera="garden", taken_at=AT + 86400, mean=1.0, rating=5)
    assert moments(day="2025-11-25") == moments(least_rating=4) == [86400]
    assert gallery.days() == ["2025-11-25", "2025-11-24"]
    with pytest.raises(RequestError, match=r"^order is 'worst'; possible: newest, best$"):
        gallery.shots("worst")


def test_threads_may_save_delete_and_list_at_once(tmp_path: Path) -> None:
    gallery, errors, until = Gallery(tmp_path, max_bytes=40_000), list[BaseException](), time.monotonic() + 1.0
    chance, saved = random.Random(1), list[Shot]()

    def put() -> None:
        mean = chance.randint(1000, 1010) / 1000
        saved.append(save(gallery, chance.choice([0, 86400, 2 * 86400]), mean, chance.randint(1, 4000)))

    def delete() -> None:
        for shot in gallery.shots(limit=5):
            with suppress(RequestError):  # another thread was first
                gallery.delete(shot.path.name)

    def repeatedly(work: Callable[[], object]) -> None:
        try:
            while time.monotonic() < until:
                work()
        except BaseException as error:
            errors.append(error)

    works = (put, put, delete, lambda: list_shots(tmp_path), lambda: gallery.shots("best"))
    threads = [threading.Thread(target=repeatedly, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert len(saved) > 5, "hardly anything was saved"
    on_disk = {path: path.stat().st_size for path in tmp_path.rglob("*.jpg")}
    assert {shot.path: shot.size for shot in gallery.shots()} == on_disk
    assert not list(tmp_path.rglob("*.new"))


KILLED = """
    import sys
    from pathlib import Path
    from edge_nima.watch.gallery import Gallery
    content = Path(sys.argv[2]).read_bytes()
    gallery = Gallery(Path(sys.argv[1]), 40 * len(content))
    print("open", flush=True)
    number = int(sys.argv[3])
    while True:
        shot = gallery.save(content, camera="garden", taken_at=1764000000.0 + number, mean=5.0, rating=3)
        print(shot.path, flush=True)
        number += 1
"""


def test_sigkill_while_saving_leaves_whole_photographs_only(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", quality=95)
    picture, out, chance, halves, number = tmp_path / "picture", tmp_path / "out", random.Random(4), 0, 0
    picture.write_bytes(file.getvalue())
    for _ in range(12):
        writer = Writer(KILLED, out, picture, number)
        assert writer.line() == "open"
        said = [writer.line() for _ in range(chance.randint(1, 4))]
        time.sleep(chance.uniform(0, 0.006))
        said += writer.kill()
        number += len(said) + 1
        halves += len(list(out.rglob("*.jpg.new")))
        gallery = Gallery(out)
        gallery.make_room()
        assert not list(out.rglob("*.jpg.new"))
        assert set(map(Path, said)) <= {shot.path for shot in gallery.shots()}
        for shot in gallery.shots():
            assert shot.size == picture.stat().st_size
    for shot in gallery.shots():
        with Image.open(shot.path) as image:
            image.load()
    assert halves > 0, "no write was interrupted"


def test_a_full_disk_leaves_nothing_and_once_freed_takes_the_next(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        gallery = Gallery(disk)
        with filled(disk, 8192):
            for _ in range(20):
                with pytest.raises(OutputError, match=r"^cannot write '.*garden.*\.jpg': No space left on device$"):
                    save(gallery, size=100_000)
            assert files(disk) == ["filler"]
            assert list((disk / "shots").iterdir()) == []
            assert gallery.shots() == []
            assert total(gallery) == 0
        assert save(gallery, size=100_000).path.name == GOOD


def test_a_folder_that_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "shots").write_bytes(b"")
    with pytest.raises(OutputError, match=r"^cannot keep photographs in '.*/shots': "):
        Gallery(tmp_path)
