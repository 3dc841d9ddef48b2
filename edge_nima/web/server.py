"""The page's server: a listener of the watcher, and an HTTP server in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge_nima.errors import PackageMissing, PublishError
from edge_nima.frames import Frame
from edge_nima.watch.events import Listener, Scored, Shot, Status
from edge_nima.web.auth import Guard
from edge_nima.web.history import History
from edge_nima.web.listening import listen, server_config
from edge_nima.web.live import Live
from edge_nima.web.options import Options
from edge_nima.web.shots import Gallery
from edge_nima.web.telling import Teller
from edge_nima.web.viewers import Viewers

if TYPE_CHECKING:
    import uvicorn

    from edge_nima.web.connections import Sweeper

_START_S = 10.0
_GRACE_S = 0.25
_CONNECTIONS = 32  # besides those of viewers: the gallery's pictures, scripts
_A_VIEWER = 6  # connections that a browser opens to one address

_log = logging.getLogger(__name__)


class WebServer(Listener):
    """Serves the page. `start`, hand it to the watcher as a listener, `close`."""

    def __init__(
        self,
        options: Options,
        status: Callable[[], Status],
        gallery: Gallery | None = None,
        metrics: Callable[[], str] | None = None,
        past: Iterable[tuple[float, float]] = (),
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            options: where, and for whom; `self.options.token` then is the one that viewers need, given or made.
            status: the watcher's status now; asked on the server's thread, once a second while somebody looks.
            gallery: the kept photographs; None when none are kept.
            metrics: text for Prometheus, at /metrics; asked on the server's thread.
            past: scores of the last hour, pairs of wall-clock time and mean, oldest first.
        """
        self.options = options.with_token()
        self.port = options.port
        """Where it listens; after `start` the real one."""
        self._guard = Guard(self.options.token)
        self._viewers = Viewers(options.viewers)
        self._live = Live(lambda: self._viewers.count)
        self._history = History()
        self._history.seed(past)
        self._teller = Teller(status, self._history, self._viewers)
        self._gallery, self._metrics = gallery, metrics
        self._encoder: ThreadPoolExecutor | None = None
        self._disk: ThreadPoolExecutor | None = None
        self._server: uvicorn.Server | None = None
        self._sweeper: Sweeper | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        """The page's address, for people."""
        host = self.options.bind
        if host in {"0.0.0.0", "::", ""}:
            host = socket.gethostname()
        scheme = "http" if self.options.certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def login_url(self) -> str:
        """The address that signs in: with the token, where one is needed. To be shown to the owner alone."""
        return self.url if self.options.token is None else f"{self.url}?token={self.options.token}"

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def viewers(self) -> int:
        """How many pages are open."""
        return self._viewers.count

    def start(self) -> None:
        """Listen and serve, in a thread.

        Raises:
            PackageMissing: starlette or uvicorn is not installed.
            PublishError: the port is taken or not ours to take, the address is none of this machine's, or TLS fails.
        """
        for package in ("starlette", "uvicorn"):
            if find_spec(package) is None:
                raise PackageMissing(f"the page needs {package}: pip install 'edge-nima[web]'")
        listening = listen(self.options.bind, self.options.port)
        self.port = listening.getsockname()[1]
        try:
            self._prepare()
        except BaseException:
            listening.close()
            raise
        self._thread = threading.Thread(target=self._run, args=(listening,), name="edge-nima-web", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_S):
            self.close()
            raise PublishError(f"the page's server on port {self.port} did not start within {_START_S:.0f} s")

    def scored(self, scored: Scored, frame: Frame) -> None:
        """Take over the score, and the frame when somebody looks."""
        if scored.record.mean is not None:
            self._history.add(scored.record.mean)
            self._live.offer(scored, frame)

    def kept(self, shot: Shot) -> None:
        """The gallery has one more."""
        self._soon(self._teller.gallery_changed)

    def changed(self, status: Status) -> None:
        """Tell it at once."""
        if self._viewers.count:
            self._soon(self._teller.poke)

    def close(self) -> None:
        """End all connections and the thread, within half a second."""
        server, thread = self._server, self._thread
        self._live.attach(None, None)
        if server is not None and thread is not None:
            server.should_exit = True
            self._soon(self._let_go)
            thread.join(_GRACE_S)
            if thread.is_alive():
                server.force_exit = True
                if self._sweeper is not None:
                    self._soon(self._sweeper.abort_all)
                thread.join(_GRACE_S)
        for pool in (self._encoder, self._disk):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)
        self._server = self._thread = None

    def _prepare(self) -> None:
        import uvicorn

        from edge_nima.web.app import Room, make_app
        from edge_nima.web.connections import Sweeper
        from edge_nima.web.static import load

        options = self.options
        self._encoder = ThreadPoolExecutor(1, "edge-nima-web-picture")
        self._disk = ThreadPoolExecutor(1, "edge-nima-web-files")
        room = Room(
            load(), self._guard, self._viewers, self._live, self._history, self._teller, self._gallery, self._metrics,
            self._disk,
        )  # fmt: skip
        config = server_config(
            make_app(room, self.port, options.certificate is not None), _CONNECTIONS + _A_VIEWER * options.viewers,
            options.certificate, options.key,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._sweeper = Sweeper(self._server.server_state.connections)

    def _run(self, listening: socket.socket) -> None:
        try:
            asyncio.run(self._serve(listening))
        except BaseException:
            _log.exception("the page's server has ended")
        finally:
            self._loop = None
            listening.close()

    async def _serve(self, listening: socket.socket) -> None:
        server, sweeper = self._server, self._sweeper
        if server is None or sweeper is None:
            return
        self._loop = asyncio.get_running_loop()
        self._live.attach(self._loop, self._encoder)
        beside = [asyncio.create_task(self._teller.run()), asyncio.create_task(sweeper.run())]
        self._loop.call_soon(self._ready.set)
        try:
            await server.serve(sockets=[listening])
        finally:
            self._live.attach(None, None)
            for task in beside:
                task.cancel()

    def _let_go(self) -> None:
        self._viewers.close()
        self._teller.told.wake()
        self._live.pictures.wake()

    def _soon(self, work: Callable[[], None]) -> None:
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(work)
        except RuntimeError:
            _log.debug("the page's event loop is closed")
