"""`edge-nima convert` at its edges: the gate's exit code, the ladder, the reference, an interruption."""

from __future__ import annotations

import json
import shutil
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import PHOTOS, skip_without
from edge_nima import cli
from edge_nima.errors import CheckpointError
from edge_nima.records import read_records
from edge_nima.scorer import load_model, open_scorer
from edge_nima_convert import conversion, recipes
from edge_nima_convert.checkpoint import open_checkpoint

skip_without("tensorflow", "edge-nima[convert]")

Made = list[str]

STATED = ["--filter", "bilinear", "--fit", "stretch", "--input-range=-1,1"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen pictures to judge by, others than those that calibrate."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("judge")
    random = np.random.default_rng(11)
    for i in range(15):
        coarse = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((140, 100), Image.Resampling.BICUBIC).save(folder / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def near(tiny_keras: Path) -> bytes:
    """A conversion that is as the float model."""
    return recipes.convert(open_checkpoint(tiny_keras, filter="bilinear"), recipes.RECIPES["float32"])


@pytest.fixture(scope="module")
def far(tiny_network: Any, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A conversion of another network altogether."""
    import keras

    keras.utils.set_random_seed(8)
    other = keras.models.clone_model(tiny_network)
    path = tmp_path_factory.mktemp("far") / "far.keras"
    other.save(path)
    return recipes.convert(open_checkpoint(path, filter="bilinear"), recipes.RECIPES["float16"])


@pytest.fixture
def ladder(
    near: bytes, far: bytes, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, bytes | type[BaseException]]], Made]:
    """Sets a ladder of recipes with what each makes; returns the list in which those that are made appear."""

    def set_rungs(rungs: dict[str, bytes | type[BaseException]]) -> Made:
        made: Made = []

        def convert(checkpoint: Any, recipe: recipes.Recipe, calibration: Any = None, **trains: Any) -> bytes:
            made.append(recipe.name)
            result = rungs[recipe.name]
            if not isinstance(result, bytes):
                raise result("no such layer")
            return result

        known = {name: recipes.Recipe(name, f"rung {name}", name != "float16", 0.1, 1.0) for name in rungs}
        monkeypatch.setattr(recipes, "RECIPES", known)
        monkeypatch.setattr(recipes, "LADDER", tuple(rungs))
        monkeypatch.setattr(conversion, "convert", convert)
        return made

    return set_rungs


@pytest.fixture
def arguments(tiny_keras: Path, photographs: Path, noise_photographs: Path, tmp_path: Path) -> list[str]:
    """A whole command but for its recipes."""
    gate = tmp_path / "gate.toml"
    gate.write_text("fewest = 10\nmae_max = 0.001\nsrcc_min = 0.99\n")
    return [
        "convert", str(tiny_keras), "--out", str(tmp_path / "out"), "--calibration", str(noise_photographs),
        "--evaluate", str(photographs), "--gate", str(gate), *STATED,
    ]  # fmt: skip


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").glob("*")) if (folder / "out").is_dir() else []


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """Run a command that must be refused with exit code 2; its last line."""
    capsys.readouterr()
    assert cli.run(arguments) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.splitlines()[-1]


# The gate


def test_a_conversion_outside_the_gate_exits_1_and_nothing_is_lost(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, far: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder({"int8": far, "float16": near})
    assert cli.run([*arguments, "--recipe", "int8", "--recipe", "float16"]) == 1
    said = capsys.readouterr()
    assert "int8 failed the gate: mae" in said.err
    assert "float16 failed" not in said.err
    assert "failed: mae, srcc" in said.out
    assert "passed" in said.out
    assert files(tmp_path) == ["tiny-float16.tflite", "tiny-int8.tflite", "tiny.calibration.json"]
    verdict = load_model(tmp_path / "out/tiny-int8.tflite").card.gate
    assert verdict is not None
    assert (verdict.status, verdict.n, verdict.limits) == ("failed", 15, {"mae_max": 0.001, "srcc_min": 0.99})
    assert [failure.statistic for failure in verdict.failures] == ["mae", "srcc"]
    kept = load_model(tmp_path / "out/tiny-float16.tflite").card.gate
    assert kept is not None
    assert (kept.status, kept.failures) == ("passed", ())


def test_whoever_loads_a_model_that_failed_is_warned_in_one_line(
    arguments: list[str], tmp_path: Path, ladder: Any, far: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder({"int8": far})
    assert cli.run([*arguments, "--recipe", "int8"]) == 1
    model = str(tmp_path / "out/tiny-int8.tflite")
    for command in (["score", str(PHOTOS / "cat.jpg"), "--model", model], ["check", model]):
        capsys.readouterr()
        cli.run(command)
        warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
        assert len(warnings) == 1
        assert warnings[0].startswith("edge-nima: warning: tiny-int8: this model failed its gate")
        assert "(at most 0.001)" in warnings[0]
    assert cli.run(["show", model]) == 0
    assert "failed (n=15" in capsys.readouterr().out


def test_a_model_that_passed_or_has_no_verdict_is_loaded_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["score", str(PHOTOS / "cat.jpg")]) == 0
    assert "gate" not in capsys.readouterr().err


def test_a_tolerance_on_the_size_holds_for_the_file_that_is_written(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes
) -> None:
    ladder({"float16": near})
    assert cli.run([*arguments, "--recipe", "float16"]) == 0
    size = (tmp_path / "out/tiny-float16.tflite").stat().st_size
    for limit, code in ((size + 40, 0), (size - 1, 1)):  # forty bytes: what the card says of the limit itself
        (tmp_path / "gate.toml").write_text(f"size_max = {limit}\nmae_max = 0.001\n")
        assert cli.run([*arguments, "--recipe", "float16", "--overwrite"]) == code
        written = (tmp_path / "out/tiny-float16.tflite").stat().st_size
        assert (written <= limit) == (code == 0)


def test_without_photographs_to_judge_by_nothing_is_judged(
    tiny_keras: Path, tmp_path: Path, noise_photographs: Path, ladder: Any, near: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ladder({"int8": near, "float16": near})
    (tmp_path / "gate.toml").write_text("mae_max = 0.001\n")
    command = ["convert", str(tiny_keras), "--out", str(tmp_path / "out"), "--gate", str(tmp_path / "gate.toml")]
    assert cli.run([*command, "--recipe", "float16"]) == 0
    assert "the gate has not judged float16: measured on the 6 golden probes" in capsys.readouterr().err
    assert cli.run([*command, "--recipe", "int8", "--calibration", str(noise_photographs)]) == 0
    assert "measured on the 20 calibration photographs themselves" in capsys.readouterr().err
    for recipe in ("int8", "float16"):
        verdict = load_model(tmp_path / f"out/tiny-{recipe}.tflite").card.gate
        assert verdict is not None
        assert verdict.status == "not judged"


def test_photographs_that_calibrate_are_left_out_of_those_that_judge(
    arguments: list[str], tmp_path: Path, photographs: Path, noise_photographs: Path, ladder: Any, near: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ladder({"int8": near})
    both = tmp_path / "both"
    shutil.copytree(photographs, both)
    for name in ("00.png", "01.png", "02.png"):
        shutil.copy(noise_photographs / name, both / f"again{name}")
    arguments[arguments.index("--evaluate") + 1] = str(both)
    assert cli.run([*arguments, "--recipe", "int8"]) == 0
    said = capsys.readouterr()
    assert "3 photographs calibrate or train too; they are left out of those that judge" in said.err
    assert "n=15" in said.out
    card = load_model(tmp_path / "out/tiny-int8.tflite").card
    assert card.gate is not None
    assert (card.gate.status, card.gate.n) == ("passed", 15)


def test_a_bad_gate_is_refused_before_any_work(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gate.toml").write_text("mae_max = 0.1\nsrcc = 0.9\n")
    assert "unknown tolerance srcc" in refused(capsys, arguments)
    arguments[arguments.index("--gate") + 1] = str(tmp_path / "none.toml")
    assert "cannot read the gate" in refused(capsys, arguments)
    assert files(tmp_path) == []


# The ladder


def test_auto_stops_at_the_first_rung_that_passes_and_keeps_it_alone(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, far: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ladder({"int8": far, "int8-corrected": near, "int8-distilled": near, "float16": near})
    assert cli.run([*arguments, "--recipe", "auto"]) == 0
    assert made == ["int8", "int8-corrected"]
    assert files(tmp_path) == ["tiny-int8-corrected.tflite", "tiny.calibration.json"]
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line.strip().startswith("int8")]
    assert [row[0] for row in rows] == ["int8", "int8-corrected"]
    assert rows[1][-1] == "passed"
    assert str(tmp_path / "out/tiny-int8-corrected.tflite") in out
    assert "tiny-int8.tflite" not in out


def test_auto_keeps_all_that_it_tried_when_told_to(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, far: bytes
) -> None:
    ladder({"int8": far, "int8-corrected": near, "float16": near})
    assert cli.run([*arguments, "--recipe", "auto", "--keep-all"]) == 0
    assert files(tmp_path) == ["tiny-int8-corrected.tflite", "tiny-int8.tflite", "tiny.calibration.json"]
    failed = load_model(tmp_path / "out/tiny-int8.tflite").card.gate
    assert failed is not None
    assert failed.status == "failed"


def test_auto_exits_1_when_no_rung_passes_and_keeps_the_nearest(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, far: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ladder({"int8": near, "float16": far})
    (tmp_path / "gate.toml").write_text("mae_max = 0\nbias_max = 0\n")
    assert cli.run([*arguments, "--recipe", "auto"]) == 1
    assert made == ["int8", "float16"]
    assert files(tmp_path) == ["tiny-int8.tflite", "tiny.calibration.json"]
    said = capsys.readouterr().err
    assert "none of int8, float16 passes the gate; kept is the nearest to float:" in said
    assert "int8 failed the gate: mae" in said


def test_auto_passes_over_a_rung_that_cannot_be_made(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, far: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder({"int8": far, "int8-corrected": CheckpointError, "float16": near})
    assert cli.run([*arguments, "--recipe", "auto"]) == 0
    assert files(tmp_path) == ["tiny-float16.tflite"]
    assert "int8-corrected cannot be made of this checkpoint, going on: no such layer" in capsys.readouterr().err
    ladder({"int8": CheckpointError, "float16": CheckpointError})
    assert refused(capsys, [*arguments, "--recipe", "auto", "--overwrite"]) == "edge-nima: no such layer"


def test_auto_climbs_real_recipes(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "LADDER", ("int8", "float16"))
    (tmp_path / "gate.toml").write_text("fewest = 10\nmae_max = 0.0005\n")
    assert cli.run([*arguments, "--recipe", "auto"]) == 0
    assert files(tmp_path) == ["tiny-float16.tflite"]


def test_the_ladder_is_of_known_recipes_and_ends_where_nothing_is_learnt() -> None:
    assert set(recipes.LADDER) <= set(recipes.RECIPES)
    assert recipes.LADDER[-1] == "float16"


def test_auto_without_what_it_needs_is_refused_in_one_line(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, noise_photographs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    made = ladder({"int8": near, "float16": near})
    auto = [*arguments, "--recipe", "auto"]
    assert "chooses by itself" in refused(capsys, [*auto, "--recipe", "int8"])
    assert "--recipe auto" in refused(capsys, [*arguments, "--keep-all"])
    without = [*auto]
    at = without.index("--evaluate")
    del without[at : at + 2]
    assert "--recipe auto needs photographs to judge by: --evaluate PHOTOS" in refused(capsys, without)
    uncalibrated = [*auto]
    at = uncalibrated.index("--calibration")
    del uncalibrated[at : at + 2]
    assert "--calibration PHOTOS" in refused(capsys, uncalibrated)
    (tmp_path / "gate.toml").write_text("fewest = 16\nmae_max = 0.1\n")
    assert "needs 16 photographs or more to judge by; --evaluate gives 15" in refused(capsys, auto)
    auto[auto.index("--evaluate") + 1] = str(noise_photographs)
    assert "has nothing to judge by" in refused(capsys, auto)
    assert made == []
    assert files(tmp_path) == []


# The reference


def test_the_reference_alone_is_what_the_float_model_says(
    arguments: list[str], tmp_path: Path, photographs: Path, tiny_keras: Path
) -> None:
    reference = tmp_path / "reference.jsonl"
    assert cli.run([*arguments, "--reference", str(reference)]) == 0
    assert files(tmp_path) == []
    records = [record for record, _ in read_records(reference)]
    assert [record.name for record in records] == [str(path) for path in sorted(photographs.glob("*"))]
    checkpoint = open_checkpoint(tiny_keras, filter="bilinear", input_range=(-1, 1))
    from edge_nima.pixels import read_input

    pixels = np.stack([read_input(path, checkpoint.preprocessing) for path in sorted(photographs.glob("*"))])
    np.testing.assert_allclose([r.distribution for r in records], checkpoint.predict(pixels), atol=1e-6)
    assert {record.model for record in records} == {f"tiny@{checkpoint.source['sha256'][:8]}"}
    assert {record.preprocessing for record in records} == {checkpoint.preprocessing.describe()}


def test_the_reference_joins_with_what_a_device_scores(arguments: list[str], tmp_path: Path, photographs: Path) -> None:
    reference, scores = tmp_path / "reference.jsonl", tmp_path / "scores.jsonl"
    assert cli.run([*arguments, "--reference", str(reference), "--recipe", "float32"]) == 0
    model = str(tmp_path / "out/tiny-float32.tflite")
    assert cli.run(["score", str(photographs), "--model", model, "-o", str(scores)]) == 0
    ours, theirs = read_records(reference), read_records(scores)
    for (a, stamp_a), (b, stamp_b) in zip(ours, theirs, strict=True):
        assert (a.name, a.preprocessing, stamp_a) == (b.name, b.preprocessing, stamp_b)
        assert a.mean == pytest.approx(b.mean, abs=1e-4)


def test_the_reference_names_what_cannot_be_read(
    arguments: list[str], tmp_path: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(photographs, damaged)
    (damaged / "03: odd.png").write_bytes(b"\x89PNG")
    arguments[arguments.index("--evaluate") + 1] = str(damaged)
    assert cli.run([*arguments, "--reference", str(tmp_path / "reference.csv")]) == 0
    assert "16 photographs" in capsys.readouterr().err
    records = [record for record, _ in read_records(tmp_path / "reference.csv")]
    scored = open_scorer().score_or_error(damaged / "03: odd.png")
    (bad,) = [record for record in records if record.error is not None]
    assert (bad.name, bad.error) == (scored.name, scored.error)


def test_a_reference_that_cannot_be_is_refused_before_any_work(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "reference.jsonl"
    there.write_text("mine")
    assert "--overwrite replaces it" in refused(capsys, [*arguments, "--reference", str(there)])
    assert there.read_text() == "mine"
    assert "neither .jsonl nor .csv" in refused(capsys, [*arguments, "--reference", str(tmp_path / "a.txt")])
    assert "no such folder" in refused(capsys, [*arguments, "--reference", str(tmp_path / "no/a.jsonl")])
    at = arguments.index("--evaluate")
    del arguments[at : at + 2]
    assert "--evaluate" in refused(capsys, [*arguments, "--reference", str(tmp_path / "b.jsonl")])


# The calibration


def test_the_calibration_is_drawn_from_rating_bins_and_written_beside_the_model(
    arguments: list[str], tmp_path: Path, noise_photographs: Path, ladder: Any, near: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ladder({"int8": near})
    labels = tmp_path / "labels.csv"
    labels.write_text("file,mean_rating\n" + "".join(f"{i:02}.png,{1.5 + i % 3 * 3}\n" for i in range(19)))
    command = [*arguments, "--recipe", "int8", "--labels", str(labels), "--per-bin", "4", "--bins", "3", "--seed", "5"]
    assert cli.run(command) == 0
    said = capsys.readouterr().err
    assert said.count("1 of 20 photographs have no label in labels.csv: ") == 1
    assert said.count("only 12 different calibration photographs") == 1
    document = json.loads((tmp_path / "out/tiny.calibration.json").read_text())
    assert [one["drawn"] for one in document["bins"]] == [4, 4, 4]
    assert (document["seed"], len(document["photographs"])) == (5, 12)
    described = load_model(tmp_path / "out/tiny-int8.tflite").card.calibration
    assert described is not None
    assert (described["n"], described["bins"], described["per_bin"]) == (12, [4, 4, 4], 4)
    assert described["labels"]["file"] == "labels.csv"


def test_the_same_calibration_may_be_there_and_another_may_not(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder({"int8": near, "int8-corrected": near})
    assert cli.run([*arguments, "--recipe", "int8", "--per-bin", "1"]) == 0
    assert cli.run([*arguments, "--recipe", "int8-corrected", "--per-bin", "1"]) == 0
    (tmp_path / "out/tiny-int8.tflite").unlink()
    line = refused(capsys, [*arguments, "--recipe", "int8", "--per-bin", "2"])
    assert "is of another calibration: --overwrite replaces it" in line
    assert cli.run([*arguments, "--recipe", "int8", "--per-bin", "2", "--overwrite"]) == 0


def test_a_calibration_that_is_none_is_refused_in_one_line(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    made = ladder({"int8": near})
    noise = tmp_path / "noise"
    noise.mkdir()
    random = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(random.integers(0, 256, (224, 224, 3), dtype=np.uint8)).save(noise / f"{i}.png")
    command = [*arguments, "--recipe", "int8"]
    command[command.index("--calibration") + 1] = str(noise)
    assert "most of 12 calibration pictures are no photographs" in refused(capsys, command)
    labels = tmp_path / "labels.csv"
    labels.write_text("file,mean_rating\nother.jpg,5\n")
    assert "none of the 12 photographs" in refused(capsys, [*command, "--labels", str(labels)])
    assert "cannot read" in refused(capsys, [*command, "--labels", str(tmp_path / "none.csv")])
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "a.png").write_bytes(b"none")
    command[command.index("--calibration") + 1] = str(damaged)
    assert "0 different photographs cannot calibrate int8" in refused(capsys, command)
    assert made == []


def test_of_very_many_photographs_without_labels_some_make_the_bins(
    arguments: list[str], ladder: Any, near: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_nima.cli import convert_inputs

    ladder({"int8": near})
    monkeypatch.setattr(convert_inputs, "MOST_PREDICTED", 14)
    assert cli.run([*arguments, "--recipe", "int8"]) == 0
    assert "making rating bins of 14 of 20 photographs; with --labels all can be drawn" in capsys.readouterr().err


# People


def test_with_peoples_ratings_both_models_are_held_against_them(
    arguments: list[str], tmp_path: Path, photographs: Path, ladder: Any, near: bytes, far: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ladder({"int8": far, "float16": near})
    labels = tmp_path / "labels.csv"
    random = np.random.default_rng(5)
    rows = [f"{path.name},{random.uniform(2, 9):.2f}\n" for path in sorted(photographs.glob("*"))]
    labels.write_text("file,mean_rating\n" + "".join(rows[:-1]))
    (tmp_path / "gate.toml").write_text("fewest = 10\npeople_srcc_change_min = -0.002\n")
    command = [*arguments, "--recipe", "int8", "--recipe", "float16", "--evaluate-labels", str(labels)]
    cli.run(command)
    said = capsys.readouterr()
    assert "1 of the 15 photographs that judge have no rating in labels.csv: " in said.err
    assert "Against people, n=14 (labels.csv)" in said.out
    assert "whoever looks at no photograph" in said.out
    card = load_model(tmp_path / "out/tiny-float16.tflite").card
    assert card.gate is not None
    assert card.gate.status == "passed"
    labels.write_text("file,mean_rating\nother.jpg,5\n")
    assert "none of the 15 photographs" in refused(capsys, [*command, "--overwrite"])
    labels.write_text("file,mean_rating\nother.jpg,11\n")
    assert "line 2: mean_rating is 11" in refused(capsys, [*command, "--overwrite"])


# Reports


def test_a_folder_of_reports_has_a_page_and_the_numbers_for_each_recipe(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, far: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder({"int8": far, "float16": near})
    command = [*arguments, "--recipe", "auto", "--report", str(tmp_path / "reports")]
    assert cli.run(command) == 0
    names = sorted(path.name for path in (tmp_path / "reports").iterdir())
    assert names == ["tiny-float16.html", "tiny-float16.json", "tiny-int8.html", "tiny-int8.json"]
    told = json.loads((tmp_path / "reports/tiny-int8.json").read_text())
    assert (told["n"], told["candidate"], told["on"]) == (15, "tiny-int8", load_on(tmp_path))
    page = (tmp_path / "reports/tiny-int8.html").read_text()
    assert "tiny-int8" in page
    assert "Gate: failed" in page
    assert page.count("data:image") >= 10  # the worst photographs are found by their names
    assert "--overwrite" in refused(capsys, [*command[:-1], str(tmp_path / "reports"), "--out", str(tmp_path / "b")])


def load_on(folder: Path) -> str:
    agreement = load_model(folder / "out/tiny-float16.tflite").card.agreement
    assert agreement is not None
    return str(agreement["on"])


def test_one_report_of_one_recipe(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder({"float16": near, "int8": near})
    for name in ("a.html", "b.json"):
        command = [*arguments, "--recipe", "float16", "--report", str(tmp_path / name), "--overwrite"]
        assert cli.run(command) == 0
        assert (tmp_path / name).stat().st_size > 1000
    assert "one file for several" in refused(capsys, [*command, "--recipe", "int8"])
    assert "one file for several" in refused(
        capsys, [*arguments, "--recipe", "auto", "--overwrite", "--report", "c.html"]
    )
    assert "no such folder" in refused(capsys, [*command[:-2], str(tmp_path / "no/c.html"), "--overwrite"])
    command.remove("--overwrite")
    assert "--overwrite replaces it" in refused(capsys, [*command, "--out", str(tmp_path / "else")])


def test_layers_are_explained_in_the_table_and_in_the_report(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from edge_nima.comparison import LayerError

    ladder({"int8": near, "float16": near})
    asked: dict[str, Any] = {}

    def explain_layers(checkpoint: Any, recipe: Any, calibration: Any, *, model: bytes) -> list[LayerError]:
        asked.update(recipe=recipe.name, n=len(calibration), model=model)
        return [
            LayerError("conv1", "convolution", 40.0, 30.0, 0.001, "int8"),
            LayerError("conv_dw_1", "depthwise convolution", None, 12.5, 0.165, "int8"),
        ]

    module = types.ModuleType("edge_nima_convert.explain")
    module.explain_layers = explain_layers  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "edge_nima_convert.explain", module)
    command = [*arguments, "--recipe", "int8", "--recipe", "float16", "--explain", "--report", str(tmp_path / "r")]
    assert cli.run(command) == 0
    assert (asked["recipe"], asked["n"]) == ("int8", 20)
    assert asked["model"] == (tmp_path / "out/tiny-int8.tflite").read_bytes()
    out = capsys.readouterr().out
    assert out.index("conv_dw_1") < out.index("conv1 ")  # the costliest first
    assert "0.1650" in out
    assert len(json.loads((tmp_path / "r/tiny-int8.json").read_text())["layers"]) == 2
    assert "layers" not in json.loads((tmp_path / "r/tiny-float16.json").read_text())
    assert "--explain is of recipes that calibrate" in refused(capsys, [*arguments, "--recipe", "float16", "--explain"])


# Recipes that train


@dataclass(frozen=True)
class Trained(recipes.Recipe):
    needs_training: bool = True


@pytest.fixture
def trained(near: bytes, monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], dict[str, Any]]:
    """A recipe that trains, and may end in an exception; returns what it is given."""

    def set_recipe(ends_in: BaseException | None = None) -> dict[str, Any]:
        given: dict[str, Any] = {}

        def convert(checkpoint: Any, recipe: Any, calibration: Any = None, **trains: Any) -> bytes:
            given.update(trains, calibration=calibration)
            trains["work"].mkdir(parents=True)
            (trains["work"] / "step-100").write_text("half way")
            trains["progress"]("distilling", 100, 200, "MAE .021")
            if ends_in is not None:
                raise ends_in
            return near

        known = {"int8-distilled": Trained("int8-distilled", "trained", True, 0.1, 1.0)}
        monkeypatch.setattr(recipes, "RECIPES", known)
        monkeypatch.setattr(conversion, "convert", convert)
        return given

    return set_recipe


def test_a_recipe_that_trains_has_all_photographs_of_the_calibration(
    arguments: list[str], tmp_path: Path, trained: Any
) -> None:
    given = trained()
    assert cli.run([*arguments, "--recipe", "int8-distilled", "--per-bin", "4", "--bins", "3"]) == 0
    assert (given["calibration"].shape, given["training"].shape) == ((12, 224, 224, 3), (20, 224, 224, 3))
    assert given["training"].dtype == np.uint8
    assert given["work"] == tmp_path / "out/.tiny-int8-distilled.work"
    assert files(tmp_path) == [
        "tiny-int8-distilled.tflite",
        "tiny.calibration.json",
    ]  # what it would have been resumed from is gone
    calibration = load_model(tmp_path / "out/tiny-int8-distilled.tflite").card.calibration
    assert calibration is not None
    assert calibration["training"]["n"] == 20


def test_photographs_to_train_on_can_be_others_and_fewer(
    arguments: list[str], tmp_path: Path, trained: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    given = trained()
    command = [*arguments, "--recipe", "int8-distilled", "--distil-photographs", str(PHOTOS), "--distil-count", "4"]
    assert cli.run(command) == 0
    assert len(given["training"]) == 4
    (tmp_path / "text.png").write_text("none")
    command[command.index("--distil-photographs") + 1] = str(tmp_path / "text.png")
    assert "--distil-photographs can be read" in refused(capsys, [*command, "--overwrite"])


@pytest.mark.parametrize("auto", [True, False])
def test_what_a_run_resumes_from_outlives_an_interruption(
    arguments: list[str], tmp_path: Path, trained: Any, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], auto: bool,
) -> None:  # fmt: skip
    trained(KeyboardInterrupt())
    monkeypatch.setattr(recipes, "LADDER", ("int8-distilled",))
    assert cli.run([*arguments, "--recipe", "auto" if auto else "int8-distilled"]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert (tmp_path / "out/.tiny-int8-distilled.work/step-100").read_text() == "half way"


def test_long_work_is_told_of_once_a_minute_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_nima.cli import progress

    clock = iter([0.0, 1.0, 59.0, 61.0, 62.0, 130.0])
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    with progress.stages("int8-distilled") as show:
        for done in range(5):
            show("distilling", done, 5, "MAE .021")
    assert capsys.readouterr().err.splitlines() == [
        "edge-nima: int8-distilled: distilling 2/5, MAE .021",
        "edge-nima: int8-distilled: distilling 4/5, MAE .021",
    ]


# Interruptions


def test_an_interrupted_climb_writes_nothing_and_says_how_to_go_on(
    arguments: list[str], tmp_path: Path, ladder: Any, far: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder({"int8": far, "int8-distilled": KeyboardInterrupt, "float16": far})
    assert cli.run([*arguments, "--recipe", "auto"]) == 130
    said = capsys.readouterr()
    assert "interrupted; the same command goes on" in said.err
    assert "int8" in said.out
    assert files(tmp_path) == []


def test_what_is_finished_before_an_interruption_is_kept(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder({"float16": near, "int8": KeyboardInterrupt})
    assert cli.run([*arguments, "--recipe", "float16", "--recipe", "int8"]) == 130
    assert files(tmp_path) == ["tiny-float16.tflite"]
    assert "the same command with --recipe int8 alone" in capsys.readouterr().err


def test_a_longest_edge_that_is_stated_is_in_the_card_and_in_how_it_scores(
    tiny_keras: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["convert", str(tiny_keras), "--recipe", "float16", "--out", str(tmp_path), *STATED]
    assert cli.run([*command, "--longest-edge", "100", "--evaluate", str(photographs)]) == 0
    model = load_model(tmp_path / "tiny-float16.tflite")
    assert model.card.preprocessing.longest_edge == 100
    capsys.readouterr()
    for arguments in (["--model", str(model.path)], ["--model", str(model.path), "--exact"]):
        assert cli.run(["score", str(photographs), *arguments, "--format", "jsonl"]) == 0
        assert capsys.readouterr().out.count('"longest edge at most 100 by Pillow LANCZOS (JPEG at any DCT scale') > 0
    assert "possible: null, a whole number from 1 to 65535" in refused(capsys, [*command, "--longest-edge", "-5"])
