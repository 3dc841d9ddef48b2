"""Put a card into a .tflite, the standard way: a TFLITE_METADATA buffer plus a zip archive at the end of the file.

The buffer is a `ModelMetadata` flatbuffer (tensorflow/lite_support metadata_schema.fbs, identifier "M001"). Its few
tables are written here with their slot numbers, because the package that ships generated code for them
(mediapipe) is far larger than they are; a test reads the result back with mediapipe's own code.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

from edge_nima.card import CARD_FILE, LABELS_FILE, Card
from edge_nima.errors import ModelError

_METADATA_NAME = "TFLITE_METADATA"
_ALIGNMENT = 16  # of every tensor's data in a .tflite, as the TFLite schema asks for
_DESCRIPTIONS, _TENSOR_AXIS_LABELS = 1, 2  # enum AssociatedFileType
_IMAGE_PROPERTIES, _RGB = 2, 1  # union ContentProperties, enum ColorSpaceType
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


def _metadata(card: Card) -> bytes:
    """The ModelMetadata flatbuffer. A table's fields are (slot, "offset" or "int8" or "uint32", value)."""
    import flatbuffers

    b = flatbuffers.Builder(1024)

    def table(slots: int, *given: tuple[int, str, int]) -> int:
        b.StartObject(slots)
        for slot, kind, value in given:
            add = {"offset": b.PrependUOffsetTRelativeSlot, "int8": b.PrependInt8Slot, "uint8": b.PrependUint8Slot,
                   "uint32": b.PrependUint32Slot}[kind]  # fmt: skip
            add(slot, value, 0)
        return int(b.EndObject())

    def text(value: str) -> int:
        return int(b.CreateString(value))

    def offsets(*values: int) -> int:
        b.StartVector(4, len(values), 4)
        for value in reversed(values):
            b.PrependUOffsetTRelative(value)
        return int(b.EndVector())

    def floats(*values: float) -> int:
        b.StartVector(4, len(values), 4)
        for value in reversed(values):
            b.PrependFloat32(value)
        return int(b.EndVector())

    def associated(name: str, what: str, kind: int) -> int:
        return table(5, (0, "offset", text(name)), (1, "offset", text(what)), (2, "int8", kind))

    how = card.preprocessing
    size = table(2, (0, "uint32", how.width), (1, "uint32", how.height))
    image = table(2, (0, "int8", _RGB), (1, "offset", size))
    content = table(3, (0, "uint8", _IMAGE_PROPERTIES), (1, "offset", image))
    # For whom feeds a float tensor: (p - mean) / std. Inside the graph the bytes are taken as they are.
    mean, std = (0.0, 1.0) if how.scaling == "graph" else (-how.offset / how.scale, 1 / how.scale)
    options = table(2, (0, "offset", floats(mean)), (1, "offset", floats(std)))
    unit = table(2, (0, "uint8", _NORMALIZATION_OPTIONS), (1, "offset", options))
    pixels = table(
        7,
        (0, "offset", text("rgb")),
        (1, "offset", text(f"Photograph: {how.describe()}")),
        (3, "offset", content),
        (4, "offset", offsets(unit)),
    )
    labels = associated(LABELS_FILE, "Ratings", _TENSOR_AXIS_LABELS)
    ratings = table(
        7,
        (0, "offset", text("distribution")),
        (1, "offset", text(card.output)),
        (6, "offset", offsets(labels)),
    )
    graph = table(10, (2, "offset", offsets(pixels)), (3, "offset", offsets(ratings)))
    sheet = associated(CARD_FILE, "edge_nima card: provenance, preprocessing, golden probes", _DESCRIPTIONS)
    root = table(
        8,
        (0, "offset", text(card.name)),
        (1, "offset", text("NIMA: the distribution of ratings 1..10 that people would give a photograph")),
        (3, "offset", offsets(graph)),
        (4, "offset", text(card.attribution)),
        (5, "offset", text(card.licence)),
        (6, "offset", offsets(sheet)),
        (7, "offset", text("1.0.0")),
    )
    b.Finish(root, b"M001")
    return bytes(b.Output())
