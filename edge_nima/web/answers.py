"""Answers to requests. starlette is imported where one is made: nothing here is loaded before the server starts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

_CHUNK = 64 * 1024


def answer(
    status: int, content: str | bytes = b"", kind: str = "text/plain; charset=utf-8",
    headers: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    """One that is complete."""
    from starlette.responses import Response

    return Response(content, status, headers, media_type=kind)


def told(status: int, line: str, headers: Mapping[str, str] | None = None) -> Response:
    """A line for a person."""
    return answer(status, line + "\n", headers=headers)


def html(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """A page."""
    return answer(status, text, "text/html; charset=utf-8", headers)


def fields(content: Any) -> Response:
    """JSON."""
    from starlette.responses import JSONResponse

    return JSONResponse(content)


def see(path: str) -> Response:
    """Another address of ours, asked for with GET."""
    return answer(303, headers={"Location": path})


class FileAnswer:
    """A file that is open, sent piece by piece as the reader takes it, then closed."""

    def __init__(self, file: IO[bytes], status: os.stat_result, reader: Executor, headers: Mapping[str, str]) -> None:
        """`reader` reads: a slow disk does not stop the event loop."""
        self._file, self._size, self._reader, self._headers = file, status.st_size, reader, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        loop = asyncio.get_running_loop()
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self._headers.items()]
        headers.append((b"content-length", str(self._size).encode()))
        with self._file:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            left = 0 if scope["method"] == "HEAD" else self._size
            while left > 0:
                chunk = await loop.run_in_executor(self._reader, self._file.read, min(left, _CHUNK))
                if not chunk:
                    raise OSError("the file became shorter while it was sent")
                left -= len(chunk)
                # `send` waits for a slow reader and says nothing when it is gone.
                await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
            if scope["method"] == "HEAD" or not self._size:
                await send({"type": "http.response.body", "body": b""})
