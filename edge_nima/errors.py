"""Everything edge_nima raises on purpose. One line each: what was given, what is possible, what to type.

All are `EdgeNimaError`, and of the built-in class that Python's own functions would raise. `exit_code` is what the
command line ends with: 2, nothing was done; 1, results could not be fetched, computed or written.
"""

from __future__ import annotations

import os
import unicodedata


class EdgeNimaError(Exception):
    """Base of all errors raised by edge_nima; `str()` of it is one line meant for a person, `escaped`."""

    exit_code = 2

    def __str__(self) -> str:
        return escaped(str(self.args[0])) if self.args else self.__class__.__name__


class PictureError(EdgeNimaError, ValueError):
    """A picture that cannot be scored: unreadable, truncated, too large, or an array of the wrong kind."""


class ModelError(EdgeNimaError, ValueError):
    """A file that is not a model this toolkit can run."""


class CardError(EdgeNimaError, ValueError):
    """A model's card is missing, damaged, or of a newer format."""


class CheckpointError(EdgeNimaError, ValueError):
    """A checkpoint whose tensors are not those of the network it should hold."""


class CalibrationError(EdgeNimaError, ValueError):
    """Photographs that cannot calibrate a quantised model."""


class RequestError(EdgeNimaError, ValueError):
    """Arguments that do not fit together, or name what does not exist."""


class LabelError(RequestError):
    """One line of a label file that cannot be used."""

    def __init__(self, path: str | os.PathLike[str], line: int, kind: str, what: str) -> None:
        """Take the file, the line's number from 1, and what is wrong: a short kind and words for a person."""
        super().__init__(f"'{printable(path)}' line {line}: {what}")
        self.line, self.kind, self.what = line, kind, what


class SourceError(EdgeNimaError, OSError):
    """A camera, stream or film that cannot be opened, or that gives no more frames."""


class PublishError(EdgeNimaError, OSError):
    """A broker or a port that will not have us."""


class PackageMissing(EdgeNimaError, ImportError):
    """An optional package is not installed."""


class TrainingError(EdgeNimaError, ArithmeticError):
    """Training came to numbers that are none; what was saved before is kept."""

    exit_code = 1


class DownloadError(EdgeNimaError, OSError):
    """A download failed, or what arrived does not match its checksum."""

    exit_code = 1


class OutputError(EdgeNimaError, OSError):
    """Results could not be written."""

    exit_code = 1


def printable(name: str | os.PathLike[str]) -> str:
    """A file name as a terminal, a log or a message shows it: `escaped`, Windows' separators as `/`."""
    text = os.fspath(name)
    return escaped(text if os.sep == "/" else text.replace(os.sep, "/"))


def escaped(text: str, keep: str = "") -> str:
    r"""Text for a terminal, a log or a message. What a machine reads holds the real characters: never this.

    Shown as they are: what `str.isprintable` allows, spaces of any width, the joiners inside emoji and scripts, `keep`.
    All else becomes its Python escape: control characters, what turns the direction of text; a byte that is not UTF-8
    (one of Python's surrogate escapes) becomes `\xNN`.
    """
    return text if text.isprintable() else "".join(c if c in keep else _shown(c) for c in text)


def _shown(c: str) -> str:
    if c.isprintable() or c in "\u200c\u200d" or unicodedata.category(c) == "Zs":
        return c
    if "\udc80" <= c <= "\udcff":  # a byte that is not UTF-8, as Python keeps it in file names
        return f"\\x{ord(c) - 0xDC00:02x}"
    return c.encode("unicode_escape").decode()


def reason(error: BaseException) -> str:
    """What an exception says, on one line; its class's name where it says nothing."""
    if isinstance(error, OSError) and error.strerror and not isinstance(error, EdgeNimaError):
        return error.strerror
    lines = [line.strip() for line in str(error).splitlines()]
    return escaped(" ".join(line for line in lines if line)) or error.__class__.__name__
