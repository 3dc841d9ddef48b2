"""int8-corrected: int8, equalised, refitted, rounded and corrected operation by operation (`tflite.quantise`)."""

from edge_nima_convert.recipes import Recipe, Source


def make(source: Source) -> bytes:
    """The .tflite without its card."""
    return source.corrected()


RECIPE = Recipe("int8-corrected", "int8, corrected against the float model", make, True, True, rung=2)
