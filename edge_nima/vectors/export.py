"""The folder of vectors: written beside, then put in its place whole."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edge_nima import __version__
from edge_nima.camera_buffers import MATRICES
from edge_nima.decode import Pixels
from edge_nima.distribution import mean_rating, rating_std
from edge_nima.errors import CardError, OutputError, RequestError, printable, reason
from edge_nima.interpreter import Interpreter, OpenRuntime, open_runtime
from edge_nima.pixels import FILTERS, FITS, Preprocessing, pixels_sha256, to_input
from edge_nima.scorer import ModelFile
from edge_nima.vectors.buffers import camera_buffers
from edge_nima.vectors.numbers import distributions, outputs, tensors
from edge_nima.vectors.pictures import pictures
from edge_nima.vectors.refusals import cards, models

FORMAT = "edge-nima vectors"
FORMAT_VERSION = 2

LIMITS = {"level": 1, "equal": 0.999, "mean": 0.005}
"""Every sample within `level`, at least the share `equal` of them the same, means within `mean` rating points."""


def export_vectors(
    model: ModelFile, folder: str | os.PathLike[str], overwrite: bool = False, open_model: OpenRuntime = open_runtime
) -> int:
    """Write the vectors of a model.

    Args:
        model: what `edge_nima.scorer.load_model` gave; the photographs of its golden probes are what pictures are
            made from.
        folder: where to; made, and refused when something is in it.
        overwrite: replace what an earlier export left there.
        open_model: makes the interpreter.

    Returns:
        How many pictures and buffers there are.

    Raises:
        RequestError: something is in the folder.
        CardError: the model carries no probes.
        OutputError: it cannot be written; what was there before is as it was.
    """
    target = Path(folder)
    if not model.card.probes:
        raise CardError(f"{model.card.name} carries no golden probes, from which vectors are made; convert it again")
    _refuse(target, overwrite)
    partial = Path(f"{os.fspath(target)}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        count = _write(_Writer(partial, model, open_model))
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial, target)
    except OSError as error:
        raise OutputError(f"cannot write vectors to '{printable(target)}': {reason(error)}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return count


def _refuse(target: Path, overwrite: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    shown = printable(target)
    if not (target / "vectors.json").is_file():
        raise RequestError(f"'{shown}' is there and holds no vectors; give a new or an empty folder")
    if not overwrite:
        raise RequestError(f"'{shown}' holds vectors already; add --overwrite, or give another folder")


def preprocessings(card: Preprocessing) -> dict[str, Preprocessing]:
    """The card's own, and one of every other kind.

    All filters by all fits, blue first, planes, a target that is no square; "edge-...": the longest edge reduced first.
    """
    plain = replace(card, channel_order="RGB", longest_edge=None)
    every = {
        f"{filter}-{fit}": replace(plain, antialias=filter != "nearest", filter=filter, fit=fit)
        for filter in FILTERS
        for fit in FITS
    }
    odd = replace(every["bilinear-crop"], width=97, height=61)
    nearest = every["nearest-stretch"]
    edges = {
        "640": replace(nearest, longest_edge=640),
        "hamming-crop": replace(every["nearest-crop"], longest_edge=320, longest_edge_filter="hamming"),
        "bicubic-bilinear": replace(every["bilinear-stretch"], longest_edge=400, longest_edge_filter="bicubic"),
        "box-bgr": replace(nearest, longest_edge=256, longest_edge_filter="box", channel_order="BGR"),
        "bilinear-odd": replace(odd, longest_edge=131, longest_edge_filter="bilinear"),
    }
    bgr = replace(nearest, channel_order="BGR")
    planes = replace(bgr, scale=(0.5, 1 / 3, 2.0), offset=(-1e-7, 1234567.0, 123.0625), scaling="host", layout="NCHW")
    others = {"bgr": bgr, "odd": odd, "planes": planes}
    return {"card": card, **every, **others, **{f"edge-{key}": how for key, how in edges.items()}}


class _Writer:
    """Files of the folder; pixels that are the same lie there once."""

    def __init__(self, folder: Path, model: ModelFile, open_model: OpenRuntime) -> None:
        self.folder, self.model = folder, model
        self.hows = preprocessings(model.card.preprocessing)
        self._interpreter = Interpreter(model.content, model.card.preprocessing, 1, open_model)
        self._written: dict[str, str] = {}

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return name

    def pixels(self, name: str, pixels: Pixels) -> dict[str, str]:
        sha256 = pixels_sha256(pixels)
        if sha256 not in self._written:
            self._written[sha256] = self.file(name, pixels.tobytes())
        return {"file": self._written[sha256], "sha256": sha256}

    def becomes(self, name: str, upright: Pixels, every: bool = False, edges: bool = False) -> dict[str, Any]:
        """What an upright picture becomes: the model's input, others where `every` or `edges`, and its score."""
        hows = {
            key: how
            for key, how in self.hows.items()
            if key == "card" or every or (edges and key.startswith("edge-"))
        }  # fmt: skip
        inputs = {key: self.pixels(f"inputs/{name}.{key}.rgb", to_input(upright, how)) for key, how in hows.items()}
        to_input(upright, self.hows["card"], out=self._interpreter.pixels)
        distribution = self._interpreter.run()
        return {
            "upright": self.pixels(f"upright/{name}.rgb", upright),
            "inputs": inputs,
            "distribution": distribution.tolist(),
            "mean": float(mean_rating(distribution)),
            "std": float(rating_std(distribution)),
        }


def _write(to: _Writer) -> int:
    told_pictures, told_buffers = [], []
    for picture in pictures(to.model.card):
        height, width = picture.upright.shape[:2]
        told_pictures.append({
            "name": picture.name,
            "file": to.file(f"pictures/{picture.name}.{picture.format.replace('jpeg', 'jpg')}", picture.content),
            "format": picture.format,
            "orientation": picture.orientation,
            "width": width,
            "height": height,
            **to.becomes(picture.name, picture.upright, picture.every, picture.edges),
        })  # fmt: skip
    for name, buffer in camera_buffers(to.model.card):
        upright = buffer.upright()
        told = {key: value for key, value in asdict(buffer).items() if key != "data"}
        told_buffers.append({
            "name": name,
            "file": to.file(f"buffers/{name}.bin", buffer.data),
            **told,
            "upright_width": upright.shape[1],
            "upright_height": upright.shape[0],
            **to.becomes(name, upright, edges="-large-" in name),
        })  # fmt: skip
    contents = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "edge_nima": __version__,
        "model": {
            "file": to.file("model.tflite", to.model.content),
            "label": to.model.label,
            "sha256": to.model.sha256,
        },
        "limits": LIMITS,
        "preprocessings": {key: how.to_json() for key, how in to.hows.items()},
        "preprocessings_described": {key: how.describe() for key, how in to.hows.items()},
        "matrices": {name: asdict(matrix) for name, matrix in MATRICES.items()},
        "pictures": told_pictures,
        "buffers": told_buffers,
        "distributions": distributions(),
        "outputs": outputs(),
        "tensors": tensors(),
        "cards": [
            {"file": to.file(f"cards/{name}.json", text.encode()), "refused": about}
            for name, text, about in cards(to.model.card)
        ],
        "models": [
            {"file": to.file(f"models/{name}.tflite", content), "refused": about}
            for name, content, about in models(to.model.card)
        ],
    }  # fmt: skip
    to.file("vectors.json", (json.dumps(contents, indent=1) + "\n").encode())
    return len(told_pictures) + len(told_buffers)
