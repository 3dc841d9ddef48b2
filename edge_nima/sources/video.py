"""Video files: each frame in step, or played at the video's own pace as a camera would."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic, sleep, time
from typing import Any

from PIL import Image, UnidentifiedImageError

from edge_nima.decode import photograph_suffixes
from edge_nima.errors import PictureError, SourceError, printable, reason
from edge_nima.frame import Frame
from edge_nima.sources import BufferPool, NothingYet, SourceOptions, slug
from edge_nima.sources.stream import Decoder, can_decode, import_av

ORDER = 4
POSSIBLE = "a video"
SOURCE = "VideoSource"

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3gp", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov",
    ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
})
# fmt: on
"""File name endings, lower case, that are taken for a video without a look inside."""

_LONGEST_SLEEP_S, _LONGEST_LATE_S = 0.5, 1.0


def takes(given: Sequence[str], wait: bool) -> bool:
    """A file, by its ending; where that says nothing, whatever Pillow does not know is tried as a video."""
    path = given[0]
    if len(given) > 1 or os.path.isdir(path) or not (wait or os.path.isfile(path)):
        return False
    suffix = os.path.splitext(path)[1].lower()
    if suffix in VIDEO_SUFFIXES or suffix in photograph_suffixes() or not os.path.isfile(path):
        return suffix in VIDEO_SUFFIXES
    try:
        with Image.open(path):
            return False
    except OSError as error:
        return isinstance(error, UnidentifiedImageError)


class VideoSource:
    """A video file, its frames upright as its orientation says."""

    def __init__(self, path: str | os.PathLike[str], options: SourceOptions | None = None) -> None:
        """Take a file. With `realtime`, frames that are late are left out, as a camera's would be."""
        options = options or SourceOptions()
        self._path, self._loop, self._fps = os.fspath(path), options.loop, options.fps
        self.drops = self.real_time = options.realtime
        self.label = options.label or slug(os.path.splitext(os.path.basename(self._path))[0], "video")
        self._pool = BufferPool()
        self._av: Any = None
        self._container: Any = None
        self._decoder: Decoder | None = None
        self._ahead: Any = None  # a frame that was decoded and is not given yet
        self._step = 1 / 25
        self._began_at = self._began_mono = self._position = self._offset = self._due = self._zero = 0.0

    def open(self) -> None:
        """Open the video."""
        self.close()
        shown = printable(self._path)
        try:
            with open(self._path, "rb") as file:
                empty = not file.read(1)
        except (OSError, ValueError) as error:
            raise SourceError(f"cannot open the video '{shown}': {reason(error)}") from error
        if empty:
            raise SourceError(f"'{shown}' is empty: 0 bytes")
        self._av = import_av()
        first = self._start()
        if first is None or self._decoder is None:
            self.close()
            raise SourceError(
                f"'{shown}' is no video that can be decoded here: not a video, damaged, or a codec that this FFmpeg "
                f"lacks; to convert it: ffmpeg -i {os.path.basename(shown)} -c:v libx264 video.mp4"
            )
        rate = float(self._decoder.stream.average_rate or self._decoder.stream.guessed_rate or 0)
        # Of damaged headers come 0 and a thousand; a pace must be something.
        self._step = 1 / rate if 0.1 <= rate <= 1000 else 1 / 25
        self._began_at, self._began_mono = time(), monotonic()
        self._position, self._offset, self._due = -1.0, 0.0, 0.0
        self._zero = first.time or 0.0  # some begin at a second or an hour
        self._place(first)

    def _start(self) -> Any | None:
        """Begin at the beginning; the first frame, None when there is none."""
        if self._container is not None:
            self._container.close()
        try:
            self._container = self._av.open(f"file:{self._path}")
            if not can_decode(self._container):
                return None
            self._decoder = Decoder(self._av, self._container, self._pool, in_step=not self.real_time)
            while True:
                with suppress(PictureError):  # some begin between two key frames
                    return self._decoder.next()
        except self._av.error.FFmpegError:
            return None

    def read(self) -> Frame | None:
        """The next frame; None at the end."""
        if self._decoder is None:
            raise SourceError(f"'{printable(self._path)}' is not open")
        until = monotonic() + _LONGEST_SLEEP_S
        while self._ahead is not None or self._advance(self._decoder):
            left = self._began_mono + self._position - monotonic()
            if self.real_time and left > 0:
                sleep(min(left, _LONGEST_SLEEP_S))
                if left > _LONGEST_SLEEP_S:
                    raise NothingYet
            frame, self._ahead = self._ahead, None
            if self._wanted():
                rgb, release = self._decoder.rgb(frame)
                if self.real_time:
                    return Frame(rgb, self.label, release=release)
                at, mono = self._began_at + self._position, self._began_mono + self._position
                return Frame(rgb, self.label, at, mono, release=release)
            if monotonic() > until:
                raise NothingYet
        return None

    def _wanted(self) -> bool:
        """Whether the frame that was decoded is one of the `fps`, and in time."""
        late = monotonic() - self._began_mono - self._position
        if self.real_time and late > _LONGEST_LATE_S:  # the machine slept, or cannot keep pace at all
            self._began_mono += late
        elif self.real_time and late > 2 * self._step:
            return False
        if self._fps is None:
            return True
        if self._position < self._due - self._step / 2:
            return False
        self._due = max(self._due + 1 / self._fps, self._position)
        return True

    def _place(self, frame: Any) -> None:
        """Keep a frame and note its time within the video; what is looped goes on counting."""
        here = -1.0 if frame.time is None else self._offset + frame.time - self._zero
        # Never backwards, and also where a stream has no times at all.
        self._position = here if here > self._position else max(self._position + self._step, self._offset)
        self._ahead = frame

    def _advance(self, decoder: Decoder) -> bool:
        """Decode the next frame, beginning again at the end of a looped video."""
        frame = None
        with suppress(self._av.error.FFmpegError):  # cut short: it ends here
            frame = decoder.next()
        if frame is None and self._loop:
            self._offset = self._position + self._step
            frame = self._start()  # not every video can be wound back
            if frame is None:
                raise SourceError(f"'{printable(self._path)}' gives no frame any more")
        if frame is not None:
            self._place(frame)
        return frame is not None

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
        self._container = self._decoder = self._ahead = None
