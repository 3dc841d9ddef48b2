from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import edge_nima
from edge_nima.card import Card
from edge_nima.decode import read_rgb
from edge_nima.distribution import mean_rating, rating_std
from edge_nima.errors import CardError, EdgeNimaError, ModelError, PictureError, RequestError
from edge_nima.frame import Frame
from edge_nima.pixels import Preprocessing
from edge_nima.records import ScoreRecord
from edge_nima.scorer import BUNDLED, Scorer, default_threads, load_model, open_scorer
from fakes import TFLITE, FakeOpener, answer_by_content, changed, fake_model

PHOTOS = sorted((Path(__file__).parents[1] / "examples" / "photos").glob("*.jpg"))
SMALL = Preprocessing(width=16, height=16)


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return open_scorer(threads=1)


def faked(**runtime: Any) -> tuple[Scorer, FakeOpener]:
    opener = FakeOpener(how=SMALL, **{"answer": answer_by_content, **runtime})
    return open_scorer(fake_model(SMALL), 1, open_model=opener), opener


def result(record: ScoreRecord) -> ScoreRecord:
    """A record without what may differ from one run to the next."""
    return replace(record, name="", elapsed_ms=0.0)


def noise(seed: int, height: int = 20, width: int = 30) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def png(rgb: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return buffer.getvalue()


# One photograph


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_a_photograph_has_one_score_however_it_is_given(scorer: Scorer, path: Path) -> None:
    rgb = read_rgb(path)
    given = [path, str(path), path.read_bytes(), rgb, np.asfortranarray(rgb), Frame(rgb, "camera")]
    records = [scorer.score(picture) for picture in given]
    assert len({result(record) for record in records}) == 1
    assert [record.name for record in records] == [str(path), str(path), "", "", "", "camera"]


def test_a_record_says_what_the_distribution_says(scorer: Scorer) -> None:
    record = scorer.score(PHOTOS[0])
    assert record.error is None
    assert record.distribution is not None
    assert sum(record.distribution) == pytest.approx(1, abs=1e-9)
    assert record.mean == pytest.approx(float(mean_rating(record.distribution)), abs=1e-12)
    assert record.std == pytest.approx(float(rating_std(record.distribution)), abs=1e-12)
    assert record.model == scorer.model.label
    assert record.elapsed_ms > 0
    assert all(type(value) is float for value in (record.mean, record.std, *record.distribution))


def test_the_name_given_is_the_name_of_the_record(scorer: Scorer) -> None:
    assert scorer.score(PHOTOS[0], name="holiday").name == "holiday"
    assert scorer.score(noise(0), name="holiday").name == "holiday"
    assert scorer.score(Frame(noise(0), "camera"), name="").name == ""
    assert scorer.score_or_error(b"", name="holiday").name == "holiday"


def test_scoring_one_picture_leaves_nothing_for_the_next(scorer: Scorer) -> None:
    alone = result(scorer.score(PHOTOS[1]))
    scorer.score(PHOTOS[0])
    with pytest.raises(PictureError):
        scorer.score(b"no picture")
    scorer.score(noise(3))
    assert result(scorer.score(PHOTOS[1])) == alone


def test_the_pixels_given_are_not_changed() -> None:
    scorer, _ = faked()
    rgb = noise(0)
    before = rgb.copy()
    rgb.setflags(write=False)
    scorer.score(rgb)
    assert np.array_equal(rgb, before)


def test_red_is_red() -> None:
    """A scorer that took the channels in another order would give another score."""
    scorer, opener = faked()
    rgb = np.zeros((40, 40, 3), np.uint8)
    rgb[..., 0] = 200
    scorer.score(rgb)
    assert opener.made[0].seen[0][0, 0, 0].tolist() == [200, 0, 0]
    swapped = replace(scorer.model, card=changed(scorer.card, channel_order="BGR"))
    other = FakeOpener(how=SMALL)
    open_scorer(swapped, 1, open_model=other).score(rgb)
    assert other.made[0].seen[0][0, 0, 0].tolist() == [0, 0, 200]


# What cannot be scored

BAD: list[tuple[Any, str]] = [
    (b"", "0 bytes"),
    (b"no picture", "not a picture"),
    ("missing.jpg", "No such file"),
    (Path("/"), "folder"),
    (noise(0).astype(np.float32) / 255, "multiply by 255"),
    (np.zeros((4, 4, 4), np.uint8), "rgb[..., :3]"),
    (np.zeros((4, 4), np.uint8), "(height, width, 3)"),
    (np.zeros((0, 0, 3), np.uint8), "(0, 0, 3)"),
    (Frame(np.zeros((4, 4), np.uint8), "camera"), "(height, width, 3)"),
    (None, "NoneType"),
    (5, "int"),
    (Image.new("RGB", (4, 4)), "Image"),
]


@pytest.mark.parametrize(("picture", "told"), BAD, ids=[told for _, told in BAD])
def test_what_cannot_be_scored_is_an_error_alone_and_a_record_in_a_batch(picture: Any, told: str) -> None:
    scorer, _ = faked()
    with pytest.raises(PictureError) as caught:
        scorer.score(picture)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    good = noise(0)
    records = list(scorer.score_batch([good, picture, good]))
    assert [record.error for record in records] == [None, str(caught.value), None]
    failed = records[1]
    assert (failed.mean, failed.std, failed.distribution) == (None, None, None)
    assert failed.model == scorer.model.label
    assert result(records[0]) == result(records[2])


def test_the_limit_on_megapixels_is_the_scorers() -> None:
    data = png(noise(0))
    for limit, fine in ((0.0001, False), (1.0, True)):
        scorer = open_scorer(fake_model(SMALL), 1, max_megapixels=limit, open_model=FakeOpener(how=SMALL))
        for jobs in (1, 2):
            assert [record.error is None for record in scorer.score_batch([data, data], jobs)] == [fine, fine]


def test_a_model_whose_output_is_no_distribution_stops_a_batch() -> None:
    scorer, _ = faked(answer=lambda _: np.full(10, np.nan))
    for jobs in (1, 2):
        with pytest.raises(ModelError, match="not a distribution"):
            list(scorer.score_batch([noise(0)] * 5, jobs))


# Batches


@pytest.mark.parametrize("jobs", [1, 2, 5, 40])
def test_records_do_not_depend_on_jobs_and_keep_their_order(jobs: int) -> None:
    scorer, _ = faked()
    pictures = [b"bad" if i % 7 == 3 else png(noise(i, 5 + i, 90 - i)) for i in range(60)]
    wanted = [result(scorer.score_or_error(picture)) for picture in pictures]
    assert len(set(wanted)) == 60 - 9 + 1
    assert [result(record) for record in scorer.score_batch(pictures, jobs)] == wanted


def test_records_of_the_real_model_do_not_depend_on_jobs(scorer: Scorer) -> None:
    alone = [result(record) for record in scorer.score_batch(PHOTOS)]
    together = list(scorer.score_batch(PHOTOS, jobs=3))
    assert [result(record) for record in together] == alone
    assert [record.name for record in together] == [str(path) for path in PHOTOS]


def test_the_interpreter_is_opened_once_for_a_scorer_and_once_more_for_each_job() -> None:
    scorer, opener = faked()
    for _ in range(3):
        scorer.score(noise(0))
    list(scorer.score_batch([noise(i) for i in range(5)]))
    assert len(opener.made) == 1
    assert opener.threads == [1]
    list(scorer.score_batch([noise(i) for i in range(20)], jobs=3))
    assert len(opener.made) == 3


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_batch_reads_only_a_few_pictures_ahead(jobs: int) -> None:
    scorer, _ = faked()
    taken = 0

    def endless() -> Iterator[NDArray[np.uint8]]:
        nonlocal taken
        while True:
            taken += 1
            yield noise(taken)

    records = scorer.score_batch(endless(), jobs)
    assert taken == 0
    for _ in range(10):
        assert next(records).error is None
    records.close()
    assert taken <= 10 + 4 * jobs + 1
    assert not [t for t in threading.enumerate() if t.name.startswith("edge-nima")]


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_source_of_pictures_that_fails_is_heard(jobs: int) -> None:
    scorer, _ = faked()

    def failing() -> Iterator[NDArray[np.uint8]]:
        yield noise(0)
        raise RuntimeError("the camera was pulled out")

    with pytest.raises(RuntimeError, match="pulled out"):
        list(scorer.score_batch(failing(), jobs))


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_pictures_give_no_records(jobs: int) -> None:
    assert list(faked()[0].score_batch([], jobs)) == []


def test_threads_may_share_a_scorer() -> None:
    scorer, opener = faked()  # the fake objects when two threads are inside at once
    pictures = [noise(i) for i in range(16)]
    wanted = [result(scorer.score(picture)) for picture in pictures]
    start = threading.Barrier(8)

    def work(_: int) -> bool:
        start.wait()
        return [result(scorer.score(picture)) for picture in pictures * 5] == wanted * 5

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert len(opener.made) == 1


def test_threads_may_share_a_scorer_of_the_real_model(scorer: Scorer) -> None:
    wanted = [result(scorer.score(path)) for path in PHOTOS]
    with ThreadPoolExecutor(6) as pool:
        for got in pool.map(lambda _: [result(scorer.score(path)) for path in PHOTOS], range(6)):
            assert got == wanted


def test_a_batch_while_the_scorer_is_used_elsewhere_is_right() -> None:
    scorer, _ = faked()
    pictures = [noise(i) for i in range(30)]
    wanted = [result(scorer.score(picture)) for picture in pictures]
    batch = scorer.score_batch(pictures, jobs=2)
    for expected, record in zip(wanted, batch, strict=True):
        assert result(scorer.score(pictures[7])) == wanted[7]
        assert result(record) == expected


# Opening


@pytest.mark.parametrize("threads", [0, -1])
def test_fewer_than_one_thread_is_refused(threads: int) -> None:
    with pytest.raises(RequestError, match=f"threads is {threads}"):
        open_scorer(fake_model(SMALL), threads, open_model=FakeOpener(how=SMALL))


@pytest.mark.parametrize("jobs", [0, -3])
def test_fewer_than_one_job_is_refused_when_asked_and_not_later(jobs: int) -> None:
    scorer, _ = faked()
    with pytest.raises(RequestError, match=f"jobs is {jobs}"):
        scorer.score_batch([], jobs)


@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
def test_a_limit_that_is_no_limit_is_refused(limit: float) -> None:
    with pytest.raises(RequestError, match="max_megapixels"):
        open_scorer(fake_model(SMALL), 1, max_megapixels=limit, open_model=FakeOpener(how=SMALL))


def test_threads_reach_the_interpreter_and_default_to_the_cores() -> None:
    opener = FakeOpener(how=SMALL)
    assert open_scorer(fake_model(SMALL), 3, open_model=opener).threads == 3
    assert open_scorer(fake_model(SMALL), open_model=opener).threads == default_threads()
    assert opener.threads == [3, default_threads()]
    assert 1 <= default_threads() <= 4


def test_the_bundled_model_is_the_default_and_has_a_name() -> None:
    models = [load_model(), load_model(BUNDLED), load_model(str(BUNDLED)), load_model("mobilenet-ava-int8-mixed")]
    assert len({model.sha256 for model in models}) == 1
    assert models[0].label == f"{models[0].card.name}@{models[0].sha256[:8]}"
    assert edge_nima.open_scorer(threads=1).model.label == models[0].label


def one_line(error: type[EdgeNimaError], *arguments: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        open_scorer(*arguments, threads=1, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_model_without_a_card_needs_one(tmp_path: Path) -> None:
    bare, card = tmp_path / "bare.tflite", tmp_path / "card.json"
    bare.write_bytes(TFLITE)
    card.write_text(Card(name="given", preprocessing=SMALL).to_json())
    for told in ("bare.tflite", "--card FILE", "cut short"):
        assert told in one_line(CardError, bare)
    scorer = open_scorer(bare, 1, card=card, open_model=FakeOpener(how=SMALL))
    assert scorer.score(noise(0)).model.startswith("given@")


def test_a_model_with_a_card_takes_no_other(tmp_path: Path) -> None:
    card = tmp_path / "card.json"
    card.write_text(Card(name="given", preprocessing=SMALL).to_json())
    assert "already" in one_line(CardError, BUNDLED, card=card)
    assert "already" in one_line(CardError, card=card)
    assert "already" in one_line(CardError, load_model(), card=card)


def test_a_file_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    assert "No such file" in one_line(ModelError, tmp_path / "missing.tflite")
    assert "Is a directory" in one_line(ModelError, tmp_path)
    assert "TFL3" in one_line(ModelError, PHOTOS[0])
    (tmp_path / "empty.tflite").touch()
    assert "TFL3" in one_line(ModelError, tmp_path / "empty.tflite")
    assert "cannot open" in one_line(ModelError, "nul\0byte.tflite")


def test_a_model_whose_archive_is_cut_off_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "cut.tflite"
    content = BUNDLED.read_bytes()
    for place in (len(content) // 3, len(content) - 1000, len(content) - 1):
        path.write_bytes(content[:place])
        text = one_line(CardError, path)
        assert "cut.tflite" in text
        assert "truncated" in text


def test_a_card_for_another_model_is_refused_and_the_model_named() -> None:
    wide = replace(load_model(), card=changed(load_model().card, width=320))
    text = one_line(ModelError, wide)
    assert "320x224" in text
    assert text.startswith(f"'{wide.path}': ")
    assert one_line(ModelError, replace(wide, path=None)).startswith(f"{wide.card.name}: ")


@pytest.mark.parametrize("single", ["cat.jpg", b"bytes", Path("cat.jpg"), Frame(np.zeros((2, 2, 3), np.uint8))])
def test_a_single_picture_is_no_batch(single: Any) -> None:
    with pytest.raises(RequestError, match="goes to score"):
        open_scorer().score_batch(single)


def test_a_checkpoint_is_not_scored_with_but_told_to_be_converted() -> None:
    with pytest.raises(ModelError, match="edge-nima convert idealo-mobilenet-aesthetic"):
        load_model("idealo-mobilenet-aesthetic")


def test_a_damaged_card_may_be_replaced_by_a_given_one(tmp_path: Path) -> None:
    whole = load_model()
    (tmp_path / "cut.tflite").write_bytes(whole.content[:-1000])
    (tmp_path / "card.json").write_text(whole.card.to_json(), encoding="utf-8")
    with pytest.raises(CardError, match="damaged"):
        load_model(tmp_path / "cut.tflite")
    assert load_model(tmp_path / "cut.tflite", tmp_path / "card.json").card == whole.card
