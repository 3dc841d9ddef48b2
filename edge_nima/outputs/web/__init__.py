"""The page: live pictures with their scores, the last hour, the kept photographs, health (extra `web`).

`WebServer` is a `Listener` with an HTTP server in a thread of its own; the page is page.html with its style and scripts
beside it, and loads nothing from elsewhere. starlette and uvicorn are imported when it starts.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path

from edge_nima.errors import PackageMissing, RequestError, printable
from edge_nima.frame import Frame
from edge_nima.outputs import Context
from edge_nima.outputs.web.app import Pages
from edge_nima.outputs.web.feed import StatusFeed
from edge_nima.outputs.web.listening import listen, serve, server_config
from edge_nima.outputs.web.security import TokenAuth, base_path
from edge_nima.watch.events import Listener, Scored, Shot, Status
from edge_nima.watch.settings import Section, number, text

TOKEN_LENGTH = 16  # characters, at least: too many to guess
_END_S = 1.0
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_CONNECTIONS = 32  # besides those of viewers: the gallery's pictures, scripts
_A_VIEWER = 6  # connections that a browser opens to one address

log = logging.getLogger("edge_nima.outputs")
_made: dict[tuple[str, int], str] = {}
"""Tokens that were made, by address and port. Of the process, so that a reload of the settings signs nobody out."""


@dataclass(frozen=True)
class WebSettings(Section):
    """How the page is served. Without `web_cert` what travels can be read on the network, the token too."""

    title = "Page"

    web: int | None = number(None, "Serve the page on this port.", 0, 65535)
    web_bind: str = text(
        "127.0.0.1", "Address to listen on: 0.0.0.0 is all of IPv4, :: all.", needs="web", shows="ADDRESS"
    )
    web_token: str | None = text(
        None, f"What viewers must know, at least {TOKEN_LENGTH} characters; made and printed once where needed and "
        "not given.", needs="web", shows="TOKEN",
    )  # fmt: skip
    web_viewers: int = number(8, "Pages open at the same time.", 1, 1000, needs="web")
    web_cert: str | None = text(None, "PEM file of a certificate: HTTPS.", kind="path", needs="web", shows="FILE")
    web_key: str | None = text(None, "PEM file of its key.", kind="path", needs="web_cert", shows="FILE")
    web_base: str = text(
        "", "Path under which a reverse proxy serves the page, such as /camera; it may strip it or not.", needs="web",
        shows="PATH",
    )  # fmt: skip
    web_proxy: str = text(
        "", "Addresses or networks of reverse proxies, comma-separated, whose X-Forwarded-For, -Proto, -Host and "
        "X-Ingress-Path are believed.", needs="web", shows="ADDRESSES",
    )  # fmt: skip
    web_frame_ancestors: str = text(
        "none", "Who may show the page in a frame: none, self, or origins such as https://ha.local:8123 (in a frame of "
        "another site one stays signed in over HTTPS only).", needs="web", shows="ORIGINS",
    )  # fmt: skip

    def check(self) -> None:
        """Check its settings together; RequestError when they do not go together, with what to type."""

        def refuse(key: str, given: str, possible: str) -> RequestError:
            return RequestError(f"--{key} {printable(given)}; possible: {possible}")

        if self.web_token is not None and not re.fullmatch(rf"[!-~]{{{TOKEN_LENGTH},}}", self.web_token):
            possible = f"{TOKEN_LENGTH} or more ASCII letters, digits and signs (leave it out and one is made)"
            raise refuse("web-token", f"has {len(self.web_token)} characters", possible)
        if (self.web_cert is None) != (self.web_key is None):
            raise RequestError("TLS needs both files: --web-cert and --web-key")
        for path in (self.web_cert, self.web_key):
            if path is not None and not Path(path).is_file():
                raise RequestError(f"no such file: '{printable(path)}'")
        if base_path(self.web_base) is None:
            raise refuse("web-base", f"is '{self.web_base}'", "a path such as /camera")
        try:
            for one in filter(str.strip, self.web_proxy.split(",")):
                ip_network(one.strip())
        except ValueError as error:
            possible = "addresses and networks such as 172.30.32.2,10.0.0.0/8"
            raise refuse("web-proxy", f"has '{one.strip()}'", possible) from error
        ancestors = self.frame_ancestors
        if ";" in ancestors or not re.fullmatch(r"[ -~]+", ancestors) or ("'none'" in ancestors and " " in ancestors):
            possible = "none, or self and origins such as https://ha.local:8123, with spaces between"
            raise refuse("web-frame-ancestors", f"is '{self.web_frame_ancestors}'", possible)

    @property
    def frame_ancestors(self) -> str:
        """`web_frame_ancestors` as the policy has it."""
        words = self.web_frame_ancestors.replace(",", " ").split() or ["none"]
        return " ".join(f"'{word}'" if word in {"none", "self"} else word for word in words)

    def token(self) -> tuple[str | None, bool]:
        """What viewers must know, None where only this machine can ask; and whether it was made just now."""
        if self.web_token is not None or self.web_bind in _LOOPBACK:
            return self.web_token, False
        place = (self.web_bind, self.web or 0)
        made = place not in _made
        return _made.setdefault(place, secrets.token_urlsafe(24)), made


SETTINGS = WebSettings


def open_output(settings: WebSettings, context: Context) -> Listener | None:
    """Serve the page, when the settings ask for it; raises as `WebServer` does."""
    return None if settings.web is None else WebServer(settings, context)


class WebServer(Listener):
    """Serves the page in a thread, until `close`: at `port`, for people at `url`."""

    def __init__(self, settings: WebSettings, context: Context) -> None:
        """Listen.

        Raises:
            PackageMissing: starlette or uvicorn is not installed.
            PublishError: the port is taken or not ours to take, the address is none of this machine's, or TLS fails.
        """
        for package in ("starlette", "uvicorn"):
            if find_spec(package) is None:
                raise PackageMissing(f"the page needs {package}: pip install 'edge-nima[web]'")
        import uvicorn

        token, made = settings.token()
        self._feed = StatusFeed(context, settings.web_viewers)
        self._disk = ThreadPoolExecutor(1, "edge-nima-web-files")
        pages = Pages(TokenAuth(token), self._feed, context.gallery, self._disk)
        app = pages.app(base_path(settings.web_base) or "", settings.frame_ancestors, settings.web_proxy)
        connections = _CONNECTIONS + _A_VIEWER * settings.web_viewers
        self._server = uvicorn.Server(server_config(app, connections, settings.web_cert, settings.web_key))
        listening = listen(settings.web_bind, settings.web or 0)
        self.port = listening.getsockname()[1]
        host = socket.gethostname() if settings.web_bind in {"0.0.0.0", "::"} else settings.web_bind
        scheme = "http" if settings.web_cert is None else "https"
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}/"
        # A token of the settings is known to whoever wrote them; one that was made is said once, or nobody knew it.
        log.info("the page is at %s%s", self.url, f"?token={token}" if made else "")
        run = (self._serve(listening),)
        self._thread = threading.Thread(target=asyncio.run, args=run, name="edge-nima-web", daemon=True)
        self._thread.start()

    def scored(self, scored: Scored, frame: Frame) -> None:
        """Take over the score, and the frame when somebody looks at its camera."""
        camera = self._feed.cameras.get(scored.camera)
        if camera is not None and scored.record.mean is not None:
            camera.history.add(scored.record.mean)
            camera.offer(scored, frame)

    def kept(self, shot: Shot) -> None:
        """Let open pages show it."""
        self._feed.soon(self._feed.publish, True)

    removed = kept

    def changed(self, status: Status) -> None:
        """Publish it at once."""
        self._feed.soon(self._feed.publish)

    def close(self) -> None:
        """End all connections and the thread, within half a second or so."""
        self._server.should_exit = True
        self._feed.soon(self._feed.close)
        self._thread.join(_END_S)
        self._server.force_exit = True
        for pool in (self._feed.encoder, self._disk):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, listening: socket.socket) -> None:
        self._feed.loop = asyncio.get_running_loop()
        self._publishing = asyncio.create_task(self._feed.run())
        await serve(self._server, listening)
