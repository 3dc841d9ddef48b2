"""edge-nima train bench: what bounds a training run on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.messages import say

if TYPE_CHECKING:
    from edge_nima_train.bench import Bench


def bench(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file, as train fit takes it.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value for one key, such as phase2.batch=256; may be repeated."),
    ] = None,
    synthetic: Annotated[
        int, typer.Option("--synthetic", min=0, help="Make and load this many pictures. 0: the configuration's shards.")
    ] = 0,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="Of each measurement, at least.")] = 5.0,
    jit: Annotated[bool, typer.Option(help="Whether TensorFlow on a GPU compiles by XLA.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the loader alone, phase 2's step alone, and both together. KERAS_BACKEND chooses the backend.

    Exit code: 0 measured, 2 usage.
    """
    from edge_nima_train.backend import check_installed
    from edge_nima_train.bench import bench as measure
    from edge_nima_train.config import read_config

    changes = [*(change or ()), *(["data.shards=synthetic", "data.manifest="] if synthetic else [])]
    settings = read_config(config, changes)
    check_installed()
    done = measure(settings, seconds=seconds, synthetic=synthetic, jit=jit, told=say)
    if as_json:
        typer.echo(json.dumps({**asdict(done), "bound": done.bound, "efficiency": done.efficiency}))
        return
    for line in _lines(done, settings.network.architecture):
        typer.echo(line)


def _lines(done: Bench, network: str) -> list[str]:
    where, unit = done.environment, "photographs/s"
    waits = f"waits for data {100 * done.waited:.1f} % of it"
    return [
        f"{network}, batches of {done.batch}, {done.precision}, {where['backend']} on {', '.join(where['devices'])}; "
        f"{where['cores']} cores, {where['processor']}; {done.data}",
        *(f"loader, processes: {workers:<4}{rate:10,.0f} {unit}" for workers, rate in done.loader.items()),
        f"step                   {done.step:10,.0f} {unit}, {1000 * done.batch / done.step:,.1f} ms a step",
        f"both                   {done.both:10,.0f} {unit}, {waits}",
        f"the {done.bound} bounds it: together {100 * done.efficiency:.0f} % of that alone; "
        f"the first steps took {done.compile_s:.1f} s",
    ]
