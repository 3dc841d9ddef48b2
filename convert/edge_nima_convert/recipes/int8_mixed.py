"""int8-mixed: int8-corrected, with the operations in float whose rounding is measured to cost the score most."""

from edge_nima_convert.recipes import Recipe, Source


def make(source: Source) -> bytes:
    """The .tflite without its card; that of int8-corrected where no operation is worth its cost (`tflite.cost`)."""
    from edge_nima_convert.tflite.cost import choose_floats

    return source.corrected(choose_floats(source.equalised, source.costs))


RECIPE = Recipe("int8-mixed", "int8-corrected, its costliest operations in float", make, True, True, rung=3)
