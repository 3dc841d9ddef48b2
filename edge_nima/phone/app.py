"""What the server answers: files of the page, to GET and HEAD, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from edge_nima.outputs.web.listening import text_response
from edge_nima.phone.page import Asset, Page

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

_PIECE = 64 * 1024
_PHONES = 256
_HEADERS = {
    # No address but our own, so that a photograph cannot leave the phone even by a mistake of the page. LiteRT is
    # WebAssembly, which needs its own word; its threads are workers that it makes of a blob.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self'; "
        "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self' blob:; manifest-src 'self'; "
        "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # These two make the page cross-origin isolated: without it there is no SharedArrayBuffer, and so no threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PhoneApp:
    """The page as an ASGI application."""

    def __init__(self, page: Page, on_phone: Callable[[str, str], None] | None = None) -> None:
        """Take what is served.

        Args:
            page: the files, by path.
            on_phone: told the address and the user agent of whoever asks for the first time.
        """
        self._page, self._on_phone = page, on_phone
        self._seen: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        reply = await self._reply(scope)
        reply.headers.update(_HEADERS)
        await reply(scope, receive, send)

    async def _reply(self, scope: Scope) -> Response:
        if scope["method"] not in {"GET", "HEAD"}:
            # What the request brings is not read: the connection ends with the answer.
            return text_response(405, "possible: GET, HEAD", {"Allow": "GET, HEAD", "Connection": "close"})
        asset = self._page.get(scope["path"].removeprefix("/") or "index.html")
        if asset is None:
            return text_response(404, "no such file")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._notice(scope, headers.get("user-agent", ""))
        return await _sent(asset, scope["method"], headers)

    def _notice(self, scope: Scope, agent: str) -> None:
        address = scope["client"][0] if scope.get("client") else ""
        if self._on_phone is not None and address not in self._seen and len(self._seen) < _PHONES:
            self._seen.add(address)
            self._on_phone(address, agent)


async def _sent(asset: Asset, method: str, asked: dict[str, str]) -> Response:
    from starlette.responses import Response, StreamingResponse

    accepted = asked.get("accept-encoding", "")
    coding = "" if asset.brotli is None else next((one for one in ("br", "gzip") if _takes(one, accepted)), "")
    tag = f'"{asset.tag}{coding and f"-{coding}"}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "public, max-age=31536000, immutable" if asset.lasting else "no-cache",
    }
    if asset.brotli is not None:
        headers["Vary"] = "Accept-Encoding"
    if _matches(asked.get("if-none-match", ""), tag):
        return Response(None, 304, headers, asset.kind)
    content = asset.content
    if coding:
        headers["Content-Encoding"] = coding
        # The largest file takes half a second, once: not in the event loop.
        content = asset.brotli or b"" if coding == "br" else await asyncio.to_thread(lambda: asset.gzip)
    headers["Content-Length"] = str(len(content))
    if method == "HEAD":
        return Response(None, 200, headers, asset.kind)
    return StreamingResponse(_pieces(content), 200, headers, asset.kind)


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    # A model at once would lie in memory once more for each phone that is slow to take it.
    for start in range(0, len(content), _PIECE):
        yield content[start : start + _PIECE]


def _takes(wanted: str, accepted: str) -> bool:
    for part in accepted.split(","):
        coding, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if coding == wanted:
            return not any(one.replace(" ", "") in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for one in parameters)
    return False


def _matches(given: str, tag: str) -> bool:
    tags = {one.strip().removeprefix("W/") for one in given.split(",")}
    return "*" in tags or tag in tags
