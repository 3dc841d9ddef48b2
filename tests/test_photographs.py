"""Which photographs calibrate: drawn evenly, written down, found again, and looked at before they are believed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_nima.ava import rating_bins, read_labels
from edge_nima.errors import CalibrationError, EdgeNimaError, RequestError
from edge_nima.pixels import Pixels, Preprocessing, pixels_sha256, to_input
from edge_nima_convert.calibration import FORMAT, calibration_document, load_draw, read_draw
from edge_nima_convert.draws import Draw, choose_calibration, draw_from_bins
from edge_nima_convert.lint import NOISE_BELOW, find_faults, neighbour_correlation
from edge_nima_convert.photographs import (
    Inputs,
    check_calibration,
    check_overlap,
    describe_calibration,
    load_inputs,
    predicted_means,
)

HOW = Preprocessing(width=136, height=128)

means_of = st.lists(st.floats(1, 10), max_size=60)


def picture(seed: int, side: int = 128) -> Pixels:
    """Smooth blobs, as different as photographs are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def inputs_of(pictures: list[Pixels] | Pixels) -> Inputs:
    pixels = np.stack(list(pictures))
    paths = tuple(Path(f"{i:03}.png") for i in range(len(pixels)))
    return Inputs(pixels, paths, tuple(map(pixels_sha256, pixels)), ())


PLENTY = [picture(seed) for seed in range(100)]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Forty, in two folders, half of the names in both."""
    folder = tmp_path_factory.mktemp("photographs")
    paths = []
    for i in range(40):
        path = folder / ("first", "second")[i % 2] / f"{i // 2:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture(i, 150)).save(path)
        paths.append(path)
    return sorted(paths)


@pytest.fixture(scope="module")
def means(photographs: list[Path]) -> list[float]:
    """Mean ratings, most in the middle, none below 3."""
    return np.clip(np.random.default_rng(1).normal(6, 1.2, len(photographs)), 3, 9.9).tolist()


# --- the draw


@given(means_of, st.integers(1, 12), st.integers(1, 12), st.integers(0, 5))
def test_a_draw_keeps_its_sums(means: list[float], per_bin: int, bins: int, seed: int) -> None:
    names = [f"{i}.jpg" for i in range(len(means))]
    chosen, table = draw_from_bins(names, means, per_bin, bins, seed)
    assert len(chosen) == len(set(chosen)) == min(len(means), per_bin * bins)
    assert chosen == sorted(chosen)
    drawn = np.bincount(rating_bins([means[i] for i in chosen], bins), minlength=bins)
    assert [one.drawn for one in table] == drawn.tolist()
    assert sum(one.available for one in table) == len(means)
    assert sum(one.lent for one in table) == sum(one.filled for one in table)
    for one in table:
        assert one.lent <= one.drawn <= one.available
        assert one.drawn - one.lent == min(one.available, per_bin), "a bin serves itself first"
        assert one.drawn - one.lent + one.filled <= per_bin
        assert not (one.lent and one.filled)
    if len(means) >= per_bin * bins:
        assert all(one.drawn - one.lent + one.filled == per_bin for one in table)


@given(means_of, st.integers(1, 8), st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_draw_does_not_depend_on_the_order(means: list[float], per_bin: int, seed: int, random) -> None:  # type: ignore[no-untyped-def]
    names = [f"{i}.jpg" for i in range(len(means))]
    chosen, table = draw_from_bins(names, means, per_bin, 10, seed)
    order = list(range(len(means)))
    random.shuffle(order)
    shuffled, same = draw_from_bins([names[i] for i in order], [means[i] for i in order], per_bin, 10, seed)
    assert {order[i] for i in shuffled} == set(chosen)
    assert same == table


def test_another_seed_is_another_draw_and_a_folder_is_none() -> None:
    names, means = [f"{i}.jpg" for i in range(200)], np.linspace(1, 10, 200)
    draws = [draw_from_bins(names, means, 3, seed=seed)[0] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert draw_from_bins([f"/elsewhere/{name}" for name in names], means, 3, seed=0)[0] == draws[0]


def test_one_photograph_less_changes_one() -> None:
    names, means = [f"{i}.jpg" for i in range(200)], np.linspace(1, 10, 200)
    chosen = {names[i] for i in draw_from_bins(names, means, 5)[0]}
    gone = min(chosen)
    left = [(name, mean) for name, mean in zip(names, means, strict=True) if name != gone]
    again = {left[i][0] for i in draw_from_bins([name for name, _ in left], [mean for _, mean in left], 5)[0]}
    assert len(chosen - again) == 1
    assert len(again - chosen) == 1


def test_thin_bins_take_from_the_nearest() -> None:
    #       bin 0: one, bin 1: none, bin 2: five, bin 3: nine
    means = [1.5] + [5.5 + i / 10 for i in range(5)] + [8 + i / 10 for i in range(9)]
    _, table = draw_from_bins([str(i) for i in range(15)], means, 3, 4)
    assert [(one.available, one.drawn, one.lent, one.filled) for one in table] == [
        (1, 1, 0, 2), (0, 0, 0, 3), (5, 5, 2, 0), (9, 6, 3, 0)
    ]  # fmt: skip
    assert [(one.low, one.high) for one in table] == [(1, 3.25), (3.25, 5.5), (5.5, 7.75), (7.75, 10)]


def test_of_two_neighbours_the_one_with_more_left_lends() -> None:
    means = [2.0] * 5 + [5.0] + [8.0] * 7
    _, table = draw_from_bins([str(i) for i in range(13)], means, 4, 3)
    assert [one.lent for one in table] == [1, 0, 2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((["a"], [5], 0), "0 photographs of each rating bin"),
        ((["a"], [5], 1, 0), "0 rating bins"),
        ((["a"], [11], 1), "a mean rating is 11"),
        ((["a"], [float("nan")], 1), "a mean rating is nan"),
        ((["a"], [5, 6], 1), "2 mean ratings for 1 photographs"),
    ],
)
def test_impossible_draws(arguments: tuple, says: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(RequestError, match=says):
        draw_from_bins(*arguments)


def test_a_draw_by_predictions(photographs: list[Path], means: list[float]) -> None:
    draw = choose_calibration(photographs, means=means, per_bin=2, seed=3)
    assert len(draw.chosen) == 20
    assert draw.paths == sorted(draw.paths)
    by_path = dict(zip(photographs, means, strict=True))
    assert draw.means.tolist() == [by_path[path] for path in draw.paths]
    assert (draw.means_from, draw.labels, draw.gaps) == ("the float model's predictions", None, ())
    (thin,) = draw.warnings()
    assert thin.startswith("rating bins of fewer than 2 were filled from their neighbours: 1-1.9 had 0 and took 2, 1.9")
    (empty,) = draw.empty_bins()
    assert empty.startswith("rating bins 1-1.9, 1.9-2.8")
    backwards = choose_calibration(photographs[::-1], means=means[::-1], per_bin=2, seed=3)
    assert (backwards.chosen, backwards.bins) == (draw.chosen, draw.bins)


def test_a_draw_that_falls_short_says_so(photographs: list[Path], means: list[float]) -> None:
    draw = choose_calibration(photographs, means=means, per_bin=5)
    assert len(draw.chosen) == 40
    assert draw.warnings() == ["40 photographs do not fill 10 bins of 5: 40 are drawn"]


def write_labels(path: Path, names: list[str], means: list[float], column: str = "file") -> Path:
    rows = [f"{name},{mean!r}" for name, mean in zip(names, means, strict=True)]
    path.write_text("\n".join([f"{column},mean_rating", *rows]), encoding="utf-8")
    return path


def test_a_draw_by_labels(photographs: list[Path], means: list[float], tmp_path: Path) -> None:
    names = [f"{path.parent.name}/{path.name}" for path in photographs[1:]]
    labels = read_labels(write_labels(tmp_path / "labels.csv", [*names, "third/00.png"], [*means[1:], 5.0]))
    draw = choose_calibration(photographs, labels=labels, per_bin=2)
    assert photographs[0] not in draw.paths
    assert draw.means_from == "labels"
    assert draw.labels == {
        "file": "labels.csv", "sha256": labels.sha256, "means_only": True, "without_photograph": 1
    }  # fmt: skip
    assert all(one.id == f"{one.path.parent.name}/{one.path.name}" for one in draw.chosen)
    bare, idle, thin = draw.warnings()
    assert bare.startswith("1 of 40 photographs have no label in labels.csv: ")
    assert bare.endswith("first/00.png")
    assert idle == "1 of 40 labels of labels.csv have no photograph: third/00.png"
    assert "filled from their neighbours" in thin


def test_labels_that_do_not_fit(photographs: list[Path], tmp_path: Path) -> None:
    other = read_labels(write_labels(tmp_path / "labels.csv", ["x.jpg"], [5.0]))
    with pytest.raises(RequestError, match="none of the 40 photographs"):
        choose_calibration(photographs, labels=other, per_bin=2)
    twice = read_labels(write_labels(tmp_path / "labels.csv", ["00"], [5.0], "image_id"))
    with pytest.raises(RequestError, match=r"first/00.png' and '.*second/00.png' are both '00'"):
        choose_calibration(photographs, labels=twice, per_bin=2)
    for both in ({}, {"labels": other, "means": [5.0] * 40}):
        with pytest.raises(RequestError, match="give one of the two"):
            choose_calibration(photographs, per_bin=2, **both)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"shape \(3,\) for 40 photographs"):
        choose_calibration(photographs, means=[5, 5, 5], per_bin=2)


# --- loading, writing down, finding again


def test_what_cannot_be_read_is_replaced_from_its_bin(tmp_path: Path) -> None:
    paths = []
    for i in range(12):
        paths.append(tmp_path / f"{i:02}.png")
        if i % 3:
            Image.fromarray(picture(i)).save(paths[-1])
        else:
            paths[-1].write_text("no picture")
    means = [2.0] * 6 + [8.0] * 6
    calls = []
    draw, inputs = load_draw(choose_calibration(paths, means=means, per_bin=4, bins=2), HOW, lambda: calls.append(1))
    assert [one.drawn for one in draw.bins] == [4, 4]
    assert [path.stem for path in draw.paths] == ["01", "02", "04", "05", "07", "08", "10", "11"]
    assert tuple(draw.paths) == inputs.paths
    assert inputs.pixels.shape == (8, 128, 136, 3)
    assert list(inputs.sha256) == [pixels_sha256(one) for one in load_inputs(draw.paths, HOW).pixels]
    assert len(calls) == 8 + len(inputs.unreadable)
    assert all("not a picture" in line for line in inputs.unreadable)


def test_nothing_readable_is_left_to_the_lint(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("no picture")
    draw, inputs = load_draw(choose_calibration([path], means=[5], per_bin=1), HOW)
    assert (draw.paths, inputs.pixels.shape, len(inputs.unreadable)) == ([], (0, 128, 136, 3), 1)
    with pytest.raises(CalibrationError, match="0 different photographs"):
        check_calibration(inputs, how=HOW, draw=draw)


def test_predictions_come_without_keeping_pixels(photographs: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    sizes = []

    def predict(pixels: Pixels) -> np.ndarray:
        sizes.append(len(pixels))
        return np.eye(10)[pixels[:, 0, 0, 0] % 10]

    paths, means, unreadable = predicted_means([*photographs, broken, *photographs], HOW, predict)
    assert paths == photographs * 2
    assert means.tolist() == (load_inputs(paths, HOW).pixels[:, 0, 0, 0] % 10 + 1).tolist()
    assert sizes == [63, 17]
    assert len(unreadable) == 1
    assert predicted_means([], HOW, predict)[1].shape == (0,)


@pytest.fixture
def drawn(photographs: list[Path], means: list[float]) -> tuple[Draw, Inputs]:
    return load_draw(choose_calibration(photographs, means=means, per_bin=2, bins=5), HOW)


def save(document: object, folder: Path) -> Path:
    path = folder / "calibration.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_draw_is_found_again(drawn: tuple[Draw, Inputs], photographs: list[Path], tmp_path: Path) -> None:
    draw, inputs = drawn
    document = calibration_document(draw, inputs, HOW)
    assert document["format"] == FORMAT
    assert (document["n"], document["different"], document["seed"], document["per_bin"]) == (10, 10, 0, 2)
    assert [entry["file"] for entry in document["photographs"]] == ["/".join(path.parts[-2:]) for path in draw.paths]
    assert str(tmp_path.parent) not in json.dumps(document)
    again, same = read_draw(save(document, tmp_path), photographs[::-1], HOW)
    assert (again.chosen, again.bins, again.means_from) == (draw.chosen, draw.bins, draw.means_from)
    assert (same.paths, same.sha256) == (inputs.paths, inputs.sha256)
    assert (same.pixels == inputs.pixels).all()
    assert again.warnings() == draw.warnings()
    assert calibration_document(again, same, HOW) == document


def test_of_two_with_one_name_the_pixels_tell(drawn: tuple[Draw, Inputs], tmp_path: Path) -> None:
    draw, inputs = drawn
    folder = tmp_path / "old"
    copies = []
    for path in draw.paths:  # before the right ones: names that fit, other pixels
        copy = folder / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(999)).save(copy)
        copies.append(copy)
    path = save(calibration_document(draw, inputs, HOW), tmp_path)
    assert read_draw(path, [*copies, *draw.paths], HOW)[0].paths == draw.paths
    with pytest.raises(CalibrationError, match=r"10 of 10 photographs have other pixels .* or cannot be read: first/"):
        read_draw(path, copies, HOW)
    copies[0].write_text("no picture")
    with pytest.raises(CalibrationError, match="or cannot be read"):
        read_draw(path, [copies[0], *draw.paths[1:]], HOW)
    with pytest.raises(CalibrationError, match=r"1 of 10 photographs of .* are not among the 9 given: first/"):
        read_draw(path, draw.paths[1:], HOW)


def test_swapped_colours_are_other_pixels(drawn: tuple[Draw, Inputs], tmp_path: Path) -> None:
    draw, inputs = drawn
    path = save(calibration_document(draw, inputs, HOW), tmp_path)
    with pytest.raises(CalibrationError, match="pixels with channel_order RGB; this model takes channel_order BGR"):
        read_draw(path, draw.paths, replace(HOW, channel_order="BGR"))
    with pytest.raises(CalibrationError, match="filter nearest, antialias False; this model takes filter box"):
        read_draw(path, draw.paths, replace(HOW, filter="box", antialias=True))
    assert read_draw(path, draw.paths, replace(HOW, scale=1.0, offset=0.0))[0].chosen == draw.chosen
    swapped = tmp_path / "swapped"
    for old in draw.paths:
        new = swapped / old.parent.name / old.name
        new.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(Image.open(old))[..., ::-1].copy()).save(new)
    with pytest.raises(CalibrationError, match="10 of 10 photographs have other pixels"):
        read_draw(path, sorted(swapped.rglob("*.png")), HOW)


def test_a_document_of_other_photographs_is_refused(drawn: tuple[Draw, Inputs]) -> None:
    draw, inputs = drawn
    with pytest.raises(CalibrationError, match="9 photographs are not the 10 of the draw"):
        calibration_document(draw, replace(inputs, paths=inputs.paths[1:]), HOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: [],
        lambda d: {},
        lambda d: {**d, "format": "edge-nima calibration 9"},
        lambda d: {**d, "photographs": 3},
        lambda d: {**d, "photographs": [{}]},
        lambda d: {**d, "photographs": [{**d["photographs"][0], "mean": "x"}]},
        lambda d: {**d, "photographs": [{**d["photographs"][0], "mean": 77}]},
        lambda d: {**d, "photographs": [{**d["photographs"][0], "bin": 0}]},
        lambda d: {**d, "bins": []},
        lambda d: {**d, "bins": [{"low": 1}]},
        lambda d: {**d, "seed": None},
        lambda d: {**d, "preprocessing": None},
        lambda d: {**d, "preprocessing": {"width": 136}},
        lambda d: {key: d[key] for key in d if key != "labels"},
    ],
)
def test_damaged_documents(drawn: tuple[Draw, Inputs], tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    path = save(change(calibration_document(*drawn, HOW)), tmp_path)
    with pytest.raises(CalibrationError, match=r"calibration.json' is no calibration.json") as caught:
        read_draw(path, [], HOW)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\0", b"[" * 100_000])
def test_documents_that_are_no_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(CalibrationError, match=r"x.json' is no calibration.json"):
        read_draw(tmp_path / "x.json", [], HOW)
    with pytest.raises(CalibrationError, match="No such file"):
        read_draw(tmp_path / "none.json", [], HOW)


def test_the_cards_summary(drawn: tuple[Draw, Inputs]) -> None:
    draw, inputs = drawn
    plain = describe_calibration(inputs, 4, draw.means)
    assert plain.keys() == {"n", "different", "ids_sha256", "pixels_sha256", "bins", "bins_by", "seed"}
    assert (plain["seed"], len(plain["bins"])) == (4, 10)
    ours = describe_calibration(inputs, 4, draw.means, draw=draw)
    assert ours["bins"] == [one.drawn for one in draw.bins]
    assert ours["bins_by"] == "mean rating by the float model's predictions, 5 equal bins of 1..10"
    assert (ours["seed"], ours["per_bin"], ours["labels"]) == (0, 2, None)
    assert ours["filled_from_neighbours"] == sum(one.filled for one in draw.bins) > 0
    assert ours["ids_sha256"] == plain["ids_sha256"]
    json.dumps(ours)


# --- the lint


def test_a_hundred_photographs_pass() -> None:
    assert check_calibration(inputs_of(PLENTY), how=Preprocessing(width=128, height=128)) == []


def test_few_are_warned_about_and_fewer_refused() -> None:
    (warning,) = check_calibration(inputs_of(PLENTY[:99]))
    assert warning == "only 99 different calibration photographs; 100 or more are advised"
    assert len(check_calibration(inputs_of(PLENTY[:10]))) == 1
    for few in (PLENTY[:9], PLENTY[:9] * 20):
        with pytest.raises(CalibrationError, match="9 different photographs cannot calibrate int8"):
            check_calibration(inputs_of(few))


def test_duplicates_are_named_and_mostly_one_is_refused() -> None:
    (warning,) = check_calibration(inputs_of([*PLENTY, PLENTY[0], PLENTY[0], PLENTY[7]]))
    assert warning == "3 calibration photographs are duplicates: 100.png, 101.png, 102.png"
    assert "98 calibration photographs are duplicates" in check_calibration(inputs_of([*PLENTY, *PLENTY[:1] * 98]))[0]
    with pytest.raises(CalibrationError, match=r"102 of 201 .* one and the same \('000.png'\): give each once"):
        check_calibration(inputs_of([*PLENTY, *PLENTY[:1] * 101]))


def uniform(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (128, 128, 3), dtype=np.uint8)


def one_colour(seed: int) -> Pixels:
    return np.full((128, 128, 3), (seed, 255 - seed, 2 * seed), np.uint8)


@pytest.mark.parametrize(
    ("make", "says", "refusal"),
    [
        (one_colour, "are of one colour", "60 of one colour: give real photographs"),
        (uniform, "look like noise", "60 noise: give real photographs"),
    ],
)
def test_what_is_no_photograph_is_named_or_refused(make, says: str, refusal: str) -> None:  # type: ignore[no-untyped-def]
    wrong = [make(seed) for seed in range(60)]
    (warning,) = check_calibration(inputs_of([*PLENTY, *wrong[:5]]))
    assert warning == f"5 of 105 calibration photographs {says}: 100.png, 101.png, 102.png and 2 more"
    assert len(check_calibration(inputs_of([*PLENTY[:60], *wrong]))) == 1, "half is not most"
    with pytest.raises(CalibrationError, match=refusal):
        check_calibration(inputs_of([*PLENTY[:59], *wrong]))


def test_faults_add_up() -> None:
    wrong = [uniform(seed) for seed in range(30)] + [one_colour(seed) for seed in range(30)]
    with pytest.raises(CalibrationError, match="30 of one colour and 30 noise"):
        check_calibration(inputs_of([*PLENTY[:50], *wrong]))


@pytest.mark.parametrize(("scale", "offset"), [(1 / 127.5, -1), (1 / 255, 0)])
def test_scaled_pixels_are_refused(scale: float, offset: float) -> None:
    # A pure white and a pure black corner: -1..1 and 0..1 reach their ends in every picture.
    pictures = [one.astype(np.float64) for one in PLENTY]
    for one in pictures:
        one[0, 0], one[-1, -1] = 0, 255
    floats = np.stack(pictures) * scale + offset
    with pytest.raises(CalibrationError, match="pixels are float64; possible: uint8"):
        check_calibration(replace(inputs_of(PLENTY), pixels=floats))
    cast = floats.astype(np.int64).astype(np.uint8)
    with pytest.raises(CalibrationError, match="hold nothing but 0, 1 and 255, as scaled pixels"):
        check_calibration(inputs_of(cast))


def test_a_narrow_range_is_warned_about() -> None:
    (warning,) = check_calibration(inputs_of([one // 3 for one in PLENTY]))
    assert warning.startswith("all calibration pixels together lie in 0..85 of 0..255")


@pytest.mark.parametrize("shape", [(100, 128, 128), (100, 128, 128, 4), (100, 64, 128, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(CalibrationError, match=r"possible: \(n, 128, 128, 3\)"):
        check_calibration(
            replace(inputs_of(PLENTY), pixels=np.zeros(shape, np.uint8)), how=Preprocessing(width=128, height=128)
        )


def test_pixels_without_names_are_refused() -> None:
    with pytest.raises(CalibrationError, match="99 pictures with 100 names and 100 hashes"):
        check_calibration(replace(inputs_of(PLENTY), pixels=np.stack(PLENTY[1:])))


def test_empty_bins_are_warned_about(drawn: tuple[Draw, Inputs]) -> None:
    draw, inputs = drawn
    warnings = check_calibration(inputs, how=HOW, draw=draw)
    assert warnings[-1] == "rating bin 1-2.8: empty, no photograph of such a mean rating calibrates"
    full = choose_calibration([Path(f"{i}") for i in range(20)], means=np.linspace(1, 10, 20), per_bin=2)
    assert (full.empty_bins(), full.warnings()) == ([], [])


def test_overlap_with_the_judging_photographs() -> None:
    inputs = inputs_of(PLENTY)
    assert check_overlap(inputs, {"none of them"}) == []
    judging = frozenset(inputs.sha256[10:14])
    told = "4 photographs both calibrate and judge; the agreement flatters int8: 010.png, 011.png, 012.png and 1 more"
    assert check_overlap(inputs, judging) == [told]
    assert check_calibration(inputs, judging=judging) == [told]


@settings(max_examples=30)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["uniform", "gauss", "grey", "faint", "black and white"]),
    st.sampled_from([(224, 224), (300, 401), (512, 512), (700, 900)]),
    st.sampled_from(["nearest", "box", "bilinear", "bicubic", "lanczos"]),
)
def test_noise_is_always_seen(seed: int, kind: str, size: tuple[int, int], filter: str) -> None:
    random, (height, width) = np.random.default_rng(seed), size
    noise = {
        "uniform": lambda: random.integers(0, 256, (height, width, 3)),
        "gauss": lambda: random.normal(127, 40, (height, width, 3)).clip(0, 255),
        "grey": lambda: random.integers(0, 256, (height, width, 1)).repeat(3, 2),
        "faint": lambda: random.normal(127, 3, (height, width, 3)).clip(0, 255),
        "black and white": lambda: random.integers(0, 2, (height, width, 1)).repeat(3, 2) * 255,
    }[kind]()
    seen = to_input(noise.astype(np.uint8), Preprocessing(filter=filter, antialias=filter != "nearest"))
    assert neighbour_correlation(seen) < NOISE_BELOW


@pytest.mark.parametrize("side", [1, 7, 8, 64])
def test_of_few_pixels_nothing_is_said(side: int) -> None:
    assert neighbour_correlation(uniform(0)[:side, :side]) == 1
    assert neighbour_correlation(one_colour(3)) == 1


def test_any_pixels_get_an_answer() -> None:
    random = np.random.default_rng(5)
    for _ in range(20):
        side, top = random.integers(1, 40), random.integers(1, 256)
        pixels = random.integers(0, top, (12, side, side, 3)).astype(np.uint8)
        try:
            told = check_calibration(inputs_of(pixels))
        except EdgeNimaError as error:
            told = [str(error)]
        assert not any("\n" in line for line in told)


def test_real_photographs_are_never_faulty(data: Path) -> None:
    folders = ("biq2021/images", "oasis_beauty/images", "golden/images", "photos_24mp")
    paths = [path for folder in folders for path in sorted((data / folder).iterdir())]
    # The roughest and the flattest that were found, and every twentieth.
    hard = {"Wall 5.jpg", "Wall 2.jpg", "Dirt 1.jpg", "Rocks 7.jpg", "Dirt 4.jpg", "Fence 1.jpg", "ss03_4556.jpg"}
    hard |= {"ss01_1701.jpg", "ss01_1451.jpg", "ss01_1619.jpg", "ss03_2171.jpg"}
    chosen = [path for i, path in enumerate(paths) if i % 20 == 0 or path.name in hard or path.parent.name != "images"]
    inputs = load_inputs(chosen, Preprocessing())
    assert hard <= {path.name for path in inputs.paths}
    faults = find_faults(inputs.pixels)
    assert (faults.constant, faults.noise, faults.unscaled) == ((), (), ())
    assert check_calibration(inputs, how=Preprocessing()) == []


def test_a_draw_from_the_data(data: Path, tmp_path: Path) -> None:
    labels = read_labels(data / "oasis_beauty/labels.csv")
    photographs = sorted((data / "oasis_beauty/images").iterdir())
    draw, inputs = load_draw(choose_calibration(photographs, labels=labels, per_bin=12), Preprocessing())
    assert len(draw.chosen) == 120
    assert Counter(rating_bins(draw.means).tolist()) == {i: one.drawn for i, one in enumerate(draw.bins) if one.drawn}
    assert [one.available for one in draw.bins] == [0, 8, 22, 58, 80, 122, 149, 111, 63, 16]
    assert [one.filled for one in draw.bins] == [12, 4, 0, 0, 0, 0, 0, 0, 0, 0]
    (thin,) = draw.warnings()
    assert thin.endswith("1-1.9 had 0 and took 12, 1.9-2.8 had 8 and took 4")
    path = save(calibration_document(draw, inputs, Preprocessing()), tmp_path)
    assert read_draw(path, photographs, Preprocessing())[0].chosen == draw.chosen
