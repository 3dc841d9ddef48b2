from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_nima import bench, measuring


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "edge_nima", *arguments], capture_output=True, text=True)


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=200))
def test_percentiles_are_within_what_was_measured_and_in_order(values: list[float]) -> None:
    told = measuring.percentiles(values)
    assert told["n"] == len(values)
    rounded = [float(f"{value:.5g}") for value in (min(values), max(values))]
    assert rounded[0] <= told["p50"] <= told["p90"] <= told["p99"] <= rounded[1]


def test_jobs_take_turns_and_the_warm_up_does_not_count() -> None:
    order: list[str] = []
    times = measuring.in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3, warm_up=2)
    assert order == ["a", "b"] * 5
    assert {name: len(ms) for name, ms in times.items()} == {"a": 3, "b": 3}


def test_time_that_is_over_ends_it_after_three_rounds() -> None:
    times = measuring.in_turn({"a": lambda: sleep(0.01)}, seconds=0.0, warm_up=0)
    assert len(times["a"]) == 3


@pytest.mark.parametrize(
    ("medians", "best"),
    [({1: 10.0, 2: 9.6, 4: 9.5}, 2), ({1: 10.0, 2: 5.0}, 2), ({1: 10.0, 2: 10.0}, 1), ({4: 3.0}, 4)],
)
def test_the_fewest_threads_that_are_as_fast(medians: dict[int, float], best: int) -> None:
    assert bench.best_threads(medians) == best


def board(name: str, instructions: list[str], **more: Any) -> str:
    machine = {"board": name, "cores": 4, "system": "Linux x86_64", "instructions": instructions} | more
    line = {"model": "mobilenet@12345678", "threads": 1, "p50": 5.0, "date": "2026-11-28", "machine": machine}
    return json.dumps(line) + "\n"


def test_similar_boards_have_the_architecture_and_the_nearest_instructions_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    held = tmp_path / "boards.jsonl"
    held.write_text(
        board("old", []) + board("near", ["avx2"]) + board("pi", ["asimd"], system="Linux aarch64")
        + board("same", ["avx2", "avx512f"])
    )  # fmt: skip
    monkeypatch.setattr(bench, "BOARDS", held)
    here = {"system": "Linux x86_64", "instructions": ["avx2", "avx512f"]}
    assert [line["machine"]["board"] for line in bench.similar_boards("mobilenet", here)] == ["same", "near", "old"]
    assert bench.similar_boards("another", here) == []


def test_the_boards_that_are_shipped_are_of_the_bundled_models() -> None:
    lines = [json.loads(line) for line in bench.BOARDS.read_text().splitlines()]
    assert lines
    assert {line["model"].partition("@")[0] for line in lines} <= {"mobilenet-ava-int8-mixed", "mobilenet-ava-float16"}
    assert all(line["machine"]["board"] and line["p50"] > 0 and line["threads"] >= 1 for line in lines)


def test_the_command_measures_and_puts_out_a_line_each() -> None:
    done = run_command("bench", "--seconds", "1", "--sustained", "1s", "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    cases = [line["case"] for line in lines]
    assert cases.count("score an array") == len(bench.SIZES)
    assert {"invoke", "photographs", "sustained"} <= set(cases)
    assert all(line["machine"] and line["versions"]["numpy"] and line["model"] for line in lines)
    ours = [line for line in lines if line["case"] == "score an array"]
    assert all(line["to_invoke"] > 0.9 and line["n"] >= 3 for line in ours)


def test_the_table_says_what_is_best_and_what_others_take() -> None:
    done = run_command("bench", "--seconds", "1", "--threads", "1")
    assert done.returncode == 0, done.stderr
    for told in ("bare model", "4000x3000", "best for one picture at a time: --threads 1", "JPEGs, 1 at once"):
        assert told in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--seconds", "0"], "--seconds is 0; possible: 1 and more"),
        (["--seconds", "soon"], "--seconds is 'soon'; possible: 90s"),
        (["--sustained", "0"], "--sustained is 0; possible: 1s and more"),
        (["nowhere.tflite"], "cannot open the model 'nowhere.tflite': No such file"),
        (["--threads", "0"], "--threads"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: list[str], told: str) -> None:
    done = run_command("bench", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_ctrl_c_shows_what_was_measured() -> None:
    command = [sys.executable, "-m", "edge_nima", "bench", "--seconds", "60", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        first = json.loads(running.stdout.readline())
        running.send_signal(signal.SIGINT)
        rest, error = running.communicate(timeout=60)
    assert first["case"] == "invoke"
    assert running.returncode == 130
    assert "interrupted after" in error
    assert "Traceback" not in error
    assert all(json.loads(line)["suite"] == "bench" for line in rest.splitlines())
