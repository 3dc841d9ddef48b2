"""A camera on an MQTT broker: what is told, under which topic, and how often."""

from __future__ import annotations

import secrets
from dataclasses import asdict, replace
from functools import partial
from threading import Lock
from time import monotonic

from edge_nima.frames import Frame
from edge_nima.publish import discovery, payloads
from edge_nima.publish.broker import Broker
from edge_nima.publish.connection import Connection, Message
from edge_nima.watch.events import Health, Listener, Scored, Shot, State, Status

STILL_S = 10.0
"""So often the last score is said again while nothing moves."""


class MqttPublisher(Listener):
    """Tells a broker what one camera's watcher tells it.

    PREFIX/CAMERA/score, at most one in `every_s`, the newest; PREFIX/CAMERA/shot, each kept photograph;
    PREFIX/CAMERA/state and PREFIX/CAMERA/health, the newest of each, retained. The state is "offline" when this
    process is gone: the broker says so itself. Its methods only put something down for the connection's thread.
    """

    def __init__(self, connection: Connection, camera: str) -> None:
        """Tell of `camera`, a source's label, over a connection that `connect` has made."""
        self._connection, self.camera = connection, camera
        self._broker = connection.broker
        self._lock = Lock()
        self._due = float("-inf")
        self._held: Scored | None = None
        self._told_at = float("-inf")
        self._still = 0
        self._status: Status | None = None
        self._board: Health | None = None

    @property
    def published(self) -> int:
        """Scores and shots that the broker has acknowledged."""
        return self._connection.published

    @property
    def lost(self) -> int:
        """Scores and shots that were dropped, since the broker was away for longer than the buffer lasted."""
        return self._connection.lost

    @property
    def problem(self) -> str | None:
        """Why messages do not arrive now, on one line; None when they do."""
        return self._connection.problem

    def scored(self, scored: Scored, frame: Frame) -> None:
        """Publish it, or hold it back until its interval is over or a newer one takes its place."""
        now = monotonic()
        with self._lock:
            if now < self._due:
                self._held = scored
                return
            self._tell(scored, now)

    def kept(self, shot: Shot) -> None:
        """Publish the photograph's place and rating. The newest is retained, so that it is known after a restart."""
        self._connection.offer(Message(self._topic("shot"), partial(payloads.shot, shot), retain=True))

    def changed(self, status: Status) -> None:
        """Publish state and health, and the score that was held back."""
        self._status = status
        if self._broker.discovery is not None:
            self._board = _known(self._board, status.health)
            where = discovery.topic(self._broker.prefix, self._broker.discovery, self.camera)
            what = (self._broker.prefix, self.camera, status.model, self._board, self._broker.every_s)
            self._connection.keep(where, discovery.payload(*what))
        self._connection.keep(self._topic("state"), payloads.state(status))
        self._connection.keep(self._topic("health"), payloads.health(status))
        now = monotonic()
        with self._lock:
            if self._held is not None and now >= self._due:
                self._tell(self._held, now)
            elif (
                status.state is State.watching
                and status.last is not None
                and status.counts.still > self._still
                and now - self._told_at >= max(STILL_S, self._broker.every_s) - 1
            ):
                self._tell(status.last, now, still=True)
            self._still = status.counts.still

    def close(self) -> None:
        """Publish the score that was held back and the state "stopped", and disconnect; at most 0.7 s."""
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            self._connection.offer(Message(self._topic("score"), partial(payloads.score, held)))
        self._connection.close({self._topic("state"): payloads.stopped(self._status)})

    def _tell(self, scored: Scored, now: float, still: bool = False) -> None:
        self._due, self._told_at, self._held = now + self._broker.every_s, now, None
        self._connection.offer(Message(self._topic("score"), partial(payloads.score, scored, still)))

    def _topic(self, what: str) -> str:
        return f"{self._broker.prefix}/{self.camera}/{what}"


def connect(broker: Broker, *, camera: str) -> MqttPublisher:
    """Begin to publish what a camera's watcher tells. One connection for each camera, since each has a last will.

    A broker that cannot be reached does not stop this: `problem` says so, a warning is logged, and it is tried again,
    for ever. Returns within five seconds.

    Args:
        broker: the broker.
        camera: the source's label, made of [a-z0-9_-].

    Raises:
        PublishError: the broker refuses the user or the password, or TLS cannot be had with it.
        PackageMissing: paho-mqtt is not installed.
        RequestError: a certificate that cannot be read.
    """
    client_id = broker.client_id or f"edge_nima-{camera}-{secrets.token_hex(4)}"
    connection = Connection(broker, client_id, f"{broker.prefix}/{camera}/state", payloads.offline())
    connection.start()
    if connection.refusal is not None:
        refusal = connection.refusal
        connection.close({})
        raise refusal
    return MqttPublisher(connection, camera)


def _known(before: Health | None, now: Health | None) -> Health | None:
    """Both in one: a board that has once said its temperature has a thermometer."""
    if before is None or now is None:
        return before or now
    return replace(before, **{key: value for key, value in asdict(now).items() if value is not None})
