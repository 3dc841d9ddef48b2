"""The harness, and that the pages say what the committed results say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.harness import RESULTS, ROOT, Bench, Missing, measured_process
from benchmarks.peers import command, linked, ours, peers, scores
from edge_nima import open_scorer
from edge_nima.bench import BOARDS
from edge_nima.photographs import find_photographs


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_readme_and_the_page_are_made_of_the_committed_results() -> None:
    found = report.read_results(RESULTS)
    assert report.with_tables(report.README.read_text(), found) == report.README.read_text()
    assert report.page(found) == report.PAGE.read_text()
    assert [json.dumps(line) for line in report.boards(RESULTS)] == BOARDS.read_text().splitlines()


def test_every_result_names_its_suite_and_machine() -> None:
    for path in RESULTS.glob("*.jsonl"):
        for line in map(json.loads, path.read_text().splitlines()):
            assert line["suite"] == path.stem
            assert line["case"]
            assert line["machine"]["cores"] >= 1
            assert not line.get("quick")


def test_a_report_of_results_that_lack_something_says_what_and_writes_nothing(tmp_path: Path) -> None:
    def told() -> str:
        done = benchmarks("report", "--results", str(tmp_path))
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        return done.stderr

    before = [(path, path.stat().st_mtime_ns) for path in (report.README, report.PAGE, report.PLOT, BOARDS)]
    assert f"needs results of agreement, latency, recipes, start, throughput, '{tmp_path}' has none: python" in told()
    for path in RESULTS.glob("*.jsonl"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    start = (RESULTS / "start.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "start.jsonl").write_text("".join(line for line in start if "idealo_keras" not in line))
    assert "needs results of start with Keras" in told()
    (tmp_path / "start.jsonl").write_text("".join(start)[:-9])
    assert f"line {len(start)} of '{tmp_path}/start.jsonl' is no JSON" in told()
    assert [(path, path.stat().st_mtime_ns) for path, _ in before] == before


def test_a_suite_that_is_not_there_is_one_line_with_those_that_are() -> None:
    done = benchmarks("speed")
    assert done.returncode == 2
    assert "no suite speed; possible: report, agreement, archive" in done.stderr.splitlines()[-1]


def test_a_suite_without_its_data_is_left_out_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_NIMA_DATA", raising=False)
    done = benchmarks("recipes", "--quick", "--results", str(tmp_path))
    assert done.returncode == 1
    assert "recipes left out: needs the development data's 'weights' (EDGE_NIMA_DATA)" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_measurement_is_a_line_with_what_belongs_to_it(tmp_path: Path) -> None:
    bench = Bench(quick=True, results=tmp_path, suite="tried")
    bench.keep("a case", [3.0, 1.0, 2.0], threads=2, peak_mib=10.04, size="640x480")
    bench.keep("another", versions={"python": "2"})
    first, second = map(json.loads, (tmp_path / "tried.jsonl").read_text().splitlines())
    assert (first["n"], first["p50"], first["unit"], first["threads"], first["peak_mib"]) == (3, 2.0, "ms", 2, 10.0)
    assert {"machine", "versions", "commit", "date", "quick", "size"} <= first.keys()
    assert second["versions"] == {"python": "2"}
    assert "n" not in second


def test_the_memory_of_a_process_is_its_own() -> None:
    held = bytearray(300 << 20)
    seconds, mib, out = measured_process([sys.executable, "-c", "print('there')"])
    assert (len(held), out) == (300 << 20, "there\n")
    assert seconds > 0.005
    assert 5 < mib < 100


def test_a_process_that_fails_is_left_out_with_what_it_said() -> None:
    with pytest.raises(Missing, match="no such thing"):
        measured_process([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_a_run_is_the_last_lines_of_one_date_commit_and_machine(tmp_path: Path) -> None:
    lines = [
        {
            "suite": "s",
            "case": str(n),
            "date": date,
            "commit": commit,
            "machine": {"board": "b", "cores": 1},
            "quick": q,
        }
        for n, (date, commit, q) in enumerate(
            [("1", "a", False), ("2", "b", False), ("2", "b", False), ("3", "c", True)]
        )
    ]
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [line["case"] for line in report.read_results(tmp_path)["s"]] == ["1", "2"]


def test_a_ratio_that_the_run_before_measured_otherwise_is_called_noisy(tmp_path: Path) -> None:
    def line(date: str, board: str, peer: str, ratio: float) -> str:
        machine = {"board": board, "cores": 1, "instructions": ["avx2"]}
        return json.dumps({"suite": "start", "case": "one", "peer": peer, "date": date, "commit": "a", "quick": False,
                           "machine": machine, "time_to_ours": ratio}) + "\n"  # fmt: skip

    (tmp_path / "start.jsonl").write_text(
        line("1", "b", "x", 2.0) + line("1", "b", "y", 2.0) + line("2", "other", "x", 9.0)
        + line("3", "b", "x", 2.1) + line("3", "b", "y", 2.4) + line("3", "b", "new", 5.0)
    )  # fmt: skip
    found = report.read_results(tmp_path)
    assert [line.get("time_to_ours_again") for line in found["start"]] == [2.0, 2.0, None]
    told = report.repeats(found)
    assert told.startswith("2 ratios of start were measured in two whole runs on one machine: 1 came out within 10%")
    assert told.splitlines()[-1] == "| start | one, y | time to ours | 2.4 | 2 | +20% |"


def test_our_side_of_a_comparison_scores_as_the_scorer_does() -> None:
    photographs = ROOT / "examples" / "photos"
    with linked(find_photographs([photographs])) as folder:
        told = command(ours(), "mobilenet-ava-int8-mixed", "score", Path(), folder, "--workers", 2)
        records, closing = scores(measured_process(told)[2])
    scorer = open_scorer()
    assert closing["photographs"] == len(records) > 1
    for record in records:
        assert record["mean"] == pytest.approx(scorer.score(photographs / Path(record["name"]).name).mean, abs=1e-9)


def test_every_peer_says_what_it_is_and_what_it_needs() -> None:
    found = peers()
    assert {"idealo_keras", "naive_tflite", "onnx_runtime", "openvino_runtime", "litert_samples"} <= found.keys()
    for peer in found.values():
        assert peer.title
        assert peer.about
        assert peer.variants
        assert all(
            "<" in requirement or "==" in requirement or ">=" in requirement for requirement in peer.requirements
        )
