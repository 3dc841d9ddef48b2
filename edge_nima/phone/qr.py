"""An address as a QR code on a terminal."""

from __future__ import annotations

import io

# Black and white by their fixed numbers of 256: the first sixteen are whatever a terminal's theme makes of them, and
# a code of light on dark is one that some phones do not read.
_INK, _PLAIN = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
_SWAPPED = str.maketrans({" ": "█", "█": " ", "▀": "▄", "▄": "▀"})


def qr_lines(text: str, colour: bool) -> list[str]:
    """A QR code in lines of half blocks, two modules high each, with its quiet zone.

    Args:
        text: what it says.
        colour: set black on white by escape codes; without, light modules are drawn, for a dark background.
    """
    import segno

    drawn = io.StringIO()
    segno.make_qr(text, error="m").terminal(drawn, compact=True)
    lines = drawn.getvalue().splitlines()  # segno draws the light modules
    # A code has an odd number of rows: the half that is over belongs to the quiet zone.
    lines[-1] = lines[-1].replace("▀", "█")
    return [f"{_INK}{line.translate(_SWAPPED)}{_PLAIN}" for line in lines] if colour else lines
