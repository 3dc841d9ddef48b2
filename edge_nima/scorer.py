"""Frame in, score record out: alone, in a batch, in a pool."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_nima.card import Card, read_card
from edge_nima.decode import MAX_MEGAPIXELS, Pixels, check_rgb
from edge_nima.distribution import moments
from edge_nima.errors import CardError, ModelError, PictureError, RequestError, printable, reason
from edge_nima.frame import Frame
from edge_nima.in_order import in_order
from edge_nima.interpreter import Interpreter, OpenRuntime, open_runtime
from edge_nima.names import name_of
from edge_nima.pixels import read_input, to_input
from edge_nima.records import ScoreRecord
from edge_nima.storage import Fetched, fetched_ahead

Picture = str | os.PathLike[str] | bytes | Frame | NDArray[np.uint8]
"""A path, the bytes of an encoded file, a frame, or upright RGB pixels (height, width, 3) uint8."""

Look = Callable[[Any, Image.Image], None]
"""Takes a picture as it was given, and how it looks: upright, mode RGB, reduced to the model's `longest_edge`; it must
not change that."""

READERS, MOST_READERS = 16, 64
"""Objects of a store that are fetched at once while others are scored: for each job, and for all of them."""

BUNDLED = Path(__file__).parent / "models" / "mobilenet-ava-int8-mixed.tflite"


@dataclass(frozen=True)
class ModelFile:
    """A .tflite in memory with its card: what several interpreters can share."""

    content: bytes
    card: Card
    sha256: str
    path: Path | None = None
    """Where it was read from, for messages."""

    def detached(self) -> ModelFile:
        """The same model without its path: scorers of it pickle with its bytes, for machines that lack the file."""
        return dataclasses.replace(self, path=None)

    @property
    def label(self) -> str:
        """How records call it: the card's name and the first eight digits of its SHA-256."""
        return f"{self.card.name}@{self.sha256[:8]}"


def load_model(model: str | os.PathLike[str] | None = None, card: str | os.PathLike[str] | None = None) -> ModelFile:
    """Read a model and its card, without opening a runtime.

    Args:
        model: path of a .tflite file, or a name that `edge-nima models list` shows; None for the bundled model.
        card: path of a card, for a model that carries none.

    Raises:
        ModelError: no such file, or not a .tflite.
        CardError: it carries no card and none was given, or it carries one and another was given.
    """
    path = BUNDLED if model is None else _model_path(model)
    shown = printable(path)
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        known = "; names that need no file: edge-nima models list" if isinstance(error, FileNotFoundError) else ""
        raise ModelError(f"cannot open the model '{shown}': {reason(error)}{known}") from error
    if content[4:8] != b"TFL3":
        raise ModelError(f"'{shown}' is not a .tflite: the file does not have its signature TFL3")
    try:
        own = _own_card(content, given=card is not None)
        if own is not None and card is not None:
            raise CardError("it carries a card already; leave out --card")
        if own is None and card is None:
            raise CardError(
                "it carries no card, so how it wants its pixels is unknown; supply one with --card FILE, or put one in "
                "with edge-nima card (a download that was cut short has lost its card: fetch it again)"
            )
        sheet = own or Card.from_json(Path(card or "").read_bytes())
    except CardError as error:
        raise CardError(f"'{shown}': {error}") from error
    except (OSError, ValueError) as error:
        raise CardError(f"cannot open the card '{printable(card or '')}': {reason(error)}") from error
    return ModelFile(content, sheet, hashlib.sha256(content).hexdigest(), path)


def _own_card(content: bytes, given: bool) -> Card | None:
    try:
        return read_card(content)
    except CardError:
        if given:
            return None  # damaged, and that is why one is given
        raise


def _model_path(model: str | os.PathLike[str]) -> Path:
    path = Path(model)
    if not path.exists():
        from edge_nima import registry

        for entry in registry.entries():
            if entry.name == str(model):
                if not entry.file.endswith(".tflite"):
                    raise ModelError(f"{entry.name} is a checkpoint, not a .tflite: edge-nima convert {entry.name}")
                return entry.path
    return path


def open_scorer(
    model: str | os.PathLike[str] | ModelFile | None = None,
    threads: int | None = None,
    *,
    card: str | os.PathLike[str] | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
    exact: bool = False,
    open_model: OpenRuntime = open_runtime,
) -> Scorer:
    """Open a model for scoring.

    Args:
        model: path of a .tflite file, or what `load_model` gave; None for the bundled model.
        threads: processor threads for one inference; None for one a core, at most 4.
        card: path of a card, for a model that carries none.
        max_megapixels: refuse larger pictures.
        exact: decode large JPEGs in full, not at a DCT scale, see `edge_nima.pixels.read_input`.
        open_model: makes the interpreter; for tests.

    Raises:
        ModelError: not a model that scores photographs.
        CardError: no card, or a damaged one.
        PackageMissing: no TFLite runtime is installed.
        RequestError: `threads` is below 1, or `max_megapixels` is not above 0.
    """
    if isinstance(model, ModelFile) and card is not None:
        raise CardError(f"{model.card.name} has its card already; leave out card")
    file = model if isinstance(model, ModelFile) else load_model(model, card)
    return Scorer(file, default_threads() if threads is None else threads, max_megapixels, open_model, exact)


def default_threads() -> int:
    """Processor threads for one scorer: the cores this process may use, at most 4."""
    return min(4, available_cores())


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


class Scorer:
    """Scores photographs with one model, opened once. Safe to call from several threads: they take turns."""

    def __init__(
        self, model: ModelFile, threads: int, max_megapixels: float = MAX_MEGAPIXELS,
        open_model: OpenRuntime = open_runtime, exact: bool = False,
    ) -> None:  # fmt: skip
        if threads < 1:
            raise RequestError(f"threads is {threads}; possible: 1 and more")
        if not max_megapixels > 0:
            raise RequestError(f"max_megapixels is {max_megapixels}; possible: a number above 0")
        self.model = model
        self.threads = threads
        self.max_megapixels = max_megapixels
        self.exact = exact
        self._open_model = open_model
        self._how = model.card.preprocessing
        self._described = self._how.describe()
        try:
            self._interpreter = Interpreter(model.content, self._how, threads, open_model)
        except ModelError as error:
            shown = f"'{printable(model.path)}'" if model.path else model.card.name
            raise ModelError(f"{shown}: {error}") from error
        self._turn = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """By path, SHA-256 and options where the model has a path, else with its bytes: see `open_again`."""
        model = self.model
        given = None if _own_card(model.content, given=True) else model.card
        of = (_portable(model.path), model.sha256, given) if model.path else model
        return open_again, (of, self.threads, self.max_megapixels, self._open_model, self.exact)

    @property
    def card(self) -> Card:
        """The model's card."""
        return self.model.card

    def score(self, picture: Picture, name: str | None = None, look: Look | None = None) -> ScoreRecord:
        """Score one photograph.

        Args:
            picture: a path, the bytes of an encoded file, a `Frame`, or upright RGB pixels, uint8, (height, width, 3).
            name: what the record calls it; None for the path, the frame's own name, or "".
            look: is called with `picture` and how it looks, where it is a path or bytes.

        Returns:
            Its record, `error` None.

        Raises:
            PictureError: it cannot be scored, with the reason.
        """
        started = perf_counter()
        ready = self._read(picture, look)
        with self._turn:
            if ready is None:
                given: Any = picture.rgb if isinstance(picture, Frame) else picture
                to_input(check_rgb(given), self._how, self._interpreter.pixels)
            else:
                self._interpreter.pixels[...] = ready
            distribution = self._interpreter.run()
        shown = _name_of(picture) if name is None else name
        return scored(shown, distribution, self.model.label, perf_counter() - started, self._described)

    def score_or_error(self, picture: Picture, name: str | None = None, look: Look | None = None) -> ScoreRecord:
        """Score one photograph; one that cannot be scored gives a record whose `error` says why."""
        started = perf_counter()
        try:
            return self.score(picture, name, look)
        except PictureError as error:
            elapsed = round((perf_counter() - started) * 1e3, 3)
            shown = _name_of(picture) if name is None else name
            why = reason(error)
            return ScoreRecord(shown, None, None, None, self.model.label, elapsed, why, self._described)

    def score_batch(
        self, pictures: Iterable[Picture], jobs: int = 1, look: Look | None = None
    ) -> Generator[ScoreRecord, None, None]:
        """Score many photographs, in the order given, each as soon as it and those before it are done.

        Args:
            pictures: as `score` takes them; read lazily, a few ahead.
            jobs: how many to work on at once, each with an interpreter of its own of `self.threads` threads.
            look: as of `score`; called from several threads, before the record is there.

        Returns:
            One record a photograph; one that cannot be scored has its `error` set. The records do not depend on `jobs`.

        Raises:
            RequestError: `jobs` is below 1, or `pictures` is a single one.
        """
        if isinstance(pictures, str | bytes | os.PathLike | Frame):
            raise RequestError("score_batch takes a list of photographs; a single one goes to score")
        if jobs < 1:
            raise RequestError(f"jobs is {jobs}; possible: 1 and more")
        pictures = fetched_ahead(pictures, min(READERS * jobs, MOST_READERS))
        if jobs > 1:
            return self._pooled(pictures, jobs, look)
        return (self.score_or_error(picture, look=look) for picture in pictures)

    def _pooled(self, pictures: Iterable[Picture], jobs: int, look: Look | None) -> Generator[ScoreRecord, None, None]:
        from queue import SimpleQueue

        idle: SimpleQueue[Scorer] = SimpleQueue()
        idle.put(self)
        for _ in range(jobs - 1):
            idle.put(Scorer(self.model, self.threads, self.max_megapixels, self._open_model, self.exact))

        def work(picture: Picture) -> ScoreRecord:
            scorer = idle.get()
            try:
                return scorer.score_or_error(picture, look=look)
            finally:
                idle.put(scorer)

        return in_order(work, pictures, jobs)

    def _read(self, picture: Any, look: Look | None) -> Pixels | None:
        """The model's input out of an encoded picture, decoded while other threads infer; None for pixels."""
        if not isinstance(picture, str | os.PathLike | bytes):
            return None
        shown = None if look is None else partial(look, picture)
        return read_input(picture, self._how, max_megapixels=self.max_megapixels, exact=self.exact, look=shown)


def _portable(path: Path) -> Path | None:
    """None for the bundled model, which another machine has elsewhere."""
    return None if path == BUNDLED else path.absolute()


def open_again(
    model: ModelFile | tuple[Path | None, str, Card | None],
    threads: int,
    max_megapixels: float,
    open_model: OpenRuntime,
    exact: bool,
) -> Scorer:
    """A scorer out of its pickle, on another machine perhaps.

    Raises:
        ModelError: the file is not there, or is another one than it was.
    """
    if isinstance(model, ModelFile):
        return Scorer(model, threads, max_megapixels, open_model, exact)
    path, sha256, card = model[0] or BUNDLED, *model[1:]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"this machine has no model '{printable(path)}': {reason(error)} (put it there; or give "
            "load_model(...).detached(), which travels with its bytes)"
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"'{printable(path)}' is another model here than where the scorer was made ({sha256[:8]})")
    card = card or read_card(content)
    if card is None:
        raise ModelError(f"'{printable(path)}' carries no card")
    file = ModelFile(content, card, sha256, path)
    return Scorer(file, threads, max_megapixels, open_model, exact)


def scored(
    name: str, distribution: NDArray[np.float64], model: str, elapsed_s: float, preprocessing: str
) -> ScoreRecord:
    """The record of a distribution.

    Args:
        name: what the record calls the photograph.
        distribution: float64, shape (10,), sums to 1.
        model: a `ModelFile.label`.
        elapsed_s: what it took, seconds.
        preprocessing: as `Preprocessing.describe` says it.
    """
    mean, std = moments(distribution)
    return ScoreRecord(
        name=name,
        mean=mean,
        std=std,
        distribution=tuple(distribution.tolist()),
        model=model,
        elapsed_ms=round(elapsed_s * 1e3, 3),
        preprocessing=preprocessing,
    )


def _name_of(picture: Any) -> str:
    if isinstance(picture, Frame):
        return picture.name
    if isinstance(picture, Fetched):
        return picture.name
    return name_of(picture) if isinstance(picture, str | os.PathLike) else ""
