"""Which photographs calibrate: drawn evenly, read, checked, and written down."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_nima.decode import Pixels
from edge_nima.errors import CalibrationError, RequestError
from edge_nima.labels import rating_bins
from edge_nima.pixels import Preprocessing, pixels_sha256, to_input
from edge_nima_convert import calibration
from edge_nima_convert.calibration import (
    FORMAT,
    Calibration,
    Rated,
    StratifiedSample,
    draw_from_bins,
    read_calibration,
)
from edge_nima_convert.calibration_checks import (
    NOISE_BELOW,
    check_pictures,
    check_repeats,
    neighbour_correlation,
    picture_fault,
)
from edge_nima_convert.photographs import Photographs, find_pool, load_inputs

HOW = Preprocessing(width=136, height=128)

means_of = st.lists(st.floats(1, 10), max_size=60)


def picture(seed: int, side: int = 128) -> Pixels:
    """Smooth blobs, as different as photographs are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def asked_about(pixels: Pixels) -> np.ndarray:
    """A model whose mean rating is the last digit of the first byte, and one."""
    return np.eye(10)[pixels[:, 0, 0, 0] % 10]


def checked(pictures: list[Pixels]) -> list[str]:
    """What is said of pictures 000.png, 001.png, ..."""
    pixels, names = np.stack(pictures), [f"{i:03}.png" for i in range(len(pictures))]
    return check_repeats(names, [pixels_sha256(one) for one in pixels]) + check_pictures(names, pixels)


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


def rated(photographs: list[Path], means: list[float]) -> list[Rated]:
    return [Rated(path, path.stem, mean) for path, mean in zip(photographs, means, strict=True)]


def test_a_sample_says_what_it_filled_and_what_is_empty(photographs: list[Path], means: list[float]) -> None:
    sample = StratifiedSample.draw(rated(photographs, means), per_bin=2, seed=3)
    assert len(sample.chosen) == 20
    assert list(sample.paths) == sorted(sample.paths)
    by_path = dict(zip(photographs, means, strict=True))
    assert [one.mean for one in sample.chosen] == [by_path[path] for path in sample.paths]
    thin, empty = sample.warnings()
    assert thin.startswith("rating bins of fewer than 2 were filled from their neighbours: 1-1.9 had 0 and took 2, 1.9")
    assert empty.startswith("rating bins 1-1.9, 1.9-2.8")
    backwards = StratifiedSample.draw(rated(photographs, means)[::-1], per_bin=2, seed=3)
    assert (backwards.chosen, backwards.bins) == (sample.chosen, sample.bins)
    full = StratifiedSample.draw(rated([Path(f"{i}") for i in range(20)], np.linspace(1, 10, 20).tolist()), per_bin=2)
    assert full.warnings() == []
    short = StratifiedSample.draw(rated(photographs, means), per_bin=5)
    assert short.warnings()[0] == "40 photographs do not fill 10 bins of 5: 40 are drawn"


def write_labels(path: Path, names: list[str], means: list[float], column: str = "file") -> Path:
    rows = [f"{name},{mean!r}" for name, mean in zip(names, means, strict=True)]
    path.write_text("\n".join([f"{column},mean_rating", *rows]), encoding="utf-8")
    return path


def calibrate(photographs: list[Path], labels: Path | None = None, **drawn: int) -> Calibration:
    return read_calibration(find_pool(Photographs(photographs, labels, **drawn), "train"), HOW, asked_about)


def test_a_calibration_by_labels(
    photographs: list[Path], means: list[float], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{path.parent.name}/{path.name}" for path in photographs[1:]]
    labels = write_labels(tmp_path / "labels.csv", [*names, "third/00.png"], [*means[1:], 5.0])
    made = calibrate(photographs, labels, per_bin=2)
    assert photographs[0] not in made.sample.paths
    assert made.means_from == "labels"
    assert made.labels is not None
    assert {key: made.labels[key] for key in ("file", "means_only", "without_photograph")} == {
        "file": "labels.csv", "means_only": True, "without_photograph": 1
    }  # fmt: skip
    assert all(one.id == f"{one.path.parent.name}/{one.path.name}" for one in made.sample.chosen)
    bare, idle, few, thin, _ = caplog.messages
    assert bare.startswith("1 of 40 photographs have no label in labels.csv: ")
    assert bare.endswith("first/00.png")
    assert idle == "1 of 40 labels of labels.csv have no photograph: third/00.png"
    assert few.startswith("only 20 different")
    assert "filled from their neighbours" in thin


def test_labels_that_do_not_fit(photographs: list[Path], tmp_path: Path) -> None:
    other = write_labels(tmp_path / "labels.csv", ["x.jpg"], [6.0])
    with pytest.raises(RequestError, match="none of the 40 photographs"):
        calibrate(photographs, other)
    twice = write_labels(tmp_path / "labels.csv", ["00"], [6.0], "image_id")
    with pytest.raises(RequestError, match=r"first/00.png' and '.*second/00.png' are both '00'"):
        calibrate(photographs, twice)


def test_what_cannot_be_read_is_replaced_from_its_bin(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = []
    for i in range(36):
        paths.append(tmp_path / f"{i:02}.png")
        if i % 3:
            Image.fromarray(picture(i)).save(paths[-1])
        else:
            paths[-1].write_text("no picture")
    labels = write_labels(tmp_path / "labels.csv", [path.name for path in paths], [2.0] * 18 + [8.0] * 18)
    made = calibrate(paths, labels, per_bin=12, bins=2)
    assert [one.drawn for one in made.sample.bins] == [12, 12]
    assert made.inputs.paths == made.sample.paths == tuple(path for i, path in enumerate(paths) if i % 3)
    assert made.inputs.pixels.shape == (24, 128, 136, 3)
    again = load_inputs(made.sample.paths, HOW)
    assert made.inputs.sha256 == again.sha256 == tuple(pixels_sha256(one) for one in made.inputs.pixels)
    assert caplog.messages[5] == "left out: 3 more that cannot be read"  # after five by name
    with pytest.raises(CalibrationError, match="0 different photographs"):
        calibrate([path for i, path in enumerate(paths) if not i % 3], labels)


def test_predictions_make_bins_without_keeping_pixels(
    photographs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def predict(pixels: Pixels) -> np.ndarray:
        sizes.append(len(pixels))
        return asked_about(pixels)

    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    monkeypatch.setattr(calibration, "_AT_A_TIME", 16)
    pool = find_pool(Photographs([*photographs[:3], broken, *photographs[3:]]), "train")
    made = read_calibration(pool, HOW, predict)
    assert sizes == [15, 16, 9]
    expected = (load_inputs(made.sample.paths, HOW).pixels[:, 0, 0, 0] % 10 + 1).tolist()
    assert [one.mean for one in made.sample.chosen] == expected
    assert (made.means_from, made.labels) == ("the float model's predictions", None)


def test_what_is_written_down(photographs: list[Path], tmp_path: Path) -> None:
    made = calibrate(photographs, per_bin=2, bins=5, seed=4)
    document = json.loads(made.document())
    assert document["format"] == FORMAT
    assert (document["n"], document["different"], document["seed"], document["per_bin"]) == (10, 10, 4, 2)
    for entry, path, digest in zip(document["photographs"], made.sample.paths, made.inputs.sha256, strict=True):
        assert (entry["file"], entry["pixels_sha256"]) == ("/".join(path.parts[-2:]), digest)
        assert entry["bin"] == rating_bins([entry["mean"]], 5)[0]
    assert str(tmp_path.parent) not in json.dumps(document)
    summary = made.summary()
    assert summary["bins"] == [one["drawn"] for one in document["bins"]]
    assert summary["bins_by"] == "mean rating by the float model's predictions, 5 equal bins of 1..10"
    assert (summary["n"], summary["seed"], summary["per_bin"], summary["labels"]) == (10, 4, 2, None)
    assert summary["filled_from_neighbours"] == sum(one["filled"] for one in document["bins"])
    assert calibrate(photographs[::-1], per_bin=2, bins=5, seed=4).document() == made.document()


# --- the checks


def test_a_hundred_photographs_pass() -> None:
    assert checked(PLENTY) == []


def test_few_are_warned_about_and_fewer_refused() -> None:
    (warning,) = checked(PLENTY[:99])
    assert warning == "only 99 different calibration photographs; 100 or more are advised"
    assert len(checked(PLENTY[:10])) == 1
    for few in (PLENTY[:9], PLENTY[:9] * 20):
        with pytest.raises(CalibrationError, match="9 different photographs cannot calibrate int8"):
            checked(few)


def test_duplicates_are_named_and_mostly_one_is_refused() -> None:
    (warning,) = checked([*PLENTY, PLENTY[0], PLENTY[0], PLENTY[7]])
    assert warning == "3 calibration photographs are duplicates: 100.png, 101.png, 102.png"
    assert "98 calibration photographs are duplicates" in checked([*PLENTY, *PLENTY[:1] * 98])[0]
    with pytest.raises(CalibrationError, match=r"102 of 201 .* one and the same \('000.png'\): give each once"):
        checked([*PLENTY, *PLENTY[:1] * 101])


def uniform(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (128, 128, 3), dtype=np.uint8)


def one_colour(seed: int) -> Pixels:
    return np.full((128, 128, 3), (seed, 255 - seed, 2 * seed), np.uint8)


@pytest.mark.parametrize(
    ("make", "says", "refusal"),
    [
        (one_colour, "are of one colour", "60 are of one colour"),
        (uniform, "look like noise", "60 look like noise"),
    ],
)
def test_what_is_no_photograph_is_named_or_refused(make, says: str, refusal: str) -> None:  # type: ignore[no-untyped-def]
    wrong = [make(seed) for seed in range(60)]
    (warning,) = checked([*PLENTY, *wrong[:5]])
    assert warning == f"5 of 105 calibration photographs {says}: 100.png, 101.png, 102.png and 2 more"
    assert len(checked([*PLENTY[:60], *wrong])) == 1, "half is not most"
    with pytest.raises(CalibrationError, match=refusal):
        checked([*PLENTY[:59], *wrong])


def test_faults_add_up() -> None:
    wrong = [uniform(seed) for seed in range(30)] + [one_colour(seed) for seed in range(30)]
    with pytest.raises(CalibrationError, match="30 look like noise and 30 are of one colour"):
        checked([*PLENTY[:50], *wrong])


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


def test_real_photographs_are_never_faulty(data: Path) -> None:
    folders = ("biq2021/images", "oasis_beauty/images", "golden/images", "photos_24mp")
    paths = [path for folder in folders for path in sorted((data / folder).iterdir())]
    # The roughest and the flattest that were found, and every twentieth.
    hard = {"Wall 5.jpg", "Wall 2.jpg", "Dirt 1.jpg", "Rocks 7.jpg", "Dirt 4.jpg", "Fence 1.jpg", "ss03_4556.jpg"}
    hard |= {"ss01_1701.jpg", "ss01_1451.jpg", "ss01_1619.jpg", "ss03_2171.jpg"}
    chosen = [path for i, path in enumerate(paths) if i % 20 == 0 or path.name in hard or path.parent.name != "images"]
    inputs = load_inputs(chosen, Preprocessing())
    assert hard <= {path.name for path in inputs.paths}
    assert {picture_fault(one) for one in inputs.pixels} == {""}


def test_a_draw_from_the_data(data: Path) -> None:
    given = Photographs(data / "oasis_beauty/images", data / "oasis_beauty/labels.csv", per_bin=12)
    drawn = read_calibration(find_pool(given, "train"), Preprocessing(), asked_about).sample
    assert len(drawn.chosen) == 120
    counts = Counter(rating_bins([one.mean for one in drawn.chosen]).tolist())
    assert counts == {i: one.drawn for i, one in enumerate(drawn.bins) if one.drawn}
    assert [one.available for one in drawn.bins] == [0, 6, 15, 52, 68, 112, 137, 101, 55, 16]  # of the train split
    assert [one.filled for one in drawn.bins] == [12, 6, 0, 0, 0, 0, 0, 0, 0, 0]
    thin, _ = drawn.warnings()
    assert thin.endswith("1-1.9 had 0 and took 12, 1.9-2.8 had 6 and took 6")
