"""A watcher as a service: signals end it or have its settings read again, and it goes on."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

from edge_nima.errors import EdgeNimaError, reason
from edge_nima.watch.assembly import assemble
from edge_nima.watch.events import Listener
from edge_nima.watch.notify import Notifier
from edge_nima.watch.scoring import WorkerLost
from edge_nima.watch.settings import Settings, changed, with_token
from edge_nima.watch.watcher import Watcher

log = logging.getLogger("edge_nima.watch")


class Service:
    """One watcher after another, until a signal or the source's end; what SIGHUP changes begins with the next."""

    def __init__(
        self, settings: Settings, reread: Callable[[], Settings], listeners: tuple[Listener, ...] = ()
    ) -> None:
        """Prepare.

        Args:
            settings: checked.
            reread: reads them again; raises EdgeNimaError when they are wrong now.
            listeners: told by every watcher, besides those that the settings name.
        """
        self.settings = settings
        self.interrupted = False
        """By Ctrl-C."""
        self._reread = reread
        self._listeners = listeners
        self._notifier = Notifier.from_environment()
        self._watcher: Watcher | None = None
        self._token: str | None = None
        self._ended = False
        self._next: Settings | None = None

    @property
    def watcher(self) -> Watcher | None:
        """The one that runs now."""
        return self._watcher

    def run(self) -> None:
        """Watch until the end. A token that the page needs and nobody gave is made once, and said.

        Raises:
            EdgeNimaError: something in the first settings that cannot be: no such camera, a refused password, a port
                in use. Settings that are read later and cannot be are refused with a line, and the last good ones stay.
        """
        with _handling({"SIGTERM": self._end, "SIGINT": self._interrupt, "SIGHUP": self._hang_up}):
            self._run_once(self._with_token(self.settings))
            while self._next is not None and not self._ended:
                before, self.settings, self._next = self.settings, self._next, None
                try:
                    self._run_once(self._with_token(self.settings), again=True)
                except EdgeNimaError as error:
                    log.error("the new settings cannot be: %s; the last ones stay", reason(error))
                    self.settings = before
                    self._run_once(self._with_token(before), again=True)

    def _with_token(self, settings: Settings) -> Settings:
        """The same token for every watcher of this service: whoever is signed in stays so."""
        if settings.web is None or settings.web_token is not None:
            return settings
        from edge_nima.web import Options

        if self._token is None:
            self._token = Options(settings.web, settings.web_bind).with_token().token
        return settings if self._token is None else with_token(settings, self._token)

    def stop(self) -> None:
        """Finish the window and end; from any thread."""
        self._ended = True
        if self._watcher is not None:
            self._watcher.stop()

    def _run_once(self, settings: Settings, again: bool = False) -> None:
        self._watcher = None  # the one before has stopped, and must not stop what starts now
        with contextlib.ExitStack() as parts:
            try:
                self._watcher = assemble(
                    settings, parts, self._notifier, self._listeners, self._breathe, wait=settings.wait or again
                )
            except WorkerLost:
                if self._ended:  # while the model was being opened
                    return
                raise
            if self._ended or self._next is not None:  # a signal came meanwhile
                self._watcher.stop()
            self._watcher.run()

    def _breathe(self) -> bool:
        self._notifier.alive()
        return not self._ended and (self._watcher is None or not self._watcher.stopping)

    def _end(self) -> None:
        self.stop()

    def _interrupt(self) -> None:
        if self.interrupted:
            raise KeyboardInterrupt  # twice: now
        self.interrupted = True
        self.stop()

    def _hang_up(self) -> None:
        self._notifier.reloading()
        try:
            settings = self._reread()
        except EdgeNimaError as error:
            log.error("the settings are not read again: %s; the last ones stay", reason(error))
            self._notifier.ready()
            return
        differ = changed(self.settings, settings)
        if not differ:
            log.info("the settings are read again: nothing has changed")
            self._notifier.ready()
            return
        log.info("the settings are read again; changed: %s", ", ".join(differ))
        self._next = settings
        if self._watcher is not None:
            self._watcher.stop()


@contextlib.contextmanager
def _handling(handlers: Mapping[str, Callable[[], None]]) -> Iterator[None]:
    """Signals to calls; those that this system has, and only where Python delivers them: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    for name, call in handlers.items():
        number = getattr(signal, name, None)
        if number is not None:

            def handle(_: int, frame: FrameType | None, call: Callable[[], None] = call) -> None:
                call()

            before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
