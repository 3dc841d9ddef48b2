"""One connection to a broker, kept for ever by a thread of its own: what waits, what is on its way, what was lost."""

from __future__ import annotations

import logging
import os
import random
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from threading import Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, cast

from edge_nima.errors import PackageMissing, PublishError, printable, reason
from edge_nima.publish.broker import PASSWORD_VARIABLE, Broker

if TYPE_CHECKING:
    from paho.mqtt.client import Client
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger("edge_nima.publish")

ANSWER_S = 4.0
"""So long a broker may take to answer a new connection."""
CLOSING_S = 0.5
"""So long `close` goes on sending."""
KEEPALIVE_S = 30
"""A broker that says nothing for so long is asked, and given up after as long again."""
FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 60.0
"""Between two attempts: doubled each time, and half of it left to chance, so that many cameras do not come at once."""
IN_FLIGHT = 20
"""Messages that are sent before the first of them is acknowledged; beside the buffer."""
_UNAVAILABLE = 0x88


class Message(NamedTuple):
    """One message that is sent once; what it says is made by the connection's thread."""

    topic: str
    payload: Callable[[], bytes]
    retain: bool = False


class Connection:
    """Two kinds of messages, each acknowledged by the broker (QoS 1).

    `offer`ed ones wait in line while the broker is away and are sent in their order; beyond the buffer the oldest is
    lost and counted. Of `keep`, only the newest of each topic matters: it is retained by the broker, told again at
    every new connection (a broker that was restarted may have forgotten it), and takes no room in the buffer.
    """

    def __init__(self, broker: Broker, client_id: str, will_topic: str, will: bytes) -> None:
        """Prepare; nothing is sent before `start`.

        Raises:
            PackageMissing: paho-mqtt is not installed.
            RequestError: a certificate that cannot be read.
        """
        self.broker = broker
        self.published = 0
        """Offered messages that the broker has acknowledged."""
        self.lost = 0
        """Offered messages that were dropped."""
        self.refusal: PublishError | None = None
        """Why the broker would not have us when it was first asked."""
        self._problem: str | None = f"the MQTT broker at {broker.address} has not answered yet"
        self._tls = broker.tls_context() if broker.tls else None
        self._client = _client(broker, self._tls, client_id, will_topic, will)
        self._client.on_connect = lambda _client, _data, _flags, code, _properties: self._answered(code)
        self._client.on_disconnect = lambda _client, _data, _flags, code, _properties: self._broke_off(code)
        self._client.on_message = lambda _client, _data, message: self._heard(bytes(message.payload))
        self._client.on_publish = lambda _client, _data, mid, _code, _properties: self._acknowledged(mid)
        self._lock = Lock()
        self._waiting: deque[Message] = deque()
        self._kept: dict[str, bytes] = {}
        self._untold: dict[str, bytes] = {}
        self._will_topic, self._will = will_topic, will
        self._flying: dict[int, bool] = {}  # message id -> whether it counts
        self._accepted = False
        self._refused: PublishError | None = None
        self._ending, self._busy = "", False
        self._closing_at: float | None = None
        self._decided = Event()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._thread = Thread(target=self._run, name="mqtt", daemon=True)

    @property
    def problem(self) -> str | None:
        """Why messages do not arrive now, on one line; None when they do."""
        return self._problem

    def start(self) -> None:
        """Connect, and wait until that has come to something, at most `ANSWER_S`."""
        self._thread.start()
        self._decided.wait(ANSWER_S + CLOSING_S)

    def offer(self, message: Message) -> None:
        """Send this message, when it is its turn. Returns at once."""
        with self._lock:
            if self._closing_at is not None:
                self.lost += 1
                return
            if len(self._waiting) >= self.broker.buffer:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(message)
            if self._accepted:
                self._wake()

    def keep(self, topic: str, payload: bytes) -> None:
        """Let this be what the broker keeps under `topic`. Returns at once; equal to what it keeps, nothing is sent."""
        with self._lock:
            if self._closing_at is None and self._kept.get(topic) != payload:
                self._kept[topic] = self._untold[topic] = payload
                if self._accepted:
                    self._wake()

    def close(self, last: Mapping[str, bytes]) -> None:
        """Tell the last of what is kept, send what waits, at most for half a second, and go."""
        with self._lock:
            if self._closing_at is not None:
                return
            self._untold.update(last)
            self._closing_at = monotonic() + CLOSING_S
            self._wake()
        self._thread.join(CLOSING_S + 0.2)  # a connection that is just being opened is left to its own end
        with self._lock:
            self.lost += len(self._waiting) + sum(self._flying.values())
            self._waiting.clear()

    def _closing(self) -> bool:
        return self._closing_at is not None

    def _wake(self) -> None:
        if self._wake_write >= 0:
            try:
                os.write(self._wake_write, b"\0")
            except BlockingIOError:
                return  # 65,536 wakings are on their way already

    def _run(self) -> None:
        delay = FIRST_DELAY_S
        try:
            while not self._closing():
                known, self._accepted = self._problem, False
                self._problem = self._try()
                if self._closing():
                    return
                if not self._decided.is_set():
                    self.refusal = self._refused
                if self._problem != known and not (self.refusal and not self._decided.is_set()):
                    log.warning("%s; trying again, at most every %d s", self._problem, LONGEST_DELAY_S)
                self._decided.set()
                delay = FIRST_DELAY_S if self._accepted else delay
                self._rest(delay * random.uniform(0.5, 1))
                delay = min(delay * 2, LONGEST_DELAY_S)
        finally:
            self._decided.set()
            with self._lock:
                os.close(self._wake_read)
                os.close(self._wake_write)
                self._wake_write = -1

    def _rest(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        until = monotonic() + seconds
        while not self._closing() and (left := until - monotonic()) > 0:
            poll.poll(1000 * left)
            self._slept()

    def _slept(self) -> None:
        try:
            while os.read(self._wake_read, 4096):
                pass
        except BlockingIOError:
            return

    def _try(self) -> str:
        try:
            return self._connect_and_stay()
        except Exception as error:  # whatever it is, it must not be the last attempt
            log.exception("publishing to %s failed", self.broker.address)
            return f"publishing to the MQTT broker at {self.broker.address} failed: {reason(error)}"

    def _connect_and_stay(self) -> str:
        """Connect and serve the connection until it ends; why it ended."""
        address = self.broker.address
        self._ending, self._busy, self._refused = "", False, None
        try:
            self._client.reconnect()
        except OSError as error:
            self._close_half_opened()
            if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
                return f"the MQTT broker at {address} hung up instead of speaking TLS; is its port one for TLS?"
            if isinstance(error, ssl.SSLError):
                self._refused = PublishError(_tls_problem(self.broker, error))
                return str(self._refused)
            return f"the MQTT broker at {address} cannot be reached: {reason(error)}"
        answer_by = monotonic() + ANSWER_S
        while (sock := cast("socket.socket | None", self._client.socket())) is not None:
            if self._closing_at is not None and (self._all_told() or monotonic() > self._closing_at):
                self._leave(sock)
                return ""
            if not self._accepted and monotonic() > answer_by:
                self._client.disconnect()
                return f"the MQTT broker at {address} gives no answer"
            self._serve(sock)
            if self._accepted:
                self._send()
        return self._why_it_ended()

    def _close_half_opened(self) -> None:
        """What paho leaves open where TLS comes to nothing."""
        if self._tls is not None and self._tls.newest is not None:
            self._tls.newest.close()

    def _why_it_ended(self) -> str:
        address = self.broker.address
        if self._refused is not None:
            return str(self._refused)
        if self._busy:
            return f"the MQTT broker at {address} says that it is not available now"
        if self._accepted:
            return f"the connection to the MQTT broker at {address} broke off ({self._ending or 'closed'})"
        hint = (
            "does it ask for a client certificate (--mqtt-cert)?"
            if self.broker.tls
            else "is its port one for TLS (mqtts://)?"
        )
        return f"the MQTT broker at {address} hung up without an answer; {hint}"

    def _serve(self, sock: socket.socket) -> None:
        events = select.POLLIN | (select.POLLOUT if self._client.want_write() else 0)
        poll = select.poll()
        poll.register(sock, events)
        poll.register(self._wake_read, select.POLLIN)
        there = _decrypted(sock)
        ready = dict(poll.poll(0 if there else 1000 * self._patience()))
        if self._wake_read in ready:
            self._slept()
        happened = ready.get(sock.fileno(), 0)
        if there or happened & ~select.POLLOUT:
            self._client.loop_read()
        if happened & select.POLLOUT:
            self._client.loop_write()
        self._client.loop_misc()

    def _patience(self) -> float:
        return 1.0 if self._closing_at is None else max(0.0, self._closing_at - monotonic()) + 0.001

    def _send(self) -> None:
        while len(self._flying) < IN_FLIGHT:
            with self._lock:
                if self._untold:
                    topic = next(iter(self._untold))
                    message, counts = Message(topic, _same(self._untold.pop(topic)), retain=True), False
                elif self._waiting:
                    message, counts = self._waiting.popleft(), True
                else:
                    return
            try:
                # Where the connection just broke, paho has it all the same, and sends it first on the next one.
                sent = self._client.publish(message.topic, message.payload(), qos=1, retain=message.retain)
            except Exception:
                with self._lock:
                    self.lost += counts
                raise
            self._flying[sent.mid] = counts

    def _all_told(self) -> bool:
        return self._accepted and not (self._flying or self._waiting or self._untold)

    def _leave(self, sock: socket.socket) -> None:
        if self._accepted and not (self._untold or any(not counts for counts in self._flying.values())):
            self._client.disconnect()
        else:
            # The last state did not arrive. A farewell would make the broker drop our last will as well.
            sock.close()

    def _answered(self, code: ReasonCode) -> None:
        if code.is_failure:
            self._busy = code.value == _UNAVAILABLE
            self._refused = None if self._busy else PublishError(_refusal(self.broker, code.getName()))
            return
        self._accepted, self._problem = True, None
        log.info("connected to the MQTT broker at %s", self.broker.address)
        with self._lock:
            self._untold = {**self._kept, **self._untold}
        self._client.subscribe(self._will_topic, qos=1)
        self._decided.set()

    def _heard(self, state: bytes) -> None:
        """The will of an earlier life, power cut say, may come after we have said that we are here."""
        if state == self._will:
            with self._lock:
                if not self._closing() and self._will_topic in self._kept:
                    self._untold[self._will_topic] = self._kept[self._will_topic]

    def _broke_off(self, code: ReasonCode) -> None:
        self._ending = code.getName().lower()

    def _acknowledged(self, mid: int) -> None:
        if self._flying.pop(mid, False):
            self.published += 1


def _client(broker: Broker, tls: ssl.SSLContext | None, client_id: str, will_topic: str, will: bytes) -> Client:
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
    except ImportError as error:
        raise PackageMissing("publishing to MQTT needs paho-mqtt: pip install 'edge-nima[mqtt]'") from error
    # 3.1.1, since every broker speaks it.
    client = Client(CallbackAPIVersion.VERSION2, client_id, clean_session=True, protocol=MQTTProtocolVersion.MQTTv311)
    client.connect_timeout = ANSWER_S
    client.max_inflight_messages_set(0)  # ours is the limit
    client.will_set(will_topic, will, qos=1, retain=True)
    if broker.user is not None:
        client.username_pw_set(broker.user, broker.password)
    if tls is not None:
        client.tls_set_context(tls)
    client.connect_async(broker.host, broker.numbered_port, keepalive=KEEPALIVE_S)
    return client


def _decrypted(sock: socket.socket) -> bool:
    """Whether TLS has bytes ready that no poll tells of."""
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


def _same(payload: bytes) -> Callable[[], bytes]:
    return lambda: payload


def _refusal(broker: Broker, words: str) -> str:
    whom = f"user '{printable(broker.user)}'" if broker.user else "us without a user"
    how = (
        f"its password goes into {PASSWORD_VARIABLE} or --mqtt-password-file FILE"
        if broker.user
        else "write mqtt://USER:PASSWORD@HOST"
    )
    return f"the MQTT broker at {broker.address} refuses {whom}: {words.lower()}; {how}"


def _tls_problem(broker: Broker, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        how = "give who signed it with --mqtt-ca FILE, and as the host the name that it is made for"
    else:
        why, how = (error.reason or reason(error)).replace("_", " ").lower(), "is its port one for TLS (8883 is usual)?"
    return f"no TLS with the MQTT broker at {broker.address}: {why}; {how}"
