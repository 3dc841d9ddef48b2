"""Films: each frame in step, or played at the film's own pace as a camera would."""

from __future__ import annotations

import os
from time import monotonic, sleep, time
from typing import Any

from edge_nima.errors import PictureError, RequestError, SourceError, printable, reason
from edge_nima.frames import Frame, NothingYet
from edge_nima.frames.addresses import slug
from edge_nima.frames.buffers import BufferPool
from edge_nima.frames.opencv import Grabber, import_cv2

# fmt: off
FILM_SUFFIXES = frozenset({
    ".3gp", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov",
    ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
})
# fmt: on
"""File name endings, lower case, that are taken for a film without a look inside."""

_LONGEST_SLEEP_S = 0.5
_LONGEST_LATE_S = 1.0


class VideoSource:
    """A film file."""

    def __init__(
        self, path: str | os.PathLike[str], *, loop: bool = False, realtime: bool = False, fps: float | None = None,
        label: str | None = None,
    ) -> None:  # fmt: skip
        """Take a film.

        Args:
            path: the file.
            loop: begin again at its end, for ever.
            realtime: at the film's own pace; frames that are late are left out, as a camera's would be.
            fps: take so many frames of each second of film; None for all.
            label: its name in records; None for the file's.

        Raises:
            RequestError: `fps` is not above 0.
        """
        if fps is not None and not fps > 0:
            raise RequestError(f"fps is {fps}; possible: a number above 0")
        self._path, self._loop, self._realtime, self._fps = os.fspath(path), loop, realtime, fps
        self.label = label or slug(os.path.splitext(os.path.basename(self._path))[0], "film")
        self._pool = BufferPool()
        self._cv2: Any = None
        self._grabber: Grabber | None = None
        self._capture: Any = None
        self._grabbed = False
        self._step = 1 / 25
        self._began_at = self._began_mono = self._position = self._offset = self._due = self._zero = 0.0

    @property
    def live(self) -> bool:
        """Whether it is played at its own pace."""
        return self._realtime

    def open(self) -> None:
        """Open the film.

        Raises:
            SourceError: it cannot be read, is no film, or has a codec that is unknown here.
            PackageMissing: OpenCV is not installed.
        """
        self.close()
        shown = printable(self._path)
        try:
            with open(self._path, "rb") as file:
                if not file.read(1):
                    raise SourceError(f"'{shown}' is empty: 0 bytes")
        except SourceError:
            raise
        except (OSError, ValueError) as error:
            raise SourceError(f"cannot open the film '{shown}': {reason(error)}") from error
        self._cv2 = import_cv2()
        self._start()
        assert self._grabber is not None
        first = self._grabber.grab() and self._grabber.retrieve() is not None
        if not first:
            self.close()
            raise SourceError(
                f"'{shown}' is no film that can be decoded here: not a video, damaged, or a codec that this OpenCV "
                f"lacks; to convert it: ffmpeg -i {os.path.basename(shown)} -c:v libx264 film.mp4"
            )
        rate = float(self._capture.get(self._cv2.CAP_PROP_FPS))
        # Of damaged headers come 0, NaN and a thousand; a pace must be something.
        self._step = 1 / rate if 0.1 <= rate <= 1000 else 1 / 25
        self._grabbed = True
        self._began_at, self._began_mono = time(), monotonic()
        self._position, self._offset, self._due = -1.0, 0.0, 0.0
        self._zero = self._told()  # some begin at a second or an hour
        self._place()

    def _start(self) -> None:
        # FFmpeg alone: what else OpenCV has would take "a%02d.txt" for a series of pictures.
        self._capture = self._cv2.VideoCapture(self._path, self._cv2.CAP_FFMPEG)
        self._grabber = Grabber(self._cv2, self._capture, self._pool)

    def read(self) -> Frame | None:
        """The next frame; None at the end.

        Raises:
            PictureError: this frame cannot be decoded.
            NothingYet: the next one's time has not come.
            SourceError: it is not open, or gives nothing when it begins again.
        """
        if self._grabber is None:
            raise SourceError(f"'{printable(self._path)}' is not open")
        until = monotonic() + _LONGEST_SLEEP_S
        while self._grabbed or self._advance():
            if self._realtime:
                self._await(self._began_mono + self._position)
            self._grabbed = False
            if self._wanted():
                return self._frame()
            if monotonic() > until:
                raise NothingYet
        return None

    def _frame(self) -> Frame:
        assert self._grabber is not None
        raw = self._grabber.retrieve()
        if raw is None:
            raise PictureError("a frame that cannot be decoded")
        rgb, release = self._grabber.rgb(raw)
        if self._realtime:
            return Frame(rgb, self.label, release=release)
        at, mono = self._began_at + self._position, self._began_mono + self._position
        return Frame(rgb, self.label, at, mono, release=release)

    def _wanted(self) -> bool:
        """Whether the frame that was grabbed is one of the `fps`, and in time."""
        late = monotonic() - self._began_mono - self._position
        if self._realtime and late > _LONGEST_LATE_S:  # the machine slept, or cannot keep pace at all
            self._began_mono += late
        elif self._realtime and late > 2 * self._step:
            return False
        if self._fps is None:
            return True
        if self._position < self._due - self._step / 2:
            return False
        self._due += 1 / self._fps
        if self._due <= self._position:
            self._due = self._position + 1 / self._fps
        return True

    def _place(self) -> None:
        """Note the time within the film of the frame that was grabbed; what is looped goes on counting."""
        here = self._offset + self._told() - self._zero
        # Never backwards, and also where a stream has no times at all.
        self._position = here if here > self._position else max(self._position + self._step, self._offset)

    def _told(self) -> float:
        return float(self._capture.get(self._cv2.CAP_PROP_POS_MSEC)) / 1e3

    def _await(self, due: float) -> None:
        left = due - monotonic()
        if left > _LONGEST_SLEEP_S:
            sleep(_LONGEST_SLEEP_S)
            raise NothingYet
        if left > 0:
            sleep(left)

    def _advance(self) -> bool:
        """Grab the next frame, beginning again at the end of a looped film."""
        assert self._grabber is not None
        if not self._grabber.grab():
            if not self._loop:
                return False
            self._begin_again()
        self._grabbed = True
        self._place()
        return True

    def _begin_again(self) -> None:
        assert self._grabber is not None
        self._offset = self._position + self._step
        self._capture.set(self._cv2.CAP_PROP_POS_FRAMES, 0)
        if self._grabber.grab():
            return
        self._grabber.release()  # no seeking in this one
        self._start()
        if not self._grabber.grab():
            raise SourceError(f"'{printable(self._path)}' gives no frame any more")

    def close(self) -> None:
        """Close the file."""
        if self._grabber is not None:
            self._grabber.release()
        self._grabber = self._capture = None
