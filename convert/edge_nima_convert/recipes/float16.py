"""float16: weights stored in half precision, arithmetic in float32, or in float16 where a delegate offers it."""

from edge_nima_convert.recipes import Recipe, Source


def make(source: Source) -> bytes:
    """The .tflite without its card; with photographs, what rounding the weights moves is given back by the biases."""
    from edge_nima_convert.tflite.keras import to_tflite
    from edge_nima_convert.tflite.quantise import quantise
    from edge_nima_convert.tflite.writer import write_tflite

    if source.calibration is None:
        return to_tflite(source.checkpoint, "float16")
    return write_tflite(quantise(source.graph, source.photographs, half=True, progress=source.progress))


RECIPE = Recipe("float16", "float16 weights, float32 arithmetic", make, likes_calibration=True, rung=5)
