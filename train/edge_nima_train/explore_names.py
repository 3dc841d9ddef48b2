"""What AVA's numbers of tags and challenges mean: tags.txt and challenges.txt."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edge_nima.errors import RequestError, printable, reason
from edge_nima.label_text import lines_of, refusal


@dataclass(frozen=True)
class GroupNames:
    """Names by number; empty where nobody said."""

    tags: dict[str, str] = field(default_factory=dict)
    challenges: dict[str, str] = field(default_factory=dict)


def find_names(manifest: Path, tags: Path | None = None, challenges: Path | None = None) -> GroupNames:
    """Read the two files.

    Args:
        manifest: tags.txt and challenges.txt beside it are taken where they are.
        tags: another file of tags.
        challenges: another file of challenges.

    Raises:
        RequestError: a file that is given is not there, or one is something else; with the line.
    """
    read = {}
    for kind, given in (("tags", tags), ("challenges", challenges)):
        path = given or manifest.parent / f"{kind}.txt"
        read[kind] = read_names(path) if given is not None or path.is_file() else {}
    return GroupNames(read["tags"], read["challenges"])


def read_names(path: Path) -> dict[str, str]:
    """Read lines of a number and a name, in UTF-8 or else Latin-1. "_" stands for a space, as in challenges.txt.

    Raises:
        RequestError: it cannot be read or a line is something else.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequestError(f"cannot read '{printable(path)}': {reason(error)}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # of 2012; every byte is a character there
    names = {}
    for line, told in lines_of(text):
        number, _, name = told.strip().partition(" ")
        if not number.isascii() or not number.isdecimal() or not name.strip():
            raise refusal(path, line, f"it says '{printable(told.strip()[:40])}'", "a number, a space and a name")
        names[str(int(number))] = printable(" ".join(name.replace("_", " ").split()))
    return names
