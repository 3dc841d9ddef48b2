from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_nima import cli
from edge_nima.camera_buffers import CameraBuffer, Matrix, Plane
from edge_nima.card import Card
from edge_nima.decode import read_rgb
from edge_nima.distribution import as_distribution, mean_rating, rating_std
from edge_nima.errors import EdgeNimaError, ModelError
from edge_nima.interpreter import proportions
from edge_nima.pixels import FILTERS, Preprocessing, pixels_sha256, to_input
from edge_nima.scorer import load_model, open_scorer
from edge_nima.vectors import export_vectors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vectors")
    assert export_vectors(load_model(), folder) == 180
    return folder


@pytest.fixture(scope="module")
def vectors(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "vectors.json").read_bytes())
    assert (told["format"], told["format_version"]) == ("edge-nima vectors", 2)
    return told


def read(folder: Path, of: dict[str, str], height: int, width: int) -> np.ndarray:
    pixels = np.frombuffer((folder / of["file"]).read_bytes(), np.uint8).reshape(height, width, 3)
    assert pixels_sha256(pixels) == of["sha256"]
    return pixels


def test_every_picture_becomes_its_upright_pixels_and_every_input(folder: Path, vectors: dict[str, Any]) -> None:
    hows = {key: Preprocessing.from_json(how) for key, how in vectors["preprocessings"].items()}
    assert len(hows) == 2 * len(FILTERS) + 9
    inputs = 0
    for told in vectors["pictures"]:
        upright = read_rgb(folder / told["file"])
        assert np.array_equal(upright, read(folder, told["upright"], told["height"], told["width"])), told["name"]
        for key, file in told["inputs"].items():
            how = hows[key]
            assert np.array_equal(to_input(upright, how), read(folder, file, how.height, how.width)), told["name"]
            inputs += 1
        above = max(told["width"], told["height"]) > 640
        assert above == (told["name"] in {"png-three-fold", "probe-6"} or "-large-" in told["name"])
    assert inputs > 100


def test_every_buffer_becomes_its_upright_pixels_and_its_input(folder: Path, vectors: dict[str, Any]) -> None:
    how = Preprocessing.from_json(vectors["preprocessings"]["card"])
    seen = set()
    for told in vectors["buffers"]:
        buffer = CameraBuffer(
            (folder / told["file"]).read_bytes(), told["layout"], told["width"], told["height"],
            tuple(Plane(**plane) for plane in told["planes"]), told["matrix"], told["rotation"], told["mirror"],
        )  # fmt: skip
        upright = buffer.upright()
        assert np.array_equal(upright, read(folder, told["upright"], told["upright_height"], told["upright_width"]))
        assert np.array_equal(to_input(upright, how), read(folder, told["inputs"]["card"], how.height, how.width))
        padded = told["planes"][0]["row_stride"] > told["width"] * told["planes"][0]["pixel_stride"]
        seen.add((told["layout"], told["rotation"], told["mirror"], padded, told["planes"][-1]["pixel_stride"]))
    for rotation, mirror, padded in product((0, 90, 180, 270), (False, True), (False, True)):
        assert ("RGBA_8888", rotation, mirror, padded, 4) in seen
        assert ("YUV_420_888", rotation, mirror, padded, 1) in seen
        assert ("YUV_420_888", rotation, mirror, padded, 2) in seen


def test_the_scores_are_the_scorers(folder: Path, vectors: dict[str, Any]) -> None:
    scorer = open_scorer(folder / vectors["model"]["file"])
    assert scorer.model.label == vectors["model"]["label"]
    for told in vectors["pictures"]:
        record = scorer.score(folder / told["file"])
        assert record.distribution == pytest.approx(told["distribution"], abs=1e-9)
        assert (record.mean, record.std) == pytest.approx((told["mean"], told["std"]), abs=1e-9)
    means = [told["mean"] for told in vectors["pictures"] + vectors["buffers"]]
    assert np.std(means) > 0.3  # a scorer that says one thing of all would pass otherwise


def test_jpegs_of_every_exif_orientation_are_upright_the_same_way(folder: Path, vectors: dict[str, Any]) -> None:
    told = [item for item in vectors["pictures"] if item["name"].startswith("jpeg-exif")]
    assert sorted({item["orientation"] for item in told}) == list(range(1, 9))
    pictures = [read(folder, item["upright"], item["height"], item["width"]).astype(int) for item in told]
    for item, picture in zip(told, pictures, strict=True):
        # Each was compressed lying another way, so its blocks are others; turned wrongly it would be far off.
        assert np.abs(picture - pictures[0]).mean() < 5, item["name"]
        with Image.open(folder / item["file"]) as image:
            assert image.getexif()[0x0112] == item["orientation"]
            assert (image.size == (item["width"], item["height"])) == (item["orientation"] < 5)


def test_numbers_are_what_the_mathematics_gives(vectors: dict[str, Any]) -> None:
    for told in vectors["distributions"]:
        votes = told["votes"]
        assert as_distribution(votes) == pytest.approx(told["distribution"])
        assert (mean_rating(votes), rating_std(votes)) == pytest.approx((told["mean"], told["std"]))
    accepted = [told for told in vectors["outputs"] if told["distribution"] is not None]
    assert 4 < len(accepted) < len(vectors["outputs"]) - 4
    for told in accepted:
        assert proportions(np.array(told["raw"])) == pytest.approx(told["distribution"])
    for told in vectors["outputs"]:
        if told["distribution"] is None:
            with pytest.raises(ModelError):
                proportions(np.array(told["raw"]))
    assert all(Matrix(**matrix).y for matrix in vectors["matrices"].values())


def test_tensors_hold_what_the_mathematics_gives(vectors: dict[str, Any]) -> None:
    kinds = set()
    for told in vectors["tensors"]:
        how = Preprocessing.from_json(told["preprocessing"])
        pixels = np.array(told["pixels"]).reshape(how.height, how.width, 3)
        values = pixels.astype(float)
        if how.scaling == "host":
            values = values * np.array(how.scale) + np.array(how.offset)
        if told["scale"]:
            limits = np.iinfo(told["dtype"])
            values = np.clip(np.rint(values / told["scale"]) + told["zero_point"], limits.min, limits.max)
        laid = values.transpose(2, 0, 1) if how.layout == "NCHW" else values
        assert [1, *laid.shape] == told["shape"]
        assert laid.astype(told["dtype"]).ravel().tolist() == told["values"]
        kinds.add((told["dtype"], how.layout, how.channel_order))
    assert kinds == {
        ("float32", "NHWC", "RGB"), ("float32", "NCHW", "RGB"), ("float32", "NHWC", "BGR"), ("int8", "NHWC", "RGB"),
        ("int8", "NHWC", "BGR"), ("uint8", "NCHW", "RGB"),
    }  # fmt: skip


def test_cards_and_models_are_accepted_or_refused_as_told(folder: Path, vectors: dict[str, Any]) -> None:
    for kind, read in (("cards", lambda path: Card.from_json(path.read_bytes())), ("models", load_model)):
        for told in vectors[kind]:
            why = refusal(lambda read=read, told=told: read(folder / told["file"]))
            assert (told["refused"] in why, bool(told["refused"])) == (True, bool(why)), told["file"]
        assert 1 < sum(told["refused"] == "" for told in vectors[kind]) < len(vectors[kind]) - 5


def refusal(read: Any) -> str:
    try:
        read()
    except EdgeNimaError as error:
        return str(error)
    return ""


def test_the_command_writes_the_same_for_the_same_model_and_never_over_anything_else(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "vectors"
    (target / "buffers").mkdir(parents=True)
    (target / "vectors.json").write_text("{}")
    (target / "buffers" / "left.bin").write_bytes(b"of an earlier version")
    assert cli.run(["check", "--export-vectors", str(target)]) == 2
    assert "holds vectors already; add --overwrite" in capsys.readouterr().err
    assert cli.run(["check", "--export-vectors", str(target), "--overwrite"]) == 0
    assert f"180 pictures and buffers with their inputs and distributions: {target}" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"vectors"}
    there, again = ({path.relative_to(root): path for path in root.rglob("*")} for root in (folder, target))
    assert there.keys() == again.keys()
    for name, path in there.items():
        assert path.is_dir() or path.read_bytes() == again[name].read_bytes(), name
    (tmp_path / "mine.txt").write_text("mine")
    assert cli.run(["check", "--export-vectors", str(tmp_path), "--overwrite"]) == 2
    assert "is there and holds no vectors" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert cli.run(["check", "--overwrite"]) == 2
    assert cli.run(["check", "--export-vectors", str(tmp_path / "mine.txt" / "x")]) == 1
    assert "cannot write vectors" in capsys.readouterr().err
