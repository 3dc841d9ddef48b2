"""A real Mosquitto for tests: started, killed, frozen and started again; and a client that listens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(true: Callable[[], object], seconds: float = 60.0) -> bool:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


class Mosquitto:
    """A broker on 127.0.0.1 while the block runs; over restarts it knows what it was told to `remember`."""

    def __init__(
        self, folder: Path, users: dict[str, str] | None = None, tls: bool = False, mutual: bool = False
    ) -> None:
        if PROGRAM is None:
            pytest.skip("needs mosquitto (apt install mosquitto)")
        pytest.importorskip("paho.mqtt.client", reason="needs edge-nima[mqtt]")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'false' if users else 'true'}",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 0",
            "max_queued_messages 0",
            "max_inflight_messages 0",
        ]
        if os.geteuid() == 0:
            lines.append("user root")
        if users:
            passwords = folder / "passwords"
            passwords.touch(mode=0o600)
            for name, password in users.items():
                subprocess.run(["mosquitto_passwd", "-b", passwords, name, password], check=True, capture_output=True)
            lines.append(f"password_file {passwords}")
        if tls:
            certificates(folder)
            lines += [f"cafile {folder}/ca.crt", f"certfile {folder}/server.crt", f"keyfile {folder}/server.key"]
            lines.append(f"require_certificate {str(mutual).lower()}")
        self.users = users or {}
        self.tls = tls
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> Self:
        with open(self.folder / "mosquitto.log", "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM or "", "-c", self.folder / "mosquitto.conf"], stdout=log, stderr=log
            )
        assert eventually(self.answers), (self.folder / "mosquitto.log").read_text()
        return self

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def remember(self) -> None:
        """Write down who has subscribed and what is retained, now."""
        database = self.folder / "mosquitto.db"
        before = database.stat().st_mtime_ns if database.exists() else 0
        self.send(signal.SIGUSR1)
        assert eventually(lambda: database.exists() and database.stat().st_mtime_ns > before)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class Ear:
    """A client with a session that the broker remembers: what is published while it is away still reaches it."""

    def __init__(self, broker: Mosquitto, topic: str = "#", session: str = "ear") -> None:
        from paho.mqtt.client import Client, MQTTMessage
        from paho.mqtt.enums import CallbackAPIVersion

        self.heard: list[tuple[str, bytes, bool]] = []
        self._there = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, session, clean_session=False)
        for user, password in list(broker.users.items())[:1]:
            self.client.username_pw_set(user, password)
        if broker.tls:
            self.client.tls_set(str(broker.folder / "ca.crt"))
        self.client.reconnect_delay_set(1, 1)

        def connected(client: Client, *_: Any) -> None:
            client.subscribe(topic, qos=1)

        def message(_client: Client, _data: Any, message: MQTTMessage) -> None:
            self.heard.append((message.topic, bytes(message.payload), message.retain))

        self.client.on_connect = connected
        self.client.on_subscribe = lambda *_: self._there.set()
        self.client.on_message = message
        self.client.connect("localhost" if broker.tls else "127.0.0.1", broker.port)
        self.client.loop_start()
        assert self._there.wait(60)
        broker.remember()

    def on(self, topic: str) -> list[Any]:
        """What was heard under a topic, decoded."""
        return [json.loads(payload) for where, payload, _ in list(self.heard) if where == topic]

    def last(self, topic: str) -> Any:
        heard = self.on(topic)
        return heard[-1] if heard else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def retained(broker: Mosquitto) -> dict[str, Any]:
    """What a client finds that comes now."""
    with Ear(broker, session=f"late-{time.monotonic_ns()}") as ear:
        time.sleep(0.3)
        return {topic: json.loads(payload) for topic, payload, kept in list(ear.heard) if kept and payload}


def certificates(folder: Path) -> None:
    """A certificate authority, its certificates for a server at localhost and a client, and another authority."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    new = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    authorities = [f"{new} -x509 -days 2 -subj /CN={ca} -keyout {ca}.key -out {ca}.crt" for ca in ("ca", "other-ca")]
    sign = "openssl x509 -req -days 2 -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names"
    signed = [
        command
        for name in ("server", "client")
        for command in (
            f"{new} -subj /CN=localhost -keyout {name}.key -out {name}.csr", f"{sign} -in {name}.csr -out {name}.crt"
        )
    ]  # fmt: skip
    for command in (*authorities, *signed):
        subprocess.run(command.split(), check=True, capture_output=True, cwd=folder)
