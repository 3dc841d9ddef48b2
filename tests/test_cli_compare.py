"""`edge-nima compare`: what comes out, and one line for everything that is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import PHOTOS
from edge_nima.cli import run
from edge_nima.distribution import RATINGS
from edge_nima.pixels import Preprocessing
from edge_nima.records import FileStamp, RecordFile, ScoreRecord
from edge_nima.scorer import load_model
from edge_nima.verdict import Verdict

HOW = Preprocessing().describe()
COMMAND = [sys.executable, "-m", "edge_nima", "compare"]
NAMES = [*(path.name for path in sorted(PHOTOS.glob("*.jpg"))), *(f"{i}.jpg" for i in range(30))]

Output = tuple[int, str, str]
Compare = Callable[..., Output]


def write(path: Path, model: str, folder: str, names: list[str], seed: int, how: str | None = HOW) -> None:
    base = np.random.default_rng(0).dirichlet(np.ones(10), len(names))
    noise = np.random.default_rng(seed).dirichlet(np.ones(10), len(names))
    with RecordFile(path, "jsonl") as file:
        for name, p in zip(names, 0.9 * base + 0.1 * noise, strict=True):
            mean = float(p @ RATINGS)
            file.write(
                ScoreRecord(f"{folder}{name}", mean, 1.0, tuple(p.tolist()), model, 1.0, None, how),
                FileStamp(None, None),
            )


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ref.jsonl, cand.jsonl and labels.csv of the same photographs."""
    monkeypatch.chdir(tmp_path)
    write(Path("ref.jsonl"), "float@00000000", "/big/photos/", NAMES, 1)
    write(Path("cand.jsonl"), "int8@11111111", "pi/", NAMES, 2)
    rows = [f"{name},{4 + i / 10:.2f}" for i, name in enumerate(NAMES)]
    Path("labels.csv").write_text("\n".join(["file,mean_rating", *rows]) + "\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def compare(capsys: pytest.CaptureFixture[str]) -> Compare:
    def call(*arguments: str) -> Output:
        capsys.readouterr()
        code = run(["compare", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def one_line(err: str) -> str:
    assert err.startswith("edge-nima: ")
    assert err.count("\n") == 1
    return err


def test_a_table_says_both_models_and_every_number_with_its_n(desk: Path, compare: Compare) -> None:
    code, out, err = compare("ref.jsonl", "cand.jsonl")
    assert (code, err) == (0, "")
    for words in (
        "float@00000000 (ref.jsonl)", "int8@11111111 (cand.jsonl)", "n = 36", "joined by path", HOW, "MAE of the mean",
        "EMD r=1", "EMD r=2", "SRCC", "PLCC", "flips at 5", "spread ratio", "the reference's mean rating",
    ):  # fmt: skip
        assert words in out, words
    assert "…" not in out
    assert "nan" not in out


def test_with_labels_people_and_the_constant_answer_are_there(desk: Path, compare: Compare) -> None:
    code, out, err = compare("ref.jsonl", "cand.jsonl", "--labels", "labels.csv")
    assert code == 0
    assert "max-entropy" in one_line(err)
    for words in (
        "Against people. labels.csv, n = 36", "constant answer", "always saying 'good'", "max-entropy",
        "people's mean rating", "cand - people",
    ):  # fmt: skip
        assert words in out, words


def test_json_is_one_document_with_the_same_numbers(desk: Path, compare: Compare) -> None:
    code, out, _ = compare("ref.jsonl", "cand.jsonl", "--format", "json", "--labels", "labels.csv")
    assert code == 0
    document = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert document["n"] == document["agreement"]["n"] == 36
    assert document["people"]["inferred_histograms"] is True
    assert document["join"]["rule"] == "path"
    assert f"{document['agreement']['mae']:.4f}" in compare("ref.jsonl", "cand.jsonl")[1]
    assert out == compare("ref.jsonl", "cand.jsonl", "--format", "json", "--labels", "labels.csv")[1]
    other = json.loads(compare("ref.jsonl", "cand.jsonl", "--format", "json", "--seed", "7")[1])
    assert other["bootstrap"]["seed"] == 7
    assert other["intervals"]["mae"] != document["intervals"]["mae"]


def test_output_and_html_are_written_and_named(desk: Path, compare: Compare) -> None:
    pytest.importorskip("matplotlib", reason="needs edge-nima[report]")
    code, out, err = compare(
        "ref.jsonl", "cand.jsonl", "--output", "a.json", "--html", "a.html", "--photos", str(PHOTOS)
    )
    assert (code, out) == (0, "")
    assert one_line(err) == "edge-nima: the page is 'a.html'\n"
    assert json.loads(Path("a.json").read_text(encoding="utf-8"))["n"] == 36
    text = Path("a.html").read_text(encoding="utf-8")
    assert "int8@11111111" in text
    assert compare("ref.jsonl", "cand.jsonl", "-o", "a.txt")[0] == 0
    assert "MAE of the mean" in Path("a.txt").read_text(encoding="utf-8")
    assert sorted(os.listdir()) == ["a.html", "a.json", "a.txt", "cand.jsonl", "labels.csv", "ref.jsonl"]


# The gate


@pytest.fixture
def gated(desk: Path) -> Path:
    """150 photographs: ref.jsonl, close.jsonl and far.jsonl, float16.jsonl of 2 flips, and own.toml."""
    random = np.random.default_rng(0)
    means = random.normal(5, 0.5, 150)
    means += 0.05 * np.sign(means - 5)
    for name, noise in (("ref", 0.0), ("close", 0.008), ("far", 0.06), ("float16", 0.004)):
        other = means + noise * random.normal(size=150)
        if name in ("close", "float16"):
            other[:2] = 10 - means[:2].clip(4.99, 5.01)
        with RecordFile(Path(f"{name}.jsonl"), "jsonl") as file:
            for i, mean in enumerate(np.where(np.arange(150) < 2, other.clip(4.99, 5.01), other).tolist()):
                p = np.interp(RATINGS, [int(mean), int(mean) + 1], [int(mean) + 1 - mean, mean - int(mean)], 0, 0)
                record = ScoreRecord(f"{i}.jpg", mean, 1.0, tuple(p.tolist()), f"{name}@00000000", 1.0, None, HOW)
                file.write(record, FileStamp(None, None))
    Path("own.toml").write_text("flips_max = 0.01\nmae_max = 0.02\n", encoding="utf-8")
    return desk


def test_the_gate_passes_or_fails_records_in_table_json_and_exit_code(gated: Path, compare: Compare) -> None:
    code, out, err = compare("ref.jsonl", "close.jsonl", "--gate", "default")
    assert (code, err) == (0, "")
    assert "\ngate           passed (n=150)\n" in out
    code, out, err = compare("ref.jsonl", "far.jsonl", "--gate", "default")
    assert code == 1
    assert "far@00000000 (far.jsonl) failed the gate: " in one_line(err)
    assert "(at most 0.03; 0.0" in err
    assert "\ngate           failed (n=150): " in out
    code, out, _ = compare("ref.jsonl", "far.jsonl", "--gate", "default", "--format", "json")
    verdict = Verdict.from_json(json.loads(out)["gate"])
    assert (code, verdict.status, verdict.n) == (1, "failed", 150)
    assert "mae_share" in [failure.statistic for failure in verdict.failures]
    assert "gate" not in json.loads(compare("ref.jsonl", "far.jsonl", "--format", "json")[1])


def test_too_few_photographs_to_say_is_said_and_float16_may_decide(gated: Path, compare: Compare) -> None:
    arguments = ["ref.jsonl", "close.jsonl", "--gate", "own.toml", "--format", "json"]
    code, out, err = compare(*arguments)
    assert (code, json.loads(out)["gate"]["status"]) == (0, "not judged")
    told = "warning: close@00000000 (close.jsonl) not judged: too few photographs to say: flips 0.01333 (at most 0.01"
    assert told in one_line(err)
    assert "2 of 150" in err
    assert "about 3,400 would do" in err
    code, out, err = compare(*arguments, "--float16", "float16.jsonl")
    assert (code, json.loads(out)["gate"]["status"], err) == (0, "passed", "")


def test_a_gate_beside_a_page_is_on_it(gated: Path, compare: Compare) -> None:
    pytest.importorskip("matplotlib", reason="needs edge-nima[report]")
    assert compare("ref.jsonl", "far.jsonl", "--gate", "default", "--html", "a.html", "-o", "a.json")[0] == 1
    assert "<dt>gate</dt><dd>failed (n=150): " in Path("a.html").read_text(encoding="utf-8")


def test_what_is_left_over_is_listed_ten_and_a_count(desk: Path, compare: Compare) -> None:
    write(Path("some.jsonl"), "int8@11111111", "pi/", [*NAMES[:20], "new.jpg"], 2)
    code, out, _ = compare("ref.jsonl", "some.jsonl")
    assert code == 0
    assert "n = 20" in out
    assert "16 photographs of the reference missing in the candidate:\n  /big/photos/14.jpg\n" in out
    assert "and 6 more (JSON lists all)" in out
    assert "1 photograph of the candidate that the reference does not have:\n  pi/new.jpg\n" in out
    document = json.loads(compare("ref.jsonl", "some.jsonl", "--format", "json")[1])
    assert len(document["join"]["missing"]) == 16


def test_one_photograph_is_compared_and_what_is_undefined_is_said(desk: Path, compare: Compare) -> None:
    write(Path("one.jsonl"), "int8@11111111", "pi/", NAMES[:1], 2)
    code, out, err = compare("ref.jsonl", "one.jsonl")
    assert (code, err) == (0, "")
    assert "Undefined, shown as -: srcc, plcc, spread_ratio (one photograph only)" in out


def test_records_without_preprocessing_are_compared_with_a_warning(desk: Path, compare: Compare) -> None:
    write(Path("old.jsonl"), "int8@11111111", "pi/", NAMES, 2, None)
    code, _, err = compare("ref.jsonl", "old.jsonl")
    assert code == 0
    assert "warning: 36 of 36 records in old.jsonl do not say their preprocessing" in one_line(err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ref.jsonl"], "Missing argument 'CANDIDATE'"),
        (["ref.jsonl", "none.jsonl"], "No such file"),
        (["ref.jsonl", "."], "Is a directory"),
        (["ref.jsonl", "labels.csv"], "not a file of score records (csv)"),
        (["ref.jsonl", "empty.jsonl"], "holds no score records"),
        (["ref.jsonl", "notes.jsonl"], "not a file of score records"),
        (["ref.jsonl", "other.jsonl"], "no photograph in common"),
        (["ref.jsonl", "crop.jsonl"], "different preprocessing"),
        (["ref.jsonl", "cand.jsonl", "--labels", "none.csv"], "none.csv"),
        (["ref.jsonl", "cand.jsonl", "--labels", "ref.jsonl"], "ref.jsonl"),
        (["ref.jsonl", "cand.jsonl", "--labels", "strangers.csv"], "none of the 36 photographs"),
        (["ref.jsonl", "cand.jsonl", "--format", "html"], "'html' is not one of"),
        (["ref.jsonl", "cand.jsonl", "--seed", "-1"], "--seed"),
        (["ref.jsonl", "cand.jsonl", "--photos", "."], "--html"),
        (["ref.jsonl", "cand.jsonl", "--html", "a.html", "--photos", "none"], "'none' is no folder"),
        (["ref.jsonl", "cand.jsonl", "-o", "notes.jsonl"], "--overwrite"),
        (["ref.jsonl", "cand.jsonl", "--html", "notes.jsonl"], "--overwrite"),
        (["ref.jsonl", "cand.jsonl", "-o", "none/a.json"], "mkdir -p"),
        (["ref.jsonl", "cand.jsonl", "--html", "none/a.html"], "mkdir -p"),
        (["ref.jsonl", "cand.jsonl", "-o", "ref.jsonl", "--overwrite"], "is one of the inputs"),
        (["ref.jsonl", "cand.jsonl", "--gate", "none.toml"], "cannot read the gate 'none.toml'"),
        (["ref.jsonl", "cand.jsonl", "--gate", "notes.jsonl"], "is not TOML"),
        (["ref.jsonl", "cand.jsonl", "--float16", "cand.jsonl"], "--float16 is for the gate"),
        (["ref.jsonl", "cand.jsonl", "--gate", "default", "--float16", "half.jsonl"], "it lacks 26 of the 36"),
        (["ref.jsonl", "cand.jsonl", "--html", "./cand.jsonl", "--overwrite"], "is one of the inputs"),
        (["ref.jsonl", "cand.jsonl", "-o", "a.html", "--html", "a.html"], "both"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_are_one_line_and_code_2_and_touch_nothing(
    desk: Path, compare: Compare, arguments: list[str], words: str
) -> None:
    Path("empty.jsonl").touch()
    Path("notes.jsonl").write_text("my notes\n", encoding="utf-8")
    Path("strangers.csv").write_text("file,mean_rating\nstranger.jpg,6\n", encoding="utf-8")
    write(Path("other.jsonl"), "int8@11111111", "pi/", ["x.jpg"], 2)
    write(Path("half.jsonl"), "float16@22222222", "pi/", NAMES[:10], 2)
    write(Path("crop.jsonl"), "int8@11111111", "pi/", NAMES, 2, Preprocessing(fit="crop").describe())
    before = {name: Path(name).read_bytes() for name in os.listdir()}
    code, out, err = compare(*arguments)
    assert (code, out) == (2, "")
    assert words in one_line(err)
    assert {name: Path(name).read_bytes() for name in os.listdir()} == before


def test_without_matplotlib_html_is_refused_before_any_work(
    desk: Path, compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = compare("ref.jsonl", "none.jsonl", "--html", "a.html")
    assert (code, out) == (2, "")
    assert "pip install 'edge-nima[report]'" in one_line(err)
    assert compare("ref.jsonl", "cand.jsonl")[0] == 0


def test_a_terminal_without_line_characters_gets_plain_ones(desk: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*COMMAND, "ref.jsonl", "cand.jsonl"], capture_output=True, env=environment, check=True)
    assert done.stdout.isascii()
    assert b"\\u" not in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line_and_code_1(desk: Path, compare: Compare) -> None:
    code, _, err = compare("ref.jsonl", "cand.jsonl", "-o", "/dev/full")
    assert code == 1
    assert "No space left" in one_line(err)


def test_comparing_loads_neither_tensorflow_nor_matplotlib_nor_a_runtime(desk: Path) -> None:
    code = """
import sys
from edge_nima.cli import run
assert run(["compare", "ref.jsonl", "cand.jsonl", "--format", "json", "-o", "a.json"]) == 0
heavy = ("tensorflow", "keras", "matplotlib", "ai_edge_litert", "tflite_runtime", "cv2", "scipy")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_score_writes_compares(tmp_path: Path, compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["score", str(PHOTOS), "-o", "a.jsonl"]) == 0
    monkeypatch.chdir(PHOTOS)
    assert run(["score", ".", "-o", str(tmp_path / "b.csv"), "--jobs", "1"]) == 0
    monkeypatch.chdir(tmp_path)
    code, out, err = compare("a.jsonl", "b.csv", "--format", "json")
    assert code == 0
    document = json.loads(out)
    assert (document["n"], document["agreement"]["maximum"]) == (6, 0)
    assert document["join"]["other_size"] == document["join"]["missing"] == []
    assert document["preprocessing"] == load_model().card.preprocessing.describe()
    assert "this compares machines, not models" in one_line(err)
