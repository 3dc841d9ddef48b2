"""Settings to the parts of a watcher: each opened, and each closed again when one of the others cannot be."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from edge_nima.errors import OutputError, printable, reason
from edge_nima.frames import Source
from edge_nima.frames.opening import open_source
from edge_nima.scorer import ModelFile, Scorer, default_threads, load_model
from edge_nima.watch.events import Listener, Status
from edge_nima.watch.health import Board
from edge_nima.watch.keeper import Keeper, Wishes
from edge_nima.watch.notify import Notifier
from edge_nima.watch.recorder import Recorder
from edge_nima.watch.scoring import Scoring, ScoringProcess
from edge_nima.watch.settings import Settings
from edge_nima.watch.shots import Gallery
from edge_nima.watch.store import open_store
from edge_nima.watch.watcher import Plan, Watcher

log = logging.getLogger("edge_nima.watch")

if TYPE_CHECKING:
    from edge_nima.publish.broker import Broker
    from edge_nima.publish.mqtt import MqttPublisher
    from edge_nima.web import WebServer


def assemble(
    settings: Settings,
    parts: contextlib.ExitStack,
    notifier: Notifier,
    listeners: Iterable[Listener],
    breathe: Callable[[], bool],
    *,
    wait: bool,
) -> Watcher:
    """Open all that the settings name.

    Args:
        settings: checked together.
        parts: closes what was opened.
        notifier: the service manager's.
        listeners: told besides those that the settings name.
        breathe: called while something is waited for; False ends the wait.
        wait: whether a source that is not there is tried until it is, in place of an error.

    Raises:
        EdgeNimaError: one of them cannot be, with what to type.
    """
    model = load_model(settings.model, settings.card)
    edge = model.card.preprocessing.longest_edge
    make = source_maker(settings, edge)
    opened = None if wait else _open(make(), parts)
    camera = settings.name or (opened or make()).label
    scoring = _scoring(settings, model, parts, breathe)
    folder = None if settings.out is None else _folder(settings.out)
    gallery = None if folder is None else Gallery(folder, settings.size("max_disk"))
    told = [*listeners]
    publisher: MqttPublisher | None = None
    if settings.mqtt is not None:
        from edge_nima.publish.mqtt import connect

        publisher = connect(broker_of(settings), camera=camera)
        parts.callback(publisher.close)
        told.append(publisher)
    recorder = keeper = None
    past: list[tuple[float, float]] = []
    if folder is not None:
        recorder, past = _recorder(settings, folder, parts)
    page = None if settings.web is None else _page(settings, gallery, lambda: watcher.status(), past)
    if page is not None:
        told.append(page)
    if settings.keep and gallery is not None:
        keeper = Keeper(gallery, _wishes(settings), told, [mean for _, mean in past])
        parts.callback(keeper.finish, 0.0)
    pids = lambda: [pid for pid in [getattr(scoring, "pid", None)] if pid is not None]  # noqa: E731
    watcher = Watcher(
        make, scoring, plan_of(settings), camera=settings.name, opened=opened, model=model.label, recorder=recorder,
        keeper=keeper, listeners=told, board=Board(folder, pids=pids), notifier=notifier, publisher=publisher,
        longest_edge=edge,
    )  # fmt: skip
    if page is not None:
        page.start()
        parts.callback(page.close)
        log.info("the page is at %s", page.login_url if page.options.token else page.url)
    if settings.metrics_port is not None:
        from edge_nima.publish.metrics import serve_metrics

        parts.callback(serve_metrics(settings.metrics_port, statuses=lambda: [watcher.status()]).close)
    return watcher


def source_maker(settings: Settings, longest_edge: int | None = None) -> Callable[[], Source]:
    """What makes the source that the settings name, not opened; no larger than is scored where no frame is kept."""
    text = settings.source[0] if len(settings.source) == 1 else list(settings.source)
    return lambda: open_source(
        text, width=settings.width, height=settings.height, fps=settings.capture_fps, rotate=settings.rotate,
        mirror=settings.mirror, loop=settings.loop, realtime=settings.realtime, existing=settings.existing,
        timeout_s=settings.seconds("lost_after"), label=settings.name,
        enough=None if settings.keep and settings.out is not None else longest_edge,
    )  # fmt: skip


def plan_of(settings: Settings) -> Plan:
    """Rates and limits."""
    return Plan(
        fps=settings.fps,
        still_threshold=settings.still_threshold if settings.skip_still else None,
        max_frames=settings.max_frames,
        duration_s=settings.seconds("duration") or None,
        lost_after_s=settings.seconds("lost_after"),
    )


def _wishes(settings: Settings) -> Wishes:
    return Wishes(
        keep=settings.keep, every_s=settings.seconds("every"), spacing_s=settings.seconds("spacing"),
        min_score=settings.min_score, likeness=settings.likeness, burst_s=settings.seconds("burst"),
        quality=settings.quality,
    )  # fmt: skip


def _open(source: Source, parts: contextlib.ExitStack) -> Source:
    source.open()
    parts.callback(source.close)
    return source


def _scoring(settings: Settings, model: ModelFile, parts: contextlib.ExitStack, breathe: Callable[[], bool]) -> Scoring:
    if os.name != "posix":  # no file descriptors for a child process: nothing replaces an inference that hangs
        return Scorer(model, settings.threads or default_threads())
    process = ScoringProcess(model, settings.threads, stuck_after_s=settings.seconds("stuck_after"), wanted=breathe)
    parts.callback(process.close)
    process.start()
    return process


def _recorder(
    settings: Settings, folder: Path, parts: contextlib.ExitStack
) -> tuple[Recorder, list[tuple[float, float]]]:
    """What writes the records, and the scores of the last hour: pairs of wall-clock time and mean, oldest first."""
    keep_s = None if settings.records_keep is None else settings.seconds("records_keep")
    store = open_store(settings.records, folder, keep_s=keep_s, max_bytes=settings.size("records_max"))
    past = list(store.recent(time() - 3600.0))
    recorder = Recorder(store)
    parts.callback(recorder.close, 0.4)
    return recorder, past


def _page(
    settings: Settings, gallery: Gallery | None, status: Callable[[], Status], past: list[tuple[float, float]]
) -> WebServer:
    from edge_nima.publish.metrics import render
    from edge_nima.web import Options, WebServer

    assert settings.web is not None
    certificate, key = (None if text is None else Path(text) for text in (settings.web_cert, settings.web_key))
    options = Options(settings.web, settings.web_bind, settings.web_token, settings.web_viewers, certificate, key)
    return WebServer(options, status, gallery, lambda: render([status()]), past)


def broker_of(settings: Settings) -> Broker:
    """The broker that the settings name.

    Raises:
        RequestError: its address, or a file with its password or certificate, cannot be.
    """
    from edge_nima.publish.broker import parse_broker

    assert settings.mqtt is not None
    certificate, key, ca = (
        None if text is None else Path(text) for text in (settings.mqtt_cert, settings.mqtt_key, settings.mqtt_ca)
    )
    return replace(
        parse_broker(settings.mqtt, password_file=settings.mqtt_password_file), ca=ca, certificate=certificate, key=key,
        insecure=settings.mqtt_insecure, prefix=settings.mqtt_prefix, discovery=settings.mqtt_discovery or None,
        every_s=settings.seconds("mqtt_every"), buffer=settings.mqtt_buffer,
    )  # fmt: skip


def _folder(out: str) -> Path:
    path = Path(out)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{printable(path)}': {reason(error)}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write into '{printable(path)}': no permission; give another --out DIR")
    return path
