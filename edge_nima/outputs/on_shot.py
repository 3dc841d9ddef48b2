"""A command that is run, or a web address that is told, for each kept photograph."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Thread
from time import monotonic
from urllib.parse import SplitResult, urlsplit
from urllib.request import Request, urlopen

from edge_nima import __version__
from edge_nima.errors import RequestError, printable, reason
from edge_nima.outputs import Context
from edge_nima.outputs.mqtt import shot_facts
from edge_nima.watch.events import Listener, Shot
from edge_nima.watch.settings import Section, duration, text

log = logging.getLogger("edge_nima.outputs")

WAITING = 100  # photographs whose turn may be awaited; beyond, the oldest is left out and counted as failed
WEB_TIMEOUT_S, CLOSING_S, LOG_EVERY_S = 10.0, 0.5, 60.0
_PLACEHOLDER = re.compile(r"\{(path|camera|mean|rating|taken_at)\}")


@dataclass(frozen=True)
class OnShotSettings(Section):
    """What happens with each kept photograph."""

    title = "each kept photograph"

    on_shot: str | None = text(
        None, "Run this for each kept photograph, {path}, or POST its facts to this http(s) address.",
        shows="COMMAND|URL", needs="keep",
    )  # fmt: skip
    on_shot_timeout: str = duration("30s", "End a command that takes longer.", low=1.0, needs="on_shot")

    def check(self) -> None:
        """Check the command or address."""
        if self.on_shot is not None:
            _parsed(self.on_shot)


SETTINGS = OnShotSettings


def open_output(settings: OnShotSettings, context: Context) -> Listener | None:
    """Begin to run or tell, if asked to. Raises RequestError: no such command, or an address that cannot be one."""
    return None if settings.on_shot is None else _OnShot(_parsed(settings.on_shot), settings.seconds("on_shot_timeout"))


# A web address, or a command's words.
def _parsed(asked: str) -> SplitResult | list[str]:
    if re.match(r"https?://", asked, re.IGNORECASE):
        with suppress(ValueError):
            address = urlsplit(asked)
            if address.hostname and address.port != 0 and "@" not in address.netloc:
                return address
        raise RequestError("--on-shot: not a web address; possible: http://HOST:PORT/PATH, https://HOST/PATH")
    try:
        words = shlex.split(asked)
    except ValueError as error:
        raise RequestError(f"--on-shot '{printable(asked)}': {str(error).lower()}") from error
    program = words[0] if words else ""
    if shutil.which(program) is None:
        raise RequestError(
            f"--on-shot: no program '{printable(program)}' that can be run; possible: a program with its arguments "
            "({path} stands for the photograph), or an http(s) address; for a shell: sh -c '...'"
        )
    return words if any(_PLACEHOLDER.search(word) for word in words) else [*words, "{path}"]


class _OnShot(Listener):
    """Does one thing for each kept photograph, one after the other, on a thread of its own."""

    def __init__(self, action: SplitResult | list[str], timeout_s: float | None) -> None:
        self.done = self.failed = 0
        self._action, self._timeout_s = action, timeout_s
        # An address without its path, which may be a secret itself.
        what = f"'{action[0]}'" if isinstance(action, list) else f"{action.scheme}://{action.netloc}"
        self._name = f"--on-shot {printable(what)}"
        self._problem: str | None = None
        self._closing, self._log_at = False, float("-inf")
        self._child: subprocess.Popen[bytes] | None = None
        self._waiting: Queue[Shot | None] = Queue()
        self._thread = Thread(target=self._run, name="on-shot", daemon=True)
        self._thread.start()

    def kept(self, shot: Shot) -> None:
        if self._waiting.qsize() >= WAITING:
            with suppress(Empty):
                self._waiting.get_nowait()
                self._waiting.task_done()
            self._fail(f"{WAITING} photographs wait, the oldest is left out")
        self._waiting.put(shot)

    def problem(self, camera: str) -> str | None:
        return self._problem

    def close(self) -> None:
        """Let what is begun and what waits go on for half a second at most, then end it."""
        self._waiting.put(None)
        self._thread.join(CLOSING_S)
        undone, self._closing = self._waiting.unfinished_tasks - 1, True
        _kill(self._child)
        self._thread.join(CLOSING_S)
        if undone:
            log.warning("%s: not done for the last %d photographs, since the service stopped", self._name, undone)

    def _run(self) -> None:
        while (shot := self._waiting.get()) is not None and not self._closing:
            try:
                self._start(self._action, shot) if isinstance(self._action, list) else _post(self._action, shot)
                self.done, self._problem = self.done + 1, None
            except Exception as error:  # whatever it is, the next photograph has its turn
                cause = getattr(error, "reason", None)  # urllib wraps it
                self._fail(reason(cause if isinstance(cause, Exception) else error))
            self._waiting.task_done()

    def _fail(self, why: str) -> None:
        self.failed += 1
        self._problem = f"{self._name} failed: {why}"
        if not self._closing and monotonic() - self._log_at >= LOG_EVERY_S:
            self._log_at = monotonic()
            log.warning("%s (%d of %d times so far)", self._problem, self.failed, self.failed + self.done)

    def _start(self, words: list[str], shot: Shot) -> None:
        facts = {key: str(value) for key, value in (shot_facts(shot) | {"camera": shot.camera}).items()}
        words = [_PLACEHOLDER.sub(lambda found: facts[found[1]], word) for word in words]
        environ = os.environ | {f"EDGE_NIMA_{key.upper()}": value for key, value in facts.items()}
        no = subprocess.DEVNULL
        # A session of its own, so that what it starts itself can be ended with it.
        with subprocess.Popen(words, env=environ, stdin=no, stdout=no, start_new_session=True) as self._child:
            try:
                code = self._child.wait(0 if self._closing else self._timeout_s)
            except subprocess.TimeoutExpired:
                _kill(self._child)
                raise RuntimeError(f"ended after {self._timeout_s:g} s (--on-shot-timeout)") from None
        if code:
            raise RuntimeError(f"exit code {code}")


def _kill(child: subprocess.Popen[bytes] | None) -> None:
    if child is not None and child.returncode is None:  # else its number may be another's by now
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL) if hasattr(os, "killpg") else child.kill()


def _post(address: SplitResult, shot: Shot) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": f"edge_nima/{__version__}"}
    facts = {"event": "kept", "camera": shot.camera, **shot_facts(shot)}
    request = Request(address.geturl(), json.dumps(facts).encode(), headers)
    urlopen(request, timeout=WEB_TIMEOUT_S).close()
