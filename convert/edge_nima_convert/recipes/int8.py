"""int8: int8 weights and activations, plain, by TensorFlow."""

from edge_nima_convert.recipes import Recipe, Source


def make(source: Source) -> bytes:
    """The .tflite without its card."""
    from edge_nima_convert.tflite.keras import to_tflite

    return to_tflite(source.checkpoint, "int8", source.calibration)


RECIPE = Recipe("int8", "int8 weights and activations, plain, by TensorFlow", make, True, True, rung=1)
