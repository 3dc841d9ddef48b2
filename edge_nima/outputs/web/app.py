"""The addresses of the page, and what is at each. Its links are relative: a proxy may serve it under any path."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from functools import lru_cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs

from edge_nima.errors import EdgeNimaError, PackageMissing, PictureError, RequestError, printable, reason
from edge_nima.outputs.web.feed import PICTURE_WAIT_S, STEP_S, STEPS, CameraFeed, StatusFeed
from edge_nima.outputs.web.listening import text_response
from edge_nima.outputs.web.security import SecurityMiddleware, TokenAuth, redirect
from edge_nima.watch.events import Shot
from edge_nima.watch.gallery import Gallery

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

T = TypeVar("T")

_SIDE = 480  # pixels, of the small pictures
_LISTED = 600
_CACHED = 256  # small pictures of some 30 kB
_QUALITY = 80
_BODY = 4096  # bytes that a request may bring
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_NOT_FOUND = (RequestError, PictureError, PackageMissing, FileNotFoundError)


class Pages:
    """One method for each address."""

    def __init__(self, auth: TokenAuth, feed: StatusFeed, gallery: Gallery | None, disk: Executor) -> None:
        """`disk`: one thread, for files, so that a slow card does not stop the event loop."""
        self._auth, self._feed, self._kept, self._disk = auth, feed, gallery, disk
        folder = files("edge_nima.outputs.web")
        names = ("page.html", "login.html", "page.css", "charts.js", "gallery.js", "page.js", "icon.svg")
        self._assets = {name: (folder / name).read_bytes() for name in names}
        self._version = sha256(b"".join(self._assets.values())).hexdigest()[:12]

    def app(self, base: str, frame_ancestors: str, proxies: str) -> ASGIApp:
        """The application; its parameters as `SecurityMiddleware` takes them."""
        from starlette.applications import Starlette
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.routing import Route

        async def failed(request: Request, error: Exception) -> Response:
            return text_response(404 if isinstance(error, _NOT_FOUND) else 500, reason(error))

        inner = Starlette(
            routes=[
                Route("/", self.page),
                Route("/login", self.login, methods=["GET", "POST"]),
                Route("/logout", self.logout, methods=["POST"]),
                Route("/static/{name}", self.static),
                Route("/events", self.events),
                Route("/live.jpg", self.picture),
                Route("/history", self.history),
                Route("/status", self.status),
                Route("/metrics", self.metrics),
                Route("/shots", self.shots),
                Route("/shots/{name}", self.shot, methods=["GET", "DELETE"]),
                Route("/shots/{name}/favourite", self.favourite, methods=["POST", "DELETE"]),
                Route("/thumbnails/{name}", self.thumbnail),
            ],
            exception_handlers={EdgeNimaError: failed, OSError: failed},
        )
        inner.router.redirect_slashes = False  # such a redirect knows nothing of a proxy's path
        app: ASGIApp = inner
        if self._auth.open:  # another site's name that points to 127.0.0.1 would make its pages ours
            app = TrustedHostMiddleware(app, ["localhost", "127.0.0.1", "[::1]"], www_redirect=False)
        self.security = SecurityMiddleware(app, self._auth, base, frame_ancestors, proxies)
        return self.security

    async def page(self, request: Request) -> Response:
        """The page itself."""
        return self._html("page.html")

    async def static(self, request: Request) -> Response:
        """Its style, scripts and icon; their addresses carry the version, so that an update is never stale."""
        name = request.path_params["name"]
        kind = _TYPES.get(name.rpartition(".")[2])
        if kind is None or name not in self._assets:
            return text_response(404, "no such file")
        return _respond(self._assets[name], 200, kind, {"Cache-Control": "public, max-age=31536000, immutable"})

    async def login(self, request: Request) -> Response:
        """Ask for the token, take it."""
        if request.method == "GET":
            return redirect("./") if request.state.session else self._html("login.html")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY:
                return text_response(413, f"a request brings at most {_BODY} bytes", {"Connection": "close"})
        given = parse_qs(body.decode("latin-1")).get("token", [""])[0]
        response = self.security.sign_in(given.strip(), request.scope)
        if response.status_code == 303:
            return response
        message = bytes(response.body).decode().strip().capitalize()
        return self._html("login.html", response.status_code, f"{message}.")

    async def logout(self, request: Request) -> Response:
        """End the session."""
        return self.security.sign_out(request.scope)

    async def events(self, request: Request) -> Response:
        """Server-sent events: `hello` with what the page must know, then a `status` a second."""
        from starlette.responses import StreamingResponse

        most = self._feed.most_viewers
        if self._feed.viewers >= most:
            others = "another page is" if most == 1 else f"{most} other pages are"
            line = f"{others} watching, which is as many as this camera serves"
            return text_response(503, line, {"Retry-After": "10"})
        headers = {"X-Accel-Buffering": "no", "Connection": "close"}
        return StreamingResponse(self._events(request.state.session), 200, headers, "text/event-stream")

    async def _events(self, session: str) -> AsyncIterator[str]:
        auth, feed, latest = self._auth, self._feed, self._feed.latest
        hello: dict[str, Any] = {"version": self._version, "csrf": auth.csrf(session), "cameras": list(feed.cameras)}
        hello |= {"gallery": self._kept is not None, "signs_out": not auth.open}
        number = latest.number
        feed.viewers += 1
        feed.publish()
        try:
            yield f"event: hello\ndata: {json.dumps(hello)}\n\n"
            while not feed.closed and (not session or auth.open or auth.holds(session)):
                if await latest.after(number, 2.0):
                    number = latest.number
                    yield f"event: status\ndata: {latest.value}\n\n"
        finally:
            feed.viewers -= 1

    async def picture(self, request: Request) -> Response:
        """The next picture of `camera` after number `after`, or now, with its age and score; 204 when none comes."""
        if self._feed.closed:  # a wait would be cut short, which uvicorn calls an error
            return text_response(503, "the service is stopping", {"Connection": "close"})
        camera = self._camera(request)
        pictures = camera.pictures
        camera.wanted_until = monotonic() + PICTURE_WAIT_S
        after = _number(request, "after", 0 if camera.slow else pictures.number, 2**53)
        if not await pictures.after(after, PICTURE_WAIT_S) or pictures.value is None:
            return _respond("", 204)
        jpeg, score, made_at = pictures.value
        headers = {"X-Number": str(pictures.number), "X-Age": f"{monotonic() - made_at:.2f}", "X-Score": score}
        return _respond(jpeg, 200, "image/jpeg", headers)

    async def history(self, request: Request) -> Response:
        """The last hour of `camera`."""
        past = self._camera(request).history
        return _json({"seconds": STEP_S, "steps": STEPS, "step": past.now(), "points": past.points()})

    async def status(self, request: Request) -> Response:
        """The status of all cameras, once, for scripts."""
        return _json(self._feed.fields())

    async def metrics(self, request: Request) -> Response:
        """The same for Prometheus."""
        from edge_nima.outputs.prometheus import render

        return _respond(render(self._feed.statuses()), 200, "text/plain; version=0.0.4")

    async def shots(self, request: Request) -> Response:
        """The kept photographs, best or newest first: of a `camera`, of a `day`, from `stars` on, `favourites` only."""
        gallery, asked = self._gallery(), request.query_params

        def listed() -> dict[str, Any]:
            shots = gallery.shots(
                order="newest" if asked.get("order") == "newest" else "best",
                camera=asked.get("camera") or None,
                day=asked.get("day") or None,
                least_rating=_number(request, "stars", 0, 5) or None,
                favourites_only="favourites" in asked,
            )
            some = [_shot_fields(shot) for shot in shots[: _number(request, "limit", 60, _LISTED)]]
            size = sum(shot.size for shot in shots)
            return {"total": len(shots), "bytes": size, "days": gallery.days(), "shots": some}

        return _json(await self._on_disk(listed))

    async def shot(self, request: Request) -> Response:
        """One of them, whole; or remove it."""
        from starlette.responses import FileResponse

        gallery, name = self._gallery(), request.path_params["name"]
        if request.method == "DELETE":
            await self._on_disk(lambda: gallery.delete(name))
            self._feed.publish(gallery=True)
            return _respond("", 204)
        path = await self._on_disk(lambda: gallery.path_of(name))
        kind = "attachment" if "download" in request.query_params else "inline"
        return FileResponse(path, media_type="image/jpeg", filename=name, content_disposition_type=kind)

    async def favourite(self, request: Request) -> Response:
        """Mark one as a favourite, or no longer: it is never removed to make room. Its name may become another."""
        gallery, name, on = self._gallery(), request.path_params["name"], request.method == "POST"
        shot = await self._on_disk(lambda: gallery.set_favourite(name, on))
        self._feed.publish(gallery=True)
        return _json(_shot_fields(shot))

    async def thumbnail(self, request: Request) -> Response:
        """A small one of it."""
        gallery, name = self._gallery(), request.path_params["name"]
        return _respond(await self._on_disk(lambda: thumbnail(gallery.path_of(name))), 200, "image/jpeg")

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)

    def _html(self, name: str, status: int = 200, message: str = "") -> Response:
        text = self._assets[name].decode().replace("{{version}}", self._version).replace("{{message}}", escape(message))
        return _respond(text, status, "text/html")

    def _camera(self, request: Request) -> CameraFeed:
        cameras = self._feed.cameras
        found = cameras.get(request.query_params.get("camera", next(iter(cameras))))
        if found is None:
            raise RequestError(f"no such camera; possible: {', '.join(cameras)}")
        return found

    def _gallery(self) -> Gallery:
        if self._kept is None:
            raise RequestError("no photographs are kept; --keep does")
        return self._kept


def thumbnail(path: Path) -> bytes:
    """A photograph within 480x480 pixels, JPEG, upright; kept in bounded memory until the file is another.

    PictureError when it cannot be read.
    """
    status = path.stat()
    return _small(path, status.st_mtime_ns, status.st_size)


@lru_cache(_CACHED)
def _small(path: Path, changed: int, size: int) -> bytes:
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=("JPEG",)) as image:
            image.draft("RGB", (_SIDE, _SIDE))
            upright = ImageOps.exif_transpose(image).convert("RGB")
        upright.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
        buffer = io.BytesIO()
        upright.save(buffer, "JPEG", quality=_QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(f"cannot read '{printable(path.name)}': {reason(error)}") from error
    return buffer.getvalue()


def _respond(
    content: str | bytes, status: int = 200, kind: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    from starlette.responses import Response

    return Response(content, status, headers, kind)


def _json(content: Any) -> Response:
    return _respond(json.dumps(content), 200, "application/json")


def _shot_fields(shot: Shot) -> dict[str, Any]:
    keys = ("camera", "taken_at", "mean", "rating", "size", "favourite")
    return {"name": shot.path.name, **{key: getattr(shot, key) for key in keys}}


def _number(request: Request, key: str, otherwise: int, most: int) -> int:
    text = request.query_params.get(key, "")
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) <= 16 else otherwise
