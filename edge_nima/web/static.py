"""The page's own files. Their names carry a hash of what is in them, so that an update is never stale."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

_TYPES = {
    "page.css": "text/css; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "gallery.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Static:
    """What is served from memory."""

    files: dict[str, tuple[bytes, str]]
    """By the name with the hash: the content and its type."""
    page: str
    login: str
    """The form, with `{{message}}` where it says what is wrong."""
    version: str
    """Of all of it."""


def load() -> Static:
    """Read the page's files from the package."""
    folder = files("edge_nima.web")
    served, names = {}, {}
    for name, kind in _TYPES.items():
        content = (folder / name).read_bytes()
        stem, _, ending = name.rpartition(".")
        names[name] = f"{stem}.{sha256(content).hexdigest()[:12]}.{ending}"
        served[names[name]] = (content, kind)
    pages = {}
    for name in ("page.html", "login.html"):
        text = (folder / name).read_text(encoding="utf-8")
        for plain, hashed in names.items():
            text = text.replace(f"{{{{{plain}}}}}", f"/static/{hashed}")
        pages[name] = text
    version = sha256("".join([*names.values(), *pages.values()]).encode()).hexdigest()[:12]
    return Static(served, pages["page.html"].replace("{{version}}", version), pages["login.html"], version)
