"""The addresses of the page, and what is at each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, quote

from edge_nima.errors import EdgeNimaError, PictureError, RequestError
from edge_nima.web import shots as kept
from edge_nima.web.answers import FileAnswer, answer, fields, html, see, told
from edge_nima.web.auth import Guard
from edge_nima.web.door import BODY, Door
from edge_nima.web.history import STEP_S, STEPS, History
from edge_nima.web.live import Live
from edge_nima.web.static import Static
from edge_nima.web.telling import Teller
from edge_nima.web.viewers import Viewer, Viewers

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

T = TypeVar("T")

PICTURE_WAIT_S = 5.0
"""How long a request for the next picture waits for one."""
_BODY_WAIT_S = 10.0
_LISTED = 600


@dataclass
class Room:
    """What the addresses share."""

    static: Static
    guard: Guard
    viewers: Viewers
    live: Live
    history: History
    teller: Teller
    gallery: kept.Gallery | None
    metrics: Callable[[], str] | None
    disk: Executor
    """One thread, for files: a slow card does not stop the event loop."""
    thumbnails: kept.Thumbnails = field(default_factory=kept.Thumbnails)


def make_app(room: Room, port: int, tls: bool) -> ASGIApp:
    """The application, behind its door."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    pages = Pages(room)
    routes = [
        Route("/", pages.page),
        Route("/login", pages.login, methods=["GET", "POST"]),
        Route("/logout", pages.logout, methods=["POST"]),
        Route("/static/{name}", pages.static),
        Route("/events", pages.events),
        Route("/live.jpg", pages.picture),
        Route("/history", pages.history),
        Route("/status", pages.status),
        Route("/metrics", pages.metrics),
        Route("/shots", pages.shots),
        Route("/shots/{name:path}", pages.shot, methods=["GET", "DELETE"]),
        Route("/thumbnails/{name:path}", pages.thumbnail),
    ]
    pages.door = Door(Starlette(routes=routes), room.guard, port, tls)
    return pages.door


class Pages:
    """One method for each address."""

    door: Door

    def __init__(self, room: Room) -> None:
        self._room = room

    async def page(self, request: Request) -> Response:
        """The page itself."""
        return html(200, self._room.static.page)

    async def static(self, request: Request) -> Response:
        """Its style, scripts and icon."""
        found = self._room.static.files.get(request.path_params["name"])
        if found is None:
            return told(404, "no such file")
        return answer(200, *found, {"Cache-Control": "public, max-age=31536000, immutable"})

    async def login(self, request: Request) -> Response:
        """Ask for the token, take it."""
        if request.method != "POST":
            if request.state.session is not None:
                return see("/")
            return self._form(200, "")
        given = parse_qs((await _body(request)).decode("latin-1"), max_num_fields=8).get("token", [""])[0]
        reply = self.door.admit(given.strip(), request.scope)
        if reply.status_code == 303:
            return reply
        message = bytes(reply.body).decode().strip()
        return self._form(reply.status_code, message[0].upper() + message[1:] + ".", reply.headers.get("retry-after"))

    def _form(self, status: int, message: str, retry: str | None = None) -> Response:
        text = self._room.static.login.replace("{{message}}", escape(message))
        return html(status, text, None if retry is None else {"Retry-After": retry})

    async def logout(self, request: Request) -> Response:
        """Forget the session."""
        return self.door.dismiss()

    async def events(self, request: Request) -> Response | EventStream:
        """What happens, as server-sent events, to a page that also asks for pictures."""
        if request.method == "HEAD":
            return answer(200, kind="text/event-stream")
        viewer = self._room.viewers.join()
        if viewer is None:
            return self._full()
        return EventStream(self._room, viewer, request.state.session or "")

    def _full(self) -> Response:
        if self._room.viewers.closed:
            return told(410, "the watcher is stopping")
        most = self._room.viewers.most
        others = "another page is" if most == 1 else f"{most} other pages are"
        return told(503, f"{others} watching, which is as many as this camera serves", {"Retry-After": "10"})

    async def picture(self, request: Request) -> Response:
        """The next picture after number `after`, with its age and score; 204 when none comes for five seconds.

        `viewer` is who asks, as the stream of events says; without it, one picture for a script.
        """
        viewers, name = self._room.viewers, request.query_params.get("viewer")
        if name is None:
            once = viewers.join()
            if once is None:
                return self._full()
            try:
                return await self._next_picture(once, self._room.live.pictures.number)
            finally:
                viewers.leave(once)
        viewer = viewers.find(name)
        if viewer is None:
            return told(409, "this viewer was let go; connect again")
        return await self._next_picture(viewer, _number(request.query_params.get("after"), 0, 2**53))

    async def _next_picture(self, viewer: Viewer, after: int) -> Response:
        pictures = self._room.live.pictures
        with viewer:
            await pictures.after(after, PICTURE_WAIT_S)
        picture = pictures.value
        if picture is None or pictures.number <= after:
            return answer(204)
        headers = {"X-Number": str(pictures.number), "X-Age": f"{picture.age_s:.2f}", "X-Score": picture.score}
        return answer(200, picture.jpeg, "image/jpeg", headers)

    async def history(self, request: Request) -> Response:
        """The last hour."""
        history = self._room.history
        return fields({"seconds": STEP_S, "steps": STEPS, "step": history.now(), "points": history.points()})

    async def status(self, request: Request) -> Response:
        """The watcher's status, once, for scripts."""
        return fields(self._room.teller.fields())

    async def metrics(self, request: Request) -> Response:
        """The same for Prometheus."""
        if self._room.metrics is None:
            return told(404, "no metrics here")
        return answer(200, self._room.metrics(), "text/plain; version=0.0.4; charset=utf-8")

    async def shots(self, request: Request) -> Response:
        """The kept photographs, best or newest first."""
        gallery = self._room.gallery
        if gallery is None:
            return told(404, "no photographs are kept; --keep does")
        order = request.query_params.get("order", "best")
        limit = _number(request.query_params.get("limit"), 60, _LISTED)
        return fields(await self._on_disk(lambda: kept.listed(gallery.shots(), order, limit)))

    async def shot(self, request: Request) -> Response | FileAnswer:
        """One of them, whole; or remove it."""
        gallery, name = self._room.gallery, request.path_params["name"]
        if gallery is None:
            return told(404, "no photographs are kept; --keep does")
        try:
            if request.method == "DELETE":

                def remove() -> None:
                    kept.find(gallery, name)
                    gallery.delete(name)

                await self._on_disk(remove)
                self._room.teller.gallery_changed()
                return answer(204)
            file, status = await self._on_disk(lambda: kept.open_file(kept.find(gallery, name)))
        except RequestError as error:
            return told(404, str(error))
        except EdgeNimaError as error:
            return told(500, str(error))
        kind = "attachment" if "download" in request.query_params else "inline"
        headers = {
            "Content-Type": "image/jpeg",
            "Content-Disposition": f"{kind}; filename*=UTF-8''{quote(name)}",
        }
        return FileAnswer(file, status, self._room.disk, headers)

    async def thumbnail(self, request: Request) -> Response:
        """A small one of it."""
        gallery, name = self._room.gallery, request.path_params["name"]
        side = _number(request.query_params.get("side"), kept.SIDES[0], kept.SIDES[-1])
        if gallery is None or side not in kept.SIDES:
            return told(404, f"no such picture; sides: {', '.join(map(str, kept.SIDES))}")
        try:
            small = await self._on_disk(lambda: self._room.thumbnails.jpeg(kept.find(gallery, name), side))
        except (RequestError, PictureError) as error:
            return told(404, str(error))
        return answer(200, small, "image/jpeg")

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._room.disk, work)


class EventStream:
    """Server-sent events to one viewer: `hello` with what the page must know, then a `status` a second."""

    def __init__(self, room: Room, viewer: Viewer, session: str) -> None:
        self._room, self._viewer, self._session = room, viewer, session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell until it goes, or takes too long."""
        from starlette.responses import StreamingResponse

        headers = {"X-Accel-Buffering": "no", "Connection": "close"}
        stream = StreamingResponse(self._events(), headers=headers, media_type="text/event-stream")
        try:
            self._room.teller.poke()
            await stream(scope, receive, send)
        finally:
            self._room.viewers.leave(self._viewer)

    async def _events(self) -> AsyncIterator[str]:
        yield _event(
            "hello",
            {
                "viewer": self._viewer.name,
                "version": self._room.static.version,
                "csrf": self._room.guard.csrf(self._session),
                "gallery": self._room.gallery is not None,
                "signs_out": not self._room.guard.open,
            },
        )
        told, number = self._room.teller.told, self._room.teller.told.number
        while self._viewer.here:
            if await told.after(number, 2.0):
                number = told.number
                yield f"event: status\ndata: {told.value}\n\n"
            else:
                yield ": still here\n\n"


def _event(kind: str, content: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(content)}\n\n"


def _number(text: str | None, otherwise: int, most: int) -> int:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 16:
        return otherwise
    return min(int(text), most)


async def _body(request: Request) -> bytes:
    from starlette.exceptions import HTTPException

    body = b""
    try:
        async with asyncio.timeout(_BODY_WAIT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY:
                    raise HTTPException(413, f"a request brings at most {BODY} bytes", {"Connection": "close"})
    except TimeoutError as error:
        raise HTTPException(408, "the request did not come to its end", {"Connection": "close"}) from error
    return body
