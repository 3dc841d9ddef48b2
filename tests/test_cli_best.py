"""`edge-nima best`: what a watcher wrote comes back, while it writes, after it was killed, and when it is damaged."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import PHOTOS
from edge_nima.cli import run
from edge_nima.records import ScoreRecord, read_records
from edge_nima.watch import gallery as gallery_module
from edge_nima.watch import records as records_module
from edge_nima.watch.events import Scored, Shot
from edge_nima.watch.gallery import Gallery
from edge_nima.watch.records import RecordFilter, RecordReader, Records
from edge_nima.watch.units import utc_text
from storing import until

Output = tuple[int, str, str]
Best = Callable[..., Output]
BEGIN = 1_764_000_000.123456
COMMAND = [sys.executable, "-m", "edge_nima", "best"]
ROOT = str(Path(__file__).parents[1])


@pytest.fixture
def best(capsys: pytest.CaptureFixture[str]) -> Best:
    """Run `edge-nima best` here; exit code, stdout and stderr."""

    def call(*arguments: str | Path) -> Output:
        capsys.readouterr()
        code = run(["best", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def scored(number: int, mean: float | None, camera: str = "Front Door", at: float | None = None) -> Scored:
    at = BEGIN + 60 * number if at is None else at
    bins = tuple((i + 1) / 55 for i in range(10))
    name = f"{camera}/{utc_text(at)}"
    if mean is None:
        return Scored(ScoreRecord(name, None, None, None, "m@01234567", 2.5, "damaged", "224"), camera, at, 7.25)
    return Scored(ScoreRecord(name, mean, 1.5, bins, "m@01234567", 2.5, None, "224"), camera, at, 7.25)


SIX = [
    scored(0, 4.5), scored(1, 5.25), scored(2, None), scored(3, 5.75, "garden"), scored(4, 5.25), scored(5, 3.125),
]  # fmt: skip


def write(folder: Path, records: list[Scored]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    store = Records(folder)
    store.write(records)
    store.close()


def bytes_in(folder: Path) -> dict[str, tuple[str, int]]:
    """Name, content and time of change of each file."""
    return {
        file.name: (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in folder.iterdir()
        if file.is_file()
    }


def one_line(err: str) -> str:
    assert err.startswith("edge-nima: ")
    assert err.count("\n") == 1, err
    return err


def table(out: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()[1:]]


def exported(text: str) -> list[str]:
    return [json.loads(line)["name"] for line in text.splitlines()]


# What comes out


def test_the_table_ranks_best_first_and_names_the_kept_photograph(tmp_path: Path, best: Best) -> None:
    write(tmp_path, SIX)
    gallery = Gallery(tmp_path)
    kept = gallery.save(b"jpeg", camera="garden", taken_at=SIX[3].taken_at, mean=5.75, rating=5)
    other = gallery.save(b"jpeg", camera="Front Door", taken_at=SIX[4].taken_at, mean=5.25, rating=4)
    gallery.save(b"jpeg", camera="Front Door", taken_at=SIX[1].taken_at, mean=5.0, rating=4)  # of another frame
    code, out, err = best(tmp_path)
    assert code == 0
    rows = table(out)
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row[1] for row in rows] == ["5.750", "5.250", "5.250", "4.500", "3.125"]
    assert {row[2] for row in rows} == {"1.50"}
    assert {row[3] for row in rows} == {"▁▂▂▃▄▅▆▆▇█"}
    assert [row[4] for row in rows[:2]] == [
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(SIX[i].taken_at)) for i in (3, 1)
    ]
    assert [row[5] for row in rows[:3]] == ["garden", "Front Door", "Front Door"]
    assert [row[6] for row in rows[:3]] == [
        str(kept.path.relative_to(tmp_path)), "-", str(other.path.relative_to(tmp_path)),
    ]  # fmt: skip
    assert "6 records, 20" in one_line(err)
    assert "mean 4.775, 1 not scored" in err


def test_an_export_is_every_record_in_order_of_time_as_it_was(tmp_path: Path, best: Best) -> None:
    write(tmp_path, SIX)
    kept = Gallery(tmp_path).save(b"jpeg", camera="garden", taken_at=SIX[3].taken_at, mean=5.75, rating=5)
    for export in ("jsonl", "csv"):
        output = tmp_path / "exports" / f"all.{export}"
        output.parent.mkdir(exist_ok=True)
        assert best(tmp_path, "--output", output)[0] == 0
        assert [record for record, _ in read_records(output)] == [one.record for one in SIX]
        code, out, err = best("--out", tmp_path, "--export", export)
        assert (code, out) == (0, output.read_text())
        assert "6 records" in one_line(err)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["taken_at"] for row in rows] == [utc_text(one.taken_at) for one in SIX]
    assert [row["camera"] for row in rows] == [one.camera for one in SIX]
    assert {row["age_ms"] for row in rows} == {"7.25"}
    assert [row["shot"] for row in rows] == ["", "", "", str(kept.path.relative_to(tmp_path)), "", ""]
    assert sorted(os.listdir(output.parent)) == ["all.csv", "all.jsonl"]


def test_span_camera_and_least_mean_choose_and_top_puts_the_best_first(tmp_path: Path, best: Best) -> None:
    write(tmp_path, SIX)
    names = [one.record.name for one in SIX]

    def chosen(*options: str) -> list[str]:
        code, out, _ = best(tmp_path, "--export", "jsonl", *options)
        assert code == 0
        return exported(out)

    # Records of lines are of whole milliseconds.
    second, fifth = utc_text(SIX[1].taken_at), utc_text(SIX[4].taken_at + 0.001)
    assert chosen("--since", second, "--until", fifth) == names[1:5]
    assert chosen("--until", second.replace("Z", "+00:00")) == names[:1]
    assert chosen("--camera", "garden") == names[3:4]
    assert chosen("--min-score", "5.25") == [names[1], names[3], names[4]]
    assert chosen("--top", "2") == [names[3], names[1]]
    assert chosen("--top", "99999999999999999999", "--camera", "Front Door") == [names[i] for i in (1, 4, 0, 5)]
    assert "3 records" in one_line(best(tmp_path, "--min-score", "5.25", "--top", "1")[2])
    assert "no such records" in one_line(best(tmp_path, "--min-score", "9")[2])


def test_the_database_is_in_order_of_time_whatever_the_order_of_writing(
    tmp_path: Path, best: Best, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_module, "PAGE_ROWS", 3)
    times = [BEGIN + at for at in (5, 1, 3, 3, 3, 3, 3, 9, 0, 3)]
    write(tmp_path, [scored(number, 5.0, f"c{number}", at) for number, at in enumerate(times)])
    out = best(tmp_path, "--export", "jsonl")[1]
    order = sorted(range(len(times)), key=lambda number: (times[number], number))
    assert [json.loads(line)["camera"] for line in out.splitlines()] == [f"c{number}" for number in order]


def test_a_span_without_records_says_what_there_is(tmp_path: Path, best: Best) -> None:
    write(tmp_path, SIX)
    code, out, err = best(tmp_path, "--since", "1h", "--camera", "garden")
    assert (code, out) == (0, "")
    begin, end = (time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(SIX[i].taken_at)) for i in (0, 5))
    assert f"there are 6, {begin} to {end}" in one_line(err)
    assert best(tmp_path, "--since", "1h", "--export", "csv")[:2] == (0, ",".join(EXPORTED) + "\n")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "scores.db").touch()
    assert "yet" in one_line(best(tmp_path / "new")[2])
    write(tmp_path / "none", [])
    assert "yet" in one_line(best(tmp_path / "none")[2])


EXPORTED = [
    "name", "mean", "std", *(f"p{rating}" for rating in range(1, 11)), "model", "elapsed_ms", "error", "preprocessing",
    "size", "mtime_ns", "taken_at", "camera", "age_ms", "shot",
]  # fmt: skip


# A watcher that writes meanwhile, or did


@contextlib.contextmanager
def writer(folder: Path, max_bytes: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes a record a millisecond until it is killed."""
    code = (
        f"import sys, time; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path\n"
        "from test_cli_best import scored; from edge_nima.watch.records import Records\n"
        f"store = Records(Path({str(folder)!r}), max_bytes={max_bytes})\n"
        "for number in range(10**6):\n    store.write([scored(number, 1 + number % 9)]); time.sleep(0.001)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def log_holds(folder: Path, least: int = 1) -> bool:
    log = folder / "scores.db-wal"
    return log.exists() and log.stat().st_size >= least


def test_it_reads_while_a_writer_writes(tmp_path: Path, best: Best, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "PAGE_ROWS", 50)
    with writer(tmp_path, 1_000_000) as process:
        until(lambda: log_holds(tmp_path), 20)
        seen = 0
        for _ in range(8):
            code, out, err = best(tmp_path, "--export", "jsonl")
            assert code == 0, err
            assert "warning" not in err
            times = [json.loads(line)["taken_at"] for line in out.splitlines()]
            assert times == sorted(set(times))
            assert len(times) >= seen or seen > 500
            seen = len(times)
            assert table(best(tmp_path)[1])[0][1] == "9.000" or seen < 9  # the writer has only begun
        until(lambda: seen > 500 or len(exported(best(tmp_path, "--export", "jsonl")[1])) > seen)
        assert process.poll() is None


def test_after_a_kill_all_that_was_committed_is_there_and_nothing_changes(tmp_path: Path, best: Best) -> None:
    with writer(tmp_path) as process:
        until(lambda: log_holds(tmp_path, 400_000), 20)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = bytes_in(tmp_path)
    assert set(before) == {"scores.db", "scores.db-wal", "scores.db-shm"}
    first = best(tmp_path, "--export", "jsonl")
    assert first[0] == 0
    assert len(exported(first[1])) > 20
    assert bytes_in(tmp_path) == before


def test_a_folder_that_nobody_writes_is_left_as_it_is(tmp_path: Path, best: Best) -> None:
    write(tmp_path, SIX)
    before = bytes_in(tmp_path)
    assert best(tmp_path)[0] == best(tmp_path, "--export", "csv")[0] == 0
    assert bytes_in(tmp_path) == before


def test_somebody_who_may_only_read_reads_it() -> None:
    # Under /tmp and not in pytest's folder, which only its owner may enter.
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *COMMAND]
    if subprocess.run([*other, "--help"], capture_output=True, cwd="/").returncode:
        pytest.skip("this Python cannot be started as another user")

    def asked(folder: Path) -> Output:
        done = subprocess.run([*other, str(folder), "--export", "jsonl"], capture_output=True, text=True, cwd="/")
        return done.returncode, done.stdout, done.stderr

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        live = place / "live"
        live.mkdir()
        with writer(live):
            until(lambda: log_holds(live, 400_000), 20)
            code, out, err = asked(live)
            assert code == 0, err
            assert len(exported(out)) > 20
        code, again, _ = asked(live)
        assert code == 0
        assert len(exported(again)) >= len(exported(out))
        (live / "scores.db").chmod(0)
        code, _, err = asked(live)
        assert code == 2
        assert "scores.db': Permission denied" in one_line(err)
        live.chmod(0o700)
        assert "is not readable" in one_line(asked(live)[2])
        write(place / "ended", SIX)
        assert len(exported(asked(place / "ended")[1])) == 6


def test_a_writer_that_begins_meanwhile_changes_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, SIX)
    stores: list[Records] = []
    real = records_module._version

    def version(database: sqlite3.Connection, path: Path, otherwise: str) -> int:
        found = real(database, path, otherwise)
        if otherwise == "give another folder" and not stores:  # it was opened as if nobody wrote
            stores.append(Records(tmp_path))
            stores[0].write([scored(6, 7.0)])
        return found

    monkeypatch.setattr(records_module, "_version", version)
    with contextlib.closing(RecordReader(tmp_path / "scores.db")) as reader:
        assert reader.summary(RecordFilter()).count == 7
    stores[0].close()


@pytest.mark.parametrize("content", [None, b"no database at all\n" * 300, b"SQLite format 3\0" + bytes(8000)])
def test_a_damaged_database_is_one_line_that_says_how_to_save_what_is_left(
    tmp_path: Path, best: Best, content: bytes | None
) -> None:
    path = tmp_path / "scores.db"
    write(tmp_path, [scored(number, 1 + number % 90 / 10) for number in range(3000)])
    if content is None:
        with open(path, "r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (path.stat().st_size - 4096))
    else:
        path.write_bytes(content)
    before = bytes_in(tmp_path)
    code, out, err = best(tmp_path, "--export", "jsonl")
    assert (code, out) == (2, "")
    assert one_line(err).endswith(f"; what is left: sqlite3 '{path}' .recover\n")
    assert bytes_in(tmp_path) == before


# Where it goes, and what is refused


def test_an_existing_file_is_refused_or_replaced(tmp_path: Path, best: Best) -> None:
    write(tmp_path / "w", SIX)
    output = tmp_path / "all.jsonl"
    output.write_text("mine")
    code, _, err = best(tmp_path / "w", "-o", output)
    assert code == 2
    assert "exists: --overwrite replaces it" in one_line(err)
    assert output.read_text() == "mine"
    assert best(tmp_path / "w", "-o", output, "--overwrite")[0] == 0
    assert len(exported(output.read_text())) == 6
    options = ("-o", tmp_path / "w" / "scores.db", "--export", "csv", "--overwrite")
    assert "write somewhere else" in one_line(best(tmp_path / "w", *options)[2])


def test_an_export_that_ends_early_leaves_nothing(tmp_path: Path, best: Best, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "w", SIX)
    output = tmp_path / "all.csv"
    output.write_text("mine")

    def interrupted(*_: object) -> str:
        assert (tmp_path / "all.csv.new").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(records_module, "format_scored", interrupted)
    code, _, err = best(tmp_path / "w", "-o", output, "--overwrite")
    assert code == 130
    assert one_line(err) == "edge-nima: interrupted\n"
    assert output.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["all.csv", "w"]


def test_a_full_disk_is_one_line(tmp_path: Path, best: Best) -> None:
    write(tmp_path, SIX)
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    code, _, err = best(tmp_path, "--export", "csv", "-o", "/dev/full")
    assert code == 1
    assert "cannot write '/dev/full': No space left" in one_line(err)
    assert "no such folder" in one_line(best(tmp_path, "-o", tmp_path / "no" / "x.csv")[2])


def test_a_reader_that_has_enough_ends_it_quietly(tmp_path: Path) -> None:
    write(tmp_path, [scored(number, 5.0) for number in range(3000)])
    with subprocess.Popen(
        [*COMMAND, str(tmp_path), "--export", "csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"name,mean,")
        process.stdout.close()
        assert process.wait(20) == 141
        assert process.stderr.read() == b""


def test_what_cannot_be_is_one_line_each(tmp_path: Path, best: Best, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "w", SIX)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    def refused(*arguments: str | Path) -> str:
        code, out, err = best(*arguments)
        assert (code, out) == (2, "")
        return one_line(err)

    folder = tmp_path / "w"
    assert "'scores.db' is not there; type edge-nima best DIR" in refused()
    assert "DIR is given twice" in refused(folder, "--out", folder)
    assert "'nowhere' is not there" in refused("nowhere")
    assert "--since is 'yesterday'; possible: 2h" in refused(folder, "--since", "yesterday")
    assert "--until is '25:00'; possible: 2h" in refused(folder, "--until", "25:00")
    assert "is not before --until" in refused(folder, "--since", "1h", "--until", "2h")
    assert "'--top': 0 is not in the range" in refused(folder, "--top", "0")
    assert "'xml' is not one of 'csv', 'jsonl'" in refused(folder, "--export", "xml")
    assert "no camera 'gate'" in (line := refused(folder, "--camera", "gate"))
    assert "possible: Front Door, garden" in line
    assert "say --export jsonl or --export csv" in refused(folder, "-o", "x.txt")
    assert "--overwrite replaces a file" in refused(folder, "--overwrite")
    monkeypatch.chdir(folder)
    assert best()[0] == 0


def test_names_cannot_steer_the_terminal(tmp_path: Path, best: Best) -> None:
    write(tmp_path, [scored(0, 5.0, "a\x1b[31m\nb")])
    assert "a\\x1b[31m\\nb" in best(tmp_path)[1]


def test_a_favourite_is_named_as_one(tmp_path: Path, best: Best, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, SIX)
    path = tmp_path / "shots" / "2025-11-24" / "x.jpg"
    shots = [Shot(path, "garden", SIX[3].taken_at, 5.75, 5, 4, favourite=True)]
    monkeypatch.setattr(gallery_module, "list_shots", lambda folder: shots)
    assert table(best(tmp_path)[1])[0][6] == "shots/2025-11-24/x.jpg (favourite)"
    assert json.loads(best(tmp_path, "--export", "jsonl", "--top", "1")[1])["shot"] == "shots/2025-11-24/x.jpg"


def test_what_watch_writes_and_keeps_is_read_back(tmp_path: Path, best: Best) -> None:
    out = tmp_path / "out"
    assert run(["watch", str(PHOTOS / "*.jpg"), "--out", str(out), "--keep", "2", "--likeness", "-1"]) == 0
    code, text, _ = best(out)
    assert code == 0
    rows = table(text)
    assert len(rows) == 6
    assert [(out / row[-1]).is_file() for row in rows] == [True, True, False, False, False, False]
