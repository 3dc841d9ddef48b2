"""Templates to HTML pages that appear whole. Needs Jinja2: the extra `report`."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from edge_nima import __version__
from edge_nima.errors import OutputError, PackageMissing, escaped, printable, reason
from edge_nima.records import is_special, write_whole
from edge_nima.reports.model import Report
from edge_nima.reports.plots import need_matplotlib, svg

_NO_HTML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def need_jinja() -> None:
    """Import Jinja2.

    Raises:
        PackageMissing: it is not installed.
    """
    _environment()


def need_report() -> None:
    """Import what pages of reports need.

    Raises:
        PackageMissing: Jinja2 or matplotlib is not installed.
    """
    need_jinja()
    need_matplotlib()


@cache
def _environment() -> Any:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise PackageMissing("an HTML page needs Jinja2: pip install 'edge-nima[report]'") from error
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    made.globals["version"] = __version__
    return made


def _finalize(value: Any) -> Any:
    """Text that HTML cannot hold is escaped as on a terminal; markup passes."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return _NO_HTML.sub(lambda found: escaped(found[0]), value)
    return value


def render(template: str, **values: Any) -> str:
    """A template of `templates/`, filled. Values are text; what is markup already is a `markupsafe.Markup`.

    Raises:
        PackageMissing: Jinja2 is not installed.
    """
    return str(_environment().get_template(template).render(values))


def page(report: Report) -> str:
    """A report as one HTML page that needs nothing beside itself."""
    return render("report.html", report=report, svg=svg).lstrip() + "\n"


def write_page(path: str | os.PathLike[str], content: str) -> None:
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
