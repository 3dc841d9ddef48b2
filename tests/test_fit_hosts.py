"""Training by two processes over loopback, each with one device of the processor, against one process."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import skip_without
from edge_nima_train.hosts import ADDRESSES, PROCESS, PROCESSES
from edge_nima_train.state import load_state
from test_fit import environment, history, losses, photographs, train, train_here
from watching import until

skip_without("keras", "edge-nima[train]")
skip_without("tensorboardX", "edge-nima[train]")
pytest.importorskip("jax", reason="needs jax")

__all__ = ["photographs"]

# Large steps of random weights magnify rounding, from one step to the next.
GENTLE = ("phase2.learning_rate=1e-5",)


def address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


class Process:
    """`edge-nima train fit` as one of several; what it says goes to a file."""

    def __init__(self, photographs: Path, out: Path, log: Path, *changes: str, first: str = "", **env: str) -> None:
        program = ["-c", f"{first}\nfrom edge_nima.__main__ import main\nmain()"] if first else ["-m", "edge_nima"]
        sets = [part for change in changes for part in ("--set", change)]
        config = ["--config", str(photographs / "small.toml")]
        self.log = log
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, *program, "train", "fit", *config, "--out", str(out), *sets],
                stdout=subprocess.PIPE, stderr=stderr, text=True,
                env=environment(photographs, **{"KERAS_BACKEND": "jax", **env}),
            )  # fmt: skip

    @property
    def said(self) -> str:
        """What it has written to stderr so far."""
        return self.log.read_text()

    def says(self, text: str) -> None:
        """Wait until it has said this."""
        until(lambda: text in self.said or self.process.poll() is not None, 240)
        assert text in self.said, self.said

    def end(self, code: int = 0) -> list[str]:
        """Wait for its end; the lines of stdout and stderr."""
        out, _ = self.process.communicate(timeout=240)
        assert self.process.returncode == code, self.said
        assert "Traceback" not in self.said
        return [*out.splitlines(), *self.said.splitlines()]


@contextlib.contextmanager
def processes(
    photographs: Path,
    folder: Path,
    *changes: str,
    own: tuple[tuple[str, ...], ...] = ((), ()),
    first: str = "",
    **env: str,
) -> Iterator[list[Process]]:
    """Two of them, or as many as `own` has changes for; each has a folder of its own for --out, as on two machines."""
    shared = {ADDRESSES: address(), PROCESSES: str(len(own)), **env}
    started = [
        Process(photographs, folder / f"out{i}", folder / f"{i}.log", "run.workers=1", *changes, *more, first=first,
                **{**shared, PROCESS: str(i)})
        for i, more in enumerate(own)
    ]  # fmt: skip
    try:
        yield started
    finally:
        for one in started:
            one.process.kill()
            one.process.communicate()


def assert_alike(one: Path, two: Path) -> None:
    assert losses(two) == pytest.approx(losses(one), rel=1e-4)
    assert [line["best"] for line in history(two)] == [line["best"] for line in history(one)]
    for key in ("val_loss", "val_mae"):
        assert [line[key] for line in history(two)] == pytest.approx([line[key] for line in history(one)], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [("phase2.epochs=0",), pytest.param(GENTLE, marks=pytest.mark.exhaustive)], ids=["phase 1", "both"]
)
def test_two_processes_train_as_one_does(changes: tuple[str, ...], photographs: Path, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as alone:
        train(photographs, Path(alone) / "run", *changes, KERAS_BACKEND="jax")
        with processes(photographs, tmp_path, *changes, TMPDIR=str(tmp_path)) as both:
            told = [one.end() for one in both]
        assert_alike(Path(alone) / "run", tmp_path / "out0")
    assert told[0][0] == str(tmp_path / "out0" / "model.keras")
    waiting, kept = told[1]
    assert waiting.startswith("edge-nima: waiting for 2 processes at 127.0.0.1:")
    assert kept == "edge-nima: process 1 of 2: what comes of the run is kept by process 0"
    assert {path.name for path in tmp_path.iterdir()} <= {"0.log", "1.log", "out0"}


LONG = (*GENTLE, "phase1.epochs=40", "phase1.learning_rate=1e-3", "phase2.epochs=0")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_signal_to_one_stops_all_and_they_go_on(photographs: Path, tmp_path: Path) -> None:
    with processes(photographs, tmp_path, *LONG) as both:
        both[0].says("phase 1, epoch 3/40")
        both[1].process.send_signal(signal.SIGTERM)
        told = [one.end(130) for one in both]
    assert all("stopped; everything up to this step is saved" in lines[-1] for lines in told)
    done = len(history(tmp_path / "out0"))
    state = load_state(tmp_path / "out0" / "state.npz")
    assert state is not None
    assert state.position.epoch == done
    # One process goes on where two were, to where it would have come by itself.
    told_alone = train(photographs, tmp_path / "out0", *LONG, KERAS_BACKEND="jax")
    assert f"edge-nima: going on with phase 1, {done} epochs are done" in told_alone


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_other_ends_with_one_that_is_gone(photographs: Path, tmp_path: Path) -> None:
    changes, soon = (*LONG, "phase1.batch=6"), "import edge_nima_train.hosts as hosts\nhosts.SILENT_S = 10"
    with processes(photographs, tmp_path, *changes, own=((), ()), first=soon, TMPDIR=str(tmp_path)) as both:
        both[0].says("phase 1, epoch 3/40")
        both[0].process.kill()
        last = both[1].end(1)
        assert last[-1].startswith("edge-nima: another process of this run, or the network to it, is gone: start")
        assert len(last) == 3, last
    assert not list(tmp_path.glob("edge-nima-*"))  # its folder goes with it


def last_lines(photographs: Path, folder: Path, *changes: str, **more: Any) -> list[str]:
    with processes(photographs, folder, *changes, **more) as some:
        return [one.end(2)[-1] for one in some]


@pytest.mark.slow
def test_another_configuration_in_one_process_is_refused(photographs: Path, tmp_path: Path) -> None:
    told = last_lines(photographs, tmp_path, own=(("run.workers=1",), ("run.workers=2", "phase2.epochs=3")))
    for line in told:
        assert "process 1 is configured otherwise than process 0: phase2.epochs is 3 here and 2 there" in line
    assert not (tmp_path / "out1").exists()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_other_photographs_in_one_process_are_refused(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "fewer.csv").write_text("".join((photographs / "labels.csv").read_text().splitlines(True)[:-1]))
    fewer = (f"data.manifest={tmp_path / 'fewer.csv'}", f"data.images={photographs}")
    told = last_lines(photographs, tmp_path, own=((), fewer))
    for line in told:
        assert "process 1 has other photographs, ratings or splits than process 0 (47 photographs, " in line


@pytest.mark.slow
def test_what_one_process_ends_by_is_said_by_all(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "out0").mkdir()
    (tmp_path / "out0" / "diary.txt").write_text("mine")
    told = last_lines(photographs, tmp_path)
    assert "is no run folder and holds 'diary.txt'" in told[0]
    assert told[1].startswith("edge-nima: process 0 of 2 has ended: '")
    assert "is no run folder and holds 'diary.txt'" in told[1]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_example_trains_on_a_ray_cluster(photographs: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs ray")
    config, small = photographs / "on_ray.toml", (photographs / "small.toml").read_text()
    config.write_text(small.replace("epochs = 2", "epochs = 1") + "[run]\nworkers = 1\n")
    example = Path(__file__).parent.parent / "examples" / "train_on_ray.py"
    with tempfile.TemporaryDirectory(prefix="ray") as short:  # a socket's path has at most 107 characters
        done = subprocess.run(
            [sys.executable, str(example), str(config), "run", "2"], cwd=tmp_path, capture_output=True, text=True,
            env=environment(photographs, RAY_ADDRESS="local", RAY_TMPDIR=short), timeout=400,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line["phase"] for line in history(tmp_path / "run")] == [1, 2]
    assert (tmp_path / "run" / "done.json").exists()


@pytest.mark.slow
def test_it_does_not_wait_for_ever(photographs: Path, tmp_path: Path) -> None:
    at = address()
    for index in (0, 1):
        env = {ADDRESSES: at, PROCESSES: "2", PROCESS: str(index)}
        short = "import edge_nima_train.hosts as hosts\nhosts.JOIN_S = 3"
        waiting, why = Process(photographs, tmp_path / "run", tmp_path / "log", first=short, **env).end(1)
        assert waiting == f"edge-nima: waiting for 2 processes at {at}"
        assert why.startswith(f"edge-nima: waited 3 s at {at} and not all 2 processes came: start the same command")
        one = Process(photographs, tmp_path / "run", tmp_path / "log", **env)
        one.says("waiting")
        one.process.send_signal(signal.SIGINT)
        assert one.end(130)[-1] == f"edge-nima: stopped while waiting for 2 processes at {at}"


@pytest.mark.slow
def test_a_port_that_is_taken_is_refused(photographs: Path, tmp_path: Path) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        env = {ADDRESSES: f"127.0.0.1:{port}", PROCESSES: "2", PROCESS: "0"}
        told = Process(photographs, tmp_path / "run", tmp_path / "log", **env).end(2)
    assert told[-1] == f"edge-nima: process 0 cannot listen at port {port}: Address already in use"


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"KERAS_BACKEND": "tensorflow"}, "on JAX alone, and KERAS_BACKEND is 'tensorflow': KERAS_BACKEND=jax"),
        ({ADDRESSES: ""}, f"{PROCESSES} is set and {ADDRESSES} is not: set it too"),
        ({PROCESS: ""}, f"{ADDRESSES} is set and {PROCESS} is not: set it too"),
        ({PROCESS: "2"}, f"{PROCESS} is 2; possible: 0 to 1 ({PROCESSES} is 2)"),
        ({PROCESS: "-1"}, f"{PROCESS} is -1; possible: 0 to 1 ({PROCESSES} is 2)"),
        ({PROCESSES: "two"}, f"{PROCESSES} is 'two'; possible: a whole number, at least 1"),
        ({PROCESSES: "0", PROCESS: "0"}, f"{PROCESSES} is '0'; possible: a whole number, at least 1"),
        ({ADDRESSES: "a:1,b:1,c:1"}, f"{ADDRESSES} has 3 addresses; possible: 1, of process 0, or 2"),
        ({ADDRESSES: "127.0.0.1"}, f"{ADDRESSES} is '127.0.0.1'; possible: HOST:PORT of process 0, such as"),
        ({ADDRESSES: "no.such.host.invalid:1"}, f"{ADDRESSES} is 'no.such.host.invalid:1': "),
        ({PROCESSES: "3"}, "phase1.batch is 8; 3 processes with run.devices = 1 take a multiple of 3"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    env: dict[str, str], told: str, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = {"KERAS_BACKEND": "jax", ADDRESSES: "127.0.0.1:1234", PROCESSES: "2", PROCESS: "0"}
    for key, value in {**two, **env}.items():
        monkeypatch.setenv(key, value)
    lines = train_here(photographs, tmp_path / "run", code=2)
    assert len(lines) == 1
    assert told in lines[0]
    assert not (tmp_path / "run").exists()
