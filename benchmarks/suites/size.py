"""Bytes: the wheel, what installing it brings, the models, the page for phones, and the peers' environments."""

from __future__ import annotations

import gzip
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from benchmarks.harness import ROOT, Bench, Missing, measured_process
from benchmarks.peers import environment_folder, is_whole, peers, runs_here, versions_of
from edge_nima.registry import MODELS

PAGE = ROOT / "edge_nima" / "phone" / "page"


def run(bench: Bench) -> None:
    """Measure and keep."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured_process([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT])
        wheel = next(folder.glob("*.whl"))
        bench.keep("wheel", bytes=wheel.stat().st_size)
        site = folder / "site"
        measured_process([*pip, "install", "--target", site, wheel])
        largest = sorted(((_under(part), part.name) for part in site.iterdir()), reverse=True)[:6]
        bench.keep("installed, dependencies included", bytes=_under(site), largest={name: n for n, name in largest})
    for model in sorted(MODELS.glob("*.tflite")):
        bench.keep("model", model=model.stem, bytes=model.stat().st_size)
    if PAGE.is_dir():
        files = [path for path in PAGE.rglob("*") if path.is_file() and path.parent.name != "models"]
        zipped = sum(len(gzip.compress(path.read_bytes(), 9)) for path in files)
        bench.keep("page for phones, models apart", files=len(files), bytes=sum(map(_under, files)), gzip_bytes=zipped)
    else:
        print("page for phones left out: not built here (npm run build in examples/web)", file=sys.stderr)
    for peer in peers().values():
        try:
            if runs_here(peer):
                bench.keep("peer's packages", peer=peer.name, bytes=_closure(peer.requirements or ()))
            elif is_whole(environment_folder(peer)):
                site = next(environment_folder(peer).glob("lib/python*/site-packages"))
                ours = sum(_under(path) for path in site.iterdir() if path.name.startswith(("pip", "setuptools")))
                bench.keep("peer's packages", peer=peer.name, bytes=_under(site) - ours, versions=versions_of(peer))
        except Missing as error:
            print(f"{peer.name} left out: {error}", file=sys.stderr)


def _under(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def _closure(requirements: Sequence[str]) -> int:
    """Bytes of installed packages and of all that they require."""
    from packaging.requirements import Requirement

    todo, sizes = [Requirement(requirement) for requirement in requirements], dict[str, int]()
    while todo:
        wanted = todo.pop()
        name = wanted.name.lower().replace("_", "-")
        if name in sizes:
            continue
        try:
            found = distribution(wanted.name)
        except PackageNotFoundError as error:
            raise Missing(f"{wanted.name} is not installed") from error
        paths = [Path(str(file.locate())) for file in found.files or ()]
        sizes[name] = sum(path.stat().st_size for path in paths if path.is_file())
        needed = map(Requirement, found.requires or ())
        todo += [item for item in needed if item.marker is None or item.marker.evaluate({"extra": ""})]
    return sum(sizes.values())
