"""What the operating system refuses, said in one line: a name it cannot open is no failure to write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_nima import cli
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


def test_help_lists_every_command_and_imports_none_of_the_libraries() -> None:
    program = (
        "import sys\nfrom edge_nima.cli import run\n"
        "code = run(['--help'])\n"
        "print(code, sorted({'typer', 'rich', 'numpy', 'PIL'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "0 []\n"
    modules = {path.stem for path in Path(cli.__file__).parent.glob("[a-z]*.py")}
    for commands in cli.SECTIONS.values():
        for name, text in commands.items():
            assert name in modules
            assert f"  {name:<9}{text}\n" in done.stdout


@pytest.mark.parametrize("name", [name for commands in cli.SECTIONS.values() for name in commands])
def test_every_command_has_a_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"edge-nima {name}" in capsys.readouterr().out


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    told = capsys.readouterr()
    assert told.out.startswith("Usage: edge-nima")
    assert told.err == ""
    assert run(["scor"]) == 2
    assert "no such command 'scor': did you mean score" in capsys.readouterr().err


def test_a_ctrl_c_that_comes_where_python_ignores_it_comes_again() -> None:
    program = """
import gc, os, signal, time
import edge_nima.cli
from edge_nima.__main__ import main

def interrupted(phase, _):
    gc.callbacks.remove(interrupted)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)

def work():
    gc.callbacks.append(interrupted)
    gc.collect()
    time.sleep(60)

edge_nima.cli.main = work
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stderr) == (130, "edge-nima: interrupted\n")
