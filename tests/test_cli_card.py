"""`edge-nima card`: models that were made elsewhere get a card, and are then like any other."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import foreign_models
from conftest import PHOTOS, skip_without
from edge_nima import cli
from edge_nima.card import read_card
from edge_nima.distribution import mean_rating
from edge_nima.phone.offer import load_checked
from edge_nima.scorer import BUNDLED, load_model

skip_without("tensorflow", "edge-nima[convert]")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PHOTO = PHOTOS / "cat.jpg"
IMAGENET = ["--set", "filter=bilinear", "--set", "input_range=0,1", "--set", "std=0.229,0.224,0.225"]
RGB = [*IMAGENET, "--set", "mean=0.485,0.456,0.406"]
BGR = [
    "--set", "filter=bilinear", "--set", "input_range=0,1", "--set", "channel_order=BGR",
    "--set", "mean=0.406,0.456,0.485", "--set", "std=0.225,0.224,0.229",
]  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return foreign_models.make(tmp_path_factory.mktemp("foreign"))


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The real command."""
    command = [sys.executable, "-m", "edge_nima", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def carded(model: Path, out: Path, *settings: str) -> Path:
    done = run("card", model, *settings, "--out", out)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return out


def score(model: Path) -> NDArray[np.float64]:
    """What `edge-nima score` says of a photograph, without --card."""
    done = run("score", PHOTO, "--model", model, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout)["distribution"])


def by_hand(model: Path) -> NDArray[np.float64]:
    """The bare runtime on what PyTorch's ToTensor and Normalize would make of the photograph."""
    from ai_edge_litert.interpreter import Interpreter

    with Image.open(PHOTO) as image:
        rgb = np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR), np.float64)
    x = ((rgb / 255 - MEAN) / STD)[None]
    runtime = Interpreter(model_content=model.read_bytes())
    runtime.allocate_tensors()
    (given,), (taken,) = runtime.get_input_details(), runtime.get_output_details()
    if given["dtype"] is np.int8:
        step, zero = given["quantization"]
        x = np.clip(np.rint(x / step) + zero, -128, 127)
    runtime.set_tensor(given["index"], x.astype(given["dtype"]))
    runtime.invoke()
    p: NDArray[np.float64] = runtime.get_tensor(taken["index"])[0].astype(np.float64)
    if taken["dtype"] is np.int8:
        step, zero = taken["quantization"]
        p = (p - zero) * step
    return p / p.sum()


@pytest.mark.parametrize(
    ("name", "settings", "like"),
    [("nhwc", RGB, "nhwc"), ("nchw", RGB, "nhwc"), ("bgr", BGR, "nhwc"), ("int8", RGB, "int8")],
    ids=["nhwc", "nchw", "bgr", "int8"],
)
def test_a_scorer_of_any_kind_with_a_card_scores_as_its_network_does(
    models: Path, tmp_path: Path, name: str, settings: list[str], like: str
) -> None:
    made = carded(models / f"{name}.tflite", tmp_path / "made.tflite", *settings)
    assert score(made) == pytest.approx(by_hand(models / f"{like}.tflite"), abs=2e-6)
    done = run("check", made)
    assert (done.returncode, "6 probes passed" in done.stdout) == (0, True), done.stderr
    file, results = load_checked(str(made))  # what `phone` asks
    assert [result.problem for result in results] == [None] * 6
    assert file.card.preprocessing.layout == ("NCHW" if name == "nchw" else "NHWC")
    assert json.loads(file.card.to_json())["format_version"] == 3


def test_the_card_says_what_is_known_and_that_there_is_no_float_model(models: Path, tmp_path: Path) -> None:
    texts = ["--set", "name=mine", "--set", "licence=MIT", "--set", "attribution=A. Person"]
    made = carded(models / "nhwc.tflite", tmp_path / "made.tflite", "--like", "mobilenet-ava-int8-mixed", *texts)
    card = read_card(made.read_bytes())
    assert card is not None
    assert (card.name, card.licence, card.attribution) == ("mine", "MIT", "A. Person")
    assert (card.gate, card.agreement) == (None, None)
    assert card.source["sha256"] == sha256((models / "nhwc.tflite").read_bytes()).hexdigest()
    assert "float model was not at hand" in card.source["reference"]
    assert all(probe.own == probe.reference for probe in card.probes)
    assert np.ptp([mean_rating(probe.own) for probe in card.probes]) > 0.5
    shown = run("card", made)
    assert "no float model" in shown.stdout
    assert "filter" not in shown.stderr
    assert json.loads(run("card", made, "--json").stdout) == json.loads(card.to_json())


def test_like_is_a_model_a_name_of_one_or_a_card(models: Path, tmp_path: Path) -> None:
    bundled = load_model().card
    (tmp_path / "card.json").write_text(bundled.to_json())
    made = [
        carded(models / "nhwc.tflite", tmp_path / f"{i}.tflite", "--like", str(like), "--set", "name=a")
        for i, like in enumerate(("mobilenet-ava-int8-mixed", BUNDLED, tmp_path / "card.json"))
    ]
    assert len({path.read_bytes() for path in made}) == 1
    how = load_model(made[0]).card.preprocessing
    assert (how.width, how.height, how.scaling) == (64, 64, "host")
    assert (how.filter, how.longest_edge, how.scale) == ("nearest", 640, bundled.preprocessing.scale)
    stated = carded(models / "nhwc.tflite", tmp_path / "b.tflite", "--like", str(made[0]), "--set", "longest_edge=0")
    assert load_model(stated).card.preprocessing.longest_edge is None
    assert json.loads(run("card", stated, "--json").stdout)["format_version"] == 1


def test_what_was_assumed_is_said_once(models: Path, tmp_path: Path) -> None:
    done = run("card", models / "nhwc.tflite", *RGB, "--out", tmp_path / "a.tflite")
    assert done.stderr.splitlines() == [
        "edge-nima: assuming fit stretch, channel_order RGB, longest_edge none: if it was trained otherwise its scores "
        "will be wrong, state them with --set"
    ]
    all_stated = ["--set", "fit=crop", "--set", "channel_order=RGB", "--set", "longest_edge=0"]
    assert run("card", models / "nhwc.tflite", *RGB, *all_stated, "--out", tmp_path / "b.tflite").stderr == ""


RANGE = ["--set", "filter=box", "--set", "input_range=-1,1"]


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("nhwc", [], "does not say how it wants its pixels: give --like MODEL, or --set filter=bilinear"),
        ("nhwc", ["--set", "filter=box"], "--set input_range=-1,1 (what 0 and 255 become)"),
        ("nhwc", ["--set", "filter=boxes", *RANGE[2:]], "filter is 'boxes'; possible: nearest, box"),
        (
            "nhwc",
            [*RANGE, "--set", "size=224"],
            "--set takes KEY=VALUE, not 'size=224'; keys: filter, fit",
        ),
        ("nhwc", [*RANGE, "--set", "fit"], "--set takes KEY=VALUE, not 'fit'"),
        ("nhwc", [*RANGE, "--set", "filter=box"], "--set has filter twice"),
        ("nhwc", [*RANGE, "--set", "mean=1,2"], "--set mean is '1,2'; possible: one number, or three"),
        ("nhwc", [*RANGE, "--set", "std=0.2,0,1"], "std is (0.2, 0.0, 1.0); possible: numbers other than 0"),
        ("nhwc", [*RANGE, "--set", "layout=NCHW"], "layout is NCHW, and the file's input is NHWC"),
        ("nhwc", [*RANGE, "--set", "name="], "name is ''; possible: one line of text"),
        ("nhwc", ["--like", "mobilenet-ava-int8-mixed", "--set", "mean=0.5"], "mean and std need input_range"),
        ("nhwc", ["--like", "nothing.tflite"], "cannot open the model 'nothing.tflite'"),
        (
            "int8",
            ["--set", "filter=box", "--set", "input_range=0,255"],
            "its integer input holds -2.191 to 2.709, of which the stated range uses 4 values",
        ),
        ("logits", RANGE, "the model's output is not a distribution: it sums to"),
        ("mean", RANGE, "this model maps (1, 64, 64, 3) to (1, 1); one number is no histogram"),
        ("flat", RANGE, "a scorer takes (1, height, width, 3) or (1, 3, height, width), this model (1, 12288)"),
        ("none", RANGE, "cannot open the model"),
        ("text", RANGE, "not a .tflite"),
        ("carded", RANGE, "carries a card already"),
    ],
)
def test_what_cannot_be_a_card_is_refused_in_one_line(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, settings: list[str], told: str
) -> None:
    model = BUNDLED if name == "carded" else models / f"{name}.tflite"
    if name == "text":
        model = tmp_path / "text.tflite"
        model.write_text("this is not a model\n" * 9)
    assert cli.run(["card", str(model), *settings, "--out", str(tmp_path / "out.tflite")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert told in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "out.tflite").exists()


def test_a_file_is_replaced_only_when_asked_and_never_the_model_itself(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = models / "nhwc.tflite", tmp_path / "out.tflite"
    out.write_bytes(b"mine")
    assert cli.run(["card", str(model), *RANGE, "--out", str(out)]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"
    before = model.read_bytes()
    assert cli.run(["card", str(model), *RANGE, "--out", str(model), "--overwrite"]) == 2
    assert model.read_bytes() == before
    assert cli.run(["card", str(model), *RANGE, "--out", str(out), "--overwrite"]) == 0
    assert read_card(out.read_bytes()) is not None
    assert cli.run(["card", str(model), *RANGE]) == 2
    assert "say which with --out FILE" in capsys.readouterr().err
    assert cli.run(["card", str(model), *RANGE, "--out", str(tmp_path / "no" / "out.tflite")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out.tflite"]
