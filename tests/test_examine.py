"""What each change to a photograph does, and what the statistics of an examination promise."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from conftest import PHOTOS
from edge_nima import examine as module
from edge_nima.changes import WORSE, Change, Photograph, changes
from edge_nima.errors import PictureError, RequestError
from edge_nima.examine import Examination, Examined, examine, wilson
from edge_nima.scorer import ModelFile, load_model, open_scorer

BY_NAME = {change.name: change for change in changes()}
NAN = float("nan")


def made(name: str, photograph: Photograph) -> Image.Image:
    image = BY_NAME[name].make(photograph)
    assert image is not None
    return image


def pixels(image: Image.Image | None) -> NDArray[np.float64]:
    return np.asarray(image, np.float64)


def detail(image: Image.Image | None) -> float:
    """Energy of the gradient."""
    grey = pixels(image).mean(axis=2)
    return float((np.diff(grey, axis=0) ** 2).mean() + (np.diff(grey, axis=1) ** 2).mean())


@pytest.fixture(scope="module")
def coffee() -> Photograph:
    return Photograph(PHOTOS / "coffee.jpg")  # 600x400


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Photograph:
    """4000 pixels wide, as a JPEG with detail everywhere."""
    path = tmp_path_factory.mktemp("large") / "large.jpg"
    with Image.open(PHOTOS / "china.jpg") as image:
        image.resize((4000, 600)).save(path, quality=95)
    return Photograph(path)


def test_names_are_unique_and_every_change_is_made_of_a_usual_photograph(coffee: Photograph) -> None:
    assert len(BY_NAME) == len(changes()) > 30
    for change in changes():
        after = change.make(coffee)
        if after is not None:
            assert after.mode == "RGB", change.name
            before = change.against(coffee)
            assert before is not None
            assert change.family != WORSE or after.size == before.size, change.name
            assert change.name == "opencv" or pixels(after).shape != pixels(before).shape or (
                np.abs(pixels(after) - pixels(before)).max() > 0
            ), change.name  # fmt: skip


def test_blur_and_contrast_take_detail_away_and_noise_adds_it(coffee: Photograph) -> None:
    before = detail(coffee.small)
    assert detail(made("misfocus", coffee)) < 0.8 * before
    assert detail(made("motion", coffee)) < 0.8 * before
    assert detail(made("contrast", coffee)) == pytest.approx(0.16 * before, rel=0.05)
    assert detail(made("noise", coffee)) > 1.3 * before


def test_motion_blurs_along_the_width_only(coffee: Photograph) -> None:
    rows = np.tile(np.arange(400, dtype=np.uint8)[:, None, None] % 200, (1, 600, 3))
    coffee_like = Photograph.__new__(Photograph)
    coffee_like.image, coffee_like.edge = Image.fromarray(rows), 640
    assert np.array_equal(pixels(made("motion", coffee_like)), rows)


def test_exposure_moves_the_mean_and_keeps_black_and_white(coffee: Photograph) -> None:
    mean = pixels(coffee.small).mean()
    assert pixels(made("over", coffee)).mean() > mean + 20
    assert pixels(made("under", coffee)).mean() < mean - 20
    ends = Photograph.__new__(Photograph)
    ends.image, ends.edge = Image.fromarray(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)), 640
    for name in ("over", "under"):
        assert pixels(made(name, ends)).tolist() == [[[0] * 3, [255] * 3]]


def test_noise_has_its_sigma_and_is_the_same_every_time_but_for_the_seed(tmp_path: Path, coffee: Photograph) -> None:
    Image.new("RGB", (300, 200), (128, 128, 128)).save(tmp_path / "grey.png")
    noise = pixels(made("noise", Photograph(tmp_path / "grey.png"))) - 128
    assert noise.std() == pytest.approx(15, rel=0.02)
    assert abs(noise.mean()) < 0.2
    shutil.copy(tmp_path / "grey.png", tmp_path / "other name.png")
    assert np.array_equal(pixels(made("noise", Photograph(tmp_path / "other name.png"))) - 128, noise)
    assert not np.array_equal(pixels(made("noise", Photograph(tmp_path / "grey.png", seed=1))) - 128, noise)


@pytest.mark.parametrize("name", ["mirror", "upside_down"])
def test_turned_twice_is_the_photograph(tmp_path: Path, coffee: Photograph, name: str) -> None:
    once = made(name, coffee)
    once.save(tmp_path / "once.png")
    assert not np.array_equal(pixels(once), pixels(coffee.image))
    assert np.array_equal(pixels(made(name, Photograph(tmp_path / "once.png"))), pixels(coffee.image))


@pytest.mark.parametrize("size", [(600, 400), (300, 900), (500, 500), (3000, 100), (33, 47), (20, 5), (1, 1)])
def test_tilt_has_no_empty_corners_and_keeps_the_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, "white").save(tmp_path / "white.png")
    white = Photograph(tmp_path / "white.png")
    turned, part = BY_NAME["tilt"].make(white), BY_NAME["tilt"].against(white)
    if min(size) < 16:
        assert turned is part is None
    elif turned is not None:
        assert pixels(turned).min() == 255
        assert part is not None
        assert turned.size == part.size
        if min(size) >= 300:
            assert turned.width / turned.height == pytest.approx(size[0] / size[1], rel=0.01)
            assert turned.width > 0.7 * min(size[0], 1280)


def test_sizes_go_as_far_as_the_photograph(coffee: Photograph, large: Photograph) -> None:
    def edges(photograph: Photograph) -> list[int]:
        done = [BY_NAME[name].make(photograph) for name in BY_NAME if name.startswith("edge_")]
        return [max(image.size) for image in done if image is not None]

    assert edges(coffee) == [500, 400, 320]
    assert edges(large) == [3000, 2000, 1500, 1280, 1000, 800, 640, 500, 400, 320]
    assert made("edge_2000", large).size == (2000, 300)


def test_the_cards_longest_edge_divides_the_sizes() -> None:
    families = {change.name: change.family for change in changes(1000)}
    assert families["edge_1000"] == "source of 1000 px and more"
    assert families["edge_800"] == "source below 1000 px"


def test_decoders_decode_the_file(coffee: Photograph, large: Photograph, tmp_path: Path) -> None:
    assert BY_NAME["dct"].make(coffee) is None
    assert made("dct", large).size == (2000, 300)
    assert BY_NAME["dct"].make(Photograph(large.path, 1000)) is None
    made_again = tmp_path / "a.png"
    coffee.image.save(made_again)
    png = Photograph(made_again)
    assert BY_NAME["dct"].make(png) is BY_NAME["opencv"].make(png) is None
    pytest.importorskip("cv2", reason="needs edge-nima[camera]")
    assert np.abs(pixels(made("opencv", coffee)) - pixels(coffee.image)).max() <= 3


def test_without_opencv_its_decoder_is_left_out(coffee: Photograph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    assert BY_NAME["opencv"].make(coffee) is None
    found = examine(None, [PHOTOS / "cat.jpg"])
    assert not found.opencv
    assert "decoder" not in [one.family for one in found.steadiness]


def test_corner_crops_are_two_percent_apart(coffee: Photograph) -> None:
    corners = [made(f"crop_{where}", coffee) for where in ("top_left", "bottom_right")]
    assert [corner.size for corner in corners] == [(588, 392)] * 2
    assert np.array_equal(pixels(corners[0]), pixels(coffee.image)[:392, :588])
    assert np.array_equal(pixels(corners[1]), pixels(coffee.image)[8:, 12:])


def examined(name: str, mean: float, **scores: float) -> Examined:
    return Examined(name, Path(name), 600, 400, mean, scores, dict.fromkeys(scores, mean))


def examination(*photographs: Examined) -> Examination:
    return Examination("m", "how", 640, 0, len(photographs), len(photographs), photographs, {}, True, True, 128.0)


def test_the_statistics_are_what_they_say() -> None:
    e = examination(
        examined("a", 5.0, quality_95=5.0, quality_75=4.0, quality_50=3.0, noise=4.0),
        examined("b", 6.0, quality_95=6.0, noise=6.5),
        examined("c", 4.0),
    )
    assert e.spread == pytest.approx(np.std([4, 5, 6]))
    (quality,) = e.steadiness
    of_a = np.std([5.0, 5.0, 4.0, 3.0])
    assert (quality.family, quality.n, quality.example.name) == ("JPEG quality", 2, "a")
    assert (quality.mean, quality.worst) == pytest.approx((of_a / 2, of_a))
    assert quality.of_spread == pytest.approx(quality.mean / e.spread)
    assert [effect.change.name for effect in e.effects] == ["quality_95", "quality_75", "quality_50", "noise"]
    noise = e.effects[-1]
    assert (noise.n, noise.lower, noise.mean, noise.lowest, noise.highest) == (2, 0.5, -0.25, -1.0, 0.5)
    assert noise.example.name == "b"  # rises
    assert e.effects[1].example.name == "a"  # moves most
    assert np.isnan(examination(examined("a", 5.0, mirror=5.0)).steadiness[0].of_spread)


def test_wilson_is_the_published_interval() -> None:
    # Newcombe (1998), table I, method 3.
    for (count, n), ends in {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0.0, 0.1611)}.items():
        assert wilson(count, n) == pytest.approx(ends, abs=1e-4)
    assert wilson(29, 29) == pytest.approx((0.8830, 1.0), abs=1e-4)


@pytest.fixture(scope="module")
def reducing() -> ModelFile:
    """The bundled model with a card that has `longest_edge`, whatever the bundled one has."""
    file = load_model()
    how = file.card.preprocessing.with_overrides(longest_edge=640)
    return replace(file, card=replace(file.card, preprocessing=how))


def test_an_examination_is_of_the_scores_that_the_scorer_gives(reducing: ModelFile, large: Photograph) -> None:
    done: list[tuple[int, int]] = []
    e = examine(reducing, [large.path, PHOTOS / "coffee.jpg"], step=lambda *told: done.append(told))
    assert (e.n, e.found, e.edge, e.complete, e.failures) == (2, 2, 640, True, {})
    assert done == [(0, 2), (1, 2), (2, 2)]
    exact, plain = open_scorer(reducing, exact=True), open_scorer(reducing)
    wide = e.photographs[0]
    assert (wide.width, wide.height, wide.mean) == (4000, 600, exact.score(large.path).mean)
    assert wide.scores["dct"] == plain.score(large.path).mean != wide.mean
    assert wide.scores["edge_640"] == wide.against["misfocus"] == pytest.approx(wide.mean, abs=0.02)
    assert {one.family: one.n for one in e.steadiness}["source of 640 px and more"] == 1
    misfocus = next(effect for effect in e.effects if effect.change.name == "misfocus")
    assert (misfocus.n, misfocus.lower) == (2, 1.0)
    assert examine(reducing, [large.path, PHOTOS / "coffee.jpg"], jobs=2) == e


def test_a_draw_is_seeded_and_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("RGB", (40, 30), (60 * number, 90, 120)).save(tmp_path / f"{number}.png")
    two = examine(None, [tmp_path], count=2, seed=3)
    assert (two.n, two.drawn, two.found) == (2, 2, 4)
    assert [one.name for one in two.photographs] == [
        one.name for one in examine(None, [tmp_path], count=2, seed=3).photographs
    ]
    (tmp_path / "broken.png").write_bytes(b"none")
    five = examine(None, [tmp_path])
    assert (five.n, five.drawn, list(five.failures)) == (4, 5, [str(tmp_path / "broken.png")])
    with pytest.raises(PictureError, match="none of 1 can be read"):
        examine(None, [tmp_path / "broken.png"])
    for options in ({"count": 0}, {"jobs": 0}):
        with pytest.raises(RequestError, match="possible: 1 and more"):
            examine(None, [tmp_path], **options)


@pytest.mark.parametrize("finished", [0, 1])
def test_an_interrupt_leaves_what_was_done(monkeypatch: pytest.MonkeyPatch, finished: int) -> None:
    def step(done: int, of: int) -> None:
        if done == finished:
            raise KeyboardInterrupt

    paths = sorted(PHOTOS.glob("*.jpg"))[:3]
    if not finished:
        with pytest.raises(KeyboardInterrupt):
            examine(None, paths, step=step)
        return
    e = examine(None, paths, step=step)
    assert (e.complete, e.n, e.drawn) == (False, 1, 3)


def test_a_new_kind_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    red = Change("red", WORSE, "only red", "without green and blue", lambda p: _red(p.small), lambda p: p.small)
    all_of_them: Callable[[int], Any] = lambda edge: (*changes(edge), red)  # noqa: E731
    monkeypatch.setattr(module, "changes", all_of_them)
    from edge_nima.reports.examination import as_json, report
    from edge_nima.reports.model import Table
    from edge_nima.reports.pages import page

    e = examine(None, [PHOTOS / "cat.jpg"])
    assert e.effects[-1].change is red
    table = report(e).sections[-1].blocks[0]
    assert isinstance(table, Table)
    assert table.rows[-1][0].text == "only red"
    assert '"red"' in as_json(e)
    pytest.importorskip("matplotlib", reason="needs edge-nima[report]")
    assert "without green and blue" in page(report(e, on_page=True))


def test_a_hostile_name_is_text(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs edge-nima[report]")
    pytest.importorskip("jinja2", reason="needs edge-nima[report]")
    from edge_nima.reports.examination import report
    from edge_nima.reports.pages import page

    path = tmp_path / "<script>alert(1)<b>\x1b[31m.jpg"
    shutil.copy(PHOTOS / "cat.jpg", path)
    text = page(report(examine(None, [path]), on_page=True))
    assert "<script" not in text
    assert "\x1b" not in text
    assert "&lt;script&gt;alert(1)&lt;b&gt;\\x1b[31m.jpg" in text


def _red(image: Image.Image) -> Image.Image:
    array = np.array(image)
    array[..., 1:] = 0
    return Image.fromarray(array)
