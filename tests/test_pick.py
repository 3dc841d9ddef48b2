"""`edge-nima pick`: the best of a folder, none twice, and why."""

from __future__ import annotations

import json
import os
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import PHOTOS
from edge_nima import pick as module
from edge_nima.cli import run
from edge_nima.scorer import Scorer, open_scorer

BEST = [
    path.name for _, path in sorted((-(open_scorer().score(path).mean or 0), path) for path in PHOTOS.glob("*.jpg"))
]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six photographs of two days in two folders, near-duplicates of the best, and one that is damaged."""
    monkeypatch.chdir(tmp_path)
    os.makedirs("p/more")
    for place, name in enumerate(BEST):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"2026:05:0{1 + place % 2} 10:00:00"
        with Image.open(PHOTOS / name) as image:
            image.save(f"p/{'more/' if place % 2 else ''}{name}", quality=95, exif=exif)
    with Image.open(PHOTOS / BEST[0]) as image:
        for quality in (70, 80):
            image.save(f"p/again {quality}.jpg", quality=quality)
    Path("p/cut.jpg").write_bytes((PHOTOS / "cat.jpg").read_bytes()[:9000])
    Path("p/notes.txt").write_text("-")
    return tmp_path


Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(shelf: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(*arguments: str) -> tuple[int, str, str]:
        code = run(["pick", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return asked


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_best_are_taken_once_each_with_the_reason(ask: Ask) -> None:
    code, out, err = ask("p", "--keep", "3", "--format", "jsonl")
    picked = rows(out)
    assert code == 3
    assert [os.path.basename(row["name"]) for row in picked][1:] == BEST[1:3]
    assert {os.path.basename(name) for name in [picked[0]["name"], *picked[0]["alike"]]} == {
        BEST[0], "again 70.jpg", "again 80.jpg",
    }  # fmt: skip
    assert picked[0]["why"].startswith(f"1 of 8, mean {picked[0]['mean']:.2f}; better than 93 % of these and ")
    assert "stands for 2 alike: " in picked[0]["why"]
    ranks = [row["rank"] for row in picked]
    assert ranks == sorted(ranks)
    assert ranks[0] == 1
    assert "3 of 9 taken; left: 2 alike, 3 below, 1 not scored" in err
    assert "not scored: p/cut.jpg: damaged" in err
    assert "left out: 1 .txt" in err


def test_neither_the_order_of_arguments_nor_jobs_change_what_is_taken(ask: Ask) -> None:
    paths = [str(path) for path in Path("p").rglob("*.jpg")]
    wanted = ask("p", "--keep", "4", "--format", "paths")[1]
    for jobs in ("1", "2", "3"):
        random.Random(jobs).shuffle(paths)
        assert ask(*paths, "--keep", "4", "--format", "paths", "--jobs", jobs)[1] == wanted
    assert len(ask("p", "--alike", "-1", "--keep", "20", "--format", "paths")[1].splitlines()) == 8


def test_the_best_of_each_day(ask: Ask) -> None:
    os.utime("p/again 70.jpg", (1_600_000_000, 1_600_000_000))
    os.utime("p/again 80.jpg", (1_600_000_000, 1_600_000_000))
    _, out, err = ask("p", "--per-day", "2", "--format", "jsonl")
    days = [row["day"] for row in rows(out)]
    assert days == sorted(days)
    assert days.count("2026-05-01") == days.count("2026-05-02") == 2
    assert len(days) == 5  # the two that are alike are of one earlier day
    assert "2 have only the time of their file" in err
    assert len(rows(ask("p", "--per-day", "2", "--keep", "3", "--format", "jsonl")[1])) == 3
    least = ask("p", "--min-score", "5.3", "--format", "jsonl")[1]
    assert all(row["mean"] >= 5.3 for row in rows(least))


def test_copies_are_whole_with_their_sidecars_and_replace_nothing_unasked(ask: Ask) -> None:
    shutil.copy(f"p/{BEST[2]}", f"p/more/{BEST[2]}")
    with Image.open(PHOTOS / "cat.jpg") as other:
        other.rotate(90, expand=True).save(f"p/more/{BEST[4]}", quality=95)
    Path(f"p/{BEST[2]}.xmp").write_text("darktable")
    Path(f"p/{Path(BEST[2]).stem}.xmp").write_text("lightroom")
    code, out, _ = ask("p", "--keep", "9", "--copy", "best", "--format", "paths")
    assert code == 3
    names = sorted(os.listdir("best"))
    assert f"{BEST[2]}.xmp" in names
    assert Path(f"best/{Path(BEST[2]).stem}.xmp").read_text() == "lightroom"
    assert f"more_{BEST[4]}" in names or f"p_{BEST[4]}" in names
    assert not [name for name in names if name.startswith(".")]
    for source in out.splitlines():
        assert any(Path(source).read_bytes() == (Path("best") / name).read_bytes() for name in names)
    assert os.stat(f"best/{BEST[2]}").st_mtime_ns == os.stat(f"p/{BEST[2]}").st_mtime_ns
    code, _, err = ask("p", "--keep", "9", "--copy", "best")
    assert code == 2
    assert "more exists: --overwrite replaces it" in err
    assert ask("p", "--keep", "9", "--copy", "best", "--overwrite")[0] == 3


def test_no_sidecar_takes_the_place_of_another(ask: Ask) -> None:
    with Image.open(f"p/{BEST[2]}") as image:
        image.rotate(90, expand=True).save(f"p/more/{Path(BEST[2]).stem}.png")
    Path(f"p/{Path(BEST[2]).stem}.xmp").write_text("of the JPEG")
    Path(f"p/more/{Path(BEST[2]).stem}.xmp").write_text("of the PNG")
    assert ask("p", "--keep", "9", "--copy", "best")[0] == 3
    found = {path.name: path.read_text() for path in Path("best").glob("*.xmp")}
    assert sorted(found.values()) == ["of the JPEG", "of the PNG"]
    for name, text in found.items():
        assert Path("best", f"{Path(name).stem}.{'jpg' if 'JPEG' in text else 'png'}").exists()


def test_names_that_differ_by_case_alone_are_two_names_on_every_file_system(ask: Ask) -> None:
    Path(f"p/{BEST[2]}").rename(f"p/{BEST[1].upper()}")
    assert ask("p", "--keep", "9", "--copy", "best")[0] == 3
    names = [path.name.lower() for path in Path("best").iterdir()]
    assert len(set(names)) == len(names) == 6


def test_what_was_picked_into_the_folder_is_not_picked_from(ask: Ask) -> None:
    first = ask("p", "--keep", "2", "--link", "p/best", "--format", "paths")[1]
    assert all(os.path.islink(f"p/best/{os.path.basename(line)}") for line in first.splitlines())
    _, again, err = ask("p", "--keep", "2", "--link", "p/best", "--overwrite", "--format", "paths")
    assert again == first
    assert "2 in best" in err
    assert ask("p/best", "--copy", "p/best")[0] == 2


def test_a_photograph_in_a_tar_file_is_written_out(ask: Ask) -> None:
    with tarfile.open("x.tar", "w") as tar:
        tar.add(f"p/{BEST[2]}", "in/a.jpg")
    days = rows(ask("x.tar", "--per-day", "1", "--format", "jsonl")[1])
    assert days[0]["day"].startswith("2026-05-0")
    assert ask("x.tar", "--keep", "1", "--link", "out")[0] == 0
    assert Path("out/a.jpg").read_bytes() == Path(f"p/{BEST[2]}").read_bytes()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--copy", "a", "--link", "b"], "give one of them"),
        (["--copy", "p/notes.txt"], "is a file; possible: a folder"),
        (["--keep", "0"], "--keep"),
        (["--min-score", "nan"], "possible: 1 to 10"),
        (["--exclude", "*.jpg"], "no photographs in 'p': left out: "),
    ],
)
def test_what_cannot_be_is_one_line(ask: Ask, more: list[str], told: str) -> None:
    code, out, err = ask("p", *more)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err


def test_a_full_disk_says_how_far_it_came(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, made = shutil.copy2, []

    def full(source: Path, target: Path) -> None:
        if len(made) == 2:
            target.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        made.append(copy(source, target))

    monkeypatch.setattr(module.shutil, "copy2", full)
    code, _, err = ask("p", "--keep", "4", "--copy", "best")
    assert code == 1
    assert "after 2 of 4 photographs: No space left on device" in err
    assert len(os.listdir("best")) == 2


def test_ctrl_c_while_scoring_picks_nothing(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*given: object, **how: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Scorer, "score_or_error", stop)
    code, out, err = ask("p", "--copy", "best")
    assert (code, out) == (130, "")
    assert "nothing was picked" in err
    assert not os.path.exists("best")


def test_a_thousand_hashes_are_stacked_as_choose_would(tmp_path: Path) -> None:
    from edge_nima.selection import Candidate, KeepPolicy, choose, stacks

    rng = np.random.default_rng(0)
    leaders = [int(rng.integers(0, 1 << 63)) for _ in range(40)]
    candidates = [
        Candidate(float(rng.normal(5, 1)), float(place), leaders[place % 40] ^ (1 << int(rng.integers(0, 64))))
        for place in range(1000)
    ]
    made = stacks(candidates, KeepPolicy())
    assert [stack[0] for stack in made] == choose(candidates, KeepPolicy(keep=1000))
    assert sorted(one.taken_mono for stack in made for one in stack) == [float(n) for n in range(1000)]
