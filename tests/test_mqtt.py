from __future__ import annotations

import gc
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from broker import Ear, Mosquitto, eventually, free_port, retained
from edge_nima.errors import PackageMissing, PublishError, RequestError
from edge_nima.frames import Frame
from edge_nima.publish import connection, discovery
from edge_nima.publish.broker import Broker, parse_broker
from edge_nima.publish.mqtt import MqttPublisher, connect
from edge_nima.records import ScoreRecord
from edge_nima.watch.events import Counts, Health, Scored, Shot, State, Status

FRAME = Frame(np.zeros((2, 2, 3), np.uint8))
HEALTH = Health(1.7e9, 61.5, throttled=True, undervoltage=False, flags=4, free_disk=10**9, memory=9 * 10**7)
STATUS = Status("garden", State.watching, 1.7e9, 60.0, 4.5, "m@12345678", Counts(scored=7), health=HEALTH)


def scored(number: int) -> Scored:
    record = ScoreRecord(f"garden/{number}", 5.25, 1.5, (0.1,) * 10, "m@12345678", 31.0)
    return Scored(record, "garden", 1.7e9 + number, 40.0)


def numbers(ear: Ear) -> list[int]:
    """Which of the scores above were heard, in their order."""
    from datetime import datetime

    return [
        round(datetime.fromisoformat(score["taken_at"]).timestamp() - 1.7e9)
        for score in ear.on("edge_nima/garden/score")
    ]


def to(mosquitto: Mosquitto, **more: Any) -> Broker:
    return Broker("127.0.0.1", mosquitto.port, every_s=0, **more)


def tell(publisher: MqttPublisher, which: range, pause: float = 0.0) -> None:
    for number in which:
        publisher.scored(scored(number), FRAME)
        time.sleep(pause)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_DELAY_S", 0.3)
    monkeypatch.setattr(connection, "LONGEST_DELAY_S", 0.6)


def test_scores_shots_state_and_health_are_heard_by_another_client(mosquitto: Mosquitto) -> None:
    with Ear(mosquitto) as ear:
        publisher = connect(to(mosquitto), camera="garden")
        assert publisher.problem is None
        publisher.scored(scored(3), FRAME)
        publisher.kept(Shot(Path("/shots/a.jpg"), "garden", 1.7e9, 6.5, 4, 12345))
        publisher.changed(STATUS)
        assert eventually(lambda: len(ear.heard) >= 5)
        assert ear.on("edge_nima/garden/score") == [
            {
                "mean": 5.25,
                "std": 1.5,
                "distribution": [0.1] * 10,
                "taken_at": "2023-11-14T22:13:23.000Z",
                "age_ms": 40.0,
                "model": "m@12345678",
                "elapsed_ms": 31.0,
                "still": False,
            }
        ]
        assert ear.last("edge_nima/garden/shot") == {
            "taken_at": "2023-11-14T22:13:20.000Z",
            "path": "/shots/a.jpg",
            "mean": 6.5,
            "rating": 4,
            "size": 12345,
        }
        assert ear.last("edge_nima/garden/state")["state"] == "watching"
        health = ear.last("edge_nima/garden/health")
        assert (health["temperature_c"], health["throttled"], health["fps"]) == (61.5, True, 4.5)
        assert health["counts"]["scored"] == 7
        assert eventually(lambda: publisher.published == 2)
        publisher.close()
        assert eventually(lambda: ear.last("edge_nima/garden/state")["state"] == "stopped")
    left = retained(mosquitto)
    assert left["edge_nima/garden/state"]["state"] == "stopped"
    assert set(left) == {
        "edge_nima/garden/state",
        "edge_nima/garden/health",
        "edge_nima/garden/shot",
        "homeassistant/device/edge_nima_garden/config",
    }
    assert publisher.lost == 0


def test_a_state_is_told_when_it_changes_with_what_is_wrong(mosquitto: Mosquitto) -> None:
    with Ear(mosquitto, "edge_nima/garden/state") as ear:
        publisher = connect(to(mosquitto), camera="garden")
        for status in (
            STATUS,
            replace(STATUS, fps=9.0),
            replace(STATUS, state=State.lost, problem="no frame for 10 s"),
        ):
            publisher.changed(status)
            time.sleep(0.1)
        assert eventually(lambda: len(ear.heard) == 2)
        assert ear.last("edge_nima/garden/state") == {
            "state": "lost",
            "since": "2023-11-14T22:13:20.000Z",
            "problem": "no frame for 10 s",
            "model": "m@12345678",
        }
        publisher.close()


def test_home_assistant_finds_one_device_with_its_sensors(mosquitto: Mosquitto) -> None:
    publisher = connect(to(mosquitto, prefix="house/pi4", discovery="ha"), camera="garden")
    publisher.changed(STATUS)
    time.sleep(0.3)
    publisher.close()
    found = retained(mosquitto)["ha/device/house_pi4_garden/config"]
    assert found["device"]["identifiers"] == ["house_pi4_garden"]
    assert (found["device"]["name"], found["device"]["model"]) == ("garden", "m@12345678")
    assert found["device"]["sw_version"] == found["origin"]["sw_version"]
    sensors = found["components"]
    assert set(sensors) == {
        "state", "score", "spread", "shot", "fps", "temperature", "free_disk", "throttled", "undervoltage"
    }  # fmt: skip
    assert len({sensor["unique_id"] for sensor in sensors.values()}) == len(sensors)
    for name, sensor in sensors.items():
        assert sensor["platform"] == ("binary_sensor" if name in {"throttled", "undervoltage"} else "sensor")
        assert sensor["state_topic"].startswith("house/pi4/garden/")
        assert ("availability_topic" in sensor) == (name != "state")
        assert ("expire_after" in sensor) == (name not in {"state", "shot"})


def test_a_board_without_a_thermometer_has_no_such_sensor_and_one_that_had_one_keeps_it(mosquitto: Mosquitto) -> None:
    topic = "homeassistant/device/edge_nima_garden/config"
    with Ear(mosquitto, topic) as ear:
        publisher = connect(to(mosquitto), camera="garden")
        for health in (None, HEALTH, Health(1.7e9)):
            publisher.changed(replace(STATUS, health=health))
            time.sleep(0.1)
        assert eventually(lambda: len(ear.heard) == 2)
        without, with_one = ear.on(topic)
        assert "temperature" not in without["components"]
        assert "temperature" in with_one["components"]
        publisher.close()


def test_without_discovery_nothing_is_announced(mosquitto: Mosquitto) -> None:
    publisher = connect(to(mosquitto, discovery=None), camera="garden")
    publisher.changed(STATUS)
    time.sleep(0.2)
    publisher.close()
    assert set(retained(mosquitto)) == {"edge_nima/garden/state", "edge_nima/garden/health"}


def test_templates_of_the_discovery_name_fields_that_the_messages_have() -> None:
    import json
    import re

    from edge_nima.publish import payloads

    messages = {
        "score": payloads.score(scored(1)),
        "state": payloads.state(STATUS),
        "health": payloads.health(STATUS),
        "shot": payloads.shot(Shot(Path("a.jpg"), "garden", 1.7e9, 6.5, 4, 1)),
    }
    sensors = json.loads(discovery.payload("p", "garden", "m", HEALTH, 1.0))["components"]
    for sensor in sensors.values():
        message = json.loads(messages[sensor["state_topic"].rpartition("/")[2]])
        for field in re.findall(r"value_json\.(\w+)", sensor["value_template"]):
            assert field in message


def test_at_most_one_score_in_an_interval_and_the_newest(mosquitto: Mosquitto) -> None:
    with Ear(mosquitto) as ear:
        publisher = connect(replace(to(mosquitto), every_s=0.5), camera="garden")
        tell(publisher, range(8), 0.1)
        time.sleep(0.5)
        publisher.changed(STATUS)  # what was held back is told with the next health
        assert eventually(lambda: len(numbers(ear)) == 3)
        first, middle, last = numbers(ear)
        assert first == 0
        assert middle in {5, 6}
        assert last == 7
        assert publisher.lost == 0
        publisher.close()


def test_the_last_score_is_said_again_while_nothing_moves(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_nima.publish.mqtt.STILL_S", 1.1)
    with Ear(mosquitto) as ear:
        publisher = connect(to(mosquitto), camera="garden")
        publisher.scored(scored(1), FRAME)
        time.sleep(0.2)
        still = replace(STATUS, last=scored(1), counts=Counts(still=5))
        publisher.changed(still)  # nothing has moved
        publisher.changed(still)  # and no frame has come since
        publisher.changed(replace(still, state=State.lost, counts=Counts(still=6)))
        time.sleep(0.2)
        assert [score["still"] for score in ear.on("edge_nima/garden/score")] == [False, True]
        publisher.close()


CHILD = """
import sys, time
from test_mqtt import STATUS, connect, Broker
publisher = connect(Broker("127.0.0.1", int(sys.argv[1])), camera="garden")
publisher.changed(STATUS)
print("there", flush=True)
time.sleep(60)
"""


def test_the_broker_says_offline_when_the_process_was_killed(mosquitto: Mosquitto) -> None:
    with Ear(mosquitto) as ear:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(mosquitto.port)], stdout=subprocess.PIPE, cwd=Path(__file__).parent
        )
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"there\n"
            assert eventually(lambda: ear.on("edge_nima/garden/state"))
            assert ear.last("edge_nima/garden/state")["state"] == "watching"
        finally:
            child.send_signal(signal.SIGKILL)
            child.communicate()
        assert eventually(lambda: ear.last("edge_nima/garden/state")["state"] == "offline")
    assert retained(mosquitto)["edge_nima/garden/state"]["state"] == "offline"


def test_a_wrong_password_is_one_line_at_once_and_does_not_tell_it(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", users={"cam": "right"}) as mosquitto:
        with pytest.raises(
            PublishError, match=r"refuses user 'cam': .*; its password goes into EDGE_NIMA_MQTT"
        ) as caught:
            connect(to(mosquitto, user="cam", password="s3cret"), camera="garden")
        assert "\n" not in str(caught.value)
        assert "s3cret" not in str(caught.value)
        with pytest.raises(PublishError, match=r"refuses us without a user: .*; write mqtt://USER:PASSWORD@HOST"):
            connect(to(mosquitto), camera="garden")
        publisher = connect(to(mosquitto, user="cam", password="right"), camera="garden")
        assert publisher.problem is None
        publisher.close()
    assert threads() == []


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "mqtt"]


def test_tls_is_verified_against_the_given_authority(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    with Mosquitto(folder, tls=True) as mosquitto, Ear(mosquitto) as ear:
        good = Broker("localhost", mosquitto.port, tls=True, ca=folder / "ca.crt", every_s=0)
        publisher = connect(good, camera="garden")
        assert publisher.problem is None
        tell(publisher, range(300))
        assert eventually(lambda: numbers(ear) == list(range(300)))
        publisher.close()
        for wrong in (replace(good, ca=folder / "other-ca.crt"), replace(good, ca=None)):
            with pytest.raises(
                PublishError, match=r"no TLS with the MQTT broker at localhost:\d+: .*certificate.*--mqtt-ca FILE"
            ):
                connect(wrong, camera="garden")
        with pytest.raises(
            PublishError, match=r"certificate is not valid for '127\.0\.0\.1'; .*name that it is made for"
        ):
            connect(replace(good, host="127.0.0.1"), camera="garden")
        unchecked = connect(replace(good, host="127.0.0.1", ca=None, insecure=True), camera="garden")
        assert unchecked.problem is None
        unchecked.close()
        plain = connect(Broker("127.0.0.1", mosquitto.port), camera="garden")  # it may be just starting: goes on trying
        assert "hung up without an answer; is its port one for TLS" in str(plain.problem)
        plain.close()
    assert threads() == []


def test_a_broker_that_asks_for_a_certificate_gets_it_and_a_missing_one_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    with Mosquitto(folder, tls=True, mutual=True) as mosquitto:
        without = Broker("localhost", mosquitto.port, tls=True, ca=folder / "ca.crt")
        publisher = connect(replace(without, certificate=folder / "client.crt", key=folder / "client.key"), camera="a")
        assert publisher.problem is None
        publisher.close()
        publisher = connect(without, camera="a")
        assert "does it ask for a client certificate (--mqtt-cert)?" in str(publisher.problem)
        publisher.close()


def test_the_will_of_an_earlier_life_that_comes_late_is_put_right(mosquitto: Mosquitto) -> None:
    from edge_nima.publish import payloads

    topic = "edge_nima/garden/state"
    with Ear(mosquitto, topic) as ear:
        publisher = connect(to(mosquitto), camera="garden")
        publisher.changed(STATUS)
        assert eventually(lambda: ear.heard)
        ear.client.publish(topic, payloads.offline(), qos=1, retain=True)
        assert eventually(lambda: [state["state"] for state in ear.on(topic)] == ["watching", "offline", "watching"])
        assert retained(mosquitto)[topic]["state"] == "watching"
        publisher.close()


def test_speaking_tls_to_a_port_without_it_is_said(mosquitto: Mosquitto) -> None:
    publisher = connect(Broker("127.0.0.1", mosquitto.port, tls=True, insecure=True), camera="garden")
    assert "127.0.0.1" in str(publisher.problem)
    publisher.close()


def test_a_broker_that_is_away_at_the_start_is_a_warning_and_gets_everything_later(
    tmp_path: Path, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    mosquitto = Mosquitto(tmp_path / "broker")
    with mosquitto, Ear(mosquitto) as ear:
        mosquitto.kill()
        publisher = connect(to(mosquitto), camera="garden")
        assert f"broker at 127.0.0.1:{mosquitto.port} cannot be reached: Connection refused" in str(publisher.problem)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        publisher.changed(STATUS)
        tell(publisher, range(50))
        mosquitto.start()
        assert eventually(lambda: numbers(ear) == list(range(50)))
        assert publisher.problem is None
        assert publisher.lost == 0
        publisher.close()


def test_a_host_that_takes_connections_and_says_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("paho.mqtt.client", reason="needs edge-nima[mqtt]")
    monkeypatch.setattr(connection, "ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        publisher = connect(Broker("127.0.0.1", silent.getsockname()[1]), camera="garden")
        assert eventually(lambda: "no answer" in str(publisher.problem))
        publisher.close()
    assert threads() == []


def test_a_broker_away_for_longer_than_the_buffer_lasts_costs_exactly_the_oldest(
    mosquitto: Mosquitto, soon: None
) -> None:
    with Ear(mosquitto) as ear:
        publisher = connect(to(mosquitto, buffer=50), camera="garden")
        tell(publisher, range(10))
        assert eventually(lambda: len(numbers(ear)) == 10)
        mosquitto.kill()
        assert eventually(lambda: publisher.problem is not None)
        tell(publisher, range(10, 500))
        assert publisher.lost == 440
        mosquitto.start()
        assert eventually(lambda: len(numbers(ear)) == 60)
        time.sleep(0.2)
        assert numbers(ear) == [*range(10), *range(450, 500)]
        assert (publisher.published, publisher.lost) == (60, 440)
        publisher.close()


def killed_and_restarted(mosquitto: Mosquitto, times: int) -> int:
    """Publish all the while; how many scores came twice."""
    sent = 0
    with Ear(mosquitto) as ear:
        publisher = connect(to(mosquitto), camera="garden")
        for _ in range(times):
            tell(publisher, range(sent, sent + 40), 0.002)
            mosquitto.kill()
            tell(publisher, range(sent + 40, sent + 60), 0.002)
            mosquitto.start()
            tell(publisher, range(sent + 60, sent + 70), 0.002)
            sent += 70
            assert eventually(lambda: publisher.published == sent), publisher.problem  # noqa: B023
            assert eventually(lambda: len(set(numbers(ear))) == sent), publisher.problem  # noqa: B023
        heard = numbers(ear)
        assert list(dict.fromkeys(heard)) == list(range(sent))  # each, in order
        assert publisher.lost == 0
        assert len(threads()) == 1
        publisher.close()
    assert threads() == []
    return len(heard) - sent


def test_a_broker_that_is_killed_and_restarted_misses_nothing(mosquitto: Mosquitto, soon: None) -> None:
    twice = killed_and_restarted(mosquitto, 2)
    assert twice <= 2 * connection.IN_FLIGHT  # what it had passed on and not acknowledged when it was killed


@pytest.mark.slow
def test_a_broker_that_is_killed_twenty_times_misses_nothing_and_nothing_grows(mosquitto: Mosquitto) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    assert killed_and_restarted(mosquitto, 20) <= 20 * connection.IN_FLIGHT
    gc.collect()  # the listening client's
    assert len(os.listdir("/proc/self/fd")) <= descriptors


def test_a_restarted_broker_that_has_forgotten_is_told_again(mosquitto: Mosquitto, soon: None) -> None:
    publisher = connect(to(mosquitto), camera="garden")
    publisher.changed(STATUS)
    assert eventually(lambda: len(retained(mosquitto)) == 3)
    mosquitto.kill()
    for database in mosquitto.folder.glob("*.db*"):
        database.unlink()
    mosquitto.start()
    assert eventually(lambda: publisher.problem is None)
    time.sleep(0.2)
    assert {topic.rpartition("/")[2] for topic in retained(mosquitto)} == {"state", "health", "config"}
    publisher.close()


def test_a_frozen_broker_is_given_up_and_everything_arrives_when_it_thaws(
    mosquitto: Mosquitto, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "KEEPALIVE_S", 1)
    with Ear(mosquitto) as ear:
        publisher = connect(to(mosquitto, buffer=100), camera="garden")
        mosquitto.freeze()
        try:
            tell(publisher, range(80))
            assert eventually(lambda: publisher.problem is not None)
            assert "keep alive timeout" in str(publisher.problem)
            assert publisher.published == 0
        finally:
            mosquitto.thaw()
        assert eventually(lambda: publisher.published == 80)
        assert eventually(lambda: set(numbers(ear)) == set(range(80)))
        assert list(dict.fromkeys(numbers(ear))) == list(range(80))
        assert publisher.lost == 0
        publisher.close()


def test_closing_waits_for_no_broker_that_is_frozen_or_gone(mosquitto: Mosquitto) -> None:
    frozen, gone = (connect(to(mosquitto), camera=name) for name in ("frozen", "gone"))
    mosquitto.freeze()
    tell(frozen, range(30))
    try:
        start = time.monotonic()
        frozen.close()
        assert time.monotonic() - start < connection.KEEPALIVE_S / 2
    finally:
        mosquitto.thaw()
    assert frozen.published + frozen.lost == 30
    # No farewell was said, so that the broker still tells the last will.
    assert eventually(lambda: retained(mosquitto).get("edge_nima/frozen/state", {}).get("state") == "offline")
    mosquitto.kill()
    tell(gone, range(5))
    gone.close()
    gone.close()
    gone.scored(scored(1), FRAME)
    assert (gone.published, gone.lost) == (0, 6)
    assert threads() == []


@pytest.mark.parametrize("way", ["dead", "frozen"])
def test_the_loop_is_never_held_up(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Whatever waits for the broker would wait for an hour."""
    for name in ("FIRST_DELAY_S", "LONGEST_DELAY_S", "KEEPALIVE_S"):
        monkeypatch.setattr(connection, name, 3600)
    publisher = connect(to(mosquitto), camera="garden")
    loop = threading.Thread(target=tell, args=(publisher, range(500)), daemon=True)
    mosquitto.kill() if way == "dead" else mosquitto.freeze()
    loop.start()
    loop.join(60)
    held_up = loop.is_alive()
    if way == "frozen":
        mosquitto.thaw()
    assert not held_up
    publisher.close()


def test_memory_is_bounded_while_the_broker_is_away() -> None:
    pytest.importorskip("paho.mqtt.client", reason="needs edge-nima[mqtt]")
    publisher = connect(Broker("127.0.0.1", free_port(), every_s=0, buffer=100), camera="garden")
    tell(publisher, range(20_000))
    for _ in range(200):
        publisher.changed(STATUS)
    held = publisher._connection
    assert (len(held._waiting), len(held._kept), len(held._untold), len(held._flying)) == (100, 3, 3, 0)
    assert publisher.lost == 19_900
    publisher.close()
    assert publisher.lost == 20_000


def test_without_paho_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(PackageMissing, match=r"pip install 'edge-nima\[mqtt\]'"):
        connect(Broker("127.0.0.1"), camera="garden")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pi.local", Broker("pi.local")),
        ("pi.local:1884", Broker("pi.local", 1884)),
        ("mqtt://[::1]:1883", Broker("::1", 1883)),
        ("mqtts://pi.local/", Broker("pi.local", tls=True)),
        ("mqtt://cam:p%40s%2Fs@pi", Broker("pi", user="cam", password="p@s/s")),
        ("mqtt://cam@pi", Broker("pi", user="cam", password="from the environment")),
    ],
)
def test_an_address_is_read(text: str, expected: Broker) -> None:
    broker = parse_broker(text, environ={"EDGE_NIMA_MQTT_PASSWORD": "from the environment"})
    assert broker == expected


def test_a_port_follows_tls_and_a_password_is_never_shown(tmp_path: Path) -> None:
    assert Broker("pi").address == "pi:1883"
    assert Broker("::1", tls=True).address == "[::1]:8883"
    (tmp_path / "password").write_text("s3cret\n")
    broker = parse_broker("mqtt://cam@pi", password_file=tmp_path / "password", environ={})
    assert broker.password == "s3cret"
    assert "s3cret" not in repr(broker)


@pytest.mark.parametrize(
    "text",
    ["", "http://pi", "mqtt://", "pi:port", "pi:0", "pi:99999", "mqtt://cam:s3c/ret@pi", "mqtt://cam:s3c#ret@pi",
     "mqtt://cam:s3cret@pi:x", "mqtt://cam:s3cret@pi/x", "mqtt://[x", "mqtt://cam:s3cret@a b", "mqtt://cam:s3cret@..",
     "mqtt://:s3cret@"],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_broker(text, environ={})
    assert "s3c" not in str(caught.value)
    assert "ret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"port": 70000}, "possible: 1 to 65535"),
        ({"password": "x"}, "a password without a user|password without a user"),
        ({"ca": Path("x")}, "write mqtts://"),
        ({"insecure": True}, "write mqtts://"),
        ({"tls": True, "insecure": True, "ca": Path("x")}, "choose one"),
        ({"tls": True, "key": Path("x")}, "without its certificate"),
        ({"prefix": "a/#"}, "the usual one is edge_nima"),
        ({"prefix": ""}, "the usual one is edge_nima"),
        ({"discovery": "/x"}, "the usual one is homeassistant"),
        ({"buffer": 0}, "possible: 1 and more"),
        ({"every_s": float("nan")}, "possible: 0"),
        ({"host": "a..b"}, "no name of a machine"),
    ],
)
def test_values_that_no_broker_could_take_are_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(RequestError, match=why):
        Broker(**{"host": "pi", **wrong})


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    pytest.importorskip("paho.mqtt.client", reason="needs edge-nima[mqtt]")
    (tmp_path / "no.pem").write_text("no certificate")
    for ca in (tmp_path / "none.pem", tmp_path / "no.pem"):
        with pytest.raises(RequestError, match=f"cannot read CA certificates from '{ca}': "):
            connect(Broker("pi", tls=True, ca=ca), camera="garden")
    with pytest.raises(RequestError, match=r"cannot use the client certificate '.*no\.pem'"):
        Broker("pi", tls=True, certificate=tmp_path / "no.pem").tls_context()
    assert Broker("pi", tls=True).tls_context().verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(RequestError, match=r"cannot read an MQTT password from '.*none'"):
        parse_broker("mqtt://cam@pi", password_file=tmp_path / "none")
    for text in ("pi", "mqtt://cam:s3cret@pi"):
        with pytest.raises(RequestError, match="an MQTT password file, but the address has") as caught:
            parse_broker(text, password_file=tmp_path / "no.pem")
        assert "s3cret" not in str(caught.value)
