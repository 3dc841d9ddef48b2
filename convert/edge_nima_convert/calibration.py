"""calibration.json: which photographs calibrated, with the SHA-256 of what the model saw, and those found again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_nima.ava import few, rating_bins
from edge_nima.errors import CalibrationError, printable, reason
from edge_nima.names import Names
from edge_nima.pixels import Pixels, Preprocessing
from edge_nima_convert.draws import Candidate, Draw, RatingBin
from edge_nima_convert.photographs import Inputs, load_inputs

FORMAT = "edge-nima calibration 1"
# What of a preprocessing decides pixels: what they are multiplied by later does not.
_OF_PIXELS = ("width", "height", "fit", "filter", "antialias", "channel_order")
_LATER = ("longest_edge", "longest_edge_filter")


def load_draw(draw: Draw, how: Preprocessing, step: Callable[[], None] = lambda: None) -> tuple[Draw, Inputs]:
    """Load the photographs of a draw; in place of one that cannot be read the next of its bin is drawn.

    Args:
        draw: from `choose_calibration`.
        how: the specification.
        step: called after each photograph.

    Returns:
        The draw as it became, and its photographs; `Inputs.unreadable` names those that were replaced.
    """
    loaded: dict[Path, tuple[Pixels, str]] = {}
    unreadable: list[str] = []
    while True:
        missing = [path for path in draw.paths if path not in loaded]
        inputs = load_inputs(missing, how, step)
        unreadable += inputs.unreadable
        loaded.update(zip(inputs.paths, zip(inputs.pixels, inputs.sha256, strict=True), strict=True))
        if not inputs.unreadable:
            break
        draw = draw.without(set(missing) - set(inputs.paths))
    pixels = np.empty((len(draw.chosen), how.height, how.width, 3), np.uint8)
    for i, path in enumerate(draw.paths):
        pixels[i] = loaded[path][0]
    return draw, Inputs(pixels, tuple(draw.paths), tuple(loaded[path][1] for path in draw.paths), tuple(unreadable))


def calibration_document(draw: Draw, inputs: Inputs, how: Preprocessing) -> dict[str, Any]:
    """What calibration.json holds: every photograph with its bin, its mean and the SHA-256 of what the model sees.

    Args:
        draw: and
        inputs: as `load_draw` returns them.
        how: the specification by which the pixels were made.

    Raises:
        CalibrationError: the photographs are not those of the draw.
    """
    if list(inputs.paths) != draw.paths:
        raise CalibrationError(
            f"{len(inputs.paths)} photographs are not the {len(draw.paths)} of the draw: load them with load_draw"
        )
    folder = os.path.commonpath([path.absolute().parent for path in inputs.paths]) if inputs.paths else ""
    return {
        "format": FORMAT,
        "n": len(inputs.paths),
        "different": len(inputs.hashes),
        "seed": draw.seed,
        "per_bin": draw.per_bin,
        "means_from": draw.means_from,
        "labels": None if draw.labels is None else dict(draw.labels),
        "preprocessing": how.to_json(),
        "bins": [asdict(one) for one in draw.bins],
        "photographs": [
            {
                "id": printable(one.id),
                # Relative: a document that travels says nothing of whose machine it was made on.
                "file": printable(one.path.absolute().relative_to(folder)),
                "bin": one.bin,
                "mean": one.mean,
                "pixels_sha256": digest,
            }
            for one, digest in zip(draw.chosen, inputs.sha256, strict=True)
        ],
    }


def read_draw(
    path: str | os.PathLike[str],
    photographs: Sequence[Path],
    how: Preprocessing,
    step: Callable[[], None] = lambda: None,
) -> tuple[Draw, Inputs]:
    """Find the photographs of a calibration.json again, and load exactly those.

    Args:
        path: the calibration.json.
        photographs: where they may be among, by their paths under the folder that they share.
        how: the specification of the model that is calibrated.
        step: called after each photograph that is loaded.

    Raises:
        CalibrationError: the file is no calibration.json, it was made with other preprocessing, or a photograph is
            missing, unreadable, or has other pixels.
    """
    document, draw, digests = _parse(path)
    _same_pixels(path, document["preprocessing"], how)
    names = Names([entry["file"] for entry in document["photographs"]], [])
    # Several may end in the same path; the pixels tell.
    found: dict[int, list[Path]] = {}
    for photograph in photographs:
        row = names.find(photograph)
        if row is not None:
            found.setdefault(row, []).append(photograph)
    missing = [one.path.as_posix() for row, one in enumerate(draw.chosen) if row not in found]
    if missing:
        raise CalibrationError(
            f"{len(missing)} of {len(draw.chosen)} photographs of '{printable(path)}' are not among the "
            f"{len(photographs)} given: {few(missing)}"
        )
    pixels = np.empty((len(draw.chosen), how.height, how.width, 3), np.uint8)
    chosen: list[Candidate] = []
    other: list[str] = []
    for row, one in enumerate(draw.chosen):
        inputs = load_inputs(found[row], how, step)
        if digests[row] in inputs.sha256:
            which = inputs.sha256.index(digests[row])
            pixels[row] = inputs.pixels[which]
            chosen.append(replace(one, path=inputs.paths[which]))
        else:
            other.append(one.path.as_posix())
    if other:
        raise CalibrationError(
            f"{len(other)} of {len(draw.chosen)} photographs have other pixels than '{printable(path)}' says, "
            f"or cannot be read: {few(other)}"
        )
    draw = replace(draw, chosen=tuple(chosen), pool=tuple(chosen))
    return draw, Inputs(pixels, tuple(draw.paths), tuple(digests), ())


def _parse(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Draw, list[str]]:
    """The document, the draw with paths as they are written there, and the hashes of its pixels."""
    try:
        document = json.loads(Path(path).read_bytes())
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r:.40}, not {FORMAT!r}")
        entries = document["photographs"]
        chosen = tuple(Candidate(Path(e["file"]), str(e["id"]), float(e["mean"]), int(e["bin"])) for e in entries)
        draw = Draw(
            chosen,
            tuple(_bin(one) for one in document["bins"]),
            int(document["per_bin"]),
            int(document["seed"]),
            str(document["means_from"]),
            document["labels"],
        )
        if rating_bins(draw.means, len(draw.bins)).tolist() != [one.bin for one in chosen]:
            raise ValueError("its bins are not those of its means")
        digests = [str(entry["pixels_sha256"]) for entry in entries]
        given = document["preprocessing"]
        if not given.keys() >= set(_OF_PIXELS):
            raise ValueError("its preprocessing is not whole")
    except KeyError as error:
        raise CalibrationError(f"'{printable(path)}' is no calibration.json: it lacks {error}") from error
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CalibrationError(f"'{printable(path)}' is no calibration.json: {reason(error)}") from error
    return document, draw, digests


def _same_pixels(path: str | os.PathLike[str], given: Mapping[str, Any], how: Preprocessing) -> None:
    wanted = how.to_json()
    other = [key for key in (*_OF_PIXELS, *_LATER) if given.get(key) != wanted.get(key)]
    if other:
        theirs, ours = (", ".join(f"{key} {side.get(key)}" for key in other) for side in (given, wanted))
        raise CalibrationError(
            f"'{printable(path)}' was drawn for pixels with {printable(theirs)}; this model takes {ours}"
        )


def _bin(given: Mapping[str, Any]) -> RatingBin:
    counts = (int(given[key]) for key in ("available", "drawn", "lent", "filled"))
    return RatingBin(float(given["low"]), float(given["high"]), *counts)
