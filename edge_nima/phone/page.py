"""The built page, read into memory: what is not in it cannot be asked for, and a build meanwhile changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from gzip import compress
from hashlib import sha256
from pathlib import Path

from edge_nima.errors import RequestError, printable, reason

FOLDER = Path(__file__).parent / "page"
"""Where `npm run build` in examples/web writes it."""
INDEX = "models/index.json"
"""Which models the page offers."""
_MODELS = Path(__file__).parents[1] / "models"
"""The bundled ones: a wheel holds them here, and not once more in the page."""
_HASHED = "assets/"
"""Names in this folder carry a hash of their content: what once had a name has it for ever."""
_BROTLI = ".br"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class Asset:
    """One file of the page."""

    content: bytes
    kind: str
    """Its media type."""
    lasting: bool = False
    """Whether its name never has other content."""
    brotli: bytes | None = None
    """The same compressed, for browsers that take it; None where that is not worth it."""
    tag: str = field(init=False)
    """Of the content: twenty hexadecimal digits."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag", sha256(self.content).hexdigest()[:20])

    @cached_property
    def gzip(self) -> bytes:
        """The content compressed for those that take no brotli; made when first asked for."""
        return compress(self.content, 6, mtime=0)


Page = Mapping[str, Asset]
"""By path, without a leading slash."""


def kind_of(name: str) -> str:
    """The media type of a file; of this table and not of the system's, where .wasm is often missing."""
    return _TYPES.get(Path(name).suffix.lower(), "application/octet-stream")


def load_page(folder: Path | None = None) -> dict[str, Asset]:
    """Read the built page.

    Args:
        folder: where it is; None for the one of this installation.

    Raises:
        RequestError: it is not there, or cannot be read.
    """
    folder = FOLDER if folder is None else folder
    if not (folder / "index.html").is_file():
        raise RequestError(
            "this installation was made without the page (built from source): build it with `npm ci && npm run build` "
            "in examples/web (Node 20.19 or newer) and install again, or install the published wheel"
        )
    try:
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _files(folder)}
        for path in sorted(_MODELS.glob("*.tflite")):
            found.setdefault(f"models/{path.name}", path.read_bytes())
    except OSError as error:
        raise RequestError(f"cannot read the page in '{printable(folder)}': {reason(error)}") from error
    return {
        name: Asset(content, kind_of(name), name.startswith(_HASHED), found.get(name + _BROTLI))
        for name, content in found.items()
        if not name.endswith(_BROTLI)
    }


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
