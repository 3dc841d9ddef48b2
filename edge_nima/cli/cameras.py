"""edge-nima cameras: what `watch` may be given on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.messages import say
from edge_nima.errors import escaped

if TYPE_CHECKING:
    from edge_nima.sources.v4l2 import Camera, Mode


class Format(StrEnum):
    """What comes out."""

    table = "table"
    json = "json"


def cameras(
    form: Annotated[Format, typer.Option("--format", help="table, or json with every format and size.")] = Format.table,
) -> None:
    """List the cameras that are there, and why one cannot be used.

    Exit code: 0, also when there are none.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from edge_nima.sources.picamera import picamera_cameras
    from edge_nima.sources.v4l2 import PI_STEP, v4l2_cameras

    pi, why_no_pi = picamera_cameras()
    found = [*pi, *v4l2_cameras()]
    if form is Format.json:
        typer.echo(json.dumps([asdict(camera) for camera in found], indent=2))
        return
    whole = [camera for camera in found if camera.problem != PI_STEP]  # a Pi has twenty of those
    if not whole:
        why = f" ({why_no_pi})" if why_no_pi else ""
        say(f"no camera found: is it plugged in, does lsusb or rpicam-hello --list-cameras show it?{why}")
        return
    table = Table("source", "name", "driver", "usable", Column("sizes", overflow="fold"), box=box.SIMPLE_HEAD)
    for camera in whole:
        texts = (camera.source, camera.name, camera.driver, usable(camera), sizes(camera))
        table.add_row(*(Text(escaped(text, keep="\n")) for text in texts))
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(table)


def usable(camera: Camera) -> str:
    """Whether it can be watched, in a few words."""
    if camera.problem is not None:
        return camera.problem if camera.readable else f"no permission: {camera.problem}"
    return "no: gives no pictures" if camera.captures is False else "yes"


def sizes(camera: Camera) -> str:
    """The largest size of each format: "YUYV 640x480 at 30, MJPG 1920x1080 at 30"."""
    largest: dict[str, Mode] = {}
    for mode in sorted(camera.modes, key=lambda mode: mode.width * mode.height):
        largest[mode.fourcc] = mode
    told = [f"{m.fourcc} {m.width}x{m.height}" + (f" at {m.fps:g}" if m.fps else "") for m in largest.values()]
    return ", ".join(told)
