"""Where frames come from: a protocol, and one module a kind of source.

A kind is a module in here with four names: `ORDER`, a number, lower ones are asked first; `POSSIBLE`, what to type for
it; `takes(given, wait)`, whether it takes what was typed, where `wait` allows what is not there yet; and `SOURCE`, the
name of its class, which is made of what was typed, one text or several, and the options.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

import numpy as np
from numpy.typing import NDArray

from edge_nima.errors import PackageMissing, RequestError, printable, reason
from edge_nima.frame import Frame


class NothingYet(Exception):  # no error: silence is normal there
    """No new frame within about half a second, from a source whose silence is normal: a folder that fills."""


class Source(Protocol):
    """Something that frames come from. Opened, read and closed by one thread, and opened again after a fault."""

    @property
    def label(self) -> str:
        """A short name for records and topics, made of [a-z0-9_-]: "video0", "garden"."""

    @property
    def drops(self) -> bool:
        """Whether frames are lost when nobody takes them in time: a camera's are, files and videos in step are not."""

    @property
    def real_time(self) -> bool:
        """Whether its time is the clock's, as of a camera and a folder that fills; not of a video or list in step."""

    def open(self) -> None:
        """Begin; SourceError says what was given, what is possible and what to type."""

    def read(self) -> Frame | None:
        """Wait for the next frame, at most as long as the source's own timeout; None at the end (of a file).

        Raises PictureError when this one frame is damaged; SourceError when the source is lost, which `close` and
        `open` may mend; NothingYet.
        """

    def close(self) -> None:
        """End and let go of the device. Also when it is not open."""


class Memory(Protocol):
    """Which files of a watched folder are known from earlier runs, by their marks: signed numbers of 64 bits."""

    def load(self) -> Iterable[int] | None:
        """The marks that are known; None when this folder was never watched."""

    def begin(self, marks: Iterable[int]) -> None:
        """The folder is watched from now on; these files were there before and are not given."""

    def forget(self, marks: Iterable[int]) -> None:
        """The files of these marks are gone."""


@dataclass(frozen=True)
class SourceOptions:
    """What a source is asked for; each kind takes from it what it can use. RequestError for a value that cannot be."""

    width: int | None = None  # pixels that a camera is asked for
    height: int | None = None
    fps: float | None = None  # of a camera or snapshot address, and how many frames of each second of video
    loop: bool = False  # videos and lists begin again at their end
    realtime: bool = False  # videos at their own pace
    existing: bool = False  # a folder's photographs that are there already, too
    wait: bool = False  # what is not there yet is no mistake: `Source.open` raises until it is
    timeout_s: float = 10.0  # without a frame for so long a camera or stream is lost, seconds
    label: str | None = None  # the source's name in records and topics; None for one made of its address
    enough: int | None = None
    """Longest edge, pixels, of the 4:3 mode that a V4L2 camera is asked for without width and height; None for any."""
    memory: Memory | None = None  # what is known of a watched folder from earlier runs
    exclude: tuple[str, ...] = ()  # folders that are left out of a watched one: where the service itself writes

    def __post_init__(self) -> None:
        for name, value in (("timeout_s", self.timeout_s), ("fps", self.fps)):
            if value is not None and not value > 0:
                raise RequestError(f"{name} is {value}; possible: a number above 0")
        if self.label is not None and slug(self.label) != self.label:
            named = f"the name '{printable(self.label)}'"
            raise RequestError(f"{named} is not made of a-z, 0-9, _ and -; possible: {slug(self.label)}")


def open_source(
    text: str | Sequence[str], options: SourceOptions | None = None, rotate: int = 0, mirror: bool = False
) -> Source:
    """The source that a person means, turned clockwise by `rotate` degrees and mirrored. It is made, not opened.

    `text` is "0", "/dev/video0", "picamera2:1", an address, a video, a folder, a photograph; or several photographs,
    patterns and folders of them. RequestError when it is nothing of these, or the options cannot be.
    """
    options = options or SourceOptions()
    given = [text] if isinstance(text, str) else list(text)
    modules = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    kinds: list[Any] = sorted((m for m in modules if hasattr(m, "takes")), key=lambda module: module.ORDER)
    possible = f"{', '.join(kind.POSSIBLE for kind in kinds)} (edge-nima cameras lists what is there)"
    if not given or "" in given:
        raise RequestError(f"no source; possible: {possible}")
    kind = next((kind for kind in kinds if kind.takes(given, options.wait)), None)
    if kind is None:
        awaited = "--wait waits for a file or folder to appear"
        raise RequestError(f"no source '{printable(given[0])}'; possible: {possible}; {awaited}")
    source: Source = getattr(kind, kind.SOURCE)(given[0] if len(given) == 1 else given, options)
    if not rotate and not mirror:
        return source
    from edge_nima.sources.rotated import RotatedSource

    return RotatedSource(source, rotate, mirror)


def import_extra(name: str, advice: str) -> Any:
    """A package that only some kinds of source need; PackageMissing with `advice` when it is not there."""
    try:
        return import_module(name)
    except ImportError as error:
        why = "" if isinstance(error, ModuleNotFoundError) and error.name == name else f" ({reason(error)})"
        raise PackageMissing(advice + why) from error


def slug(text: str, otherwise: str = "camera") -> str:
    """`text` made of [a-z0-9_-] alone, at most 64 characters; `otherwise` where nothing of it is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_-]+", "-", plain).strip("-")[:64] or otherwise


def split_address(address: str) -> SplitResult:
    """The parts of an address; RequestError when it has no host, or a port that cannot be."""
    escape = "in a user or password, write / as %2F, ? as %3F, # as %23 and @ as %40"
    try:
        parts = urlsplit(address)
        if parts.port == 0:
            raise ValueError
    except ValueError:
        # Without urlsplit's words: they hold the beginning of a password with a slash in it, taken for a port.
        raise RequestError(f"'{without_password(address)}' is no address: {escape}; a port is 1..65535") from None
    if not parts.hostname:
        raise RequestError(f"'{without_password(address)}' is no address: no host; {escape}")
    return parts


def without_password(address: str) -> str:
    """The address as it may be shown: no user, no password, and no query, which is where some cameras take theirs.

    Everything up to the last "@" is left out when it may be a password, also one with "/", "?", "#" or "@" in it.
    """
    scheme, separator, rest = address.partition("://") if "://" in address else ("", "", address)
    before, at, after = rest.rpartition("@")
    if at and (":" in before or not re.search(r"[/?#]", before)):
        rest = after
    return printable(scheme + separator + re.sub(r"\?.*$", "?…", rest, flags=re.DOTALL))


def address_label(address: str, default_port: int) -> str:
    """A label of an address's host, unusual port and path, without any secret; four digits stand for its query."""
    shown = re.sub(rf"^([^/?]*):{default_port}(?=/|\?|$)", r"\1", without_password(address).partition("://")[2])
    if not shown.endswith("?…"):
        return slug(shown, "stream")
    mark = blake2b(address.rpartition("?")[2].encode("utf-8", "surrogateescape"), digest_size=2).hexdigest()
    return f"{slug(shown, 'stream')[:59]}-{mark}"


class BufferPool:
    """A few frame buffers of one shape, used again. Each has one owner until given back; if none is free, one more."""

    def __init__(self, count: int = 4) -> None:
        """Keep at most `count` free buffers: one being filled, one waiting, one being scored, one being saved."""
        self._count, self._shape, self._lock = count, (0, 0, 0), threading.Lock()
        self.made = 0  # buffers allocated so far
        self._free: list[NDArray[np.uint8]] = []

    def take(self, height: int, width: int) -> tuple[NDArray[np.uint8], Callable[[], None]]:
        """A buffer, uint8, shape (height, width, 3), of any content, and what gives it back: once, from any thread."""
        shape = (height, width, 3)
        with self._lock:
            if shape != self._shape:  # the camera was set anew: buffers of the old size are of no use
                self._shape = shape
                self._free.clear()
            self.made += not self._free
            buffer = self._free.pop() if self._free else np.empty(shape, np.uint8)
        leased = [buffer]

        def give_back() -> None:
            with self._lock:
                if leased and shape == self._shape and len(self._free) < self._count:
                    self._free.append(leased.pop())
                leased.clear()

        return buffer, give_back
