"""Other ways to run the same network: what each needs, and the environment and model files it runs with.

A peer is one file here with REQUIREMENTS. It runs as a script in an environment of its own, without edge_nima, as
`protocol.py` says; it is never imported: its constants are read from its text.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, Missing, measured_process
from edge_nima import registry
from edge_nima.errors import RequestError
from edge_nima.lock import try_lock
from edge_nima.photographs import draw_photographs, find_photographs

FOLDER = Path(__file__).parent
CHECKPOINT = "idealo-mobilenet-aesthetic"
CALIBRATION = 200


@dataclass(frozen=True, eq=False)
class Peer:
    """One way to run the network; the constants of its file."""

    name: str
    title: str
    about: str
    requirements: tuple[str, ...] | None
    """As pip takes them; None for this interpreter as it is, edge_nima included."""
    script: Path
    variants: dict[str, str]
    """Name to what it is."""
    weights: str = CHECKPOINT
    """What `prepare` starts from: a name that `edge-nima models list` shows."""
    same_network: bool = True
    """Whether its scores can be held against the reference."""
    accuracy_only: tuple[str, ...] = ()
    """Variants that run as fast as another: they are not timed."""
    large: str = ""
    """What its environment costs, where that is too much to install unasked."""


def _peer(script: Path) -> Peer | None:
    found: dict[str, Any] = {}
    for node in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            try:
                found[node.targets[0].id.lower()] = ast.literal_eval(node.value)
            except ValueError:
                continue  # computed: nothing that is read here
    if "requirements" not in found:
        return None
    known = {key: found[key] for key in Peer.__dataclass_fields__ if key in found}
    return Peer(name=script.stem, script=script, **known)


@cache
def peers() -> dict[str, Peer]:
    """All of them by name, this package's own scoring ("edge_nima_batch") apart."""
    found = (_peer(script) for script in sorted(FOLDER.glob("[a-z]*.py")))
    return {peer.name: peer for peer in found if peer is not None and peer.requirements is not None}


@cache
def ours() -> Peer:
    """`edge_nima` through the same protocol."""
    peer = _peer(FOLDER / "edge_nima_batch.py")
    assert peer is not None
    return peer


def cache_folder() -> Path:
    """Where environments and model files are kept."""
    return registry.cache_folder() / "benchmarks"


def environment(peer: Peer, asked: bool = False) -> Path:
    """The Python interpreter that a peer runs with: this one where it has all that is required, else a virtual one.

    Made once, in a folder that is called by a hash of the requirements.

    Args:
        peer: whose.
        asked: install what is large, too.

    Raises:
        Missing: it cannot be installed, with pip's reason; or it is large and not here.
    """
    if runs_here(peer):
        return Path(sys.executable)
    folder = environment_folder(peer)
    if not is_whole(folder):
        if peer.large and not asked:
            raise Missing(f"{peer.large}, not installed unasked: python -m benchmarks.peers {peer.name}")
        _install(peer, folder)
    return folder / "bin" / "python"


def is_whole(folder: Path) -> bool:
    """Whether an environment is there, installed to its end."""
    return (folder / "versions.json").exists()


def _install(peer: Peer, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "ab") as lock:
        if not try_lock(lock):
            raise Missing(f"another process is installing what {peer.name} needs into {folder}")
        print(f"installing what {peer.name} needs into {folder}: {', '.join(peer.requirements or ())}", file=sys.stderr)
        # A virtual environment holds its own path: made in place, and whole once versions.json is there.
        shutil.rmtree(folder, ignore_errors=True)
        pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
        _must([sys.executable, "-m", "venv", folder], peer)
        _must([*pip, "install", "--quiet", *(peer.requirements or ())], peer)
        held = json.loads(_must([*pip, "list", "--format", "json"], peer))
        _write_whole(folder / "versions.json", {item["name"].lower(): item["version"] for item in held})


@cache
def runs_here(peer: Peer) -> bool:
    """Whether this interpreter has all that a peer requires, so that it needs no environment of its own."""
    if peer.requirements is None:
        return True
    try:
        from packaging.requirements import Requirement
    except ModuleNotFoundError:
        return False
    try:
        return all(version(wanted.name) in wanted.specifier for wanted in map(Requirement, peer.requirements))
    except PackageNotFoundError:
        return False


def environment_folder(peer: Peer) -> Path:
    """Where a peer's virtual environment is, or would be."""
    what = (*(peer.requirements or ()), *platform.python_version_tuple()[:2], platform.machine())
    return cache_folder() / _hash("\n".join(what).encode())


def versions_of(peer: Peer) -> dict[str, str] | None:
    """Of the packages that a peer asks for; None where it runs with this interpreter, whose are kept anyway."""
    if runs_here(peer):
        return None
    held = json.loads((environment_folder(peer) / "versions.json").read_text(encoding="utf-8"))
    asked = [_bare(requirement) for requirement in peer.requirements or ()]
    return {"python": platform.python_version(), **{name: held[name] for name in asked if name in held}}


def command(peer: Peer, variant: str, task: str, *arguments: object) -> list[str]:
    """To run a peer's script. Peers do not see PYTHONPATH: this repository is not theirs to import.

    Raises:
        Missing: as `environment`.
    """
    alone = [] if peer.requirements is None else ["-E"]
    return [str(environment(peer)), *alone, str(peer.script), variant, task, *map(str, arguments)]


def prepared(bench: Bench, peer: Peer, variant: str) -> Path:
    """The folder with a variant's model file: built, converted or quantised once.

    Raises:
        Missing: the environment, the weights or the calibration photographs are, or it failed.
    """
    if peer.requirements is None:
        return FOLDER  # its models ship with it
    environment(peer)
    weights = _weights(bench, peer)
    shared = (FOLDER / name for name in ("protocol.py", "mobilenet_onnx.py"))
    text = b"".join(path.read_bytes() for path in (peer.script, *shared, weights))
    folder = cache_folder() / "models" / f"{peer.name}-{variant}-{_hash(text)}"
    if not folder.exists():
        print(f"preparing {peer.name} {variant} in {folder}", file=sys.stderr)
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            with linked(calibration(bench)) as photographs:
                measured_process(command(peer, variant, "prepare", weights, photographs, beside))
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return folder


def available(bench: Bench, timed: bool = False) -> Iterator[tuple[Peer, str, Path]]:
    """Each variant of each peer with its folder; one that is not to be had is named on standard error and left out.

    Args:
        bench: where to find weights and photographs.
        timed: for their speed, which leaves out variants that are there for their accuracy; else for their scores,
            which leaves out other networks.
    """
    for peer in peers().values():
        for variant in peer.variants:
            if variant in peer.accuracy_only if timed else not peer.same_network:
                continue
            try:
                folder = prepared(bench, peer, variant)
            except Missing as error:
                print(f"{peer.name} {variant} left out: {error}", file=sys.stderr)
                continue
            yield peer, variant, folder


def scores(told: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What `score` printed: a record a photograph, and the closing line ("seconds", "photographs")."""
    *records, last = (json.loads(line) for line in told.splitlines())
    return records, last


def calibration(bench: Bench) -> list[Path]:
    """The photographs that every peer's int8 is calibrated with."""
    return draw_photographs(find_photographs([bench.photographs("biq2021/images")]), CALIBRATION, seed=0)


@contextmanager
def linked(photographs: Sequence[Path]) -> Iterator[Path]:
    """A temporary folder of symbolic links to photographs."""
    with tempfile.TemporaryDirectory() as name:
        for photograph in photographs:
            (Path(name) / photograph.name).symlink_to(photograph.resolve())
        yield Path(name)


def _weights(bench: Bench, peer: Peer) -> Path:
    if peer.weights == CHECKPOINT and bench.data is not None:
        found = next((bench.data / "weights").glob("*mobilenet_aesthetic*.hdf5"), None)
        if found is not None:
            return found
    try:
        return registry.locate(peer.weights)
    except RequestError as error:
        raise Missing(str(error)) from error


def _bare(requirement: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else " " for c in requirement).split()[0].lower()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _must(command: Sequence[str | Path], peer: Peer) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    if run.returncode:
        raise Missing(f"cannot install what {peer.name} needs: {run.stderr.strip()[-600:]}")
    return run.stdout


def _write_whole(path: Path, content: object) -> None:
    beside = path.with_suffix(".partial")
    beside.write_text(json.dumps(content, indent=1), encoding="utf-8")
    beside.rename(path)
