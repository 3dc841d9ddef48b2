"""`edge-nima data verify`: planted faults are reported exactly, interruptions lose nothing, bad input is one line."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_nima.cli import run
from edge_nima.errors import LabelError, RequestError
from edge_nima.lock import try_lock
from edge_nima.records import FileStamp
from edge_nima_train import verify as verify_module
from edge_nima_train.inspection import (
    COPY,
    DAMAGED,
    EMPTY,
    EXTRA,
    FILE_FAULTS,
    MISSING,
    NOT_A_PICTURE,
    ROW_FAULTS,
    TRUNCATED,
    UNREADABLE,
    ZERO_SIZE,
    Inspection,
    InspectionLog,
    find_anomalies,
    inspect,
)
from edge_nima_train.manifest import read_manifest
from edge_nima_train.verify import verify
from edge_nima_train.verify_rows import read_rows

VOTES = "1 2 3 4 5 6 7 8 9 10"


def encoded(seed: int, size: tuple[int, int] = (96, 80), form: str = "JPEG", **how: Any) -> bytes:
    """A picture unlike those of other seeds."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(buffer, form, **how)
    return buffer.getvalue()


def ava(rows: list[str]) -> str:
    return "".join(f"{number} {row}\n" for number, row in enumerate(rows, 1))


def data_set(tmp_path: Path, count: int, size: tuple[int, int] = (96, 80)) -> tuple[Path, Path]:
    """AVA.txt and its photographs, 1.jpg to COUNT.jpg, with nothing wrong."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(1, count + 1):
        (images / f"{number}.jpg").write_bytes(encoded(number, size))
    labels = tmp_path / "AVA.txt"
    labels.write_text(ava([f"{number} {VOTES} 1 22 1396" for number in range(1, count + 1)]))
    return labels, images


def cells(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def zero_high(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + b"\0\0" + jpeg[at + 7 :]


def cut_unseen(jpeg: bytes) -> bytes:
    """Half of a JPEG with an end marker: libjpeg fills up with grey and says nothing."""
    return jpeg[: len(jpeg) // 2] + b"\xff\xd9"


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Path, Path]:
    """Rows 1 to 30 are good; every fault is there once or more. Line numbers are those of AVA.txt."""
    labels, images = data_set(tmp_path, 30)
    plant: dict[str, bytes] = {
        "101.jpg": b"",
        "102.jpg": encoded(102)[:900],
        "103.jpg": cut_unseen(encoded(103)),
        "104.jpg": b"<html><body>404 Not Found</body></html>",
        "105.jpg": zero_high(encoded(105)),
        "106.jpg": encoded(7),
        "107.jpg": b"\x89PNG\r\n\x1a\n" + bytes(500),
        "201.jpg": encoded(201),
        "album/202.png": encoded(202, form="PNG"),
        "Thumbs.db": b"no photograph, and none by its name",
    }
    for name, content in plant.items():
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).write_bytes(content)
    good = [f"{number} {VOTES} 1 22 1396" for number in range(1, 31)]
    bad = [
        "40 1 2 3 4 5 6 7 8 9 0 0 1396",  # line 31: 14 columns
        f"41 {VOTES} 1 22 1396 5",  # 16
        "42 1 2 x 4 5 6 7 8 9 10 0 0 1396",
        "43 1 2 3.5 4 5 6 7 8 9 10 0 0 1396",
        "44 0 0 0 0 0 0 0 0 0 0 0 0 1396",
        "45 1 -2 3 4 5 6 7 8 9 10 0 0 1396",
        "3 9 9 9 9 9 9 9 9 9 9 0 0 1396",  # line 37: the second of photograph 3
        f"50 {VOTES} 0 0 1396",  # line 38: no file
        *(f"{number} {VOTES} 0 0 1396" for number in range(101, 108)),  # lines 39 to 45
    ]
    labels.write_text(ava(good + bad))
    return labels, images


EXPECTED = [
    ("columns", 31, None),
    ("columns", 32, None),
    ("number", 33, None),
    ("number", 34, None),
    ("rating", 35, None),
    ("number", 36, None),
    ("twice", 37, None),
    (MISSING, 38, "50.jpg"),
    (EMPTY, 39, "101.jpg"),
    (TRUNCATED, 40, "102.jpg"),
    (TRUNCATED, 41, "103.jpg"),
    (NOT_A_PICTURE, 42, "104.jpg"),
    (ZERO_SIZE, 43, "105.jpg"),
    (COPY, 44, "106.jpg"),
    (DAMAGED, 45, "107.jpg"),
    (EXTRA, None, "201.jpg"),
    (EXTRA, None, "album/202.png"),
]


@pytest.mark.parametrize("jobs", [1, 3])
def test_planted_faults_are_reported_exactly(planted: tuple[Path, Path], jobs: int) -> None:
    found = verify(*planted, jobs=jobs)
    assert [(fault.kind, fault.line, fault.file) for fault in found.faults] == EXPECTED
    assert found.manifest.labels.ids == tuple(map(str, range(1, 31)))
    assert found.rows == 45
    assert found.files == 30 + 9
    assert set(found.manifest.columns["flags"]) == {""}
    by_line = {fault.line: fault.what for fault in found.faults}
    assert by_line[31].startswith("14 columns; possible: AVA's 15")
    assert by_line[33] == "n3 is 'x'; possible: a whole number, 0 or more"
    assert by_line[35] == "n1..n10 are all zero; possible: at least one vote"
    assert "that of line 3 too" in by_line[37]
    assert by_line[44] == "the same bytes as '7.jpg', which is kept"


def test_the_command_writes_manifest_and_report_and_counts(
    planted: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, images = planted
    out = tmp_path / "manifest.csv"
    assert run(["data", "verify", str(labels), str(images), "--out", str(out)]) == 0
    report = json.loads((tmp_path / "manifest.report.json").read_text())
    assert [(one["kind"], one["line"], one["file"]) for one in report["faulty"]] == EXPECTED
    counts = {kind: fault["count"] for kind, fault in report["faults"].items()}
    assert counts == {kind: Counter(one[0] for one in EXPECTED)[kind] for kind in ROW_FAULTS | FILE_FAULTS}
    assert report["labels"]["rows"] == report["good"] + sum(line is not None for _, line, _ in EXPECTED)
    assert report["bytes"] == sum(len(encoded(number)) for number in range(1, 31))
    printed = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["30", "good"] for line in printed)
    for kind, count in Counter(one[0] for one in EXPECTED).items():
        assert any((ROW_FAULTS | FILE_FAULTS)[kind] in line and str(count) in line for line in printed)
    assert not os.path.exists(f"{out}.partial")

    rows = cells(out)
    assert rows[6]["file"] == "images/7.jpg"
    assert rows[6]["bytes"] == str(len(encoded(7)))
    assert (rows[6]["width"], rows[6]["height"], rows[6]["aspect"]) == ("96", "80", "1.2000")
    assert (rows[6]["tag1"], rows[6]["tag2"], rows[6]["challenge"]) == ("1", "22", "1396")
    again = read_manifest(out)
    assert again.photograph(6).read_bytes() == encoded(7)
    assert run(["data", "verify", str(out), str(images), "--out", str(tmp_path / "2.csv"), "--strict"]) == 1
    assert cells(tmp_path / "2.csv") == rows  # what is clean stays as it is; only the extra files are left to tell


def test_strict_tells_by_the_exit_code(planted: tuple[Path, Path], tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "m.csv"), "--strict"]
    assert run(["data", "verify", *map(str, planted), *out]) == 1
    assert (tmp_path / "m.csv").is_file()
    clean = tmp_path / "clean"
    clean.mkdir()
    assert run(["data", "verify", *map(str, data_set(clean, 2)), *out, "--overwrite"]) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    labels, images = data_set(tmp_path, 3)
    (images / "2.jpg").chmod(0)
    assert [(fault.kind, fault.file) for fault in verify(labels, images).faults] == [(UNREADABLE, "2.jpg")]


def test_what_cannot_be_opened_is_unreadable_and_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, images = data_set(tmp_path, 3)
    real = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "2.jpg":
            raise PermissionError(13, "Permission denied")
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        found = verify(labels, images, log=tmp_path / "log")
    assert [(fault.kind, fault.what) for fault in found.faults] == [(UNREADABLE, "Permission denied")]
    found = verify(labels, images, log=tmp_path / "log")
    assert not found.faults
    assert found.kept_from_before == 2


def test_names_that_a_manifest_cannot_hold_are_told(tmp_path: Path) -> None:
    labels, images = data_set(tmp_path, 3)
    os.rename(images / "2.jpg", images / "2.jpg ")
    (images / "a\\b").mkdir()
    os.rename(images / "3.jpg", images / "a\\b" / "3.jpg")
    labels = tmp_path / "labels.csv"
    labels.write_bytes(b"file,image_id,mean_rating\n1.jpg,1,6\n2.jpg ,2,5\ngone.jpg,3,5\n\xfc.jpg,4,5\n")
    found = verify(labels, images)
    assert found.manifest.names == ("1.jpg", "2.jpg ")
    told = [(fault.kind, fault.what, fault.file) for fault in found.faults]
    assert (UNREADABLE, "in a manifest a backslash is a folder: rename it", "a\\b/3.jpg") in told
    assert (MISSING, "no such file; its name is not UTF-8: is the label file?", "\udcfc.jpg") in told


def test_photographs_may_lie_in_folders_below(tmp_path: Path) -> None:
    labels, images = data_set(tmp_path, 4)
    (images / "a" / "b").mkdir(parents=True)
    (images / "2.jpg").rename(images / "a" / "b" / "2.jpg")
    (images / "a" / "3.jpg").write_bytes(encoded(300))  # row 3 has its photograph where it says
    (images / "4.jpg").rename(images / "4.JPEG")
    found = verify(labels, images)
    assert found.manifest.labels.files == ("1.jpg", "a/b/2.jpg", "3.jpg", "4.JPEG")
    assert [(fault.kind, fault.file) for fault in found.faults] == [(EXTRA, "a/3.jpg")]


def test_other_columns_splits_and_weights_of_a_csv_stay(tmp_path: Path) -> None:
    _, images = data_set(tmp_path, 3)
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "image_id,file,mean_rating,split,weight,theme,scale\na,1.jpg,5.25,training,2,sea,1..10\nb,2.jpg,6,val,1,hills,1..10\n"
        "c,3.jpg,7,outside,1,x,1..10\nd,9.jpg,7,test,heavy,x,1..10\ne,8.jpg,11,test,1,x,1..10\n"
    )
    found = verify(labels, images)
    manifest = found.manifest
    assert manifest.labels.votes is None
    assert manifest.labels.means.tolist() == [5.25, 6]
    assert manifest.split == ("train", "val")
    assert manifest.weights is not None
    assert manifest.weights.tolist() == [2, 1]
    assert manifest.columns["theme"] == ("sea", "hills")
    kinds = [(fault.kind, fault.line) for fault in found.faults]
    assert kinds == [("other", 4), ("number", 5), ("rating", 6), (EXTRA, None)]


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text('file,mean_rating\na.jpg,5\n"b.jpg,6\nc.jpg,7\n\nd.jpg,8\n')
    table = read_rows(labels)
    assert [row.file for row in table.rows] == ["a.jpg", "c.jpg", "d.jpg"]
    assert [(fault.kind, fault.line) for fault in table.faults] == [("other", 3)]
    assert [row.line for row in table.rows] == [2, 4, 6]
    assert table.total == 4


def test_a_faulty_row_does_not_take_a_name(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("image_id,file,mean_rating\n1,a.jpg,none\n1,a.jpg,5\n2,a.jpg,5\n2,b.jpg,6\n")
    table = read_rows(labels)
    assert [(row.image_id, row.file) for row in table.rows] == [("1", "a.jpg"), ("2", "b.jpg")]
    assert [(fault.kind, fault.line) for fault in table.faults] == [("number", 2), ("twice", 4)]


def test_a_first_line_that_is_wrong_does_not_hide_that_it_is_ava(tmp_path: Path) -> None:
    labels = tmp_path / "AVA.txt"
    labels.write_text(f"x 7 {VOTES} 0 0 1\n" + ava([f"{number} {VOTES} 0 0 1" for number in (8, 9)]))
    table = read_rows(labels)
    assert [row.image_id for row in table.rows] == ["8", "9"]
    assert [(fault.kind, fault.line) for fault in table.faults] == [("number", 1)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (ava(["7 1 2 3 4 5 6 7 8 9 0 0 1"] * 3), "line 1: 14 columns; possible: AVA's 15"),
        (ava([f"7 {VOTES.replace('3', 'x')} 0 0 1"]), "line 1: n3 is 'x'"),
        (ava(["7 0 0 0 0 0 0 0 0 0 0 0 0 1"]), "all zero"),
        ("file,mean_rating,scale\na.jpg,12,1..10\n", "line 2: mean_rating is 12.0; possible: 1 to 10"),
        ("file,mean_rating\n", "holds no labels"),
        ("some,thing\na.jpg,5\n", "the header is 'some,thing'"),
        ("", "is empty"),
    ],
)
def test_labels_without_a_row_that_can_be_used_say_what_is_wrong_with_the_first(
    tmp_path: Path, content: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, images = data_set(tmp_path, 1)
    labels = tmp_path / "labels"
    labels.write_text(content)
    with pytest.raises(RequestError) as caught:
        read_rows(labels)
    assert says in str(caught.value)
    assert run(["data", "verify", str(labels), str(images), "--out", str(tmp_path / "m.csv")]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["AVA.txt", "images", "labels"]


def test_a_label_error_tells_file_line_and_kind(tmp_path: Path) -> None:
    labels = tmp_path / "AVA.txt"
    labels.write_text(ava(["7 1 2"]))
    with pytest.raises(LabelError) as caught:
        read_rows(labels)
    assert (caught.value.line, caught.value.kind) == (1, "columns")
    assert str(caught.value) == f"'{labels}' line 1: {caught.value.what}"


def test_bad_requests_are_one_line_and_leave_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels, images = data_set(tmp_path, 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.csv").write_text("kept")
    out = str(tmp_path / "m.csv")
    for arguments, says in (
        ([str(labels), str(tmp_path / "nowhere"), "--out", out], "no such folder of photographs"),
        ([str(labels), str(tmp_path / "empty"), "--out", out], "no photographs in"),
        ([str(tmp_path / "no.txt"), str(images), "--out", out], "cannot read"),
        ([str(labels), str(images), "--out", str(tmp_path / "there.csv")], "exists: --overwrite replaces it"),
        ([str(labels), str(images), "--out", str(labels), "--overwrite"], "is one of the inputs"),
        ([str(labels), str(images), "--out", str(tmp_path / "no" / "m.csv")], "no such folder"),
        ([str(labels), str(images), "--out", out, "--report", out], "--out and --report are both"),
        ([str(labels), str(images), "--out", out, "--jobs", "0"], "--jobs"),
    ):
        assert run(["data", "verify", *arguments]) == 2
        told = capsys.readouterr().err
        assert says in told
        assert told.count("\n") == 1
    assert (tmp_path / "there.csv").read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == ["AVA.txt", "empty", "images", "there.csv"]


def test_another_folder_s_photographs_make_a_report_and_no_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, images = data_set(tmp_path, 2)
    for number in (1, 2):
        (images / f"{number}.jpg").rename(images / f"x{number}.jpg")
    assert run(["data", "verify", str(labels), str(images), "--out", str(tmp_path / "m.csv")]) == 2
    assert "none of 2 rows has a photograph that can be used: '1.jpg': no such file" in capsys.readouterr().err
    assert not (tmp_path / "m.csv").exists()
    assert json.loads((tmp_path / "m.report.json").read_text())["faults"]["missing"]["count"] == 2


def test_anomalies_are_flagged_by_the_stated_rules_and_kept(tmp_path: Path) -> None:
    labels, images = data_set(tmp_path, 24)
    (images / "1.jpg").write_bytes(encoded(1, (96, 63)))
    (images / "2.jpg").write_bytes(encoded(2, (96, 64)))
    (images / "3.jpg").write_bytes(encoded(3, (320, 80)))
    (images / "4.jpg").write_bytes(encoded(4, (321, 80)))
    (images / "5.jpg").write_bytes(encoded(5, form="PNG"))  # PNG under .jpg
    plain = io.BytesIO()
    Image.new("RGB", (100, 100), (12, 200, 7)).save(plain, "JPEG")
    (images / "6.jpg").write_bytes(plain.getvalue())
    noise = np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=100, subsampling=0)
    (images / "7.jpg").write_bytes(buffer.getvalue())
    grey = io.BytesIO()
    Image.open(io.BytesIO(encoded(8))).convert("L").convert("RGB").save(grey, "JPEG")
    (images / "8.jpg").write_bytes(grey.getvalue())
    found = verify(labels, images)
    assert not found.faults
    flags = dict(zip(found.manifest.labels.ids, found.manifest.columns["flags"], strict=True))
    assert flags["7"] == "bytes_per_pixel"
    # Whether the others' bytes are unusual too is for the fences to say, see below.
    others = {key: told.replace("bytes_per_pixel", "").strip() for key, told in flags.items()}
    assert {key: told for key, told in others.items() if told} == {
        "1": "tiny", "4": "aspect", "5": "ending", "6": "single_colour",
    }  # fmt: skip


def test_bytes_per_pixel_is_judged_by_outer_fences_of_the_logarithm() -> None:
    density = np.exp(np.linspace(-1, 1, 41))
    found = [Inspection(round(1e6 * value), "", 1000, 1000, "JPEG") for value in density]
    # With one large value among the 41, the quartiles of the logarithm are -0.5 and 0.55: the fence is at 3.7.
    for middle, flagged in ((3.65, False), (3.75, True), (-3.65, False), (-3.75, True)):
        found[20] = Inspection(round(1e6 * np.exp(middle)), "", 1000, 1000, "JPEG")
        flags, rules = find_anomalies(["x.jpg"] * 41, found)
        assert ("bytes_per_pixel" in flags[20]) == flagged
        assert sum(map(bool, flags)) == flagged
    few, rules = find_anomalies(["x.jpg"] * 19, found[:19])
    assert rules.bytes_per_pixel is None
    assert not any(few)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "BMP"])
def test_other_formats_that_end_early_are_truncated(tmp_path: Path, form: str) -> None:
    whole = encoded(1, (200, 150), form)
    path = tmp_path / f"x.{form.lower()}"
    path.write_bytes(whole[: len(whole) // 2])
    assert inspect(path).fault == TRUNCATED
    path.write_bytes(whole)
    assert inspect(path).fault is None


def test_a_size_is_upright_and_a_picture_too_large_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = Image.new("RGB", (120, 90))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    found = inspect(tmp_path / "turned.jpg")
    assert (found.width, found.height, found.single_colour) == (90, 120, True)
    Image.new("1", (20000, 20000)).save(tmp_path / "vast.png")
    found = inspect(tmp_path / "vast.png")
    assert (found.fault, found.why) == (DAMAGED, "larger than 128 megapixels")
    png = bytearray(encoded(1, form="PNG"))
    png[16:20] = bytes(4)
    (tmp_path / "zero.png").write_bytes(png)
    assert inspect(tmp_path / "zero.png").fault == ZERO_SIZE


def counted(monkeypatch: pytest.MonkeyPatch, stop_after: int | None = None) -> list[str]:
    """Remember which files are read; as if Ctrl-C were pressed after some."""
    read: list[str] = []

    def count(path: Path) -> Inspection:
        if stop_after is not None and len(read) >= stop_after:
            raise KeyboardInterrupt
        read.append(path.name)
        return inspect(path)

    monkeypatch.setattr(verify_module, "inspect", count)
    return read


def test_ctrl_c_says_that_the_same_command_goes_on_and_it_does(
    planted: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "verify", *map(str, planted), "--jobs", "1"]
    assert run([*command, "--out", str(tmp_path / "whole.csv")]) == 0
    with monkeypatch.context() as patch:
        first = counted(patch, stop_after=20)
        assert run([*command, "--out", str(tmp_path / "m.csv")]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert not (tmp_path / "m.csv").exists()
    changed = planted[1] / "2.jpg"
    changed.write_bytes(encoded(2) + b"more")
    with monkeypatch.context() as patch:
        second = counted(patch)
        assert run([*command, "--out", str(tmp_path / "m.csv")]) == 0
    assert "2.jpg" in second  # it has changed
    kept = set(first) - set(second)
    assert len(kept) >= 10
    assert f"{len(kept)} of them read before the interruption" in capsys.readouterr().err
    changed.write_bytes(encoded(2))
    assert run([*command, "--out", str(tmp_path / "m.csv"), "--overwrite"]) == 0
    assert (tmp_path / "m.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert (tmp_path / "m.report.json").read_bytes() == (tmp_path / "whole.report.json").read_bytes()


def test_kill_9_loses_little_and_the_same_command_goes_on(tmp_path: Path) -> None:
    labels, images = data_set(tmp_path, 60, (1200, 900))
    out, partial = tmp_path / "m.csv", tmp_path / "m.csv.partial"
    command = [sys.executable, "-m", "edge_nima", "data", "verify", str(labels), str(images), "--out", str(out)]
    process = subprocess.Popen([*command, "--jobs", "1"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while time.monotonic() < end and not (partial.exists() and partial.read_bytes().count(b"\n") > 10):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert partial.exists()
    assert not out.exists()
    with open(partial, "ab") as file:
        file.write(b'{"file": "torn')
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "of them read before the interruption" in result.stderr
    assert len(cells(out)) == 60
    assert sorted(os.listdir(tmp_path)) == ["AVA.txt", "images", "m.csv", "m.report.json"]


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    labels, images = data_set(tmp_path, 60)
    command = [sys.executable, "-m", "edge_nima", "data", "verify", str(labels), str(images), "--out"]
    limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", *command, str(tmp_path / "m.csv")]
    result = subprocess.run(limited, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "the same command goes on" in result.stderr
    result = subprocess.run([*command, str(tmp_path / "m.csv")], capture_output=True, text=True)
    assert "of them read before the interruption" in result.stderr
    assert len(cells(tmp_path / "m.csv")) == 60


def test_the_log_is_read_up_to_what_is_damaged(tmp_path: Path) -> None:
    path, stamp = tmp_path / "log", FileStamp(1, 2)
    found = [Inspection(number, "ab", 3, 4, "JPEG") for number in range(3)]
    with InspectionLog(path, tmp_path) as log:
        for number, one in enumerate(found):
            log.put(f"{number}\udcff", stamp, one)
    whole = path.read_bytes()
    lines = whole.splitlines(True)
    for content, count in (
        (whole, 3),
        (whole[:-5], 2),
        (whole + bytes(4096), 3),
        (b"".join([*lines[:2], b"{}\n", *lines[2:]]), 1),
        (lines[0], 0),
        (lines[0][:9], 0),
        (b"", 0),
    ):
        path.write_bytes(content)
        with InspectionLog(path, tmp_path) as log:
            assert [log.get(f"{number}\udcff", stamp) for number in range(count)] == found[:count]
            assert log.get("0\udcff", FileStamp(1, 3)) is None
            log.put("new", stamp, found[0])
        with InspectionLog(path, tmp_path) as log:
            assert log.get("new", stamp) == found[0]
    with InspectionLog(path, tmp_path / "other") as log:
        assert log.get("new", stamp) is None


def test_a_log_that_is_something_else_or_in_use_is_refused(tmp_path: Path) -> None:
    labels, images = data_set(tmp_path, 1)
    path = tmp_path / "log"
    path.write_text("my notes\n")
    with pytest.raises(RequestError, match="is not what an interrupted verification left"):
        verify(labels, images, log=path)
    assert path.read_text() == "my notes\n"
    path.unlink()
    with open(path, "ab") as other:
        assert try_lock(other)
        with pytest.raises(RequestError, match="another run is writing"):
            verify(labels, images, log=path)


def test_progress_is_told_file_by_file(tmp_path: Path) -> None:
    labels, images = data_set(tmp_path, 3)
    told: list[tuple[str, int, int]] = []
    verify(labels, images, tell=lambda stage, done, total, note: told.append((stage, done, total)))
    assert told == [("photographs", done, 3) for done in (1, 2, 3)]


def test_real_rows_and_photographs(data: Path, tmp_path: Path) -> None:
    source = data / "golden" / "images"
    images = tmp_path / "images"
    shutil.copytree(source, images)
    found = verify(data / "ava" / "AVA_part.txt", images)
    kinds = Counter(fault.kind for fault in found.faults)
    rated = {line.split()[1] for line in (data / "ava" / "AVA_part.txt").read_text().splitlines()}
    there = {path.stem for path in images.iterdir()}
    assert found.rows == 25_551
    assert set(found.manifest.labels.ids) == rated & there
    assert kinds == {MISSING: len(rated - there), EXTRA: len(there - rated)}
