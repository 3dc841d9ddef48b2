"""Cameras on an MQTT broker: scores, photographs, state and health, with a last will each."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import socket
import ssl
import sys
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from edge_nima.errors import PackageMissing, RequestError, printable, reason
from edge_nima.frame import Frame
from edge_nima.outputs import Context, home_assistant
from edge_nima.watch.events import Health, Listener, Scored, Shot, State, Status
from edge_nima.watch.settings import Section, duration, flag, number, text
from edge_nima.watch.units import utc_text

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger("edge_nima.outputs")

PASSWORD_VARIABLE, PASSWORD_FILE = "EDGE_NIMA_MQTT_PASSWORD", "--mqtt-password-file FILE"
CLOSING_S, KEEPALIVE_S = 0.5, 30
FIRST_DELAY_S, LONGEST_DELAY_S = 1, 60  # between two attempts: doubled each time; the longest after a refusal


@dataclass(frozen=True)
class MqttSettings(Section):
    """Which broker, and what it is told."""

    title = "MQTT"

    mqtt: str | None = text(None, "Publish to this broker: mqtt://USER@HOST:PORT, mqtts:// for TLS.", shows="ADDRESS")
    mqtt_password_file: str | None = text(
        None, f"Holds the broker's password (or {PASSWORD_VARIABLE} does).", kind="path", needs="mqtt"
    )
    mqtt_ca: str | None = text(None, "Certificate that the broker's is signed by.", kind="path", needs="mqtt")
    mqtt_cert: str | None = text(None, "Our own certificate.", kind="path", needs="mqtt")
    mqtt_key: str | None = text(None, "Key of our certificate, if it has a file of its own.", kind="path",
                                needs="mqtt_cert")  # fmt: skip
    mqtt_insecure: bool = flag("TLS without checking the broker's certificate.", needs="mqtt")
    mqtt_every: str = duration("1s", "A score message at most this often.", needs="mqtt")
    mqtt_prefix: str = text("edge_nima", "First part of each topic.", needs="mqtt")
    mqtt_discovery: str = text("homeassistant", "Home Assistant's discovery prefix; '' for none.", needs="mqtt")
    mqtt_buffer: int = number(1000, "Messages kept while the broker is away.", 1, 10**6, needs="mqtt")

    def check(self) -> None:
        """Check address, files and topics."""
        if self.mqtt is not None:
            broker(self)


def broker(
    settings: MqttSettings, environ: Mapping[str, str] = os.environ
) -> tuple[str, int, str | None, str | None, ssl.SSLContext | None]:
    """Host, port, user, password (the address's, else the file's first line, else the variable's) and TLS.

    Raises RequestError: the address, a file or a topic cannot be used. Never repeats what may hold a password.
    """
    address, file = settings.mqtt or "", settings.mqtt_password_file
    try:
        parts = urlsplit(address if "://" in address else f"mqtt://{address}")
        host, port = parts.hostname or "", parts.port
        named = re.fullmatch(r"[^\s%]+", host) and (":" in host or host.encode("idna"))
        more = parts.path.strip("/") or parts.query or parts.fragment
        usable = parts.scheme in {"mqtt", "mqtts"} and named and port != 0 and not more
    except ValueError:  # its words may hold the password
        usable = False
    if not usable:
        raise RequestError(
            "--mqtt: that is not an MQTT broker's address; possible: HOST, HOST:PORT, "
            "mqtt://USER:PASSWORD@HOST:PORT, mqtts://HOST; in a password / ? # are %2F %3F %23"
        )
    user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    if (user is None and (file or password)) or (file and password is not None):
        raise RequestError("an MQTT password needs a user, and one place: --mqtt mqtt://USER@HOST and the file")
    for topic, usual in ((settings.mqtt_prefix, "edge_nima"), (settings.mqtt_discovery or "-", "homeassistant")):
        if re.search(r"^$|^[/$]|/$|[+#]", topic) or not topic.isprintable():
            wrong = "is empty, begins with / or $, ends in / or has + or # in it"
            raise RequestError(f"the MQTT prefix '{printable(topic)}' {wrong}; the usual one is {usual}")
    tls, secure = None, parts.scheme == "mqtts"
    if not secure and (settings.mqtt_ca or settings.mqtt_cert or settings.mqtt_insecure):
        raise RequestError("MQTT certificates are for TLS; write mqtts:// in place of mqtt://")
    what = f"read an MQTT password from '{printable(file or '')}'"
    try:
        if user is not None and password is None:
            password = Path(file).read_text("utf-8").partition("\n")[0] if file else environ.get(PASSWORD_VARIABLE)
        if secure:
            what = f"read CA certificates from '{printable(settings.mqtt_ca or '')}'"
            tls = ssl.create_default_context(cafile=settings.mqtt_ca)
            if settings.mqtt_insecure:
                tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            if settings.mqtt_cert:
                what = f"use the client certificate '{printable(settings.mqtt_cert)}'"
                tls.load_cert_chain(settings.mqtt_cert, settings.mqtt_key, password="")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot {what}: {reason(error)}") from error
    return host, port or (8883 if secure else 1883), user, password, tls


class _Camera:
    """What the broker is told of one camera, over a connection of its own that paho's loop keeps.

    Scores and shots wait while the broker is away; beyond the buffer the oldest is lost. State, health and image are
    retained, the newest of each, and sent again at every new connection: a restarted broker may have forgotten them.
    Another watcher that publishes to the state's topic is noticed; its farewell, or a late last will, is put right.
    """

    def __init__(self, settings: MqttSettings, camera: str, context: Context) -> None:
        self.published = self.lost = 0
        self.instance = secrets.token_hex(4)
        self._settings, self._camera, self._base = settings, camera, f"{settings.mqtt_prefix}/{camera}"
        self._every_s = settings.seconds("mqtt_every") or 0.0
        self._interval_s, self._photographs = context.cameras[camera], context.gallery is not None
        self._held: Scored | None = None
        self._due = float("-inf")
        self._known: set[str] = set()  # a board that has once said its temperature has a thermometer
        self._told, self._stopped = self._state(State.stopped, time(), None), True
        self._shown: Path | None = None
        self._lock = Lock()  # never taken in `on_publish`: paho calls it with a lock that `publish` needs
        self._waiting: deque[tuple[str, bytes, bool]] = deque(maxlen=settings.mqtt_buffer)  # topic, payload, retained
        self._kept: dict[str, bytes] = {}
        self._flying: dict[int, bool] = {}  # message id -> whether `published` and `lost` count it
        self._acknowledged: deque[int] = deque()
        self.namesakes: dict[str | None, str] = {}  # instance -> what is said of it
        self.problem: str | None = None
        self._ready = self._refused = self._closing = False
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
        except ImportError as error:
            raise PackageMissing("publishing to MQTT needs paho-mqtt: pip install 'edge-nima[mqtt]'") from error
        client_id = f"{self._base}-{self.instance}".replace("/", "-")
        # 3.1.1, since every broker speaks it.
        self._client = client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv311)
        client.reconnect_delay_set(FIRST_DELAY_S, LONGEST_DELAY_S)
        will = self._state("offline", None, "the connection to the broker broke off")
        client.will_set(f"{self._base}/state", will, qos=1, retain=True)
        host, port, self._user, password, tls = broker(self._settings)
        self._broker = f"the MQTT broker at {f'[{host}]' if ':' in host else host}:{port}"
        client.username_pw_set(self._user, password)
        if tls is not None:
            client.tls_set_context(tls)
        client.on_connect, client.on_connect_fail = self._on_connect, self._on_connect_fail
        client.on_subscribe, client.on_disconnect = self._on_subscribe, self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = lambda _client, _data, mid, *_: self._acknowledged.append(mid)
        client.connect_async(host, port, keepalive=KEEPALIVE_S)
        client.loop_start()

    def scored(self, scored: Scored | None = None) -> None:
        """Publish this score, or the one that was held back, when it is time."""
        with self._lock:
            self._held, now = scored or self._held, monotonic()
            if self._held is not None and now >= self._due:
                self._offer("score", score_payload(self._held), False)
                self._due, self._held = now + self._every_s, None

    def kept(self, shot: Shot) -> None:
        self._shown = shot.path
        with self._lock:
            self._offer("shot", _json(shot_facts(shot)), True)

    def show(self, shot: Shot) -> None:  # takes a while
        with suppress(OSError):  # removed already
            picture = home_assistant.picture(shot.path)
            if self._shown == shot.path:
                self._keep(f"{self._base}/image", picture)

    def removed(self, shot: Shot) -> None:
        if self._shown == shot.path:
            self._shown = None
            self._keep(f"{self._base}/image", b"")

    def changed(self, status: Status) -> None:
        told = self._state(status.state, status.since, status.problem, status.model)
        with self._lock:
            self._told, self._stopped = told, status.state is State.stopped
        if discovery := self._settings.mqtt_discovery:
            board = {} if status.health is None else asdict(status.health)
            self._known |= {key for key, value in board.items() if value is not None}
            interval_s = None if self._interval_s is None else max(self._interval_s, self._every_s)
            node, device = home_assistant.device(
                self._settings.mqtt_prefix, self._camera, status.model, self._known, interval_s, self._photographs
            )
            self._keep(f"{discovery}/device/{node}/config", device)
        if not (self._stopped and self.namesakes):  # else it is not for us to say
            self._keep(f"{self._base}/state", told)
        self._keep(f"{self._base}/health", health_payload(status))
        self.scored()

    def end(self) -> None:
        """Take no more messages; send the last score and state, and what waits."""
        self._due = float("-inf")
        self.scored()
        state = self._told if self._stopped else self._state(State.stopped, time(), None)
        # A namesake learns that we leave, and says its own state again.
        topic = f"{self._base}/state/left" if self.namesakes else f"{self._base}/state"
        with self._lock:
            self._closing = True
            if self._ready:
                self._publish(topic, state, not self.namesakes)

    def leave(self, until: float) -> None:
        """Disconnect when all is sent, at the latest at `until` of the monotonic clock."""
        while self._ready and self.delivered()[2] and monotonic() < until:
            sleep(0.01)
        sock = self._client.socket()
        if sock is not None and not (self._ready and all(self._flying.values())):
            # The last state did not arrive. A farewell would make the broker drop our last will as well.
            with suppress(OSError):
                cast("socket.socket", sock).shutdown(socket.SHUT_RDWR)
        self._client.disconnect()
        while self._client.socket() is not None and monotonic() < until + 0.2:
            sleep(0.01)
        with self._lock:
            self.lost += len(self._waiting) + sum(self._flying.values())
            self._waiting.clear()
            self._flying.clear()

    def _state(self, word: str, since: float | None, problem: str | None, model: str | None = None) -> bytes:
        said = {"state": word, "since": None if since is None else utc_text(since), "problem": problem, "model": model}
        return _json({**said, "host": socket.gethostname(), "instance": self.instance})

    def _offer(self, what: str, payload: bytes, retain: bool) -> None:
        """Send this when it is its turn. The caller has the lock."""
        if self._closing or len(self._waiting) >= self._settings.mqtt_buffer:
            self.lost += 1
        if not self._closing:
            self._waiting.append((f"{self._base}/{what}", payload, retain))
            self._flush()

    def _flush(self) -> None:
        while self._ready and self._waiting:
            self._publish(*self._waiting.popleft(), counts=True)

    def _keep(self, topic: str, payload: bytes) -> None:
        """Let this be what the broker retains under `topic`; what it has already is not sent."""
        with self._lock:
            if not self._closing and self._kept.get(topic) != payload:
                self._kept[topic] = payload
                if self._ready:
                    self._publish(topic, payload, True)

    def _publish(self, topic: str, payload: bytes, retain: bool, counts: bool = False) -> None:
        self._flying[self._client.publish(topic, payload, 1, retain).mid] = counts

    def delivered(self) -> tuple[int, int, int]:  # acknowledged, lost, on their way
        with self._lock:
            while self._acknowledged:
                self.published += self._flying.pop(self._acknowledged.popleft(), False)
            return self.published, self.lost, len(self._flying)

    def _on_connect(self, client: Client, _data: Any, _flags: Any, code: ReasonCode, *_: Any) -> None:
        self._refused = code.is_failure
        client.reconnect_delay_set(LONGEST_DELAY_S if self._refused else FIRST_DELAY_S, LONGEST_DELAY_S)
        if self._closing:
            client.disconnect()
        elif self._refused:
            who, how = "us without a user", "write mqtt://USER:PASSWORD@HOST"
            if self._user is not None:
                who = f"user '{printable(self._user)}'"
                how = f"its password goes into {PASSWORD_VARIABLE} or {PASSWORD_FILE}"
            self._trouble(f"{self._broker} refuses {who}: {code.getName().lower()}; {how}")
        else:
            self.namesakes.clear()  # whoever lives answers the state that we say now
            client.subscribe(f"{self._base}/state/#", qos=1)  # which is the topic itself, too

    def _on_subscribe(self, *_: Any) -> None:
        # Only now: at `on_connect` paho has still to send again what was on its way when the last connection broke.
        log.info("connected to %s", self._broker)
        with self._lock:
            self._ready, self.problem = True, None
            for topic, payload in self._kept.items():
                self._publish(topic, payload, True)
            self._flush()

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this where it catches it
        if isinstance(error, ssl.SSLError):
            why = getattr(error, "verify_message", "") or (error.reason or reason(error)).replace("_", " ").lower()
            how = "is its port one for TLS, its certificate for this name, who signed that in --mqtt-ca FILE?"
            self._trouble(f"no TLS with {self._broker}: {why}; {how}")
        else:
            self._trouble(f"{self._broker} cannot be reached: {'unknown' if error is None else reason(error)}")

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, code: ReasonCode, *_: Any) -> None:
        accepted, self._ready, why = self._ready, False, code.getName().lower()
        if accepted or "keep alive" in why:
            self._trouble(f"the connection to {self._broker} broke off ({why})")
        elif self._closing or not self._refused:
            self._trouble(f"{self._broker} hung up without an answer; is its port one for TLS (mqtts://)?")

    def _trouble(self, problem: str) -> None:
        if self._closing:
            self._client.disconnect()
        elif problem != self.problem:
            self.problem = problem
            log.warning("%s; trying again, at most every %d s", problem, LONGEST_DELAY_S)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            said = json.loads(message.payload)
            word, instance, host = said["state"], said.get("instance"), printable(str(said.get("host")))
        except (ValueError, TypeError, KeyError, AttributeError):
            return
        if word in home_assistant.GONE:
            self.namesakes.pop(instance, None)
        elif instance == self.instance or message.retain or instance in self.namesakes:
            return  # what is retained may be the state of an earlier process, killed a moment ago
        else:
            self.namesakes[instance] = f"another watcher publishes as '{self._camera}' (host {host}): give --name"
            log.warning("%s", self.namesakes[instance])
        with self._lock:
            if self._ready and not (self._stopped or self._closing):
                self._publish(f"{self._base}/state", self._told, True)


class _Output(Listener):
    """One connection for each camera, since each has a last will."""

    def __init__(self, settings: MqttSettings, context: Context) -> None:
        self.cameras = {camera: _Camera(settings, camera, context) for camera in context.cameras}
        self._pictures = ThreadPoolExecutor(1, "mqtt-pictures")

    def scored(self, scored: Scored, frame: Frame) -> None:
        self.cameras[scored.camera].scored(scored)

    def kept(self, shot: Shot) -> None:
        self.cameras[shot.camera].kept(shot)
        with suppress(RuntimeError):  # closed already
            self._pictures.submit(self.cameras[shot.camera].show, shot)

    def removed(self, shot: Shot) -> None:
        self.cameras[shot.camera].removed(shot)

    def changed(self, status: Status) -> None:
        self.cameras[status.camera].changed(status)

    def problem(self, camera: str) -> str | None:
        one = self.cameras[camera]
        return one.problem or next(iter(list(one.namesakes.values())), None)

    def delivered(self, camera: str) -> tuple[int, int]:
        return self.cameras[camera].delivered()[:2]

    def close(self) -> None:  # at most 0.7 s
        self._pictures.shutdown(wait=False, cancel_futures=True)
        until = monotonic() + CLOSING_S
        for camera in self.cameras.values():
            camera.end()
        for camera in self.cameras.values():
            camera.leave(until)


SETTINGS = MqttSettings


def open_output(settings: MqttSettings, context: Context) -> Listener | None:
    """Begin to publish, if a broker is given; one that is away is tried again. Raises RequestError, PackageMissing."""
    return None if settings.mqtt is None else _Output(settings, context)


def score_payload(scored: Scored) -> bytes:
    """A score: mean and std in rating points, distribution of ten proportions, age and elapsed in milliseconds."""
    record = scored.record
    distribution = None if record.distribution is None else [round(p, 5) for p in record.distribution]
    return _json({
        "mean": _rounded(record.mean), "std": _rounded(record.std), "distribution": distribution,
        "taken_at": utc_text(scored.taken_at), "age_ms": _rounded(scored.age_ms, 1),
        "model": record.model, "elapsed_ms": _rounded(record.elapsed_ms, 2),
    })  # fmt: skip


def shot_facts(shot: Shot) -> dict[str, Any]:
    """A kept photograph: when, where, its mean, its stars 1..5 and its bytes."""
    facts = {"mean": _rounded(shot.mean), "rating": shot.rating, "size": shot.size}
    return {"taken_at": utc_text(shot.taken_at), "path": str(shot.path), **facts}


def health_payload(status: Status) -> bytes:
    """The board's health (null where it does not say), frames a second, and all counts since the start."""
    board = status.health or Health(0.0)
    return _json({
        **asdict(board), "at": None if status.health is None else utc_text(board.at),
        "temperature_c": _rounded(board.temperature_c, 1), "fps": _rounded(status.fps, 2),
        "uptime_s": _rounded(status.uptime_s, 0), "counts": asdict(status.counts),
    })  # fmt: skip


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")
