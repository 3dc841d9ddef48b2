"""The processes of one run on several hosts, over `jax.distributed`: joined, of one mind, and ended together.

They are started as Keras documents it, by KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES and _PROCESS_ID; whoever has
called `jax.distributed.initialize` (Ray Train does) is taken as they are. Variables are each process's own between
steps: only a step itself is computed on all devices. All else goes through the key-value store of JAX's coordinator.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import signal
import socket
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import sleep
from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from edge_nima.errors import EdgeNimaError, RequestError, TrainingError, escaped, reason

_KEY = "KERAS_DISTRIBUTION_"
ADDRESSES, PROCESSES, PROCESS = f"{_KEY}JOB_ADDRESSES", f"{_KEY}NUM_PROCESSES", f"{_KEY}PROCESS_ID"
JOIN_S = 120
"""For how long processes wait for each other at the start."""
SILENT_S = 30
"""After this a process that cannot be reached counts as gone."""
_LEAVE_S = 15
"""For how long one that ends by an error waits until the others know."""
_STOPPED = 130
_ENDED = "ended"
_RUNS = itertools.count()
_Handler = ctypes.CFUNCTYPE(None, ctypes.c_int)
_GONE = re.compile(r"gloo|nccl|UNAVAILABLE|coordination", re.IGNORECASE)
"""In what JAX raises when another process has gone."""


class Hosts:
    """The processes of a run, of which this is one; a context. The same calls have to be made by all, in one order."""

    def __init__(self, count: int = 1, index: int = 0, address: str = "", devices: int = 1) -> None:
        """Take how many there are, which this is (from 0), where process 0 is, and devices used in each."""
        self.count, self.index, self.address, self.devices = count, index, address, devices
        self.first = index == 0
        """Whether this one keeps what comes of the run."""
        self._joined_here = False
        self._calls, self._run = 0, next(_RUNS)
        self._asked: deque[Any] = deque()
        self._any: Any = None
        self._split: Any = None
        self._agreed = False
        self._ending, self._last_words, self._left = threading.Lock(), threading.Lock(), threading.Event()
        self._watch: threading.Thread | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._code = TrainingError.exit_code
        self._why = (
            f"waited {JOIN_S} s at {address} and not all {count} processes came: start the same command for every "
            f"{PROCESS} from 0 to {count - 1}; {ADDRESSES} must reach process 0"
        )

    def join(self, told: Callable[[str], None], stopping: Callable[[], bool]) -> None:
        """Wait until all are there.

        It does not return where they do not come, or this process is asked to stop: it ends, as JAX cannot give up.

        Raises:
            RequestError: this process has computed on JAX before, or its address cannot be listened at.
        """
        if self.count == 1:
            return
        self._native = _NativeOutput()
        self._handler = _Handler(self._aborted)
        _on_abort(self._handler)
        import jax

        if not jax.distributed.is_initialized():
            told(f"waiting for {self.count} processes at {self.address}")
            self._initialize(stopping)
            self._joined_here = True
        self._why = (
            "another process of this run, or the network to it, is gone: start all of them again, and the run goes on "
            "from its last saved state"
        )
        self._watch = threading.Thread(target=self._listen, daemon=True)
        self._watch.start()

    def gather(self, content: bytes) -> list[bytes]:
        """What each process gives, in their order; they wait for each other."""
        if self.count == 1:
            return [content]
        client, self._calls = _client(), self._calls + 1
        client.key_value_set_bytes(self._name(self._calls, self.index), content)
        got = [_wait_for(client, self._name(self._calls, i)) for i in range(self.count)]
        if self._calls > 1:  # whoever is here has read all of the time before
            client.key_value_delete(self._name(self._calls - 1, self.index))
        return got

    def agree(self, asked: bool) -> bool:
        """Whether any process asked, two calls ago: all get the same answer at the same call, and no step waits."""
        if self.count == 1:
            return asked
        import jax

        if self._any is None:
            self._any, self._split = jax.jit(jax.numpy.any, out_shardings=self.sharding()), self.sharding("batch")
        flags = jax.make_array_from_process_local_data(self._split, np.full(self.devices, asked))
        self._asked.append(self._any(flags))
        self._agreed = len(self._asked) > 2 and bool(self._asked.popleft())
        return self._agreed

    def sharding(self, *axes: str) -> Any:
        """Of arrays over the devices of all processes, in their order: split along "batch", or whole on each."""
        import jax

        each = [[one for one in jax.devices() if one.process_index == i][: self.devices] for i in range(self.count)]
        mesh = jax.sharding.Mesh([one for some in each for one in some], ("batch",))
        return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))

    def share(self, n: int, batch: int) -> NDArray[np.intp]:
        """Which of `n` draws, in batches of `batch`, this process shows: a block of each batch."""
        places: NDArray[np.intp] = np.arange(n).reshape(-1, self.count, batch // self.count)[:, self.index].ravel()
        return places

    def folder(self, out: Path) -> Path:
        """Where this process writes: `out`, or a folder that goes with this process."""
        if self.first:
            return out
        self._scratch = tempfile.TemporaryDirectory(prefix="edge-nima-")
        return Path(self._scratch.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.count == 1:
            return
        together = error is None or self._agreed
        if together:
            self.gather(b"")  # the first may yet fail, or is still writing
        elif isinstance(error, Exception) and not isinstance(error, EdgeNimaError) and _GONE.search(str(error)):
            self._end()
        self._ending.acquire()
        if not together and self._watch is not None:
            self._why = reason(error) if isinstance(error, Exception) else "interrupted"
            self._code = getattr(error, "exit_code", 1 if isinstance(error, Exception) else _STOPPED)
            _client().key_value_set(self._name(_ENDED, self.index), f"{self._code} {self._why}")
        self._leave()
        _on_abort(None)
        self._native.close()

    def _initialize(self, stopping: Callable[[], bool]) -> None:
        import jax

        if self.first:
            _check_port(self.address)
        # JAX would take SIGTERM for itself.
        jax.config.update("jax_enable_preemption_service", False)
        failed: list[Exception] = []

        def initialize() -> None:
            try:
                jax.distributed.initialize(
                    self.address, self.count, self.index, initialization_timeout=JOIN_S,
                    heartbeat_timeout_seconds=SILENT_S, shutdown_timeout_seconds=_LEAVE_S,
                )  # fmt: skip
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=initialize, daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(0.2)
            if stopping():
                self._why, self._code = f"stopped while waiting for {self.count} processes at {self.address}", _STOPPED
                self._end()
        if failed:
            raise RequestError(f"cannot join the processes at {self.address}: {reason(failed[0])}")

    def _name(self, call: int | str, index: int | str) -> str:
        return f"edge_nima/{self._run}/{call}/{index}"

    def _listen(self) -> None:
        """End with any other process that ends by an error: what this one computes with it would never come."""
        from jax.errors import JaxRuntimeError

        while not self._left.wait(1.0):
            try:
                ended = _client().key_value_dir_get(self._name(_ENDED, ""))
            except JaxRuntimeError:
                self._end()
            if ended and self._ending.acquire(blocking=False):
                key, value = ended[0]
                code, _, why = value.partition(" ")
                self._why, self._code = f"process {key.rpartition('/')[2]} of {self.count} has ended: {why}", int(code)
                self._leave()
                self._end()

    def _leave(self) -> None:
        import jax

        self._left.set()
        if self._watch is not None and self._watch is not threading.current_thread():
            self._watch.join()
        if self._scratch is not None:
            self._scratch.cleanup()
        if self._joined_here:
            jax.distributed.shutdown()  # waits for all

    def _aborted(self, number: int) -> None:
        if b"JAX distributed service" not in (told := self._native.read()):
            fatal = re.search(rb"^F\d{4} .*?\] (.*)$", told, re.MULTILINE)
            self._why = f"JAX has aborted: {fatal[1].decode(errors='replace') if fatal else 'it does not say why'}"
        self._end()

    def _end(self) -> NoReturn:
        """Leave at once: the main thread waits inside JAX for what will not come."""
        self._last_words.acquire()  # the first thread speaks
        print(f"edge-nima: {escaped(self._why)}", file=sys.stderr, flush=True)
        if self._scratch is not None:
            self._scratch.cleanup()
        os._exit(self._code)


def hosts_of(devices: int) -> Hosts:
    """The processes that the environment speaks of, or that this one has been joined to by `jax.distributed`.

    Args:
        devices: used in each process.

    Raises:
        RequestError: the environment contradicts itself, or Keras does not run on JAX.
    """
    given = {key: os.environ[key] for key in (ADDRESSES, PROCESSES, PROCESS) if os.environ.get(key)}
    jax = sys.modules.get("jax")
    if not given and (jax is None or not jax.distributed.is_initialized()):
        return Hosts(devices=devices)
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "jax":
        raise RequestError(f"several processes train on JAX alone, and KERAS_BACKEND is '{backend}': KERAS_BACKEND=jax")
    if jax is not None and jax.distributed.is_initialized():
        return Hosts(jax.process_count(), jax.process_index(), "", devices)
    for key in (ADDRESSES, PROCESSES, PROCESS):
        if key not in given:
            raise RequestError(f"{next(iter(given))} is set and {key} is not: set it too")
    count, index = _number(PROCESSES, given[PROCESSES], 1), _number(PROCESS, given[PROCESS], -1)
    addresses = [one.strip() for one in given[ADDRESSES].split(",")]
    if len(addresses) not in (1, count):
        raise RequestError(f"{ADDRESSES} has {len(addresses)} addresses; possible: 1, of process 0, or {count}")
    if not 0 <= index < count:
        raise RequestError(f"{PROCESS} is {index}; possible: 0 to {count - 1} ({PROCESSES} is {count})")
    host, _, port = addresses[0].rpartition(":")
    if not host or not port.isdigit():
        raise RequestError(f"{ADDRESSES} is '{addresses[0]}'; possible: HOST:PORT of process 0, such as 10.0.0.1:1234")
    try:
        socket.getaddrinfo(host.strip("[]"), int(port))
    except (OSError, OverflowError) as error:
        raise RequestError(f"{ADDRESSES} is '{addresses[0]}': {reason(error)}") from error
    return Hosts(count, index, addresses[0], devices)


def _number(key: str, text: str, least: int) -> int:
    if not re.fullmatch(r"-?\d{1,9}", text) or int(text) < least:
        raise RequestError(f"{key} is '{text}'; possible: a whole number, at least {max(least, 0)}")
    return int(text)


def _check_port(address: str) -> None:
    """Refuse a port that is taken: JAX ends by a segmentation fault there.

    Raises:
        RequestError: it is.
    """
    try:
        with socket.create_server(("", int(address.rpartition(":")[2]))):
            pass
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else reason(error)
        raise RequestError(f"process 0 cannot listen at port {address.rpartition(':')[2]}: {why}") from error


def _on_abort(handler: Any) -> None:
    """Have C call a function on SIGABRT; None for what is usual.

    JAX aborts where another process is gone, on a thread of its own, after a page of native frames: Python's handlers
    do not run then.
    """
    ctypes.CDLL(None).signal(signal.SIGABRT, handler)


def _client() -> Any:
    """The coordinator's: JAX has no other way to its key-value store; Orbax takes it so too."""
    from jax._src.distributed import global_state

    return global_state.client


def _wait_for(client: Any, key: str) -> bytes:
    from jax.errors import JaxRuntimeError

    while True:
        try:
            content: bytes = client.key_value_try_get_bytes(key)
            return content
        except JaxRuntimeError as error:
            if "NOT_FOUND" not in str(error):
                raise
        sleep(0.05)  # in Python, so that signals are handled


class _NativeOutput:
    """What C++ writes to stdout and stderr, set aside: Gloo greets on stdout, and JAX's last words are a page."""

    def __init__(self) -> None:
        self._saved = os.dup(1), os.dup(2)
        self._python = sys.stdout, sys.stderr
        for stream in self._python:
            stream.flush()
        sys.stdout, sys.stderr = (open(os.dup(fd), "w", buffering=1) for fd in self._saved)  # noqa: SIM115
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        for fd in (1, 2):
            os.dup2(self._file.fileno(), fd)

    def read(self) -> bytes:
        self._file.seek(0)
        return self._file.read()

    def close(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.close()
        for saved, fd in zip(self._saved, (1, 2), strict=True):
            os.dup2(saved, fd)
            os.close(saved)
        sys.stdout, sys.stderr = self._python
        self._file.close()
