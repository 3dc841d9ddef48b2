"""`edge-nima convert` at its edges: the gate's exit code, the ladder, the reference, an interruption."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import PHOTOS, skip_without
from edge_nima import cli
from edge_nima.errors import CheckpointError
from edge_nima.records import read_records
from edge_nima.scorer import load_model, open_scorer
from edge_nima_convert import open_checkpoint, recipes
from edge_nima_convert.recipes import Recipe, Source
from watching import until

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
    return recipes.find_recipe("float32")(Source(open_checkpoint(tiny_keras, filter="bilinear")))


@pytest.fixture(scope="module")
def far(tiny_network: Any, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A conversion of another network altogether."""
    import keras

    keras.utils.set_random_seed(8)
    other = keras.models.clone_model(tiny_network)
    path = tmp_path_factory.mktemp("far") / "far.keras"
    other.save(path)
    return recipes.find_recipe("float16")(Source(open_checkpoint(path, filter="bilinear")))


@pytest.fixture
def ladder(near: bytes, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, bytes | type[BaseException]]], Made]:
    """Sets a ladder of recipes with what each makes; returns the list in which those that are made appear.

    float16 is always known, and is the gate's control: when it alone is made for that, the list leaves it out.
    """

    def set_rungs(rungs: dict[str, bytes | type[BaseException]]) -> Made:
        made: Made = []

        def recipe(name: str, result: bytes | type[BaseException], rung: int | None) -> Recipe:
            def make(source: Source) -> bytes:
                if rung is not None:
                    made.append(name)
                if not isinstance(result, bytes):
                    raise result("no such layer")
                return result

            return Recipe(name, f"rung {name}", make, needs_calibration=name != "float16", rung=rung)

        known = {name: recipe(name, result, rung) for rung, (name, result) in enumerate(rungs.items())}
        known.setdefault("float16", recipe("float16", near, None))
        monkeypatch.setattr(recipes, "recipes", lambda: known)
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
    return sorted(path.name for path in (folder / "out").iterdir()) if (folder / "out").is_dir() else []


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
    assert "3 photographs calibrate too; they are left out of those that judge" in said.err
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
    made = ladder({"int8": far, "int8-corrected": near, "int8-mixed": near})
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
    made = ladder({"int8": near, "dynamic": far})
    (tmp_path / "gate.toml").write_text("mae_max = 0\nbias_max = 0\n")
    assert cli.run([*arguments, "--recipe", "auto"]) == 1
    assert made == ["int8", "dynamic"]
    assert files(tmp_path) == ["tiny-int8.tflite", "tiny.calibration.json"]
    said = capsys.readouterr().err
    assert "none of int8, dynamic passes the gate; kept is the nearest to float: int8" in said
    assert "int8 failed the gate: mae" in said


def test_auto_passes_over_a_rung_that_cannot_be_made(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, far: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder({"int8": far, "int8-corrected": CheckpointError, "float16": near})
    assert cli.run([*arguments, "--recipe", "auto"]) == 0
    assert files(tmp_path) == ["tiny-float16.tflite"]
    said = capsys.readouterr().err
    assert "int8-corrected cannot be made of this checkpoint, going on: no such layer" in said
    assert "float16 is the honest answer: int8 has mae " in said
    assert "; int8-corrected cannot be made" in said
    ladder({"int8": CheckpointError, "float16": CheckpointError})
    assert refused(capsys, [*arguments, "--recipe", "auto", "--overwrite"]) == "edge-nima: no such layer"


def test_auto_climbs_real_recipes(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: recipes.recipes()[name] for name in ("int8", "float16")}
    monkeypatch.setattr(recipes, "recipes", lambda: known)
    (tmp_path / "gate.toml").write_text("fewest = 10\nmae_max = 0.0005\n")
    assert cli.run([*arguments, "--recipe", "auto"]) == 0
    assert files(tmp_path) == ["tiny-float16.tflite", "tiny.calibration.json"]


def test_the_ladder_ends_where_no_calibration_is_needed() -> None:
    assert [recipe.name for recipe in recipes.ladder()][-1] == "float16"


def test_a_rung_that_changed_nothing_says_so(
    arguments: list[str], ladder: Any, near: bytes, far: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ladder({"int8": far, "int8-corrected": far, "int8-mixed": near})
    assert cli.run([*arguments, "--recipe", "auto"]) == 0
    assert made == ["int8", "int8-corrected", "int8-mixed"]
    said = capsys.readouterr().err
    assert said.count("changed nothing") == 1
    assert "int8-corrected changed nothing: it is int8 once more" in said


def test_auto_without_what_it_needs_is_refused_in_one_line(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
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
    labels.write_text("file,mean_rating\nother.jpg,6\n")
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
    from edge_nima_convert import calibration

    ladder({"int8": near})
    monkeypatch.setattr(calibration, "MOST_PREDICTED", 14)
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
    labels.write_text("file,mean_rating\nother.jpg,6\n")
    assert "none of the 15 photographs" in refused(capsys, [*command, "--overwrite"])
    labels.write_text("file,mean_rating\nother.jpg,11\n")
    assert "line 2: mean_rating is 11" in refused(capsys, [*command, "--overwrite", "--scale", "1..10"])
    assert "--scale 0..100 (they are" in refused(capsys, [*command, "--overwrite"])


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

    def explain_layers(source: Source, model: bytes, progress: Any) -> list[LayerError]:
        assert source.calibration is not None
        asked.update(n=len(source.calibration), model=model)
        return [
            LayerError("conv1", "convolution", 40.0, 30.0, 0.001, "int8"),
            LayerError("conv_dw_1", "depthwise convolution", None, 12.5, 0.165, "int8"),
        ]

    module = types.ModuleType("edge_nima_convert.explain")
    module.explain_layers = explain_layers  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "edge_nima_convert.explain", module)
    command = [*arguments, "--recipe", "int8", "--recipe", "float16", "--explain", "--report", str(tmp_path / "r")]
    assert cli.run(command) == 0
    assert asked["n"] == 20
    assert asked["model"] == (tmp_path / "out/tiny-int8.tflite").read_bytes()
    out = capsys.readouterr().out
    assert out.index("conv_dw_1") < out.index("conv1 ")  # the costliest first
    assert "0.1650" in out
    assert len(json.loads((tmp_path / "r/tiny-int8.json").read_text())["layers"]) == 2
    assert "layers" not in json.loads((tmp_path / "r/tiny-float16.json").read_text())
    assert "--explain is of recipes that calibrate" in refused(capsys, [*arguments, "--recipe", "float16", "--explain"])


# Interruptions


def test_long_work_is_told_of_once_a_minute_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_nima.cli import progress

    clock = iter([0.0, 1.0, 59.0, 61.0, 62.0, 130.0])
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    with progress.stages("convert") as show:
        for done in range(5):
            show("rounding", done, 5, "MAE .021")
    assert capsys.readouterr().err.splitlines() == [
        "edge-nima: convert: rounding 2/5, MAE .021",
        "edge-nima: convert: rounding 4/5, MAE .021",
    ]


def test_an_interrupted_climb_goes_on_where_it_was(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, far: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder({"int8": far, "int8-corrected": far, "int8-mixed": KeyboardInterrupt})
    assert cli.run([*arguments, "--recipe", "auto"]) == 130
    said = capsys.readouterr()
    assert "interrupted; the same command goes on" in said.err
    assert [line.split()[0] for line in said.out.splitlines() if "failed: mae" in line] == ["int8", "int8-corrected"]
    assert files(tmp_path) == [".tiny.work"]
    made = ladder({"int8": far, "int8-corrected": far, "int8-mixed": near})
    assert cli.run([*arguments, "--recipe", "auto"]) == 0
    assert made == ["int8-mixed"]
    assert files(tmp_path) == ["tiny-int8-mixed.tflite", "tiny.calibration.json"]


def test_what_is_kept_of_a_climb_is_of_the_same_photographs_and_checkpoint(
    arguments: list[str], ladder: Any, near: bytes, far: bytes
) -> None:
    rungs = {"int8": far, "int8-mixed": KeyboardInterrupt}
    for changed in ([], ["--per-bin", "1"], ["--filter", "box"], ["--input-range=0,1"]):
        made = ladder(rungs)
        assert cli.run([*arguments, "--recipe", "auto", *changed]) == 130
        assert made == ["int8", "int8-mixed"], changed


def test_the_photographs_are_asked_about_once(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, far: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_nima_train.checkpoint import Checkpoint

    asked: list[int] = []
    predict = Checkpoint.predict

    def counted(self: Checkpoint, pixels: Any) -> Any:
        asked.append(len(pixels))
        return predict(self, pixels)

    ladder({"int8": far, "int8-corrected": far, "int8-mixed": KeyboardInterrupt})
    monkeypatch.setattr(Checkpoint, "predict", counted)
    assert cli.run([*arguments, "--recipe", "auto"]) == 130
    # Those that calibrate, those that judge, and the probes; a checkpoint may be tried with one when it is opened.
    assert sorted(n for n in asked if n > 1) == [6, 15, 20]
    ladder({"int8": far, "int8-corrected": far, "int8-mixed": near})
    asked.clear()
    assert cli.run([*arguments, "--recipe", "auto"]) == 0
    assert [n for n in asked if n > 1] == []


def test_what_is_finished_before_an_interruption_is_written(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder({"float16": near, "int8": KeyboardInterrupt})
    command = [*arguments, "--recipe", "float16", "--recipe", "int8"]
    assert cli.run(command) == 130
    assert files(tmp_path) == [".tiny.work", "tiny-float16.tflite"]
    assert open_scorer(tmp_path / "out/tiny-float16.tflite").score(PHOTOS / "cat.jpg").error is None
    assert "with --overwrite where its files are there already" in capsys.readouterr().err
    made = ladder({"float16": near, "int8": near})
    assert cli.run([*command, "--overwrite"]) == 0
    assert made == ["int8"]
    assert files(tmp_path) == ["tiny-float16.tflite", "tiny-int8.tflite", "tiny.calibration.json"]


@pytest.mark.slow
def test_ctrl_c_in_the_real_command(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = """
import time
from edge_nima.__main__ import main
from edge_nima_convert import recipes
known = {name: recipes.find_recipe(name) for name in ("int8", "float16")}
known["hangs"] = recipes.Recipe("hangs", "", lambda source: time.sleep(600), rung=2)
recipes.recipes = lambda: known
main()
"""
    (tmp_path / "gate.toml").write_text("fewest = 10\nmae_max = 0.0005\n")
    said = tmp_path / "said"
    with (
        open(said, "wb") as log,
        subprocess.Popen(
            [sys.executable, "-c", program, *arguments, "--recipe", "auto"], stderr=log, stdout=log
        ) as process,
    ):
        try:
            until(lambda: "converting to hangs" in said.read_text(), 120)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            process.kill()
    assert "Traceback" not in said.read_text()
    assert files(tmp_path) == [".tiny.work"]
    known = {name: recipes.recipes()[name] for name in ("int8", "float16")}
    monkeypatch.setattr(recipes, "recipes", lambda: known)
    assert cli.run([*arguments, "--recipe", "auto"]) == 0
    assert files(tmp_path) == ["tiny-float16.tflite", "tiny.calibration.json"]


def test_two_runs_do_not_write_into_one_folder_at_once(
    arguments: list[str], tmp_path: Path, ladder: Any, near: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_nima_convert.output import Work

    made = ladder({"int8": near})
    with Work(tmp_path / "out/.tiny.work"):
        assert "another run is converting into" in refused(capsys, [*arguments, "--recipe", "int8"])
    assert made == []
    assert cli.run([*arguments, "--recipe", "int8"]) == 0


# Manifests, and photographs of both sets


@pytest.fixture
def manifest(tmp_path: Path, noise_photographs: Path, photographs: Path) -> Path:
    """Thirty-five photographs: 18 to train, 2 to validate, 15 to test, two of which are not there."""
    path = tmp_path / "manifest.csv"
    rows = [(f"{noise_photographs}/{i:02}.png", "train" if i < 18 else "val") for i in range(20)]
    rows += [(f"{photographs}/{i:02}.png", "test") for i in range(15)] + [("gone/1.png", "train"), ("2.png", "test")]
    lines = [f"{file},{1.5 + i % 4 * 2},{split}\n" for i, (file, split) in enumerate(rows)]
    path.write_text("file,mean_rating,split\n" + "".join(lines))
    return path


def with_sets(arguments: list[str], calibration: str, evaluate: str) -> list[str]:
    command = [*arguments, "--recipe", "int8"]
    command[command.index("--calibration") + 1] = calibration
    command[command.index("--evaluate") + 1] = evaluate
    return command


def test_of_a_manifest_the_train_split_calibrates_and_the_test_split_judges(
    arguments: list[str], tmp_path: Path, manifest: Path, photographs: Path, ladder: Any, near: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ladder({"int8": near})
    command = with_sets(arguments, str(manifest), str(manifest))
    assert cli.run([*command, "--reference", str(tmp_path / "reference.jsonl")]) == 0
    said = capsys.readouterr()
    assert "taking the train split of 'manifest.csv'" in said.err
    assert "taking the test split of 'manifest.csv'" in said.err
    assert said.err.count("left out: 1 photographs of 'manifest.csv' that are not there: ") == 2
    assert "n=15 (15 photographs of the test split of manifest.csv)" in said.out
    assert "Against people, n=15 (manifest.csv)" in said.out
    document = json.loads((tmp_path / "out/tiny.calibration.json").read_text())
    assert (document["n"], document["means_from"], document["labels"]["file"]) == (18, "labels", "manifest.csv")
    assert {one["mean"] for one in document["photographs"]} == {1.5, 3.5, 5.5, 7.5}
    judged = [record.name for record, _ in read_records(tmp_path / "reference.jsonl")]
    assert judged == [str(path) for path in sorted(photographs.iterdir())]


def test_another_split_can_be_named(
    arguments: list[str], tmp_path: Path, manifest: Path, ladder: Any, near: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder({"int8": near})
    assert cli.run(with_sets(arguments, f"{manifest}:test", f"{manifest}:train")) == 0
    said = capsys.readouterr()
    assert "taking the" not in said.err
    assert "n=18 (18 photographs of the train split of manifest.csv)" in said.out
    assert "'tset' is no split of 'manifest.csv'; possible: train, val, test" in refused(
        capsys, with_sets(arguments, f"{manifest}:tset", str(manifest))
    )
    manifest.write_text("file,mean_rating,split\n2.png,6,train\n")
    assert "(splits: train 1, val 0, test 0)" in refused(capsys, with_sets(arguments, str(manifest), str(manifest)))
    assert "is a manifest: give it alone" in refused(
        capsys, [*with_sets(arguments, str(manifest), str(manifest)), "--calibration", str(PHOTOS)]
    )


def test_labels_with_splits_keep_what_is_for_tests_from_calibrating(
    arguments: list[str], tmp_path: Path, noise_photographs: Path, photographs: Path, ladder: Any, near: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ladder({"int8": near})
    labels = tmp_path / "labels.csv"
    rows = [f"{i:02}.png,{1.5 + i % 5 * 2},{('train', 'train', 'test', 'val')[i % 4]}\n" for i in range(20)]
    labels.write_text("file,mean_rating,split\n" + "".join(rows))
    command = [*with_sets(arguments, str(noise_photographs), str(photographs)), "--labels", str(labels)]
    reference = ["--reference", str(tmp_path / "reference.jsonl"), "--overwrite"]
    assert cli.run([*command, "--evaluate-labels", str(labels), *reference]) == 0
    assert capsys.readouterr().err.count("taking the train split of 'labels.csv'") == 1
    calibrated, judged = calibrated_and_judged(tmp_path)
    assert calibrated == {f"{i:02}.png" for i in range(20) if i % 4 < 2}
    assert len(judged) == 15
    assert cli.run([*command, "--evaluate-labels", f"{labels}:test", *reference]) == 0
    assert calibrated_and_judged(tmp_path)[1] == {f"{i:02}.png" for i in range(15) if i % 4 == 2}
    line = refused(capsys, [*command, "--overwrite", "--labels", f"{labels}:val"])
    assert "5 different photographs cannot calibrate int8" in line


def calibrated_and_judged(tmp_path: Path) -> tuple[set[str], set[str]]:
    document = json.loads((tmp_path / "out/tiny.calibration.json").read_text())
    judged = {Path(record.name).name for record, _ in read_records(tmp_path / "reference.jsonl")}
    return {Path(one["file"]).name for one in document["photographs"]}, judged


def test_one_folder_for_both_is_divided_the_same_way_every_time(
    arguments: list[str], tmp_path: Path, photographs: Path, noise_photographs: Path, ladder: Any, near: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ladder({"int8": near})
    both = tmp_path / "both"
    shutil.copytree(photographs, both)
    for path in noise_photographs.iterdir():
        shutil.copy(path, both / f"n{path.name}")
    command = [*with_sets(arguments, str(both), str(both)), "--reference", str(tmp_path / "reference.jsonl")]
    assert cli.run(command) == 0
    calibrated, judged = calibrated_and_judged(tmp_path)
    told = f"35 photographs were given to calibrate and to judge: {len(calibrated)} calibrate and {len(judged)} judge"
    assert told in capsys.readouterr().err
    assert calibrated | judged == {path.name for path in both.iterdir()}
    assert not calibrated & judged
    assert min(len(calibrated), len(judged)) >= 10
    assert cli.run([*command, "--overwrite", "--seed", "3"]) == 0
    assert calibrated_and_judged(tmp_path) == (calibrated, judged)


def test_photographs_of_both_judge_where_others_calibrate(
    arguments: list[str], tmp_path: Path, photographs: Path, noise_photographs: Path, ladder: Any, near: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ladder({"int8": near})
    command = with_sets(arguments, str(noise_photographs), str(photographs))
    reference = ["--reference", str(tmp_path / "reference.jsonl")]
    assert cli.run([*command, "--calibration", str(photographs), *reference]) == 0
    assert "15 photographs were given to calibrate and to judge: they judge and do not calibrate" in (
        capsys.readouterr().err
    )
    calibrated, judged = calibrated_and_judged(tmp_path)
    assert (len(calibrated), len(judged)) == (20, 15)
    copies = tmp_path / "copies"
    shutil.copytree(noise_photographs, copies)
    line = refused(capsys, [*with_sets(arguments, str(noise_photographs), str(copies)), "--overwrite"])
    assert "all 20 photographs of --evaluate calibrate too, by their pixels: give others" in line


# Help


def test_help_lists_every_recipe_and_has_the_usual_options_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["convert", "--help"]) == 0
    said = capsys.readouterr().out
    for recipe in recipes.recipes().values():
        assert f"{recipe.name}: {recipe.what[:20]}" in said
    panels = [said.index(panel) for panel in ("─ Options", "─ How photographs", "─ How the checkpoint", "─ What else")]
    assert panels == sorted(panels)
    assert panels[0] < said.index("--evaluate-labels") < panels[1] < said.index("--per-bin") < panels[2]


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
