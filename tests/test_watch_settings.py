"""What `edge-nima watch` can be told: one list of settings, as flags and as a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from edge_nima.cli import run
from edge_nima.cli.watch import command
from edge_nima.errors import RequestError
from edge_nima.service import declare
from edge_nima.watch.settings import CameraSettings, Settings, option

DECLARATION = declare()
KEYS = tuple(DECLARATION.fields)


def make_settings(typed: dict[str, Any], file: dict[str, Any] | None = None) -> Settings:
    return DECLARATION.settings(typed, file)


def changed(old: Settings, new: Settings) -> list[str]:
    return old.changed(new)


def write(folder: Path, text: str) -> Path:
    path = folder / "watch.toml"
    path.write_text(text)
    return path


def test_every_setting_is_a_flag_and_every_flag_a_setting() -> None:
    parameters = {parameter.name for parameter in command().params}
    assert parameters - {"config", "print_config", "verbose", "help_all"} == set(KEYS)


def test_what_is_printed_is_read_back_as_it_was(tmp_path: Path) -> None:
    given = {"source": ["a.jpg", "b.jpg"], "keep": 5, "every": "90s", "fps": 2.5, "skip_still": True, "rotate": 90}
    settings = make_settings(given)
    text = DECLARATION.toml(settings)
    assert make_settings(tomllib.loads(text)) == settings
    assert make_settings({}, DECLARATION.read(write(tmp_path, text))) == settings
    assert [key for key in KEYS if f"{key} =" not in text] == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sorce": "0"}, "there is no key 'sorce'; did you mean source?"),
        ({"skip-stil": True}, "there is no key 'skip-stil'; did you mean skip_still?"),
        ({"xyzzy": 1}, "--print-config shows all"),
        ({"every": "5 parsecs"}, "--every is '5 parsecs'; possible: 90s"),
        ({"every": "0s"}, "--every is '0s'; possible: 1s and more"),
        ({"every": 10}, "--every is 10; possible: text in quotes"),
        ({"max_disk": "2 rooms"}, "--max-disk is '2 rooms'; possible: 500MB"),
        ({"rotate": 45}, "--rotate is 45; possible: 0, 90, 180, 270"),
        ({"records": "sqllite"}, "--records is 'sqllite'; possible: sqlite, none (did you mean sqlite?)"),
        ({"fps": 0}, "--fps is 0; possible: 0.001 to 1000"),
        ({"fps": float("nan")}, "--fps is nan; possible: a number"),
        ({"fps": "5"}, '--fps is "5"; possible: a number'),
        ({"keep": 2.5}, "--keep is 2.5; possible: a whole number"),
        ({"keep": True}, "--keep is true; possible: a whole number"),
        ({"mirror": 1}, "--mirror is 1; possible: true or false"),
        ({"source": []}, "SOURCE is []; possible: text in quotes, or a list"),
        ({"web": 70000}, "--web is 70000; possible: 0 to 65535"),
    ],
)
def test_what_cannot_be_says_what_can(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as error:
        make_settings(given)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no source; give one"),
        ({"source": "0", "keep": 3}, "--keep needs a folder: --out DIR"),
        ({"source": "0", "web": 8080, "web_cert": "c.pem"}, "--web-key"),
        ({"source": "0", "mqtt_ca": "c.pem"}, "--mqtt-ca means nothing without --mqtt"),
    ],
)
def test_what_does_not_go_together_says_what_to_type(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as error:
        DECLARATION.check_together(make_settings(given))
    assert message in str(error.value)


def test_paths_in_a_file_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    path = write(
        tmp_path, 'source = ["film.mp4", "0"]\nout = "shots"\nmodel = "mobilenet-ava-float16"\nweb_cert = "/c.pem"\n'
    )
    values = DECLARATION.read(path)
    assert values["out"] == str(tmp_path / "shots")
    assert values["model"] == "mobilenet-ava-float16"
    assert values["web_cert"] == "/c.pem"
    assert values["source"] == (str(tmp_path / "film.mp4"), "0")


def test_a_file_holds_only_what_it_says(tmp_path: Path) -> None:
    assert DECLARATION.read(write(tmp_path, "keep = 3\n")) == {"keep": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [("keep = ", "is not TOML"), ("kepe = 3", "did you mean keep?"), ("[watch]\nkeep = 3", "there is no key 'watch'")],
)
def test_a_file_that_cannot_be_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RequestError) as error:
        DECLARATION.read(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    with pytest.raises(RequestError, match="No such file"):
        DECLARATION.read(tmp_path / "none.toml")


def test_flags_come_before_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, 'source = "0"\nkeep = 3\nskip_still = true\nout = "x"\nevery = "1h"\n')
    arguments = ["watch", "--config", str(path), "--keep", "7", "--no-skip-still", "--print-config"]
    assert run(arguments) == 0
    settings = make_settings(tomllib.loads(capsys.readouterr().out))
    (camera,) = settings.cameras
    assert (camera.keep, camera.skip_still, camera.every, camera.source) == (7, False, "1h", ("0",))


def test_what_is_typed_wrong_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["watch"], "no source"),
        (["watch", "0", "--every", "soon"], "--every is 'soon'"),
        (["watch", "0", "--rotate", "45"], "--rotate is 45"),
        (["watch", "0", "--config", "none.toml"], "cannot read 'none.toml'"),
        (["watch", "0", "--kepe", "3"], "--kepe"),
    ):
        assert run(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err
        assert err.count("\n") == 1


def test_what_changed_is_listed() -> None:
    old = make_settings({"source": "0", "keep": 1})
    assert changed(old, make_settings({"source": "0", "keep": 2, "mirror": True})) == ["mirror", "keep"]
    assert changed(old, old) == []


def test_flags_are_named_as_they_are_typed() -> None:
    assert (option("skip_still"), option("source")) == ("--skip-still", "SOURCE")


def test_a_camera_of_a_file_has_its_own_settings_and_those_above_it(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'out = "x"\nkeep = 3\nfps = 2\n[[camera]]\nsource = "0"\n[[camera]]\nsource = "1"\nname = "door"\nkeep = 1\n',
    )
    settings = DECLARATION.check_together(make_settings({"mirror": True}, DECLARATION.read(path)))
    assert [(one.source, one.name, one.keep, one.fps, one.mirror) for one in settings.cameras] == [
        (("0",), None, 3, 2, True), (("1",), "door", 1, 2, True),
    ]  # fmt: skip
    again = make_settings({}, DECLARATION.read(write(tmp_path, DECLARATION.toml(settings))))
    assert again.cameras == settings.cameras
    assert settings.changed(again) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[camera]]\nsource = "0"\nout = "x"', "out is of the whole service; put it above the first [[camera]]"),
        ('[[camera]]\nsource = "0"\nnmae = "a"', "did you mean name?"),
        ("camera = 3", "[[camera]] tables, one a camera"),
        ('[[camera]]\nname = "a"', "no source"),
    ],
)
def test_camera_tables_that_cannot_be_say_what_can(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RequestError) as error:
        DECLARATION.check_together(make_settings({}, DECLARATION.read(write(tmp_path, text))))
    assert message in str(error.value)


def test_a_source_beside_camera_tables_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, '[[camera]]\nsource = "0"\n')
    with pytest.raises(RequestError, match="the file names cameras of its own"):
        make_settings({"source": "1"}, DECLARATION.read(path))
    assert isinstance(make_settings({}, DECLARATION.read(path)).cameras[0], CameraSettings)
