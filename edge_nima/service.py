"""The camera service: one owner that claims the folder, opens the parts, reloads, stops, and speaks to systemd.

It alone knows sources, watch and outputs. For programs:

    declaration = declare()
    settings = declaration.check_together(declaration.settings({"source": "0", "out": "shots", "keep": 5}))
    Service(settings, listeners=[mine]).run()
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic, time
from types import FrameType
from typing import IO

from edge_nima import outputs
from edge_nima.errors import EdgeNimaError, OutputError, RequestError, SourceError, printable, reason
from edge_nima.lock import try_lock
from edge_nima.scorer import ModelFile, load_model
from edge_nima.selection import KeepPolicy
from edge_nima.sources import Source, SourceOptions, open_source
from edge_nima.watch.clock import SteadyClock
from edge_nima.watch.events import Listener, Shot, State, Status
from edge_nima.watch.gallery import Gallery
from edge_nima.watch.health import BoardSensors, RateGovernor
from edge_nima.watch.keeper import Keeper
from edge_nima.watch.loop import Watcher, WatchLimits
from edge_nima.watch.notify import Notifier
from edge_nima.watch.recorder import Recorder
from edge_nima.watch.records import Records
from edge_nima.watch.schedule import Schedule
from edge_nima.watch.settings import CameraSettings, Declaration, Settings
from edge_nima.watch.worker import WorkerProcess

log = logging.getLogger("edge_nima.watch")

POSIX = os.name == "posix"
LOOK_EVERY_S = 0.25
HEALTH_EVERY_S, MAKE_ROOM_EVERY_S = 10.0, 3600.0
STOP_S = 20.0  # what a stop may take, to write what waits to a slow card; systemd is asked for as much
LOOP_SILENT_S, WRITER_SILENT_S = 20.0, 120.0  # without a sign of life for so long, the watchdog is not fed


def declare() -> Declaration:
    """Every setting that a service has: the cameras', its own, and those of each output."""
    return Declaration(kind.SETTINGS for kind in outputs.kinds())


class Service:
    """Cameras, until a signal, `stop`, or the end of all sources; SIGHUP has the settings read again."""

    def __init__(
        self, settings: Settings, reread: Callable[[], Settings] | None = None, listeners: Sequence[Listener] = ()
    ) -> None:
        """Prepare.

        Args:
            settings: checked together.
            reread: reads them again on SIGHUP; raises EdgeNimaError when they are wrong now. None keeps them.
            listeners: told by every camera, besides the outputs that the settings name; closed at the end.
        """
        self.settings = settings
        self.interrupted = False
        """Whether Ctrl-C ended it."""
        self._reread, self._listeners = reread, tuple(listeners)
        self._notifier = Notifier.from_environment()
        self._claims: dict[Path, IO[bytes]] = {}
        self._clock = SteadyClock()
        self._run: _Run | None = None
        self._stopping = threading.Event()
        self._reload = threading.Event()

    @property
    def watchers(self) -> Sequence[Watcher]:
        """The cameras that run now."""
        return () if self._run is None else tuple(self._run.watchers)

    def statuses(self) -> list[Status]:
        """The status of each camera; from any thread."""
        return [watcher.status() for watcher in self.watchers]

    def stop(self) -> None:
        """Finish the windows and end; returns at once, from any thread."""
        self._stopping.set()
        for watcher in self.watchers:
            watcher.stop()

    def run(self) -> None:
        """Watch until the end.

        Raises:
            EdgeNimaError: something in the settings that cannot be (no such camera, a port in use), or that the service
                cannot go on with. Settings that are read later and cannot be are refused with a line; the last good
                ones stay.
        """
        if not POSIX:
            raise RequestError("watch needs Linux or macOS (or Windows' WSL); edge-nima score works on every system")
        handlers = {"SIGTERM": self.stop, "SIGINT": self._interrupt, "SIGHUP": self._reload.set}
        try:
            with _handling(handlers):
                self._run_all()
        finally:
            for listener in self._listeners:
                listener.close()
            for claim in self._claims.values():
                claim.close()

    def _run_all(self) -> None:
        settings, before = self.settings, None
        while not self._stopping.is_set():
            with contextlib.ExitStack() as parts:
                try:
                    run = self._assemble(settings, parts, again=before is not None)
                except EdgeNimaError as error:
                    if self._stopping.is_set():
                        return  # while the model was being opened
                    if before is None or settings is before:
                        raise
                    log.error("the new settings cannot be: %s; the last ones stay", reason(error))
                    settings = before
                    continue
                self.settings = before = settings
                self._run = run
                renewed = self._supervise(run, parts)
                if renewed is None:
                    return
                settings = renewed

    def _assemble(self, settings: Settings, parts: contextlib.ExitStack, *, again: bool) -> _Run:
        """Claim the folder, then open everything that the settings name; what was opened is closed by `parts`."""
        shared = settings.service
        folder = None if shared.out is None else Path(shared.out)
        if folder is not None:
            self._claim(folder)
        model = load_model(shared.model, shared.card)
        records = recorder = gallery = None
        if folder is not None and shared.records != "none":
            records = Records(folder, shared.seconds("records_keep"), shared.bytes("records_max"), self._clock.now)
            parts.callback(records.close)
            recorder = Recorder(records)
            parts.callback(recorder.close, 0.5)
        cameras = [_Camera(camera, settings, model, records) for camera in settings.cameras]
        for camera in cameras:
            if sum(camera.name == other.name for other in cameras) > 1:
                raise RequestError(f"two cameras are called '{camera.name}'; give each [[camera]] a name of its own")
            if not (again or camera.settings.wait):
                camera.source.open()
                camera.opened = camera.source
                parts.callback(camera.source.close)
        if folder is not None:
            most = shared.bytes("max_disk")
            gallery = Gallery(folder, most, shared.keep_per_day, shared.keep_days, clock=self._clock.now)
        stuck_after_s = shared.seconds("stuck_after") or 10.0
        worker = WorkerProcess(model, shared.threads, stuck_after_s=stuck_after_s, wanted=self._heartbeat)
        parts.callback(worker.close)
        worker.start()
        run = _Run(recorder, gallery, BoardSensors(folder, pids=lambda: [worker.pid] if worker.pid else []))
        hour_ago = time() - 3600.0
        past = {one.name: list(records.recent(hour_ago, one.name)) if records else [] for one in cameras}
        context = outputs.Context(
            {camera.name: camera.usual_interval_s for camera in cameras},
            lambda: [watcher.status() for watcher in run.watchers], gallery, lambda name: past.get(name, []),
        )  # fmt: skip
        listeners = run.listeners
        listeners += self._listeners
        for kind in outputs.kinds():
            output = kind.open_output(settings.of(kind.SETTINGS), context)
            if output is not None:
                parts.callback(output.close)
                listeners.append(output)
        if gallery is not None:
            gallery.on_removed = run.removed
        for camera in cameras:
            keeper = None
            if camera.settings.keep and gallery is not None:
                means = [mean for _, mean in past[camera.name]]
                keeper = Keeper(gallery, camera.policy, camera.name, listeners, means)
                run.keepers.append(keeper)
            run.watchers.append(Watcher(
                camera.make, worker, camera.limits, camera=camera.name, opened=camera.opened, model=model.label,
                recorder=recorder, keeper=keeper, listeners=listeners,
                longest_edge=model.card.preprocessing.longest_edge,
            ))  # fmt: skip
        if records is None and any(camera.source.real_time and not camera.source.drops for camera in cameras):
            log.info("without records a restart takes the files of a watched folder that are there as known")
        parts.callback(run.close, self._notifier)  # called first
        return run

    def _claim(self, folder: Path) -> None:
        """Make a folder this process's, before anything in it is read or changed; RequestError, OutputError if not."""
        key = folder.absolute()
        if key in self._claims:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = open(folder / ".lock", "ab")  # noqa: SIM115
        except OSError as error:
            raise OutputError(f"cannot write in '{printable(folder)}': {reason(error)}; give another --out") from error
        if not try_lock(file):
            file.close()
            raise RequestError(f"another process writes in '{printable(folder)}': stop it, or give another --out")
        self._claims[key] = file

    def _supervise(self, run: _Run, parts: contextlib.ExitStack) -> Settings | None:
        """Start the cameras and see to them until they end; settings to go on with, or None for the end."""
        for watcher in run.watchers:
            watcher.start()
        self._notifier.send("READY=1")  # also while a source is not there: waiting for it is what we are for
        governor, next_health, next_room = RateGovernor(), 0.0, 0.0
        while not self._stopping.wait(LOOK_EVERY_S):
            now = monotonic()
            if run.healthy(now):
                self._notifier.alive()
            for watcher in run.watchers:
                watcher.look()
                if watcher.failed is not None:
                    raise OutputError(f"{watcher.camera}: the camera's loop failed: {reason(watcher.failed)}")
                if watcher.hopeless:
                    raise SourceError(
                        f"{watcher.camera}: reads of the source hang in its driver, and so does opening it anew; "
                        "start again"
                    )
            if now >= next_health:
                next_health = now + HEALTH_EVERY_S
                self._read_health(run, governor)
            if now >= next_room and run.gallery is not None and run.keepers:
                next_room = now + MAKE_ROOM_EVERY_S
                run.gallery.make_room()  # of what is too old, also while nothing is kept
            if all(watcher.ended for watcher in run.watchers):
                break
            if self._reload.is_set():
                self._reload.clear()
                renewed = self._read_again()
                if renewed is not None:
                    return renewed
        self._notifier.send("STOPPING=1")
        return None

    def _read_health(self, run: _Run, governor: RateGovernor) -> None:
        health = run.sensors.read()
        pace = governor.update(health)
        for watcher in run.watchers:
            if (pace < 1.0) != (watcher.pace < 1.0):
                log.warning("%s: %s", watcher.camera, "throttled: the rate is reduced" if pace < 1.0 else "full rate")
            watcher.health, watcher.pace = health, pace
            watcher.tell()
        self._notifier.send("STATUS=" + "; ".join(
            f"{status.camera}: {status.state.value}" + (f", {status.problem}" if status.problem else "")
            for status in self.statuses()
        ))  # fmt: skip

    def _read_again(self) -> Settings | None:
        """The settings of SIGHUP; None when they are wrong or as they were."""
        self._notifier.reloading()
        try:
            settings = self.settings if self._reread is None else self._reread()
        except EdgeNimaError as error:
            log.error("the settings are not read again: %s; the last ones stay", reason(error))
            self._notifier.send("READY=1")
            return None
        changed = self.settings.changed(settings)
        if not changed:
            log.info("the settings are read again: nothing has changed")
            self._notifier.send("READY=1")
            return None
        log.info("the settings are read again; changed: %s", ", ".join(changed))
        return settings

    def _heartbeat(self) -> bool:
        """Called several times a second by whoever waits for an inference: False ends the wait."""
        waiting = next((watcher for watcher in self.watchers if watcher.waits()), None)
        if waiting is not None:
            return not waiting.stopping.is_set()
        self._notifier.alive()
        return not self._stopping.is_set()

    def _interrupt(self) -> None:
        if self.interrupted:
            raise KeyboardInterrupt  # twice: now
        self.interrupted = True
        self.stop()


class _Run:
    """The parts of a service with one set of settings."""

    def __init__(self, recorder: Recorder | None, gallery: Gallery | None, sensors: BoardSensors) -> None:
        self.recorder, self.gallery, self.sensors = recorder, gallery, sensors
        self.watchers: list[Watcher] = []
        self.keepers: list[Keeper] = []
        self.listeners: list[Listener] = []

    def removed(self, shot: Shot) -> None:
        """Tell that a photograph is gone."""
        for listener in self.listeners:
            listener.removed(shot)

    def healthy(self, now: float) -> bool:
        """Whether frames, scoring and writing are alive, or are being revived."""
        loops = all(watcher.ended or now - watcher.alive_at < LOOP_SILENT_S for watcher in self.watchers)
        writers: list[Keeper | Recorder] = [*self.keepers, *([self.recorder] if self.recorder is not None else [])]
        return loops and all(now - writer.alive_at < WRITER_SILENT_S for writer in writers)

    def close(self, notifier: Notifier) -> None:
        """End the cameras, then write what waits, then tell; says what could not be written."""
        until = monotonic() + STOP_S
        notifier.send(f"EXTEND_TIMEOUT_USEC={round((STOP_S + 5) * 1e6)}")
        for watcher in self.watchers:
            watcher.stop()
        for watcher in self.watchers:
            watcher.close(1.0)
        left = sum(keeper.finish(max(0.0, until - monotonic())) for keeper in self.keepers)
        if left:
            log.warning("%d photographs were not written in time; what is in window/ is kept at the next start", left)
        for watcher in self.watchers:
            watcher.tell(State.stopped)
        if self.recorder is not None:
            lost = self.recorder.close(max(0.5, until - monotonic()))
            if lost:
                log.warning("%d records were not written in time and are lost", lost)


class _Camera:
    """What the settings say of one camera."""

    def __init__(self, camera: CameraSettings, settings: Settings, model: ModelFile, records: Records | None) -> None:
        """RequestError: something of it that cannot be."""
        self.settings, self._records, out = camera, records, settings.service.out
        self._given = camera.source[0] if len(camera.source) == 1 else list(camera.source)
        self._options = SourceOptions(
            width=camera.width, height=camera.height, fps=camera.capture_fps, loop=camera.loop,
            realtime=camera.realtime, existing=camera.existing, wait=camera.wait,
            timeout_s=camera.seconds("lost_after") or 10.0, label=camera.name,
            # Where no frame is kept, no larger than is scored.
            enough=None if camera.keep else model.card.preprocessing.longest_edge,
            exclude=() if out is None else (out,),
        )  # fmt: skip
        self.source = self.make()
        self.opened: Source | None = None
        self.name = camera.name or self.source.label
        self.limits = WatchLimits(
            fps=camera.fps, still_threshold=camera.still_threshold if camera.skip_still else None,
            schedule=None if camera.when is None else Schedule.parse(camera.when), dark=camera.skip_dark,
            frozen_after_s=camera.seconds("frozen_after") or 0.0, max_frames=settings.service.max_frames,
            duration_s=settings.service.seconds("duration"), lost_after_s=self._options.timeout_s,
        )  # fmt: skip
        self.policy = KeepPolicy(
            keep=camera.keep, every_s=camera.seconds("every") or 600.0, spacing_s=camera.seconds("spacing") or 0.0,
            min_score=camera.min_score, likeness=camera.likeness, burst_s=camera.seconds("burst") or 0.0,
            quality=settings.service.quality, alike_for_s=camera.seconds("alike_for") or 0.0,
        )  # fmt: skip

    def make(self) -> Source:
        """The source, not opened; a folder remembers in the records what was scored."""
        options = self._options
        if self._records is not None:
            label = options.label or open_source(self._given, options).label
            options = replace(options, memory=self._records.memory(label))
        return open_source(self._given, options, rotate=self.settings.rotate, mirror=self.settings.mirror)

    @property
    def usual_interval_s(self) -> float | None:
        """The longest usual time between two scores, seconds; None where silence is normal."""
        camera = self.settings
        if not self.source.drops or camera.skip_still or camera.when is not None or camera.skip_dark is not None:
            return None
        return max(1 / rate for rate in (camera.fps or 1.0, camera.capture_fps or 1.0))


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
