"""The kept photographs: their names are the only index, and others' files are left alone."""

from __future__ import annotations

import io
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_nima.errors import OutputError, RequestError
from edge_nima.watch import shots as module
from edge_nima.watch.events import Shot
from edge_nima.watch.shots import Gallery, list_shots
from edge_nima.watch.units import utc_text
from storing import AT, Writer, filled, small_disk


def save(gallery: Gallery, number: int = 0, mean: float = 5.0, size: int = 1000, camera: str = "garden") -> Shot:
    return gallery.save(bytes(size), camera=camera, taken_at=AT + number, mean=mean, rating=3)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def means(gallery: Gallery) -> list[float]:
    return sorted(shot.mean for shot in gallery.shots())


def test_a_name_says_everything_and_is_read_back(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    shot = gallery.save(b"abc", camera="garden", taken_at=AT + 0.123, mean=6.78949, rating=4)
    assert files(tmp_path) == ["shots/2025-11-24/garden_20251124T160000.123Z_6.789_r4.jpg"]
    assert shot == Shot(tmp_path / files(tmp_path)[0], "garden", AT + 0.123, 6.789, 4, 3)
    assert shot.path.read_bytes() == b"abc"
    assert list_shots(tmp_path) == Gallery(tmp_path).shots() == [shot]


@given(
    st.text("abc_-0129", min_size=1, max_size=100),
    st.integers(0, 4_102_444_800_000),
    st.integers(1000, 10_000),
    st.integers(1, 5),
)
def test_names_go_both_ways(camera: str, milliseconds: int, mean: int, rating: int) -> None:
    at = milliseconds / 1000
    stamp = utc_text(at).replace("-", "").replace(":", "")
    entry = module._entry(f"{camera}_{stamp}_{mean / 1000:.3f}_r{rating}.jpg", 7)
    assert entry is not None
    assert (entry.camera, entry.taken_at, entry.mean, entry.rating, entry.size) == (camera, at, mean / 1000, rating, 7)


@pytest.mark.parametrize(
    ("camera", "label"),
    [
        ("Garden", "garden"),
        ("../../etc", "______etc"),
        ("a b/ü", "a_b__"),
        ("", "camera"),
        ("x" * 300, "x" * 100),
        ("a\0\n", "a__"),
    ],
)
def test_what_a_name_cannot_hold_becomes_an_underscore(tmp_path: Path, camera: str, label: str) -> None:
    gallery = Gallery(tmp_path)
    assert save(gallery, camera=camera).camera == label
    (name,) = files(tmp_path)
    assert gallery.path_of(os.path.basename(name)) == tmp_path / name
    assert Gallery(tmp_path).shots()[0].camera == label


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("mean", float("nan")),
        ("mean", -1.0),
        ("mean", 100.0),
        ("rating", 0),
        ("rating", 6),
        ("taken_at", 1e12),
        ("taken_at", -1e14),
    ],
)
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
    assert gallery.total_bytes() == 4000


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


def test_other_files_and_links_are_not_listed_and_left_as_they_are(tmp_path: Path) -> None:
    theirs = others(tmp_path)
    before = files(tmp_path)
    gallery = Gallery(tmp_path, max_bytes=1)
    assert gallery.shots() == list_shots(tmp_path) == []
    assert gallery.total_bytes() == 0
    for number in range(3):
        save(gallery, number)
    (only,) = gallery.shots()
    gallery.delete(only.path.name)
    assert files(tmp_path) == before
    assert all(path.exists() or path.is_symlink() for path in theirs)


def test_links_are_no_photographs(tmp_path: Path) -> None:
    others(tmp_path)
    gallery = Gallery(tmp_path)
    for path in sorted((tmp_path / "shots").rglob("*")):
        with pytest.raises(RequestError, match="no photograph"):
            gallery.path_of(path.name)
        with pytest.raises(RequestError, match="no photograph"):
            gallery.delete(path.name)


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


def test_the_worst_go_first_and_never_the_newest(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, max_bytes=3000)
    for number, mean in enumerate([5.0, 7.0, 6.0]):
        save(gallery, number, mean)
    save(gallery, 3, 8.0)
    assert means(gallery) == [6.0, 7.0, 8.0]
    save(gallery, 4, 1.0)  # the worst of all, and it stays
    assert means(gallery) == [1.0, 7.0, 8.0]
    save(gallery, 5, 7.5)
    assert means(gallery) == [7.0, 7.5, 8.0]
    save(gallery, 6, 2.0, size=10_000)  # more than there may be altogether
    assert means(gallery) == [2.0]
    assert gallery.total_bytes() == 10_000
    save(gallery, 7, 1.5)
    assert means(gallery) == [1.5]


def test_what_is_taken_earlier_but_saved_last_stays_too(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, max_bytes=2000)
    save(gallery, 10, 6.0)
    save(gallery, 11, 7.0)
    save(gallery, -5000, 1.0)  # the clock was set back
    assert means(gallery) == [1.0, 7.0]


def test_of_equals_the_oldest_goes(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, max_bytes=2000)
    for number in (5, 4, 6, 7):
        save(gallery, number)
    assert [shot.taken_at - AT for shot in gallery.shots()] == [7, 6]


def test_the_limit_holds_for_what_was_there_at_the_start_but_for_the_newest(tmp_path: Path) -> None:
    before = Gallery(tmp_path)
    for number in range(10):
        save(before, number, 9.0 - number / 2)
    gallery = Gallery(tmp_path, max_bytes=4000)
    assert means(gallery) == [4.5, 8.0, 8.5, 9.0]
    assert len(files(tmp_path)) == 4


def test_sizes_stay_within_the_limit_over_many(tmp_path: Path) -> None:
    chance, gallery = random.Random(0), Gallery(tmp_path, max_bytes=20_000)
    kept: list[tuple[float, int, int]] = []
    for number in range(400):
        size, mean = chance.randint(1, 3000), chance.randint(1000, 9999) / 1000
        save(gallery, number, mean, size)
        kept.append((mean, number, size))
        while sum(one[2] for one in kept) > 20_000:
            kept.remove(min(one for one in kept if one[1] != number))
        assert gallery.total_bytes() == sum(one[2] for one in kept)
    assert means(gallery) == sorted(one[0] for one in kept)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.jpg")) == gallery.total_bytes()


def test_what_an_interrupted_write_left_is_removed_at_the_start(tmp_path: Path) -> None:
    shot = save(Gallery(tmp_path))
    left = shot.path.with_name(shot.path.name.replace("_r3", "_r4") + ".new")
    left.write_bytes(b"half")
    assert len(Gallery(tmp_path).shots()) == 1
    assert not left.exists()


def test_those_deleted_by_hand_are_noticed_and_no_reason_to_remove_others(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, max_bytes=10_000)
    shots = [save(gallery, number, 5 + number / 10) for number in range(10)]
    for shot in shots[3:]:
        shot.path.unlink()
    save(gallery, 10, 1.0)
    save(gallery, 11, 1.1)
    assert means(gallery) == [1.0, 1.1, 5.0, 5.1, 5.2]
    assert gallery.total_bytes() == 5000
    shots[0].path.unlink()
    with pytest.raises(RequestError):
        gallery.delete(shots[0].path.name)
    assert means(gallery) == [1.0, 1.1, 5.1, 5.2]
    assert gallery.total_bytes() == 4000


def test_the_whole_folder_deleted_by_hand_is_made_again(tmp_path: Path) -> None:
    import shutil

    gallery = Gallery(tmp_path, max_bytes=1500)
    save(gallery, 0)
    shutil.rmtree(tmp_path / "shots")
    assert gallery.shots() == []
    save(gallery, 1)
    save(gallery, 2)
    assert len(files(tmp_path)) == len(gallery.shots()) == 1


def test_one_that_cannot_be_removed_costs_no_photograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gallery = Gallery(tmp_path, max_bytes=3000)
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
    assert gallery.total_bytes() == 3000


def test_orders_limits_and_cameras(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    for number, (mean, camera) in enumerate([(6.0, "garden"), (8.0, "door"), (7.0, "garden"), (8.0, "garden")]):
        save(gallery, number, mean, camera=camera)
    order = lambda **asked: [shot.taken_at - AT for shot in gallery.shots(**asked)]  # type: ignore[arg-type]  # noqa: E731
    assert order() == [3, 2, 1, 0]
    assert order(order="best") == [3, 1, 2, 0]
    assert order(order="best", limit=2) == [3, 1]
    assert order(limit=0) == []
    assert order(camera="garden", order="best") == [3, 2, 0]
    assert order(camera="nobody") == []
    with pytest.raises(RequestError, match=r"^order is 'worst'; possible: newest, best$"):
        gallery.shots("worst")


def test_an_empty_day_is_removed_and_made_again(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    shot = save(gallery)
    gallery.delete(shot.path.name)
    assert not shot.path.parent.exists()
    assert save(gallery).path == shot.path


def test_a_photograph_saved_while_its_namesake_is_found_gone_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery(tmp_path)
    first = save(gallery, 0, 5.0, 100)
    first.path.unlink()
    is_file = Path.is_file

    def saves_meanwhile(path: Path) -> bool:
        there = is_file(path)
        if not there and path == first.path:
            monkeypatch.setattr(Path, "is_file", is_file)
            assert gallery.shots() == []  # another thread finds it gone as well
            assert save(gallery, 0, 5.0, 200).path == first.path
        return there

    monkeypatch.setattr(Path, "is_file", saves_meanwhile)
    assert gallery.shots() == []
    assert [shot.size for shot in gallery.shots()] == [200]


def test_threads_may_save_delete_and_list_at_once(tmp_path: Path) -> None:
    gallery, errors, stop = Gallery(tmp_path, max_bytes=40_000), list[BaseException](), threading.Event()

    def repeatedly(work: Callable[[random.Random], object]) -> threading.Thread:
        def run() -> None:
            chance = random.Random(id(work))
            try:
                while not stop.is_set():
                    work(chance)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def delete(chance: random.Random) -> None:
        for shot in gallery.shots(limit=5):
            try:
                gallery.delete(shot.path.name)
            except RequestError:  # another thread was first
                continue

    def put(chance: random.Random) -> None:
        save(gallery, chance.choice([0, 86400, 2 * 86400]), chance.randint(1000, 1010) / 1000, chance.randint(1, 4000))

    threads = [
        repeatedly(work)
        for work in (put, put, delete, lambda chance: list_shots(tmp_path), lambda chance: gallery.shots("best"))
    ]
    time.sleep(1.0)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert gallery._number > 20, "hardly anything was saved"
    on_disk = {path: path.stat().st_size for path in tmp_path.rglob("*.jpg")}
    assert {shot.path: shot.size for shot in gallery.shots()} == on_disk
    assert gallery.total_bytes() == sum(on_disk.values())
    assert not list(tmp_path.rglob("*.new"))


KILLED = """
    import sys
    from pathlib import Path
    from edge_nima.watch.shots import Gallery
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
            assert gallery.total_bytes() == 0
        assert save(gallery, size=100_000).path.name == GOOD


def test_a_folder_that_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "shots").write_bytes(b"")
    with pytest.raises(OutputError, match=r"^cannot keep photographs in '.*/shots': "):
        Gallery(tmp_path)


def test_nothing_there_is_nothing_to_list(tmp_path: Path) -> None:
    assert list_shots(tmp_path / "nowhere") == []
