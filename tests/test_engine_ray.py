"""`edge-nima score --engine ray`: the real command on real clusters of this machine."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import PHOTOS, skip_without
from edge_nima.scorer import load_model
from object_store import BUCKET, CLOSED, object_store
from watching import until

skip_without("ray", "Ray: pip install 'edge-nima[ray]'")
skip_without("moto", "moto: pip install 'edge-nima[dev]'")

FILES = sorted(PHOTOS.glob("*.jpg"))
# One address space for every cluster that a test starts, none of a user's; and no token, which is the machine's.
ENV = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
ENV.pop("RAY_ADDRESS", None)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "edge_nima", "score", *map(str, arguments), "--engine", "ray"]


def score(*arguments: str | Path, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code, and what was said by edge-nima."""
    done = subprocess.run(
        command(*arguments), capture_output=True, env={**ENV, **(env or {})}, check=False, timeout=300, text=True
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, "\n".join(line for line in done.stderr.splitlines() if line.startswith("edge-nima:"))


def rows(output: Path) -> list[dict[str, Any]]:
    from pyarrow.dataset import dataset

    return dataset(output, format="parquet").to_table().to_pylist()


def one_machine(*paths: str | Path, folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Records of the same command without an engine, by name."""
    done = subprocess.run(
        [sys.executable, "-m", "edge_nima", "score", *map(str, paths), "--format", "jsonl"], capture_output=True,
        check=False, timeout=300, cwd=folder,
    )  # fmt: skip
    records = (json.loads(line) for line in done.stdout.splitlines())
    return {record["name"]: record for record in records}


def assert_each_once(output: Path, expected: dict[str, dict[str, Any]]) -> None:
    held = rows(output)
    assert Counter(row["name"] for row in held) == Counter(expected.keys())
    for row in held:
        same = expected[row["name"]]
        for column in ("mean", "std", "distribution", "error", "model", "preprocessing", "size", "mtime_ns"):
            assert row[column] == same[column], (row["name"], column)
        assert row["model_sha256"] == load_model().sha256


def copies(folder: Path, count: int) -> Path:
    """As many photographs, of the same few, some of them damaged."""
    for number in range(count):
        target = folder / f"{number % 7}" / f"{number:05d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        if number % 97 == 13:
            target.write_bytes(FILES[0].read_bytes()[:2000])
        else:
            os.link(_local_copy(folder, FILES[number % len(FILES)]), target)
    return folder


def _local_copy(folder: Path, file: Path) -> Path:
    near = folder.parent / f"of-{folder.name}" / file.name
    if not near.exists():
        near.parent.mkdir(exist_ok=True)
        shutil.copy(file, near)
    return near


class Cluster:
    """Nodes of this machine, each one core, or one of two."""

    def __init__(self, nodes: int = 1) -> None:
        from ray.cluster_utils import Cluster as Nodes

        self._nodes = Nodes()
        self._nodes.add_node(num_cpus=0 if nodes > 1 else 2, include_dashboard=False)
        self.workers = [self._nodes.add_node(num_cpus=1) for _ in range(nodes if nodes > 1 else 0)]
        self.address = self._nodes.address

    def kill(self, number: int) -> None:
        self._nodes.remove_node(self.workers.pop(number), allow_graceful=False)

    def stop(self) -> None:
        self._nodes.shutdown()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster that is there: to start one takes ten seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_AUTH_MODE", "RAY_USAGE_STATS_ENABLED", "RAY_worker_niceness"):
            patch.setenv(name, ENV[name])
        cluster = Cluster()
        yield cluster.address
        cluster.stop()


@pytest.fixture
def ray_env(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_USAGE_STATS_ENABLED", "RAY_worker_niceness"):
        monkeypatch.setenv(name, ENV[name])


@pytest.mark.slow
def test_a_folder_becomes_partitions_that_resume_keeps_and_no_other_model_mixes_with(
    address: str, tmp_path: Path
) -> None:
    photographs, output = copies(tmp_path / "photographs", 120), tmp_path / "scores"
    here = ("--output", output, "--address", address)
    (photographs / "notes.txt").write_text("x")
    expected = one_machine(photographs)
    code, said = score(photographs, *here)
    failed = sum(record["error"] is not None for record in expected.values())
    assert code == 3
    assert f"{failed} not scored; their rows say why, --resume tries them again" in said
    assert "left out: 1 .txt" in said
    assert "120 photographs in" in said
    assert_each_once(output, expected)

    code, said = score(photographs, *here)
    assert code == 2
    assert f"'{output}' holds scores: --resume goes on with them, --overwrite replaces them" in said

    new = photographs / "new.jpg"
    shutil.copy(FILES[0], new)
    changed = photographs / "0" / "00000.jpg"
    changed.unlink()
    shutil.copy(FILES[1], changed)
    code, said = score(photographs, *here, "--resume")
    assert code == 3
    assert f"{2 + failed} photographs in" in said
    assert f"{119 - failed} kept from before" in said
    assert_each_once(output, one_machine(photographs))

    other = tmp_path / "other.tflite"
    shutil.copy(load_model().path or "", other)
    with other.open("ab") as file:
        file.write(b"x")
    code, said = score(photographs, *here, "--resume", "--model", other)
    assert (code, len(said.splitlines())) == (2, 1), said
    assert "this run is" in said
    assert "score with that one, or --overwrite" in said

    code, said = score(*FILES[:2], *here, "--overwrite")
    assert code == 0
    assert_each_once(output, one_machine(*FILES[:2]))

    partition = min(output.glob("part-*.parquet"))
    other.rename(partition)
    code, said = score(*FILES[:2], *here, "--resume")
    assert (code, len(said.splitlines())) == (1, 1)
    assert f"cannot read '{partition}'" in said


@pytest.mark.slow
def test_an_object_store_in_and_out(tmp_path: Path) -> None:
    with object_store() as store:
        uris = store.put(FILES, "in/")
        store.client().put_object(Bucket=BUCKET, Key="in/torn.jpg", Body=FILES[0].read_bytes())
        output = f"s3://{BUCKET}/out/scores"
        code, said = score(f"s3://{BUCKET}/in/", "--output", output, env=store.env)
        assert code == 3
        assert "1 not scored" in said
        local = tmp_path / "scores"
        local.mkdir()
        client = store.client()
        for one in client.list_objects_v2(Bucket=BUCKET, Prefix="out/scores/part-")["Contents"]:
            client.download_file(BUCKET, one["Key"], str(local / one["Key"].rpartition("/")[2]))
        held = {row["name"]: row for row in rows(local)}
        assert set(held) == {*uris, f"s3://{BUCKET}/in/torn.jpg"}
        assert held[f"s3://{BUCKET}/in/torn.jpg"]["error"] == "cannot be read: the answer ended before the object did"
        expected = one_machine(*FILES)
        for uri, file in zip(uris, FILES, strict=True):
            assert held[uri]["mean"] == expected[str(file)]["mean"]
        code, said = score(f"s3://{BUCKET}/in/", "--output", output, "--resume", env=store.env)
        assert "1 photographs in" in said
        code, said = score(f"s3://{BUCKET}/in/", "--output", f"s3://{CLOSED}/x", env=store.env)
        assert (code, len(said.splitlines())) == (2, 1)
        assert f"cannot read 's3://{CLOSED}/x': no permission (403)" in said


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_node_that_dies_half_way_costs_nothing(tmp_path: Path, ray_env: None) -> None:
    copies(tmp_path / "photographs", 900)
    output = tmp_path / "scores"
    cluster = Cluster(nodes=2)
    try:
        running = subprocess.Popen(  # in another folder than the cluster's
            command("photographs", "--output", "scores", "--address", cluster.address), env=ENV, stderr=subprocess.PIPE,
            text=True, cwd=tmp_path,
        )  # fmt: skip
        until(lambda: len(list(output.glob("part-*.parquet"))) >= 5 or running.poll() is not None, 120)
        assert running.poll() is None
        cluster.kill(0)
        said = running.communicate(timeout=300)[1]
        assert running.returncode == 3, said
    finally:
        cluster.stop()
    assert_each_once(output, one_machine("photographs", folder=tmp_path))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_killed_at_random_moments_and_resumed_nothing_is_lost_or_twice(tmp_path: Path) -> None:
    photographs, output = copies(tmp_path / "photographs", 600), tmp_path / "scores"
    moments = random.Random(17)
    seen = set()
    for _ in range(2):
        running = subprocess.Popen(
            command(photographs, "--output", output, "--resume"), env=ENV, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        at_least = len(list(output.glob("part-*.parquet"))) + moments.randrange(1, 4)
        until(lambda at_least=at_least: len(list(output.glob("part-*.parquet"))) >= at_least, 120)
        time.sleep(moments.random())
        os.kill(running.pid, signal.SIGKILL)  # the driver only: the cluster's processes end by themselves, or later
        running.wait()
        seen.add(len(list(output.glob("part-*.parquet"))))
    assert len(seen) > 1
    code, said = score(photographs, "--output", output, "--resume")
    assert code == 3
    assert "kept from before" in said
    assert_each_once(output, one_machine(photographs))


@pytest.mark.slow
def test_interrupted_it_says_how_to_go_on(address: str, tmp_path: Path) -> None:
    photographs, output = copies(tmp_path / "photographs", 400), tmp_path / "scores"
    running = subprocess.Popen(
        command(photographs, "--output", output, "--address", address),
        env=ENV,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: len(list(output.glob("part-*.parquet"))) >= 2 or running.poll() is not None, 120)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=120)[1]
    assert running.returncode == 130, said
    assert f"interrupted; finished partitions are in '{output}': --resume goes on" in said
    assert "Traceback" not in said
    _, said = score(photographs, "--output", output, "--resume", "--address", address)
    assert "kept from before" in said
    assert_each_once(output, one_machine(photographs))


def test_what_an_engine_cannot_do_is_refused_before_it_starts(tmp_path: Path) -> None:
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    out = ["--output", tmp_path / "out"]
    photograph = FILES[0]
    for arguments, told in (
        ([photograph], "--engine writes a folder of parquet files: give --output FOLDER, or --output s3://..."),
        ([photograph, *out, "--top", "3"], "--top: not possible here, --engine writes a folder of parquet files"),
        ([photograph, *out, "--xmp"], "--xmp: not possible here"),
        ([photograph, *out, "--resume", "--overwrite"], "give one of them"),
        ([photograph, *out, "--address", f"127.0.0.1:{port}"],
         f"no Ray cluster answers at '127.0.0.1:{port}': Connection refused"),
        ([photograph, *out, "--address", "somewhere"],
         "--address is 'somewhere'; possible: HOST:6379, ray://HOST:10001, auto, local"),
        ([tmp_path / "none.jpg", *out], "no such file or folder"),
        ([tmp_path, *out], "no photographs in"),
        ([photograph, "--output", PHOTOS], f"'{PHOTOS}' holds something else than scores: give another --output"),
    ):  # fmt: skip
        code, said = score(*arguments)
        assert code == 2, said
        assert told in said
        assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    done = subprocess.run(
        [sys.executable, "-m", "edge_nima", "score", str(photograph), "--address", "x"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, "--address goes with --engine" in done.stderr) == (2, True)
    done = subprocess.run([*command(photograph, *out)[:-1], "dask"], capture_output=True, text=True, check=False)
    assert (done.returncode, "no engine 'dask'; possible: ray" in done.stderr) == (2, True)


@pytest.fixture
def foreign_cluster(ray_env: None, tmp_path: Path) -> Iterator[str]:
    """A cluster that says it runs Ray 2.0.1."""
    program = (
        "import ray; ray.__version__ = '2.0.1'; import ray._private.node, ray._private.utils\n"
        "from ray.cluster_utils import Cluster\n"
        "cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 1, 'include_dashboard': False})\n"
        "print(cluster.address, flush=True); input()"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, env=ENV,
    )  # fmt: skip
    assert running.stdout is not None
    yield running.stdout.readline().strip()
    running.communicate("\n", timeout=60)


@pytest.mark.slow
def test_a_cluster_of_another_version_is_refused(foreign_cluster: str, tmp_path: Path) -> None:
    code, said = score(FILES[0], "--output", tmp_path / "out", "--address", foreign_cluster)
    assert (code, len(said.splitlines())) == (2, 1)
    assert f"cannot join the Ray cluster {foreign_cluster}: Version mismatch" in said
    assert "2.0.1" in said
