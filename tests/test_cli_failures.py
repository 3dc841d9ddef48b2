"""What the operating system refuses, said in one line: a name it cannot open is no failure to write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_nima.cli import run

LONG = "n" * 300


@pytest.mark.parametrize(
    "arguments", [["check", LONG], ["card", LONG], ["show", LONG], ["score", ".", "--model", LONG], ["score", LONG]]
)
def test_a_file_that_cannot_be_opened_is_usage_and_named(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[1] / "examples" / "photos")
    code, err = run(arguments), capsys.readouterr().err
    assert code == 2
    assert err.count("\n") == 1
    assert f"cannot open '{LONG}': File name too long" in err or f"'{LONG}': File name too long" in err
    assert "write" not in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout_is_a_failure_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    import subprocess
    import sys

    photos = Path(__file__).parents[1] / "examples" / "photos"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge_nima", "score", str(photos), "--format", "jsonl"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("cannot write: No space left on device")
