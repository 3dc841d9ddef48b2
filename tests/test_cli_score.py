"""`edge-nima score`: what comes out, what is said when something is wrong, and what an interruption leaves."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_nima.cli import run
from edge_nima.records import ScoreRecord, read_records
from edge_nima.scorer import Scorer

PHOTOS = sorted((Path(__file__).parents[1] / "examples" / "photos").glob("*.jpg"))
COMMAND = [sys.executable, "-m", "edge_nima", "score"]

Output = tuple[int, str, str]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the six example photographs in `p`."""
    (tmp_path / "p").mkdir()
    for photo in PHOTOS:
        shutil.copy(photo, tmp_path / "p")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def score(capsys: pytest.CaptureFixture[str]) -> Callable[..., Output]:
    """Run `edge-nima score` here; exit code, stdout and stderr."""

    def call(*arguments: str) -> Output:
        capsys.readouterr()
        code = run(["score", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


Score = Callable[..., Output]


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def timeless(path: str | Path) -> list[tuple[Any, ...]]:
    """The records of a file without what differs from run to run."""
    return [({**vars(record), "elapsed_ms": 0}, stamp) for record, stamp in read_records(path)]


def one_line(err: str) -> str:
    assert err.startswith("edge-nima: ")
    assert err.count("\n") == 1
    return err


def many(folder: Path, count: int) -> None:
    """`count` photographs, as links to the six."""
    folder.mkdir()
    for n in range(count):
        os.link(f"p/{PHOTOS[n % len(PHOTOS)].name}", folder / f"{n:04}.jpg")


def interrupt_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Ctrl-C while photograph number `count` + 1 is scored."""
    original, seen = Scorer.score_or_error, []

    def scoring(self: Scorer, picture: Any, **how: Any) -> ScoreRecord:
        seen.append(picture)
        if len(seen) > count:
            raise KeyboardInterrupt
        return original(self, picture, **how)

    monkeypatch.setattr(Scorer, "score_or_error", scoring)


# What comes out


def test_a_table_ranks_best_first_with_mean_std_and_a_histogram(shelf: Path, score: Score) -> None:
    code, out, err = score("p")
    assert code == 0
    lines = [line.split() for line in out.splitlines() if re.match(r"\s*\d", line)]
    assert [line[0] for line in lines] == ["1", "2", "3", "4", "5", "6"]
    means = [float(line[1]) for line in lines]
    assert means == sorted(means, reverse=True)
    assert all(0 < float(line[2]) < 5 for line in lines)
    assert {line[-1] for line in lines} == {f"p/{photo.name}" for photo in PHOTOS}
    assert all("█" in line for line in out.splitlines() if "p/" in line)
    assert "6 photographs in " in one_line(err)


def test_json_lines_hold_the_whole_record(shelf: Path, score: Score) -> None:
    code, out, _ = score("p/cat.jpg", "--format", "jsonl")
    assert code == 0
    (row,) = rows(out)
    status = os.stat("p/cat.jpg")
    assert row["name"] == "p/cat.jpg"
    assert len(row["distribution"]) == 10
    assert sum(row["distribution"]) == pytest.approx(1)
    assert row["mean"] == pytest.approx(sum(p * n for n, p in enumerate(row["distribution"], 1)))
    assert row["std"] > 0
    assert row["elapsed_ms"] > 0
    assert re.fullmatch(r".+@[0-9a-f]{8}", row["model"])
    assert row["error"] is None
    assert (row["size"], row["mtime_ns"]) == (status.st_size, status.st_mtime_ns)


def test_csv_says_the_same_as_json_lines(shelf: Path, score: Score) -> None:
    assert score("p", "-o", "a.csv")[0] == score("p", "-o", "a.jsonl")[0] == 0
    assert timeless("a.csv") == timeless("a.jsonl")
    _, out, _ = score("p", "--format", "csv")
    assert [row["name"] for row in csv.DictReader(io.StringIO(out))] == [f"p/{photo.name}" for photo in PHOTOS]


def test_the_records_do_not_depend_on_jobs_or_threads(shelf: Path, score: Score) -> None:
    Path("p/broken.jpg").write_text("text")
    results = []
    for number, options in enumerate((["--jobs", "1"], ["--jobs", "4"], ["--jobs", "2", "--threads", "2"], [])):
        assert score("p", "p/*.jpg", "-o", f"{number}.jsonl", *options)[0] == 3
        results.append(timeless(f"{number}.jsonl"))
    assert len(results[0]) == 7
    assert all(result == results[0] for result in results)


def test_results_stream_in_the_order_of_the_paths(shelf: Path, score: Score) -> None:
    _, out, _ = score("p/rocket.jpg", "p/c*.jpg", "p", "--format", "jsonl", "--jobs", "3")
    names = [Path(row["name"]).stem for row in rows(out)]
    assert names == ["rocket", "cat", "china", "coffee", "astronaut", "flower"]


def test_top_and_min_score_choose(shelf: Path, score: Score) -> None:
    Path("p/broken.jpg").write_text("text")
    everything = {row["name"]: row["mean"] for row in rows(score("p", "--format", "jsonl")[1]) if row["error"] is None}
    best = sorted(everything, key=lambda name: -everything[name])
    code, out, _ = score("p", "--format", "jsonl", "--top", "2")
    assert code == 3
    assert [row["name"] for row in rows(out)] == [*best[:2], "p/broken.jpg"]
    limit = everything[best[2]]
    _, out, _ = score("p", "--format", "jsonl", "--min-score", repr(limit))
    assert {row["name"] for row in rows(out)} == {*best[:3], "p/broken.jpg"}
    assert score("p/cat.jpg", "--min-score", "10")[:2] == (0, "")


def test_names_are_shown_as_they_are(shelf: Path, score: Score) -> None:
    strange = ["[red]x[bold].jpg", ":smile:.jpg", "日本語の写真.jpg", "with, \"both\" 'quotes'.jpg", "-dash.jpg"]
    os.mkdir("n")
    for name in strange:
        os.link("p/cat.jpg", f"n/{name}")
    _, out, _ = score("n")
    assert sorted(line.split(maxsplit=4)[4] for line in out.splitlines() if "n/" in line) == sorted(
        f"n/{name}" for name in strange
    )
    _, out, _ = score("n", "--format", "jsonl")
    assert {row["name"] for row in rows(out)} == {f"n/{name}" for name in strange}
    assert score("--", "n/-dash.jpg")[0] == 0


def test_a_table_can_be_written_to_a_file(shelf: Path, score: Score) -> None:
    code, out, _ = score("p", "--format", "table", "-o", "ranking.txt")
    assert (code, out) == (0, "")
    assert "p/cat.jpg" in Path("ranking.txt").read_text(encoding="utf-8")


def test_a_terminal_without_block_characters_gets_plain_ones(shelf: Path) -> None:
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*COMMAND, "p/cat.jpg"], capture_output=True, env=ascii_only, check=True)
    assert done.stdout.isascii()
    assert b"\\u" not in done.stdout
    assert b"p/cat.jpg" in done.stdout


# What is wrong with the input


def test_photographs_that_cannot_be_scored_are_records_and_not_the_end(shelf: Path, score: Score) -> None:
    Path("p/a-text.jpg").write_text("not a picture")
    Path("p/b-empty.jpg").touch()
    Path("p/c-torn.jpg").write_bytes(Path("p/cat.jpg").read_bytes()[:5000])
    os.symlink("d-loop.jpg", "p/d-loop.jpg")
    os.symlink("gone", "p/e-gone.jpg")
    os.mkfifo("p/f-pipe.jpg")
    os.symlink(".", "p/loop")
    code, out, err = score("p", "--format", "jsonl")
    assert code == 3
    found = {row["name"].removeprefix("p/"): row for row in rows(out)}
    assert len(found) == 12
    errors = {name: row["error"] for name, row in found.items() if row["error"]}
    for name, words in {
        "a-text.jpg": "not a picture",
        "b-empty.jpg": "0 bytes",
        "c-torn.jpg": "damaged",
        "d-loop.jpg": "symbolic links",
        "e-gone.jpg": "No such file",
        "f-pipe.jpg": "not a regular file",
    }.items():
        assert words in errors.pop(name)
        assert found[name]["mean"] is found[name]["std"] is found[name]["distribution"] is None
    assert errors == {}
    assert "6 not scored" in err
    code, out, err = score("p")
    assert code == 3
    assert len(re.findall(r"^edge-nima: not scored: p/.*: .+$", err, re.MULTILINE)) == 6
    assert "a-text" not in out


@pytest.mark.parametrize(
    ("content", "words"), [(b"hello\n", "not a picture"), (b"", "0 bytes"), (b"\xff\xd8\xff\xe0", "pic|damaged")]
)
def test_a_single_bad_file_is_one_clear_line_each(shelf: Path, score: Score, content: bytes, words: str) -> None:
    Path("x.jpg").write_bytes(content)
    code, out, err = score("x.jpg")
    assert (code, out) == (3, "")
    assert re.match(f"edge-nima: not scored: x.jpg: .*({words})", err)


@pytest.mark.parametrize("arguments", [["loop.jpg"], ["loop"]])
def test_a_link_to_itself_is_said(shelf: Path, score: Score, arguments: list[str]) -> None:
    os.symlink(arguments[0], arguments[0])
    code, _, err = score(*arguments)
    assert code == 3
    assert "symbolic links" in err


def test_a_folder_that_links_to_itself_ends(shelf: Path, score: Score) -> None:
    os.symlink("..", "p/up")
    code, out, _ = score("p", "--format", "jsonl")
    assert code == 0
    assert len(rows(out)) == 6


def test_max_megapixels_refuses_larger_ones(shelf: Path, score: Score) -> None:
    code, out, _ = score("p/cat.jpg", "--format", "jsonl", "--max-megapixels", "0.01")
    assert code == 3
    assert "--max-megapixels" in rows(out)[0]["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.jpg"], "no such file or folder: 'none.jpg'"),
        (["p", "none"], "no such file or folder: 'none'"),
        (["empty"], "it is empty"),
        (["*.png"], "the pattern '*.png' matches no photograph"),
        ([], "Missing argument 'PATH...'"),
        (["p", "--bogus"], "No such option: --bogus"),
        (["p", "--format", "xml"], "'xml' is not one of"),
        (["p", "--jobs", "0"], "--jobs"),
        (["p", "--threads", "0"], "--threads"),
        (["p", "--top", "0"], "--top"),
        (["p", "--min-score", "11"], "--min-score"),
        (["p", "--min-score", "nan"], "--min-score"),
        (["p", "--max-megapixels", "0"], "--max-megapixels"),
        (["p", "--max-megapixels", "nan"], "--max-megapixels"),
        (["p", "--model", "none.tflite"], "none.tflite"),
        (["p", "--model", "p/cat.jpg"], "not a .tflite"),
        (["p", "-o", "a.txt"], "--format jsonl, csv or table"),
        (["p", "-o", "there.jsonl"], "'there.jsonl' exists: --overwrite replaces it, --resume goes on with it"),
        (["p", "-o", "left.jsonl"], "left.jsonl.partial"),
        (["p", "--resume"], "--output"),
        (["p", "--resume", "-o", "a.txt", "--format", "table"], "--output"),
        (["p", "--resume", "--overwrite", "-o", "a.jsonl"], "one of them"),
        (["p", "--resume", "--top", "1", "-o", "a.jsonl"], "--top"),
        (["p", "--resume", "-o", "notes.csv"], "not a file of score records"),
        (["p", "--resume", "-o", "notes.jsonl"], "not a file of score records"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_are_one_line_and_code_2_and_touch_nothing(
    shelf: Path, score: Score, arguments: list[str], words: str
) -> None:
    os.mkdir("empty")
    for name in ("there.jsonl", "left.jsonl.partial", "notes.csv", "notes.jsonl"):
        Path(name).write_text("my notes")
    before = sorted(os.listdir())
    code, out, err = score(*arguments)
    assert (code, out) == (2, "")
    assert words in one_line(err)
    assert sorted(os.listdir()) == before
    assert Path("there.jsonl").read_text() == Path("notes.csv").read_text() == "my notes"


# What is wrong with the output


@pytest.mark.parametrize("options", [[], ["--top", "2"], ["--format", "table"]], ids=["lines", "top", "table"])
@pytest.mark.parametrize(("output", "words"), [("none/a.jsonl", "mkdir -p"), ("p.jsonl", "is a folder")])
def test_an_output_that_cannot_be_is_said_before_any_scoring(
    shelf: Path, score: Score, monkeypatch: pytest.MonkeyPatch, options: list[str], output: str, words: str
) -> None:
    os.mkdir("p.jsonl")
    interrupt_after(monkeypatch, 0)
    code, out, err = score("p", "-o", output, *options)
    assert (code, out) == (2, "")
    assert words in one_line(err)


@pytest.mark.parametrize("options", [[], ["--top", "2"], ["--format", "table"]], ids=["lines", "top", "table"])
def test_a_pipe_or_a_device_is_written_and_stays_one(shelf: Path, options: list[str]) -> None:
    os.mkfifo("pipe.jsonl")
    with subprocess.Popen([*COMMAND, "p", "-o", "pipe.jsonl", *options], stderr=subprocess.PIPE) as process:
        text = Path("pipe.jsonl").read_text(encoding="utf-8")
        assert process.communicate(timeout=60)[1].startswith(b"edge-nima: 6 photographs")
    assert text.count("p/") == (2 if "--top" in options else 6)
    assert Path("pipe.jsonl").is_fifo()
    assert sorted(os.listdir()) == ["p", "pipe.jsonl"]


@pytest.fixture
def small_disk(shelf: Path) -> Iterator[Path]:
    """A file system of one page, on which four lines of records fit."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    place = shelf / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("mount is not allowed here")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_full_disk_keeps_what_was_scored_and_resume_completes_it(
    shelf: Path, small_disk: Path, score: Score, form: str
) -> None:
    many(shelf / "m", 30)
    output = str(small_disk / f"a.{form}")
    code, _, err = score("m", "-o", output)
    assert code == 1
    assert "No space left on device" in one_line(err)
    assert os.listdir(small_disk) == [f"a.{form}.partial"]
    assert len(read_records(f"{output}.partial", form)) >= 3
    subprocess.run(["mount", "-o", "remount,size=1m", small_disk], check=True)
    code, _, err = score("m", "-o", output, "--resume")
    assert code == 0
    assert "kept from before" in err
    assert score("m", "-o", f"whole.{form}")[0] == 0
    assert timeless(output) == timeless(f"whole.{form}")


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("limit", [100, 700, 1400])
def test_a_limit_on_file_size_is_a_full_disk_too(shelf: Path, score: Score, form: str, limit: int) -> None:
    def restrict() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    # Python writes no .pyc beside the sources while files are this small.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*COMMAND, "p", "-o", f"a.{form}"], preexec_fn=restrict, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 1
    assert "File too large" in one_line(done.stderr)
    assert not Path(f"a.{form}").exists()
    assert score("p", "-o", f"a.{form}", "--resume")[0] == 0
    assert len(read_records(f"a.{form}")) == 6
    assert sorted(os.listdir()) == [f"a.{form}", "p"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
def test_stdout_on_a_full_disk_is_one_line(shelf: Path, form: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "p", "--format", form], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "No space left on device" in one_line(done.stderr)


def test_a_reader_that_leaves_early_ends_the_run_without_a_word(shelf: Path) -> None:
    many(shelf / "m", 200)
    for form in ("jsonl", "csv"):
        with subprocess.Popen(
            [*COMMAND, "m", "--format", form], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(30) == 141
    with subprocess.Popen([*COMMAND, "p"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # gone before the table comes
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_stdout_or_stderr_is_no_traceback(shelf: Path, closed: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *COMMAND, "p/cat.jpg", "--format", "jsonl"],
        capture_output=True,
        text=True,
    )
    if closed == 1:
        assert done.returncode == 1
        assert one_line(done.stderr) == "edge-nima: stdout is closed; give --output FILE\n"
    else:
        assert done.returncode == 0
        assert len(rows(done.stdout)) == 1


def test_what_nobody_may_read_or_write_is_said() -> None:
    # Under /tmp and not in pytest's folder, which only its owner may enter.
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        for file in ("a.jpg", "b.jpg"):
            shutil.copyfile(PHOTOS[0], place / file)
        (place / "a.jpg").chmod(0)
        (place / "locked").mkdir(mode=0o700)
        shutil.copyfile(PHOTOS[0], place / "locked" / "c.jpg")
        (place / "locked").chmod(0)
        command = COMMAND
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                pytest.skip("root reads everything, and setpriv is not here")
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *COMMAND]
            if subprocess.run([*command, "--help"], capture_output=True, cwd="/").returncode:
                pytest.skip("this Python cannot be started as another user")

        def score(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=place)

        try:
            done = score(".", "--format", "jsonl")
            assert done.returncode == 3
            errors = {os.path.basename(row["name"]): row["error"] for row in rows(done.stdout)}
            assert "Permission denied" in errors["a.jpg"]
            assert errors["b.jpg"] is None
            assert "folder that cannot be read" in errors["locked"]
            assert "cannot read the folder 'locked'" in one_line(score("locked").stderr)
            assert "Permission denied" in one_line(score("locked/c.jpg").stderr)
            if os.geteuid() != 0:
                place.chmod(0o555)
            for options in ([], ["--top", "1"]):
                done = score("b.jpg", "-o", "out.jsonl", *options)
                assert done.returncode == 1
                assert re.search("ermission", one_line(done.stderr))
        finally:
            place.chmod(0o755)
            (place / "locked").chmod(0o755)


# What an interruption leaves, and how it goes on


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_ctrl_c_leaves_valid_output_and_resume_completes_it(
    shelf: Path, score: Score, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    Path("p/a-broken.jpg").write_text("text")  # first of all: scored again by --resume, and still first
    with monkeypatch.context() as patched:
        interrupt_after(patched, 4)
        code, out, err = score("p", "-o", f"a.{form}", "--jobs", "1")
    assert (code, out) == (130, "")
    assert f"interrupted after 4 of 7 photographs; they are in 'a.{form}', --resume goes on" in err
    assert len(read_records(f"a.{form}")) == 4
    assert score("p", "-o", f"a.{form}")[0] == 2
    code, _, err = score("p", "-o", f"a.{form}", "--resume")
    assert code == 3
    assert "4 photographs in" in err
    assert "3 kept from before" in err
    assert score("p", "-o", f"whole.{form}")[0] == 3
    assert timeless(f"a.{form}") == timeless(f"whole.{form}")
    assert sorted(os.listdir()) == [f"a.{form}", "p", f"whole.{form}"]


def test_ctrl_c_twice_over_loses_nothing(shelf: Path, score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    for count, held in ((2, 2), (3, 5), (0, 5)):
        with monkeypatch.context() as patched:
            interrupt_after(patched, count)
            assert score("p", "-o", "a.jsonl", "--jobs", "1", "--resume")[0] == 130
        assert len(read_records("a.jsonl")) == held
    assert score("p", "-o", "a.jsonl", "--resume")[0] == 0
    score("p", "-o", "whole.jsonl")
    assert timeless("a.jsonl") == timeless("whole.jsonl")


@pytest.mark.parametrize("options", [[], ["--top", "2"], ["--format", "table"]], ids=["lines", "top", "table"])
def test_an_interrupted_overwrite_leaves_the_old_file(
    shelf: Path, score: Score, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    Path("a.jsonl").write_text("precious")
    with monkeypatch.context() as patched:
        interrupt_after(patched, 3)
        code, _, err = score("p", "-o", "a.jsonl", "--overwrite", "--jobs", "1", *options)
    assert code == 130
    assert Path("a.jsonl").read_text() == "precious"
    assert ("--resume" in err) == (not options)
    if not options:
        assert len(read_records("a.jsonl.partial", "jsonl")) == 3
    assert score("p", "-o", "a.jsonl", "--overwrite", *options)[0] == 0
    assert "p/" in Path("a.jsonl").read_text(encoding="utf-8")
    assert sorted(os.listdir()) == ["a.jsonl", "p"]


def test_an_interrupted_table_shows_what_there_is(shelf: Path, score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_after(monkeypatch, 3)
    code, out, err = score("p", "--jobs", "1")
    assert code == 130
    assert out.count("p/") == 3
    assert "interrupted after 3 of 6" in one_line(err)


def test_resume_scores_what_is_new_or_changed_and_forgets_nothing(shelf: Path, score: Score) -> None:
    score("p/cat.jpg", "p/coffee.jpg", "p/china.jpg", "-o", "a.jsonl")
    shutil.copy("p/flower.jpg", "p/cat.jpg")
    os.utime("p/coffee.jpg", ns=(1, 1))
    code, _, err = score("p/cat.jpg", "p/coffee.jpg", "p/rocket.jpg", "-o", "a.jsonl", "--resume")
    assert code == 0
    assert "3 photographs in" in err
    assert "1 kept from before" in err
    records = {record.name: (record, stamp) for record, stamp in read_records("a.jsonl")}
    assert list(records) == ["p/china.jpg", "p/cat.jpg", "p/coffee.jpg", "p/rocket.jpg"]
    assert records["p/coffee.jpg"][1].mtime_ns == 1
    before = Path("a.jsonl").read_bytes()
    assert score("p/cat.jpg", "p/coffee.jpg", "p/rocket.jpg", "-o", "a.jsonl", "--resume")[0] == 0
    assert Path("a.jsonl").read_bytes() == before


def test_resume_tries_again_what_could_not_be_scored(shelf: Path, score: Score) -> None:
    Path("p/cat.jpg").rename("cat.jpg")
    os.symlink("../cat2.jpg", "p/cat.jpg")
    assert score("p", "-o", "a.jsonl")[0] == 3
    os.link("cat.jpg", "cat2.jpg")
    assert score("p", "-o", "a.jsonl", "--resume")[0] == 0
    assert [record.error for record, _ in read_records("a.jsonl")] == [None] * 6


def test_resume_with_nothing_there_starts(shelf: Path, score: Score) -> None:
    assert score("p", "-o", "a.jsonl", "--resume")[0] == 0
    assert len(read_records("a.jsonl")) == 6


def test_resume_refuses_scores_of_another_model(shelf: Path, score: Score) -> None:
    score("p/cat.jpg", "-o", "a.jsonl")
    text = Path("a.jsonl").read_text()
    Path("a.jsonl").write_text(re.sub(r"@[0-9a-f]{8}", "@00000000", text))
    code, _, err = score("p", "-o", "a.jsonl", "--resume")
    assert code == 2
    assert "@00000000" in one_line(err)


def started(output: str, *options: str) -> subprocess.Popen[str]:
    """`edge-nima score m` in a process of its own, once a few records are written."""
    process = subprocess.Popen([*COMMAND, "m", "-o", output, *options], stderr=subprocess.PIPE, text=True)
    partial = Path(f"{output}.partial")
    end = time.monotonic() + 60
    while not (partial.exists() and partial.read_bytes().count(b"\n") >= 4):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)
    return process


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_a_real_ctrl_c_ends_with_130_one_line_and_valid_output(shelf: Path, score: Score, jobs: str) -> None:
    many(shelf / "m", 400)
    with started("a.jsonl", "--jobs", jobs) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted after" in one_line(err)
    held = timeless("a.jsonl")
    assert 4 <= len(held) < 400
    assert not Path("a.jsonl.partial").exists()
    shutil.rmtree("m")
    many(shelf / "m", len(held) + 5)
    assert score("m", "-o", "a.jsonl", "--resume")[0] == 0
    score("m", "-o", "whole.jsonl")
    assert timeless("a.jsonl") == timeless("whole.jsonl")


def test_a_killed_run_leaves_a_partial_file_that_is_refused_resumed_or_replaced(shelf: Path, score: Score) -> None:
    many(shelf / "m", 400)
    with started("a.jsonl") as process:
        process.kill()
    assert sorted(os.listdir()) == ["a.jsonl.partial", "m", "p"]
    held = len(read_records("a.jsonl.partial", "jsonl"))
    shutil.rmtree("m")
    many(shelf / "m", held + 5)
    code, _, err = score("m", "-o", "a.jsonl")
    assert code == 2
    assert "a.jsonl.partial" in one_line(err)
    shutil.copy("a.jsonl.partial", "b.jsonl.partial")
    code, _, err = score("m", "-o", "a.jsonl", "--resume")
    assert code == 0
    assert "5 photographs in" in err
    assert f"{held} kept from before" in err
    assert score("m", "-o", "b.jsonl", "--overwrite")[0] == 0
    assert timeless("a.jsonl") == timeless("b.jsonl")
    assert sorted(os.listdir()) == ["a.jsonl", "b.jsonl", "m", "p"]


def test_two_runs_to_one_output_do_not_spoil_each_other(shelf: Path) -> None:
    runs = [subprocess.Popen([*COMMAND, "p", "-o", "o.jsonl"], stderr=subprocess.PIPE) for _ in range(4)]
    said = [(run.communicate(timeout=60)[1].decode(), run.returncode) for run in runs]
    assert 0 in [code for _, code in said]
    for err, code in said:
        assert code in {0, 2}, err
        assert code == 0 or "another run" in err or "exists" in err or "an interrupted run" in err
    assert len([json.loads(line) for line in Path("o.jsonl").read_text(encoding="utf-8").splitlines()]) == 6


def test_resume_is_advised_only_where_it_is_possible(shelf: Path, score: Score) -> None:
    Path("o.jsonl").write_text("", encoding="utf-8")
    assert "--resume" in score("p", "-o", "o.jsonl")[2]
    for options in (["--top", "2"], ["--format", "table"]):
        code, _, err = score("p", "-o", "o.jsonl", *options)
        assert code == 2
        assert "--overwrite" in err
        assert "--resume" not in err


def test_a_narrow_terminal_shows_the_whole_mean(shelf: Path) -> None:
    command = f"stty cols 40; {' '.join(map(shlex.quote, COMMAND))} p"
    done = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True, check=True)
    assert re.search(r"\b5\.\d{3}\b", done.stdout), done.stdout


def test_an_interruption_before_the_first_photograph_is_said(
    shelf: Path, score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edge_nima.scorer.open_scorer", interrupt)
    assert score("p") == (130, "", "edge-nima: interrupted\n")


def test_an_interruption_while_python_imports_is_said() -> None:
    code = """
import sys

class Interrupt:
    def find_spec(self, name, *_):
        if name == "edge_nima.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
from edge_nima.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "edge-nima: interrupted\n")


def test_a_large_photograph_scores_as_its_640_pixels_do_and_exact_decodes_it_in_full(shelf: Path, score: Score) -> None:
    with Image.open(PHOTOS[0]) as image:
        large = image.resize((3840, 3840), Image.Resampling.BICUBIC)
    large.save("large.jpg", quality=90)
    with Image.open("large.jpg") as image:
        image.resize((640, 640), Image.Resampling.LANCZOS).save("small.png")
    means = []
    for arguments in (["large.jpg"], ["large.jpg", "--exact"], ["small.png"]):
        code, out, _ = score(*arguments, "--format", "jsonl")
        (record,) = rows(out)
        assert code == 0
        assert record["preprocessing"].startswith("longest edge at most 640 by Pillow LANCZOS (JPEG at any DCT scale")
        means.append(record["mean"])
    assert means[1] == pytest.approx(means[2], abs=1e-9)
    assert means[0] != means[1]
    assert means[0] == pytest.approx(means[1], abs=0.05)
