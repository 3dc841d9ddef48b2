from __future__ import annotations

import gc
import io
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from broker import Ear, Mosquitto, eventually, free_port, retained
from edge_nima.errors import PackageMissing, RequestError
from edge_nima.frame import Frame
from edge_nima.outputs import Context, home_assistant, mqtt
from edge_nima.outputs.mqtt import MqttSettings, open_output
from edge_nima.records import ScoreRecord
from edge_nima.watch.events import Counts, Health, Scored, Shot, State, Status
from edge_nima.watch.gallery import Gallery

FRAME = Frame(np.zeros((2, 2, 3), np.uint8))
HEALTH = Health(1.7e9, 61.5, throttled=True, undervoltage=False, flags=4, free_disk=10**9, memory=9 * 10**7)
STATUS = Status("garden", State.watching, 1.7e9, 60.0, 4.5, "m@12345678", Counts(scored=7), health=HEALTH)
SHOT = Shot(Path("/shots/a.jpg"), "garden", 1.7e9, 6.5, 4, 12345)


def scored(number: int, camera: str = "garden") -> Scored:
    record = ScoreRecord(f"{camera}/{number}", 5.25, 1.5, (0.1,) * 10, "m@12345678", 31.0)
    return Scored(record, camera, 1.7e9 + number, 40.0)


def numbers(ear: Ear) -> list[int]:
    """Which of the scores above were heard, in their order."""
    times = (score["taken_at"] for score in ear.on("edge_nima/garden/score"))
    return [round(datetime.fromisoformat(text).timestamp() - 1.7e9) for text in times]


class Publisher(mqtt._Output):
    """Of one camera."""

    camera = "garden"

    @property
    def trouble(self) -> str | None:
        return self.problem(self.camera)

    @property
    def counts(self) -> tuple[int, int]:
        return self.delivered(self.camera)

    @property
    def connection(self) -> mqtt._Camera:
        return self.cameras[self.camera]


def connect(
    port: int, host: str = "127.0.0.1", *, camera: str = "garden", interval: float | None = 1.0, tls: bool = False,
    user: str = "", photographs: bool = False, **more: Any,
) -> Publisher:  # fmt: skip
    pytest.importorskip("paho.mqtt.client", reason="needs edge-nima[mqtt]")
    address = f"mqtt{'s' * tls}://{user}{host}:{port}"
    settings = MqttSettings(address, **{"mqtt_every": "0", **more})
    settings.check()
    gallery = object.__new__(Gallery) if photographs else None
    publisher = Publisher(settings, Context({camera: interval}, list, gallery))
    publisher.camera = camera
    return publisher


def connected(broker: Mosquitto, **more: Any) -> Publisher:
    publisher = connect(broker.port, **more)
    assert eventually(lambda: publisher.connection._ready), publisher.trouble
    assert publisher.trouble is None
    return publisher


def tell(publisher: Publisher, which: range, pause: float = 0.0) -> None:
    for number in which:
        publisher.scored(scored(number), FRAME)
        time.sleep(pause)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "FIRST_DELAY_S", 0.3)
    monkeypatch.setattr(mqtt, "LONGEST_DELAY_S", 0.6)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("paho")]


def test_scores_shots_state_and_health_are_heard_by_another_client(broker: Mosquitto) -> None:
    with Ear(broker) as ear:
        publisher = connected(broker)
        publisher.scored(scored(3), FRAME)
        publisher.kept(SHOT)
        publisher.changed(STATUS)
        assert eventually(lambda: len(ear.heard) >= 5)
        assert ear.on("edge_nima/garden/score") == [{
            "mean": 5.25, "std": 1.5, "distribution": [0.1] * 10, "taken_at": "2023-11-14T22:13:23.000Z",
            "age_ms": 40.0, "model": "m@12345678", "elapsed_ms": 31.0,
        }]  # fmt: skip
        assert ear.last("edge_nima/garden/shot") == {
            "taken_at": "2023-11-14T22:13:20.000Z", "path": "/shots/a.jpg", "mean": 6.5, "rating": 4, "size": 12345,
        }  # fmt: skip
        state = ear.last("edge_nima/garden/state")
        assert (state["state"], state["host"]) == ("watching", socket.gethostname())
        health = ear.last("edge_nima/garden/health")
        assert (health["temperature_c"], health["throttled"], health["fps"]) == (61.5, True, 4.5)
        assert health["counts"]["scored"] == 7
        assert eventually(lambda: publisher.counts == (2, 0))
        publisher.close()
        assert eventually(lambda: (ear.last("edge_nima/garden/state") or {}).get("state") == "stopped")
    left = retained(broker)
    assert left["edge_nima/garden/state"]["state"] == "stopped"
    known = {f"edge_nima/garden/{topic}" for topic in ("state", "health", "shot")}
    assert set(left) == {*known, "homeassistant/device/edge_nima_garden/config"}
    assert publisher.counts == (2, 0)
    assert eventually(lambda: threads() == [])


def test_a_state_is_told_when_it_changes_with_what_is_wrong(broker: Mosquitto) -> None:
    with Ear(broker, "edge_nima/garden/state") as ear:
        publisher = connected(broker)
        lost = replace(STATUS, state=State.lost, problem="no frame for 10 s")
        for status in (STATUS, replace(STATUS, fps=9.0), lost):
            publisher.changed(status)
            time.sleep(0.1)
        assert eventually(lambda: len(ear.heard) == 2)
        assert ear.last("edge_nima/garden/state") == {
            "state": "lost", "since": "2023-11-14T22:13:20.000Z", "problem": "no frame for 10 s", "model": "m@12345678",
            "host": socket.gethostname(), "instance": publisher.connection.instance,
        }  # fmt: skip
        publisher.close()


def test_two_cameras_have_a_connection_and_a_last_will_each(broker: Mosquitto) -> None:
    settings = MqttSettings(f"127.0.0.1:{broker.port}", mqtt_every="0")
    output = open_output(settings, Context({"garden": 1.0, "hall": None}, list))
    assert output is not None
    output.scored(scored(1), FRAME)
    for number in range(3):
        output.scored(scored(number, "hall"), FRAME)
    output.changed(STATUS)
    assert eventually(lambda: (output.delivered("garden"), output.delivered("hall")) == ((1, 0), (3, 0)))
    start = time.monotonic()
    output.close()
    assert time.monotonic() - start < 0.7
    states = {topic: said["state"] for topic, said in retained(broker).items() if topic.endswith("/state")}
    assert states == {"edge_nima/garden/state": "stopped", "edge_nima/hall/state": "stopped"}
    assert open_output(MqttSettings(), Context({"garden": 1.0}, list)) is None


def test_home_assistant_finds_one_device_with_its_entities(broker: Mosquitto) -> None:
    publisher = connected(broker, mqtt_prefix="house/pi4", mqtt_discovery="ha", photographs=True)
    publisher.changed(STATUS)
    time.sleep(0.3)
    publisher.close()
    found = retained(broker)["ha/device/house_pi4_garden/config"]
    assert found["device"]["identifiers"] == ["house_pi4_garden"]
    assert (found["device"]["name"], found["device"]["model"]) == ("garden", "m@12345678")
    assert found["device"]["sw_version"] == found["origin"]["sw_version"]
    entities = found["components"]
    assert set(entities) == {
        "state", "score", "spread", "shot", "image", "fps", "temperature", "free_disk", "throttled", "undervoltage"
    }  # fmt: skip
    assert len({entity["unique_id"] for entity in entities.values()}) == len(entities)
    image = entities.pop("image")
    assert (image["platform"], image["image_topic"]) == ("image", "house/pi4/garden/image")
    assert image["content_type"] == "image/jpeg"
    for name, sensor in entities.items():
        assert sensor["platform"] == ("binary_sensor" if name in {"throttled", "undervoltage"} else "sensor")
        assert sensor["state_topic"].startswith("house/pi4/garden/")
        assert ("availability_topic" in sensor) == (name not in {"state", "shot"})
        assert ("expire_after" in sensor) == (name not in {"state", "shot"})


def test_a_board_without_a_thermometer_has_no_such_sensor_and_one_that_had_one_keeps_it(broker: Mosquitto) -> None:
    topic = "homeassistant/device/edge_nima_garden/config"
    with Ear(broker, topic) as ear:
        publisher = connected(broker)
        for health in (None, HEALTH, Health(1.7e9)):
            publisher.changed(replace(STATUS, health=health))
            time.sleep(0.1)
        assert eventually(lambda: len(ear.heard) == 2)
        without, with_one = ear.on(topic)
        assert "temperature" not in without["components"]
        assert "temperature" in with_one["components"]
        publisher.close()


@pytest.mark.parametrize(
    ("interval", "every", "expected"), [(0.2, "1s", 60), (100.0, "1s", 300), (1.0, "2m", 360), (None, "1s", None)]
)
def test_scores_expire_after_three_of_the_longest_usual_intervals_and_never_where_silence_is_normal(
    broker: Mosquitto, interval: float | None, every: str, expected: int | None
) -> None:
    publisher = connected(broker, interval=interval, mqtt_every=every)
    publisher.changed(STATUS)
    topic = "homeassistant/device/edge_nima_garden/config"
    assert eventually(lambda: topic in retained(broker))
    entities = retained(broker)[topic]["components"]
    assert (entities["score"].get("expire_after"), entities["spread"].get("expire_after")) == (expected, expected)
    assert entities["fps"]["expire_after"] == 60
    publisher.close()


def test_templates_of_the_discovery_name_fields_that_the_messages_have() -> None:
    messages = {
        "score": mqtt.score_payload(scored(1)),
        "state": b'{"state": "watching"}',
        "health": mqtt.health_payload(STATUS),
        "shot": json.dumps(mqtt.shot_facts(SHOT)).encode(),
    }
    device = json.loads(home_assistant.device("p", "garden", "m", asdict(HEALTH), 1.0, True)[1])
    for entity in device["components"].values():
        if "state_topic" in entity:
            message = json.loads(messages[entity["state_topic"].rpartition("/")[2]])
            for name in re.findall(r"value_json\.(\w+)", entity["value_template"]):
                assert name in message


def photograph(path: Path, size: tuple[int, int] = (4000, 3000), noise: bool = False) -> Shot:
    rng = np.random.default_rng(1)
    if noise:
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(path, quality=95)
    else:
        Image.new("RGB", size, (90, 120, 30)).save(path)
    return replace(SHOT, path=path)


def images(ear: Ear) -> list[bytes]:
    return [payload for topic, payload, _ in list(ear.heard) if topic.endswith("/image")]


def test_the_newest_photograph_is_an_image_that_is_small_and_retained(broker: Mosquitto, tmp_path: Path) -> None:
    with Ear(broker, "edge_nima/garden/image") as ear:
        publisher = connected(broker, photographs=True)
        publisher.kept(photograph(tmp_path / "noise.jpg", (2600, 1950), noise=True))  # as large as a JPEG can be
        assert eventually(lambda: len(images(ear)) == 1)
        with Image.open(io.BytesIO(images(ear)[0])) as image:
            assert (image.format, image.size) == ("JPEG", (1280, 960))
        assert len(images(ear)[0]) <= 400_000
        plain = photograph(tmp_path / "plain.jpg", (300, 200))
        publisher.kept(plain)
        assert eventually(lambda: len(images(ear)) == 2)
        with Image.open(io.BytesIO(images(ear)[1])) as image:
            assert image.size == (300, 200)
        publisher.kept(replace(SHOT, path=tmp_path / "gone.jpg"))  # removed before its turn: the last one stays
        publisher.removed(plain)
        time.sleep(0.3)
        assert len(images(ear)) == 2
        publisher.kept(plain)
        time.sleep(0.2)
        publisher.removed(plain)
        assert eventually(lambda: images(ear)[-1] == b"")  # deleted on the page: it goes from the broker as well
        publisher.close()


def test_at_most_one_score_in_an_interval_and_the_newest(broker: Mosquitto) -> None:
    with Ear(broker) as ear:
        publisher = connected(broker, mqtt_every="500ms")
        tell(publisher, range(8), 0.1)
        time.sleep(0.5)
        publisher.changed(STATUS)  # what was held back is told with the next health
        assert eventually(lambda: len(numbers(ear)) == 3)
        first, middle, last = numbers(ear)
        assert (first, last) == (0, 7)
        assert middle in {5, 6}
        publisher.close()


CHILD = """
import sys, time
from test_mqtt import STATUS, connect, eventually
publisher = connect(int(sys.argv[1]))
publisher.changed(STATUS)
assert eventually(lambda: publisher.connection._ready and not publisher.connection.delivered()[2])
print("there", flush=True)
while sys.stdin.readline() == "say\\n":
    print(publisher.trouble, flush=True)
publisher.close()
print(publisher.trouble, flush=True)
"""


class Process:
    """A publisher in a process of its own."""

    def __init__(self, broker: Mosquitto) -> None:
        command = [sys.executable, "-c", CHILD, str(broker.port)]
        pipe = subprocess.PIPE
        self.child = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=Path(__file__).parent, text=True)
        assert self.line() == "there"

    def line(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline().strip()

    def trouble(self) -> str:
        assert self.child.stdin is not None
        self.child.stdin.write("say\n")
        self.child.stdin.flush()
        return self.line()

    def end(self) -> None:
        self.child.communicate(timeout=60)
        assert self.child.returncode == 0

    def kill(self) -> None:
        self.child.kill()
        self.child.communicate()


def test_the_broker_says_offline_when_the_process_was_killed_and_the_next_one_is_no_namesake(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    with Ear(broker) as ear:
        process = Process(broker)
        assert ear.last("edge_nima/garden/state")["state"] == "watching"
        broker.freeze()  # the broker learns of the death and of the next life at the same time
        process.kill()
        publisher = connect(broker.port)
        publisher.changed(STATUS)
        broker.thaw()
        assert eventually(
            lambda: (ear.last("edge_nima/garden/state") or {}).get("instance") == publisher.connection.instance
        )
        time.sleep(0.5)
        assert publisher.trouble is None
        assert "another watcher" not in caplog.text
        publisher.close()
        process = Process(broker)
        process.kill()
        assert eventually(lambda: (ear.last("edge_nima/garden/state") or {}).get("state") == "offline")
    assert retained(broker)["edge_nima/garden/state"]["state"] == "offline"


def test_a_state_that_an_earlier_process_left_behind_is_no_namesake(broker: Mosquitto) -> None:
    left = {"state": "watching", "host": socket.gethostname(), "instance": "0badcafe"}
    with Ear(broker) as ear:  # its will never came: the broker was killed as well
        ear.client.publish("edge_nima/garden/state", json.dumps(left), 1, retain=True).wait_for_publish(60)
        publisher = connected(broker)
        publisher.changed(STATUS)
        time.sleep(0.3)
        assert publisher.trouble is None
        assert ear.last("edge_nima/garden/state")["instance"] == publisher.connection.instance
        publisher.close()
        assert eventually(lambda: (ear.last("edge_nima/garden/state") or {}).get("state") == "stopped")


def test_two_processes_of_one_name_are_noticed_and_stopping_one_leaves_the_other(broker: Mosquitto) -> None:
    topic = "edge_nima/garden/state"
    expected = f"another watcher publishes as 'garden' (host {socket.gethostname()}): give --name"
    for older_goes in (True, False):
        with Ear(broker, topic, f"ear{older_goes}") as ear:
            older, newer = Process(broker), Process(broker)
            assert eventually(lambda: older.trouble() == newer.trouble() == expected)  # noqa: B023
            goes, stays = (older, newer) if older_goes else (newer, older)
            goes.end()
            assert eventually(lambda: stays.trouble() == "None")  # noqa: B023
            assert retained(broker)[topic]["state"] == "watching"
            time.sleep(0.3)
            assert len(ear.heard) < 12  # they do not answer each other for ever
            stays.end()
            assert eventually(lambda: (ear.last(topic) or {}).get("state") == "stopped")


def test_what_stops_while_another_one_lives_never_says_stopped(broker: Mosquitto) -> None:
    topic = "edge_nima/garden/state"
    first, second = connected(broker), connected(broker)
    first.changed(STATUS)
    second.changed(STATUS)
    assert eventually(lambda: first.trouble and second.trouble)
    with Ear(broker, topic) as ear:
        first.changed(replace(STATUS, state=State.stopped))
        first.close()
        assert eventually(lambda: second.trouble is None)
        assert eventually(lambda: (ear.last(topic) or {}).get("instance") == second.connection.instance)
        assert {state["state"] for state in ear.on(topic)} == {"watching"}
    second.close()


def test_a_wrong_password_is_said_once_and_tried_again(
    tmp_path: Path, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path / "broker", users={"cam": "right"}) as broker:
        publisher = connect(broker.port, user="cam:s3cret@")
        publisher.changed(STATUS)
        assert eventually(lambda: publisher.trouble is not None)
        expected = rf"at 127.0.0.1:{broker.port} refuses user 'cam': .*; its password goes into EDGE_NIMA_MQTT"
        assert re.search(expected, str(publisher.trouble))
        time.sleep(2)  # it is tried again, and not said again
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "s3cret" not in caplog.text
        publisher.scored(scored(1), FRAME)
        subprocess.run(["mosquitto_passwd", "-b", broker.folder / "passwords", "cam", "s3cret"], check=True)
        broker.send(signal.SIGHUP)
        assert eventually(lambda: publisher.counts == (1, 0))
        assert publisher.trouble is None
        publisher.close()
        nobody = connect(broker.port)
        assert eventually(lambda: "refuses us without a user" in str(nobody.trouble))
        nobody.close()
    assert eventually(lambda: threads() == [])


# A socket whose handshake failed is left to the garbage collector by paho.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning")
def test_tls_is_verified_against_the_given_authority(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "broker"
    with Mosquitto(folder, tls=True) as broker, Ear(broker) as ear:
        ca = str(folder / "ca.crt")
        publisher = connected(broker, host="localhost", tls=True, mqtt_ca=ca)
        tell(publisher, range(300))
        assert eventually(lambda: numbers(ear) == list(range(300)))
        publisher.close()
        unchecked = connected(broker, tls=True, mqtt_insecure=True)
        unchecked.close()
        wrong = [
            ("localhost", str(folder / "other-ca.crt"), r"no TLS .* localhost:\d+: .*certificate.*--mqtt-ca FILE"),
            ("localhost", None, r"no TLS .* localhost:\d+: .*certificate.*--mqtt-ca FILE"),
            ("127.0.0.1", ca, r"certificate is not valid for '127\.0\.0\.1'.*for this name"),
        ]
        for host, authority, expected in wrong:
            caplog.clear()
            publisher = connect(broker.port, host, tls=True, mqtt_ca=authority)
            assert eventually(lambda: publisher.trouble is not None)  # noqa: B023
            assert re.search(expected, str(publisher.trouble))
            assert eventually(lambda: [record.levelname for record in caplog.records] == ["WARNING"])
            publisher.close()
        plain = connect(broker.port)
        assert eventually(lambda: "hung up without an answer; is its port one for TLS" in str(plain.trouble))
        plain.close()
    assert eventually(lambda: threads() == [])


def test_a_broker_that_asks_for_a_certificate_gets_ours(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    with Mosquitto(folder, tls=True, mutual=True) as broker:
        ca, certificate, key = (str(folder / name) for name in ("ca.crt", "client.crt", "client.key"))
        mine = {"mqtt_ca": ca, "mqtt_cert": certificate, "mqtt_key": key}
        publisher = connected(broker, host="localhost", tls=True, **mine)
        tell(publisher, range(5))
        assert eventually(lambda: publisher.counts == (5, 0))
        publisher.close()
        without = connect(broker.port, "localhost", tls=True, mqtt_ca=ca)
        assert eventually(lambda: without.trouble is not None)
        without.close()
    with pytest.raises(RequestError, match="cannot use the client certificate"):
        connect(1, tls=True, mqtt_cert=ca)


def test_a_last_will_that_comes_late_is_put_right(broker: Mosquitto) -> None:
    topic = "edge_nima/garden/state"
    with Ear(broker, topic) as ear:
        publisher = connected(broker)
        publisher.changed(STATUS)
        assert eventually(lambda: ear.heard)
        for number, will in enumerate((b'{"state": "offline"}', publisher.connection._state("offline", None, None)), 1):
            ear.client.publish(topic, will, qos=1, retain=True)
            states = ["watching", *["offline", "watching"] * number]
            assert eventually(lambda: [state["state"] for state in ear.on(topic)] == states)  # noqa: B023
        for nonsense in (b"", b"\xff", b"[]", b"{}", b'{"state": 5}', b'"offline"'):
            ear.client.publish(topic, nonsense, qos=1)
        publisher.scored(scored(1), FRAME)
        assert eventually(lambda: publisher.counts == (1, 0))
        publisher.close()


def test_a_broker_that_is_away_at_the_start_is_a_warning_and_gets_everything_later(
    tmp_path: Path, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Mosquitto(tmp_path / "broker")
    with broker, Ear(broker) as ear:
        broker.kill()
        publisher = connect(broker.port)
        assert eventually(lambda: publisher.trouble is not None)
        assert f"broker at 127.0.0.1:{broker.port} cannot be reached: Connection refused" in str(publisher.trouble)
        publisher.changed(STATUS)
        tell(publisher, range(50))
        time.sleep(1)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        broker.start()
        assert eventually(lambda: numbers(ear) == list(range(50)))
        assert eventually(lambda: publisher.counts == (50, 0))
        assert publisher.trouble is None
        publisher.close()


def test_a_host_that_takes_connections_and_says_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "KEEPALIVE_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        publisher = connect(silent.getsockname()[1])
        assert eventually(lambda: "keep alive timeout" in str(publisher.trouble))
        publisher.close()
    assert eventually(lambda: threads() == [])


def test_a_broker_away_for_longer_than_the_buffer_lasts_costs_exactly_the_oldest(broker: Mosquitto, soon: None) -> None:
    with Ear(broker) as ear:
        publisher = connected(broker, mqtt_buffer=50)
        tell(publisher, range(10))
        assert eventually(lambda: len(numbers(ear)) == 10)
        broker.kill()
        assert eventually(lambda: publisher.trouble is not None)
        tell(publisher, range(10, 500))
        assert publisher.counts[1] == 440
        broker.start()
        assert eventually(lambda: len(numbers(ear)) == 60)
        time.sleep(0.2)
        assert numbers(ear) == [*range(10), *range(450, 500)]
        assert publisher.counts == (60, 440)
        publisher.close()


IN_FLIGHT = 20  # sent by paho before the first of them is acknowledged


def killed_and_restarted(broker: Mosquitto, times: int, away_s: float = 0.0) -> int:
    """Publish all the while; how many scores came twice."""
    sent = 0
    with Ear(broker) as ear:
        publisher = connected(broker)
        for _ in range(times):
            tell(publisher, range(sent, sent + 40), 0.002)
            broker.kill()
            tell(publisher, range(sent + 40, sent + 60), 0.002 + away_s / 20)
            broker.start()
            tell(publisher, range(sent + 60, sent + 70), 0.002)
            sent += 70
            assert eventually(lambda: publisher.counts[0] == sent), publisher.trouble  # noqa: B023
            assert eventually(lambda: len(set(numbers(ear))) == sent, 20), sorted(set(range(sent)) - set(numbers(ear)))  # noqa: B023
        heard = numbers(ear)
        assert list(dict.fromkeys(heard)) == list(range(sent))  # each, in order
        assert publisher.counts[1] == 0
        publisher.close()
    assert eventually(lambda: threads() == [])
    return len(heard) - sent


def test_a_broker_that_is_killed_and_restarted_misses_nothing(broker: Mosquitto, soon: None) -> None:
    assert killed_and_restarted(broker, 2) <= 2 * IN_FLIGHT  # passed on and not acknowledged when it was killed


@pytest.mark.slow
def test_a_broker_that_is_away_for_twelve_seconds_misses_nothing(broker: Mosquitto) -> None:
    assert killed_and_restarted(broker, 1, 12.0) <= IN_FLIGHT


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_broker_that_is_killed_twenty_times_misses_nothing_and_nothing_grows(broker: Mosquitto) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    assert killed_and_restarted(broker, 20) <= 20 * IN_FLIGHT
    gc.collect()  # the clients' own
    assert len(os.listdir("/proc/self/fd")) <= descriptors


def test_a_restarted_broker_that_has_forgotten_is_told_again(broker: Mosquitto, soon: None) -> None:
    publisher = connected(broker)
    publisher.changed(STATUS)
    assert eventually(lambda: len(retained(broker)) == 3)
    broker.kill()
    for database in broker.folder.glob("*.db*"):
        database.unlink()
    assert eventually(lambda: publisher.trouble is not None)
    broker.start()
    assert eventually(lambda: publisher.trouble is None)
    time.sleep(0.2)
    assert {topic.rpartition("/")[2] for topic in retained(broker)} == {"state", "health", "config"}
    publisher.close()


def test_a_frozen_broker_is_given_up_and_everything_arrives_when_it_thaws(
    broker: Mosquitto, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "KEEPALIVE_S", 1)
    with Ear(broker) as ear:
        publisher = connected(broker, mqtt_buffer=100)
        broker.freeze()
        try:
            tell(publisher, range(80))
            assert eventually(lambda: publisher.trouble is not None)
            assert "keep alive timeout" in str(publisher.trouble)
            assert publisher.counts[0] == 0
        finally:
            broker.thaw()
        assert eventually(lambda: publisher.counts == (80, 0))
        assert eventually(lambda: set(numbers(ear)) == set(range(80)))
        assert list(dict.fromkeys(numbers(ear))) == list(range(80))
        publisher.close()


def test_closing_waits_for_no_broker_that_is_frozen_or_gone(broker: Mosquitto) -> None:
    frozen, gone = connected(broker, camera="frozen"), connected(broker, camera="gone")
    for publisher in (frozen, gone):
        publisher.changed(replace(STATUS, camera=publisher.camera))
        assert eventually(lambda: not publisher.connection.delivered()[2])  # noqa: B023
    broker.freeze()
    for number in range(30):
        frozen.scored(scored(number, "frozen"), FRAME)
    try:
        start = time.monotonic()
        frozen.close()
        assert time.monotonic() - start < 0.8
    finally:
        broker.thaw()
    assert sum(frozen.counts) == 30
    # No farewell was said, so that the broker still tells the last will.
    assert eventually(lambda: retained(broker).get("edge_nima/frozen/state", {}).get("state") == "offline")
    broker.kill()
    for number in range(5):
        gone.scored(scored(number, "gone"), FRAME)
    gone.close()
    gone.close()
    gone.scored(scored(1, "gone"), FRAME)
    assert gone.counts == (0, 6)
    assert eventually(lambda: threads() == [])


@pytest.mark.parametrize("way", ["dead", "frozen"])
def test_the_loop_is_never_held_up(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Whatever waits for the broker would wait for an hour."""
    for name in ("FIRST_DELAY_S", "LONGEST_DELAY_S", "KEEPALIVE_S"):
        monkeypatch.setattr(mqtt, name, 3600)
    publisher = connected(broker)
    loop = threading.Thread(target=tell, args=(publisher, range(500)), daemon=True)
    broker.kill() if way == "dead" else broker.freeze()
    loop.start()
    loop.join(60)
    held_up = loop.is_alive()
    if way == "frozen":
        broker.thaw()
    assert not held_up
    publisher.close()


def test_memory_is_bounded_while_the_broker_is_away() -> None:
    publisher = connect(free_port(), mqtt_buffer=100)
    tell(publisher, range(20_000))
    for _ in range(200):
        publisher.changed(STATUS)
    held = publisher.connection
    assert (len(held._waiting), len(held._kept), len(held._flying)) == (100, 3, 0)
    assert publisher.counts == (0, 19_900)
    publisher.close()
    assert publisher.counts == (0, 20_000)


def test_without_paho_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(PackageMissing, match=r"pip install 'edge-nima\[mqtt\]'"):
        open_output(MqttSettings("pi"), Context({"garden": 1.0}, list))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pi.local", ("pi.local", 1883, None, None, None)),
        ("pi.local:1884", ("pi.local", 1884, None, None, None)),
        ("mqtt://[::1]:1883", ("::1", 1883, None, None, None)),
        ("mqtt://cam:p%40s%2Fs@pi", ("pi", 1883, "cam", "p@s/s", None)),
        ("mqtt://cam@pi", ("pi", 1883, "cam", "from the environment", None)),
    ],
)
def test_an_address_is_read(text: str, expected: tuple[object, ...]) -> None:
    assert mqtt.broker(MqttSettings(text), {"EDGE_NIMA_MQTT_PASSWORD": "from the environment"}) == expected


def test_a_port_follows_tls_and_a_password_is_a_files_first_line(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    settings = MqttSettings("mqtts://cam@[::1]/", mqtt_password_file=str(tmp_path / "password"))
    *address, tls = mqtt.broker(settings, {})
    assert address == ["::1", 8883, "cam", "s3cret"]
    assert isinstance(tls, ssl.SSLContext)
    assert tls.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    "text",
    ["", "http://pi", "mqtt://", "pi:port", "pi:0", "pi:99999", "mqtt://cam:s3c/ret@pi", "mqtt://cam:s3c#ret@pi",
     "mqtt://cam:s3c/r#e@ret@pi", "mqtt://cam:s3c?ret@pi", "mqtt://cam:s3cret@pi:x", "mqtt://cam:s3cret@pi/x",
     "mqtt://[x", "mqtt://cam:s3cret@a b", "mqtt://cam:s3cret@a%20b", "mqtt://cam:s3cret@..", "mqtt://:s3cret@",
     "cam:s3cret/#@pi"],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        MqttSettings(text).check()
    assert "s3c" not in str(caught.value)
    assert "ret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"mqtt_password_file": "x"}, "password needs a user"),
        ({"mqtt_ca": "x"}, "write mqtts://"),
        ({"mqtt_insecure": True}, "write mqtts://"),
        ({"mqtt_prefix": "a/#"}, "the usual one is edge_nima"),
        ({"mqtt_prefix": ""}, "the usual one is edge_nima"),
        ({"mqtt_discovery": "/x"}, "the usual one is homeassistant"),
        ({"mqtt": "a..b"}, "not an MQTT broker's address"),
    ],
)
def test_settings_that_no_broker_could_take_are_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(RequestError, match=why):
        MqttSettings(**{"mqtt": "pi", **wrong}).check()


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    none, nonsense = str(tmp_path / "none.pem"), str(tmp_path / "no.pem")
    Path(nonsense).write_text("no certificate")
    for ca in (none, nonsense):
        with pytest.raises(RequestError, match=f"cannot read CA certificates from '{ca}': "):
            MqttSettings("mqtts://pi", mqtt_ca=ca).check()
    with pytest.raises(RequestError, match=r"cannot read an MQTT password from '.*none.pem'"):
        MqttSettings("mqtt://cam@pi", mqtt_password_file=none).check()
    for text in ("pi", "mqtt://cam:s3cret@pi"):
        with pytest.raises(RequestError, match="MQTT password") as caught:
            MqttSettings(text, mqtt_password_file=nonsense).check()
        assert "s3cret" not in str(caught.value)
