"""dynamic: int8 weights, activations quantised as they come."""

from edge_nima_convert.recipes import Recipe, Source


def make(source: Source) -> bytes:
    """The .tflite without its card."""
    from edge_nima_convert.tflite.keras import to_tflite

    return to_tflite(source.checkpoint, "dynamic")


RECIPE = Recipe("dynamic", "int8 weights, activations quantised as they come", make, integer=True, rung=4)
