"""What a run trains on: shards that are there, or photographs that are packed first."""

from __future__ import annotations

from collections.abc import Callable

from edge_nima.errors import RequestError, printable
from edge_nima_train.config import Config, expand
from edge_nima_train.manifest import VALIDATION, read_manifest
from edge_nima_train.network import preprocessing_of
from edge_nima_train.pack import pack
from edge_nima_train.run_folder import RunFolder
from edge_nima_train.shards import Shards, open_shards
from edge_nima_train.split import split


def open_inputs(
    config: Config,
    folder: RunFolder,
    progress: Callable[[str, int, int, str], None],
    told: Callable[[str], None],
) -> Shards:
    """The shards that a configuration names, or those that its photographs are packed into, in the run folder.

    Args:
        config: of the run.
        folder: of the run.
        progress: told the stage, how much of it is done, of how much, and a note.
        told: given lines for a person.

    Raises:
        RequestError: there are none, or they were packed otherwise than the configuration says.
        OutputError: they cannot be written.
    """
    data, n = config.data, config.network
    how = preprocessing_of(n.architecture, n.input, data.filter, data.fit, data.longest_edge)
    if data.shards:
        shards = open_shards(expand(data.shards))
        packed = shards.preprocessing
        wanted = {"data.size": (data.size, shards.size), "network.input": (n.input, packed.width),
                  "data.filter": (data.filter, packed.filter), "data.fit": (data.fit, packed.fit),
                  "data.longest_edge": (data.longest_edge, packed.longest_edge or 0)}  # fmt: skip
        for key, (ours, theirs) in wanted.items():
            if ours != theirs:
                raise RequestError(
                    f"the shards in '{printable(data.shards)}' were packed with {key} {theirs}, the configuration says "
                    f"{ours}: --set {key}={theirs}, or pack anew"
                )
        return shards
    manifest = read_manifest(
        expand(data.manifest), expand(data.images) if data.images else None, data.scale or None, "--set data.scale={}"
    )
    if VALIDATION not in manifest.split:
        manifest = split(manifest, validation=data.validation, keep=True).manifest
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress("packing photographs", done, len(manifest), "")

    report = pack(manifest, folder / "shards", size=data.size, preprocessing=how, step=step)
    if report.left_out:
        name, why = report.left_out[0]
        told(f"{len(report.left_out)} photographs cannot be read and are left out: {printable(name)} ({why}), ...")
    return open_shards(folder / "shards")
