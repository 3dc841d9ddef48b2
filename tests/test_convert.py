"""Conversion with TensorFlow: every kind of checkpoint, every recipe, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import PHOTOS, ROOT, skip_without
from edge_nima import cli
from edge_nima.agreement import measure_agreement
from edge_nima.card import CARD_FILE, LABELS_FILE, associated_files, read_card
from edge_nima.check import check_model
from edge_nima.errors import RequestError
from edge_nima.interpreter import Interpreter
from edge_nima.pixels import Preprocessing, pixels_sha256
from edge_nima.scorer import load_model, open_scorer
from edge_nima_convert import compare, convert, open_checkpoint, reference
from edge_nima_convert.recipes import Source, find_recipe, recipes
from edge_nima_convert.tflite.card import embed_card

skip_without("tensorflow", "edge-nima[convert]")

RECIPES = list(recipes())


@pytest.fixture(scope="module")
def converted(tiny_keras: Path, noise_photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every recipe of the tiny network, by the command line."""
    out = tmp_path_factory.mktemp("converted")
    arguments = ["convert", str(tiny_keras), "--out", str(out), "--calibration", str(noise_photographs)]
    for recipe in RECIPES:
        arguments += ["--recipe", recipe]
    arguments += ["--evaluate", str(PHOTOS), "--licence", "CC0-1.0"]
    arguments += ["--filter", "bilinear", "--fit", "stretch", "--input-range=-1,1"]
    assert cli.run(arguments) == 0
    return out


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_maps_uint8_pixels_to_a_float_distribution(converted: Path, recipe: str) -> None:
    from ai_edge_litert.interpreter import Interpreter as LiteRt

    runtime = LiteRt(model_path=str(converted / f"tiny-{recipe}.tflite"))
    runtime.allocate_tensors()
    ((into,), (out,)) = runtime.get_input_details(), runtime.get_output_details()
    assert (into["dtype"], list(into["shape"]), list(into["shape_signature"])) == (
        np.uint8,
        [1, 224, 224, 3],
        [1, 224, 224, 3],
    )
    assert (out["dtype"], list(out["shape"])) == (np.float32, [1, 10])


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_scores_and_passes_its_own_probes(converted: Path, recipe: str) -> None:
    path = converted / f"tiny-{recipe}.tflite"
    record = open_scorer(path).score(PHOTOS / "cat.jpg")
    assert record.distribution is not None
    assert sum(record.distribution) == pytest.approx(1, abs=1e-5)
    results = check_model(load_model(path))
    assert len(results) >= 4
    assert all(r.input_same and r.own_gap == 0 for r in results)
    # Plain int8 of a network whose means hardly differ may be far from it, by the spread of those.
    assert {r.problem for r in results} <= {None, *(r.problem for r in results if "float model" in str(r.problem))}


def test_float32_is_the_keras_model_to_rounding(converted: Path, tiny_network: Any) -> None:
    file = load_model(converted / "tiny-float32.tflite")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), dtype=np.uint8)
    expected = np.asarray(tiny_network(pixels / np.float32(127.5) - np.float32(1)))
    interpreter = Interpreter(file.content, file.card.preprocessing, threads=1)
    for picture, p in zip(pixels, expected, strict=True):
        interpreter.pixels[...] = picture
        assert np.abs(interpreter.run() - p).max() < 1e-5


def test_the_card_says_where_the_model_came_from(converted: Path, tiny_keras: Path) -> None:
    import hashlib

    card = load_model(converted / "tiny-int8.tflite").card
    assert (card.name, card.recipe, card.licence) == ("tiny-int8", "int8", "CC0-1.0")
    assert card.source["sha256"] == hashlib.sha256(tiny_keras.read_bytes()).hexdigest()
    assert card.source["preprocessing_stated_by"] == "the command line"
    assert (card.preprocessing.filter, card.preprocessing.antialias) == ("bilinear", True)
    assert card.calibration is not None
    assert (card.calibration["n"], card.calibration["seed"]) == (20, 0)
    assert sum(card.calibration["bins"]) == 20
    assert len(card.calibration["bins"]) == 10
    assert card.agreement is not None
    assert card.agreement["n"] == 6
    assert card.agreement["on"] == "6 photographs of examples/photos"
    assert load_model(converted / "tiny-dynamic.tflite").card.calibration is None


def test_agreement_in_the_card_is_what_the_scorer_measures(converted: Path, tiny_keras: Path) -> None:
    checkpoint = open_checkpoint(tiny_keras, filter="bilinear", input_range=(-1, 1))
    scorer = open_scorer(converted / "tiny-int8.tflite")
    from edge_nima.decode import read_rgb
    from edge_nima.pixels import to_input

    paths = sorted(PHOTOS.glob("*.jpg"))
    pixels = np.stack([to_input(read_rgb(path), checkpoint.preprocessing) for path in paths])
    records = [record.distribution for record in scorer.score_batch(paths)]
    measured = measure_agreement(checkpoint.predict(pixels), np.array(records))
    assert scorer.card.agreement is not None
    assert scorer.card.agreement["mae"] == pytest.approx(measured.mae, rel=1e-4)
    assert measured.mae > 0


def test_the_printed_table_has_a_row_a_recipe(
    tiny_keras: Path, noise_photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "convert",
        str(tiny_keras),
        "--recipe",
        "float32",
        "--recipe",
        "dynamic",
        "--out",
        str(tmp_path / "new"),
    ]
    assert cli.run([*arguments, "--evaluate", str(noise_photographs)]) == 0
    said = capsys.readouterr()
    for heading in ("MAE", "bias", "SRCC", "EMD r=2", "flips at 5"):
        assert heading in said.out
    assert "n=20" in said.out
    assert said.out.count("tiny-") == 2
    assert "assuming 224x224" in said.err  # nobody said how the network was trained
    assert cli.run([*arguments, "--evaluate", str(noise_photographs)]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_a_saved_model_gives_the_same_scores_as_its_keras_file(
    tiny_network: Any, converted: Path, tmp_path: Path
) -> None:
    tiny_network.export(tmp_path / "saved", verbose=False)
    checkpoint = open_checkpoint(tmp_path / "saved", filter="bilinear", input_range=(-1, 1))
    model = find_recipe("float32")(Source(checkpoint))
    ours, keras = (
        Interpreter(content, checkpoint.preprocessing, threads=1)
        for content in (model, (converted / "tiny-float32.tflite").read_bytes())
    )
    for picture in np.random.default_rng(1).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8):
        ours.pixels[...] = keras.pixels[...] = picture
        np.testing.assert_allclose(ours.run(), keras.run(), atol=1e-6)


def test_an_input_range_is_followed(tiny_network: Any, tiny_keras: Path) -> None:
    checkpoint = open_checkpoint(tiny_keras, filter="nearest", input_range=(0, 1))
    interpreter = Interpreter(find_recipe("float32")(Source(checkpoint)), checkpoint.preprocessing, threads=1)
    picture = np.random.default_rng(2).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    interpreter.pixels[...] = picture
    np.testing.assert_allclose(
        interpreter.run(), np.asarray(tiny_network(picture[None] / np.float32(255)))[0], atol=1e-5
    )


def test_the_same_model_and_card_give_the_same_bytes(converted: Path) -> None:
    content = (converted / "tiny-float16.tflite").read_bytes()
    card = read_card(content)
    assert card is not None
    assert embed_card(content, card) == embed_card(content, card) == embed_card(embed_card(content, card), card)


def test_tensor_data_stays_on_sixteen_byte_boundaries(converted: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    for path in sorted(converted.glob("*.tflite")):
        content = path.read_bytes()
        model = schema.Model.GetRootAsModel(content, 0)
        starts = [
            b._tab.Vector(b._tab.Offset(4))
            for b in (model.Buffers(i) for i in range(model.BuffersLength()))
            if b.DataLength()
        ]
        assert len(starts) > 5
        assert [start % 16 for start in starts] == [0] * len(starts), path.name


def test_the_model_carries_labels_for_other_tools(converted: Path) -> None:
    content = (converted / "tiny-float32.tflite").read_bytes()
    files = associated_files(content)
    assert files[LABELS_FILE].decode().split() == [str(rating) for rating in range(1, 11)]
    assert json.loads(files[CARD_FILE])["recipe"] == "float32"
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAsModel(content, 0)
    entries = {model.Metadata(i).Name(): model.Metadata(i).Buffer() for i in range(model.MetadataLength())}
    metadata = model.Buffers(entries[b"TFLITE_METADATA"]).DataAsNumpy().tobytes()
    assert metadata[4:8] == b"M001"
    assert LABELS_FILE.encode() in metadata


def mediapipe_schema() -> Any:
    """mediapipe's own code for the metadata, without importing the rest of it (sound, OpenCV, plots)."""
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        pytest.skip("needs mediapipe (pip install --no-deps mediapipe; .ci/run does)")
    file = Path(spec.origin).parent / "tasks/metadata/metadata_schema_py_generated.py"
    generated = importlib.util.spec_from_file_location("metadata_schema_py_generated", file)
    assert generated is not None
    assert generated.loader is not None
    module = importlib.util.module_from_spec(generated)
    generated.loader.exec_module(module)
    return module


def test_mediapipe_reads_the_metadata(converted: Path) -> None:
    metadata_schema = mediapipe_schema()
    from ai_edge_litert import schema_py_generated as schema

    content = (converted / "tiny-float32.tflite").read_bytes()
    model = schema.Model.GetRootAsModel(content, 0)
    entries = {model.Metadata(i).Name(): model.Metadata(i).Buffer() for i in range(model.MetadataLength())}
    buffer = model.Buffers(entries[b"TFLITE_METADATA"]).DataAsNumpy().tobytes()
    tree = metadata_schema.ModelMetadataT.InitFromObj(metadata_schema.ModelMetadata.GetRootAs(buffer, 0))
    assert tree.name == b"tiny-float32"
    assert tree.license == b"CC0-1.0"
    assert [file.name for file in tree.associatedFiles] == [CARD_FILE.encode()]
    (graph,) = tree.subgraphMetadata
    (pixels,), (ratings,) = graph.inputTensorMetadata, graph.outputTensorMetadata
    image = pixels.content.contentProperties
    assert (image.defaultSize.width, image.defaultSize.height, image.colorSpace) == (224, 224, 1)
    assert list(pixels.processUnits[0].options.std) == [1.0]
    (labels,) = ratings.associatedFiles
    assert (labels.name, labels.type) == (LABELS_FILE.encode(), metadata_schema.AssociatedFileType.TENSOR_AXIS_LABELS)


def test_a_card_is_replaced_not_added(converted: Path) -> None:
    content = (converted / "tiny-float32.tflite").read_bytes()
    card = read_card(content)
    assert card is not None
    again = embed_card(content, card)
    assert abs(len(again) - len(content)) < 64
    assert read_card(again) == card


# --- what is refused ---------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must be refused with exit code 2 and one line; return the line."""
    capsys.readouterr()
    assert cli.run(["convert", *arguments]) == 2
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if not line.startswith("edge-nima: warning: assuming")]
    assert len(lines) == 1, said.err
    assert lines[0].startswith("edge-nima: ")
    assert "Traceback" not in said.err
    return lines[0]


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_options_that_cannot_be_are_refused(
    tiny_keras: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [str(tiny_keras), "--out", str(tmp_path)]
    assert "dynamic, float16, float32, int8" in refused(capsys, *out, "--recipe", "int4")
    assert "--calibration PHOTOS" in refused(capsys, *out, "--recipe", "int8")
    assert "possible: nearest" in refused(capsys, *out, "--filter", "area")
    assert "possible: stretch, crop" in refused(capsys, *out, "--fit", "pad")
    assert "file name" in refused(capsys, *out, "--name", "../up")
    assert "two numbers" in refused(capsys, *out, "--input-range", "1")
    assert "smaller" in refused(capsys, *out, "--input-range", "1,-1")
    assert "no such file" in refused(capsys, *out, "--evaluate", str(tmp_path / "none"))


def test_two_photographs_do_not_calibrate(tiny_keras: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = tmp_path / "two"
    two.mkdir()
    shutil.copy(PHOTOS / "cat.jpg", two)
    shutil.copy(PHOTOS / "coffee.jpg", two)
    line = refused(capsys, str(tiny_keras), "--recipe", "int8", "--calibration", str(two), "--out", str(tmp_path))
    assert "2 different photographs" in line
    for i in range(30):
        shutil.copy(PHOTOS / "cat.jpg", two / f"again{i}.jpg")
    line = refused(capsys, str(tiny_keras), "--recipe", "int8", "--calibration", str(two), "--out", str(tmp_path))
    assert "2 different photographs" in line  # thirty copies are still two photographs
    assert list(tmp_path.glob("*.tflite")) == []


def test_calibration_that_judges_itself_is_said(
    tiny_keras: Path, noise_photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["convert", str(tiny_keras), "--recipe", "int8", "--calibration", str(noise_photographs)]
    assert cli.run([*arguments, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "only 20 different calibration photographs" in said
    assert "measured on the 20 calibration photographs themselves" in said


def test_of_many_photographs_some_are_drawn_to_judge_by(
    tiny_keras: Path, noise_photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["convert", str(tiny_keras), "--evaluate", str(noise_photographs), "--evaluate-count", "7"]
    assert cli.run([*arguments, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "judging by 7 of 20 photographs" in said.err
    assert "n=7" in said.out
    agreement = load_model(tmp_path / "tiny-float16.tflite").card.agreement
    assert agreement is not None
    assert agreement["n"] == 7


def test_one_call_converts_measures_and_judges(tiny_keras: Path, noise_photographs: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    made = convert(
        tiny_keras, ["float16", "int8"], calibration=noise_photographs, evaluate=sorted(PHOTOS.glob("*.jpg")),
        filter="bilinear", finished=lambda one: seen.append(one.recipe),
    )  # fmt: skip
    assert seen == [one.recipe for one in made] == ["float16", "int8"]
    assert [(one.path, one.verdict.status, one.agreement.n) for one in made] == [(None, "not judged", 6)] * 2
    assert made[0].agreement.mae < made[1].agreement.mae
    paths = [one.write(tmp_path / "models") for one in made]
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [
        "tiny-float16.tflite", "tiny-int8.tflite", "tiny.calibration.json"
    ]  # fmt: skip
    for one, path in zip(made, paths, strict=True):
        assert (load_model(path).card, path.stat().st_size) == (one.card, one.size)


def test_an_opened_checkpoint_gives_a_reference_that_scores_compare_with(tiny_keras: Path, tmp_path: Path) -> None:
    opened = open_checkpoint(tiny_keras, filter="bilinear", input_range=(-1, 1))
    records = reference(opened, PHOTOS, tmp_path / "reference.jsonl")
    assert [Path(record.name).suffix for record in records] == [".jpg"] * 6
    (made,) = convert(opened, "float32", out=tmp_path)
    assert cli.run(["score", str(PHOTOS), "--model", str(made.path), "-o", str(tmp_path / "scores.csv")]) == 0
    comparison = compare(tmp_path / "reference.jsonl", tmp_path / "scores.csv")
    assert (comparison.n, comparison.join is not None) == (6, True)
    assert comparison.agreement.mae < 1e-5
    with pytest.raises(RequestError, match="--overwrite"):
        reference(opened, PHOTOS, tmp_path / "reference.jsonl")


@pytest.mark.slow
def test_the_example_converts(tiny_keras: Path, noise_photographs: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples/convert_checkpoint.py"), str(tiny_keras), str(noise_photographs)]
    done = subprocess.run([*command, str(PHOTOS), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "tiny-" in line]
    assert [line.partition(",")[0] for line in lines] == ["not judged (n=6"] * 2
    assert len(list(tmp_path.glob("tiny-*.tflite"))) == 2
    assert "assuming 224x224" in done.stderr


def test_importing_the_package_starts_no_tensorflow() -> None:
    code = """
import sys, edge_nima_convert
assert all(getattr(edge_nima_convert, name).__doc__ for name in edge_nima_convert.__all__)
print([name for name in ("tensorflow", "keras", "h5py", "matplotlib", "flatbuffers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_draw_of_calibration_photographs_is_seeded() -> None:
    from edge_nima.photographs import draw_photographs

    names = [Path(f"{i}.jpg") for i in range(100)]
    ten = draw_photographs(names, 10, seed=1)
    assert ten == draw_photographs(names, 10, seed=1) != draw_photographs(names, 10, seed=2)
    assert ten == sorted(ten, key=lambda p: int(p.stem))
    assert draw_photographs(names, 200, seed=1) == names


def test_probe_pictures_are_kept_from_model_to_model(converted: Path) -> None:
    bundled, ours = load_model().card, load_model(converted / "tiny-float16.tflite").card
    assert [p.png for p in ours.probes] == [p.png for p in bundled.probes]
    assert [p.reference for p in ours.probes] != [p.reference for p in bundled.probes]


def test_probes_made_of_photographs_try_different_things() -> None:
    from edge_nima.decode import read_rgb
    from edge_nima_convert.probes import pictures_from_photographs

    made = pictures_from_photographs(sorted(PHOTOS.glob("*.jpg")))
    shapes = {read_rgb(picture.png).shape for picture in made}
    assert len(made) == len(shapes) == 6
    assert len({pixels_sha256(read_rgb(picture.png)) for picture in made}) == 6
    assert sum(len(picture.png) for picture in made) < 180_000
    assert max(shape[1] for shape in shapes) > 640  # above what the bundled model reduces to


def test_what_is_left_out_is_assumed_and_said_so(tiny_keras: Path) -> None:
    assert open_checkpoint(tiny_keras, filter="box", input_range=(0, 1)).stated == "assumed"
    assert open_checkpoint(tiny_keras, filter="box", fit="crop", input_range=(0, 1)).stated == "the command line"


def test_what_is_said_beside_the_registry_is_recorded(weights: Path) -> None:
    known = open_checkpoint(weights)
    assert known.source["preprocessing_stated_by"] == "the registry"
    changed = open_checkpoint(weights, filter="bilinear")
    assert changed.source["preprocessing_stated_by"] == "the command line"
    assert (known.preprocessing.scale, known.preprocessing.offset) == (1 / 127.5, -1.0)
    assert open_checkpoint(weights, input_range=(-1, 1)).preprocessing == known.preprocessing


def test_the_longest_edge_is_the_registrys_or_what_is_stated(weights: Path, tiny_keras: Path) -> None:
    known = open_checkpoint(weights)
    assert (known.preprocessing.longest_edge, known.preprocessing.longest_edge_filter) == (640, "lanczos")
    assert open_checkpoint(weights, longest_edge=0).preprocessing == Preprocessing()
    assert open_checkpoint(weights, longest_edge=800).stated == "the command line"
    assert open_checkpoint(tiny_keras).preprocessing.longest_edge is None
    assert open_checkpoint(tiny_keras, longest_edge=512).preprocessing == Preprocessing(longest_edge=512)
