"""The configuration of a training run: what is read, what is refused, and how it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import ROOT
from edge_nima.errors import RequestError
from edge_nima_train.config import Config, Data, expand, make_config, read_config

MINIMAL = '[data]\nmanifest = "labels.csv"\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    config = read_config(
        written(
            tmp_path, MINIMAL + "[phase2]\nlearning_rate = 1e-5\n[augment]\nflip = false\n[network]\nweights = 'a \"b'"
        )
    )
    assert read_config(written(tmp_path, config.as_toml())) == config
    assert config.phase2.learning_rate == 1e-5
    assert config.network.weights == 'a "b'
    assert config.differences(config) == {}


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "train" / "configs").glob("*.toml")))
def test_every_committed_configuration_is_sound(name: str) -> None:
    config = read_config(ROOT / "train" / "configs" / name)
    assert config.phase1.epochs > 0
    assert config.phase2.epochs > 0


def test_the_reference_configuration_is_the_seeds() -> None:
    config = read_config(ROOT / "train" / "configs" / "ava_mobilenet.toml")
    one, two = config.phase1, config.phase2
    assert (config.network.architecture, config.network.alpha, config.network.dropout) == ("MobileNet", 1.0, 0.75)
    assert (one.epochs, one.learning_rate, one.schedule, one.batch) == (5, 1e-3, "constant", 96)
    assert (two.epochs, two.learning_rate, two.schedule, two.decay, two.batch) == (9, 3e-5, "inverse-time", 2.3e-5, 96)
    assert one.weight_decay == two.weight_decay == one.ema == two.ema == config.loss.label_smoothing == 0


def test_set_changes_a_key_and_takes_text_without_quotes(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL)
    changes = [
        "phase2.epochs=0",
        "network.weights=none",
        "phase1.learning_rate=1",
        "data.images=/a b",
        "augment.crop=false",
    ]
    config = read_config(path, changes)
    assert config.phase2.epochs == 0
    assert config.network.weights == "none"
    assert config.phase1.learning_rate == 1.0
    assert config.data.images == "/a b"
    assert config.augment.crop is False


@pytest.mark.parametrize(
    ("text", "changes", "told"),
    [
        (MINIMAL + "[phase3]\nepochs = 1", [], r"no section is called \[phase3\]; did you mean phase[12]\?"),
        (MINIMAL + "[phase1]\nepoch = 1", [], r"\[phase1\] has no key 'epoch'; did you mean epochs\?"),
        (MINIMAL + "[phase1]\nepochs = 1.5", [], r"phase1.epochs is 1.5; possible: a whole number"),
        (MINIMAL + "[phase1]\nepochs = true", [], r"phase1.epochs is true; possible: a whole number"),
        (MINIMAL + "[phase1]\nbatch = 0", [], r"phase1.batch is 0; possible: 1 to 65536"),
        (MINIMAL + "[phase1]\nlearning_rate = nan", [], r"phase1.learning_rate is nan; possible: 0 to 10"),
        (MINIMAL + "[network]\ndropout = 1.0", [], r"network.dropout is 1.0; possible: 0 to 0.99"),
        (MINIMAL + '[network]\narchitecture = "mobilenet"', [], r"did you mean MobileNet\?"),
        (MINIMAL + "[augment]\nflip = 1", [], r"augment.flip is 1; possible: true or false"),
        (MINIMAL + "[data.more]\nx = 1", [], r"\[data\] has no key 'more'"),
        (MINIMAL + "[data]\nsize = 1", [], r"is not TOML"),
        ("data = 3", [], r"data is a section"),
        ("", [], r"neither is given"),
        (MINIMAL + 'shards = "there"', [], r"both are given"),
        (MINIMAL + "size = 200", [], r"data.size is 200; possible: 224 \(network.input\) or more"),
        (MINIMAL + "size = 224", [], r"nothing to crop from"),
        (
            MINIMAL + "[augment]\ncrop = false\n[phase1]\nviews = 3",
            [],
            r"phase1.views is 3; without augment.crop there are 2",
        ),
        (MINIMAL + '[network]\narchitecture = "EfficientNetB0"\nalpha = 0.5', [], r"EfficientNetB0 has no width"),
        (MINIMAL, ["phase1.epochs=0", "phase2.epochs=0"], r"both 0"),
        (MINIMAL, ["epochs=0"], r"possible: section.key=value"),
        (MINIMAL, ["phase2.epochs"], r"possible: section.key=value"),
        (MINIMAL, ["phase2.epochs=many"], r"phase2.epochs is \"many\"; possible: a whole number"),
        (MINIMAL, ["phase2.epocs=1"], r"did you mean epochs\?"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, text: str, changes: list[str], told: str) -> None:
    with pytest.raises(RequestError, match=told) as caught:
        read_config(written(tmp_path, text), changes)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot read"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RequestError, match="cannot read"):
        read_config(tmp_path / "b.toml")


def test_environment_variables_in_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMEWHERE", "/data")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert expand("$SOMEWHERE/x") == Path("/data/x")
    assert expand("${SOMEWHERE}/x") == Path("/data/x")
    with pytest.raises(RequestError, match="variable NOWHERE, which is not set"):
        expand("${NOWHERE}/x")


def test_differences_name_the_key_and_both_values() -> None:
    one = Config(data=Data(manifest="a"))
    other = make_config({"data": {"manifest": "a"}, "phase1": {"batch": 8}}, "here")
    assert one.differences(other) == {"phase1.batch": "phase1.batch is 96 here and 8 there"}
