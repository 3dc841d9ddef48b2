"""What every page is made of: its shell with the style inside, figures, tables, lists. It loads nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from edge_nima.errors import OutputError, escaped, printable, reason
from edge_nima.records import is_special, write_whole

_STYLE = Path(__file__).with_name("page.css")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Whatever a file's name may smuggle in, the browser neither runs nor loads it."""
_WORDS = {"what it is", "kind", "precision", "on which photographs"}
"""Columns of text, set from the left."""
_LEFT = ' class="text"'
_NO_HTML = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def document(title: str, sections: Iterable[str]) -> str:
    """A whole page of sections, which are markup already; empty ones are left out."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{text(title)}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


def write_document(path: str | os.PathLike[str], content: str) -> None:
    """Write a page or other text; it appears whole, and replaces what is there.

    Raises:
        RequestError: `path` is a folder or is in none.
        OutputError: it cannot be written.
    """
    file = Path(path)
    special = is_special(file)
    raw = content.encode("utf-8", "backslashreplace")
    try:
        if special:
            file.write_bytes(raw)
        else:
            write_whole(file, raw)
    except OSError as error:
        raise OutputError(f"cannot write '{printable(file)}': {reason(error)}") from error


def text(value: object) -> str:
    """Anything as text of a page: nothing in it is markup, and what HTML cannot hold is escaped."""
    return escape(_NO_HTML.sub(lambda found: escaped(found[0]), str(value)))


def tile(label: str, value: str, detail: str) -> str:
    """One number that stands out, with what it is above and below it."""
    return (
        f'<div class="tile"><div class="label">{text(label)}</div><div class="value">{text(value)}</div>'
        f'<div class="of">{text(detail)}</div></div>'
    )


def figure(title: str, what: str, svg: str, kind: str = "") -> str:
    """A plot with its heading; `svg` is markup already."""
    return f'<figure class="{kind}"><figcaption><b>{text(title)}</b>{text(what)}</figcaption>{svg}</figure>'


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """A table of cells that are markup already; the first of a row is its heading."""
    head = "".join(f'<th scope="col"{_LEFT if heading in _WORDS else ""}>{heading}</th>' for heading in headings)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(row[1:])}</tr>' for row in rows
    )  # fmt: skip
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def cell(value: str, detail: str = "") -> str:
    """A number of a table, with what is said below it in small print."""
    of = f'<span class="of">{text(detail)}</span>' if detail and detail != "-" else ""
    return f"<td>{text(value)}{of}</td>"


def listing(summary: str, lines: Sequence[str]) -> str:
    """Lines that unfold below their summary."""
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f"<details><summary>{text(summary)}</summary><ul>{items}</ul></details>"
