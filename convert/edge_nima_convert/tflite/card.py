"""Put a card into a .tflite, the standard way: a TFLITE_METADATA buffer plus a zip archive at the end of the file.

The buffer is a `ModelMetadata` flatbuffer (tensorflow/lite_support metadata_schema.fbs, identifier "M001"). Its few
tables are written here with their slot numbers, because the package that ships generated code for them
(mediapipe) is far larger than they are; a test reads the result back with mediapipe's own code.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edge_nima.card import CARD_FILE, LABELS_FILE, Card
from edge_nima.errors import ModelError
from edge_nima.pixels import Preprocessing

_METADATA_NAME = "TFLITE_METADATA"
_ALIGNMENT = 16  # of every tensor's data in a .tflite, as the TFLite schema asks for
_DESCRIPTIONS, _TENSOR_AXIS_LABELS = 1, 2  # enum AssociatedFileType
_IMAGE_PROPERTIES, _UNKNOWN, _RGB = 2, 0, 1  # union ContentProperties, enum ColorSpaceType
_NORMALIZATION_OPTIONS = 1  # union ProcessUnitOptions
_EARLIEST_DATE = (1980, 1, 1, 0, 0, 0)


def embed_card(model: bytes, card: Card) -> bytes:
    """Return `model` with `card` and the labels of its outputs inside.

    The same model and card give the same bytes.

    Args:
        model: a .tflite file; a card that it carries already is replaced.
        card: what to put in.

    Raises:
        ModelError: not a .tflite.
    """
    if model[4:8] != b"TFL3":
        raise ModelError("not a .tflite: the file does not have its signature TFL3")
    archive = io.BytesIO()
    archive.write(_with_metadata(model, _metadata(card)))
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as zipped:
        for name, text in ((LABELS_FILE, "\n".join(card.labels) + "\n"), (CARD_FILE, card.to_json())):
            zipped.writestr(zipfile.ZipInfo(name, _EARLIEST_DATE), text)
    return archive.getvalue()


def _with_metadata(model: bytes, metadata: bytes) -> bytes:
    """Repack the model's flatbuffer with one more buffer, named in its list of metadata."""
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(model), 0))
    tree.metadata = tree.metadata or []
    entry = next((entry for entry in tree.metadata if entry.name == _METADATA_NAME.encode()), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = _METADATA_NAME, len(tree.buffers)
        tree.metadata.append(entry)
        tree.buffers.append(schema.BufferT())
    tree.buffers[entry.buffer].data = list(metadata)
    builder = _aligned_builder(len(model) + len(metadata) + 4096)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _aligned_builder(size: int) -> Any:
    """A builder that keeps tensor data on 16-byte boundaries, which flatbuffers' Python code forgets."""
    import flatbuffers

    class Aligned(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers has no types
        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:
            return super().StartVector(elemSize, numElems, _ALIGNMENT if elemSize == 1 else alignment)

    return Aligned(size)


class _Tables:
    """Tables of a flatbuffer and what their fields hold; each method returns an offset."""

    def __init__(self) -> None:
        import flatbuffers

        self.builder = b = flatbuffers.Builder(1024)
        self._add = {"offset": b.PrependUOffsetTRelativeSlot, "int8": b.PrependInt8Slot, "uint8": b.PrependUint8Slot,
                     "uint32": b.PrependUint32Slot}  # fmt: skip

    def table(self, slots: int, *given: tuple[int, str, int]) -> int:
        """Of so many slots; a field is its slot, "offset", "int8", "uint8" or "uint32", and its value."""
        self.builder.StartObject(slots)
        for slot, kind, value in given:
            self._add[kind](slot, value, 0)
        return int(self.builder.EndObject())

    def text(self, value: str) -> int:
        return int(self.builder.CreateString(value))

    def offsets(self, *values: int) -> int:
        return self._vector(self.builder.PrependUOffsetTRelative, values)

    def floats(self, *values: float) -> int:
        return self._vector(self.builder.PrependFloat32, values)

    def _vector(self, prepend: Callable[[Any], None], values: Sequence[float]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            prepend(value)
        return int(self.builder.EndVector())

    def associated(self, name: str, what: str, kind: int) -> int:
        return self.table(5, (0, "offset", self.text(name)), (1, "offset", self.text(what)), (2, "int8", kind))


def _metadata(card: Card) -> bytes:
    """The ModelMetadata flatbuffer."""
    t = _Tables()
    how = card.preprocessing
    size = t.table(2, (0, "uint32", how.width), (1, "uint32", how.height))
    # There is no BGR: MediaPipe refuses a colour space that is unknown, and would feed red first to one called RGB.
    colours = _RGB if how.channel_order == "RGB" else _UNKNOWN
    image = t.table(2, (0, "int8", colours), (1, "offset", size))
    content = t.table(3, (0, "uint8", _IMAGE_PROPERTIES), (1, "offset", image))
    # For whom feeds a float tensor: (p - mean) / std. Inside the graph the bytes are taken as they are.
    mean, std = ([0.0], [1.0]) if how.scaling == "graph" else _normalization(how)
    options = t.table(2, (0, "offset", t.floats(*mean)), (1, "offset", t.floats(*std)))
    unit = t.table(2, (0, "uint8", _NORMALIZATION_OPTIONS), (1, "offset", options))
    pixels = t.table(
        7,
        (0, "offset", t.text("rgb")),
        (1, "offset", t.text(f"Photograph: {how.describe()}")),
        (3, "offset", content),
        (4, "offset", t.offsets(unit)),
    )
    labels = t.associated(LABELS_FILE, "Ratings", _TENSOR_AXIS_LABELS)
    ratings = t.table(
        7,
        (0, "offset", t.text("distribution")),
        (1, "offset", t.text(card.output)),
        (6, "offset", t.offsets(labels)),
    )
    graph = t.table(10, (2, "offset", t.offsets(pixels)), (3, "offset", t.offsets(ratings)))
    sheet = t.associated(CARD_FILE, "edge_nima card: provenance, preprocessing, golden probes", _DESCRIPTIONS)
    root = t.table(
        8,
        (0, "offset", t.text(card.name)),
        (1, "offset", t.text("NIMA: the distribution of ratings 1..10 that people would give a photograph")),
        (3, "offset", t.offsets(graph)),
        (4, "offset", t.text(card.attribution)),
        (5, "offset", t.text(card.licence)),
        (6, "offset", t.offsets(sheet)),
        (7, "offset", t.text("1.0.0")),
    )
    t.builder.Finish(root, b"M001")
    return bytes(t.builder.Output())


def _normalization(how: Preprocessing) -> tuple[list[float], list[float]]:
    """Mean and standard deviation, in levels: of all channels, or one a channel."""
    scale, offset = np.broadcast_arrays(np.atleast_1d(how.scale), np.atleast_1d(how.offset))
    return (-offset / scale).tolist(), (1 / scale).tolist()
