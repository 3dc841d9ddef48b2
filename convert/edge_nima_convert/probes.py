"""Golden probes: small pictures that a device decodes, resizes and scores to prove that it does it right."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_nima.card import Card, Probe
from edge_nima.decode import Pixels, read_rgb
from edge_nima.errors import RequestError, printable
from edge_nima.interpreter import Interpreter
from edge_nima.pixels import Preprocessing, pixels_sha256, read_input, to_input

if TYPE_CHECKING:
    from edge_nima_train.checkpoint import Checkpoint

FEWEST = 4


@dataclass(frozen=True)
class Picture:
    """A probe before any model has scored it."""

    name: str
    png: bytes


def pictures_from_card(card: Card) -> list[Picture]:
    """The pictures of another card's probes."""
    return [Picture(probe.name, probe.picture) for probe in card.probes]


def pictures_from_photographs(photographs: Sequence[Path]) -> list[Picture]:
    """Six PNGs out of photographs, each trying something else; about 150 kB together: they travel along.

    Args:
        photographs: at least four; the first few are used, in order.

    Raises:
        RequestError: fewer than four.
        PictureError: one cannot be read.
    """
    if len(photographs) < FEWEST:
        raise RequestError(f"golden probes are made from at least {FEWEST} photographs, here are {len(photographs)}")
    read = [Image.fromarray(read_rgb(path)) for path in photographs]
    names = [path.stem for path in photographs]

    def at(i: int, *size: int) -> Image.Image:
        return read[i % len(read)].resize((size[0], size[1]), Image.Resampling.LANCZOS)

    def named(i: int, what: str) -> str:
        return f"{printable(names[i % len(names)])}, {what}"

    shade = np.tile(np.linspace(255, 64, 113).astype(np.uint8), (75, 1))
    veiled = at(3, 113, 75).convert("RGB")
    veiled.putalpha(Image.fromarray(shade))
    made = [
        (named(0, "palette 224x224, nothing to resize"), at(0, 224, 224).quantize(64, Image.Quantize.MEDIANCUT)),
        (named(1, "RGB 97x131, enlarged, odd sides"), at(1, 97, 131)),
        (named(2, "palette 361x241, reduced"), at(2, 361, 241).quantize(32, Image.Quantize.MEDIANCUT)),
        (named(3, "RGBA 113x75, alpha over white"), veiled),
        (named(4, "greyscale 241x160, reduced one way"), at(4, 241, 160).convert("L")),
        (named(0, "palette 801x601, above 640"), at(0, 801, 601).quantize(8, dither=Image.Dither.NONE)),
    ]
    return [Picture(name, _png(image)) for name, image in made]


def model_input(picture: Picture, how: Preprocessing) -> Pixels:
    """What a model sees of a probe: uint8, shape (how.height, how.width, 3)."""
    return read_input(picture.png, how)


def score_probes(
    pictures: Sequence[Picture], source: Checkpoint | Card, model: bytes, reference: NDArray[np.float32] | None = None
) -> tuple[Probe, ...]:
    """Probes with both expectations: the float checkpoint's and this model's own.

    Args:
        pictures: what to show.
        source: where the preprocessing comes from.
        model: the .tflite.
        reference: float32, shape (n, 10): the float checkpoint's distributions, one a picture; None where there is no
            float checkpoint: then this model's own.
    """
    how = source.preprocessing
    interpreter = Interpreter(model, how, threads=1)
    probes = []
    for i, picture in enumerate(pictures):
        rgb = read_rgb(picture.png)
        to_input(rgb, how, out=interpreter.pixels)
        own = interpreter.run()
        probes.append(
            Probe(
                name=picture.name,
                png=base64.b64encode(picture.png).decode("ascii"),
                pixels_sha256=pixels_sha256(rgb),
                input_sha256=pixels_sha256(interpreter.pixels),
                reference=tuple(float(p) for p in (own if reference is None else reference[i])),
                own=tuple(float(p) for p in own),
            )
        )
    return tuple(probes)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
