"""float32: float32 weights and arithmetic."""

from edge_nima_convert.recipes import Recipe, Source


def make(source: Source) -> bytes:
    """The .tflite without its card."""
    return source.float32


RECIPE = Recipe("float32", "float32 weights and arithmetic", make)
